"""Models as files: enough of them to be listed and identified, too little to be loaded."""

from __future__ import annotations

import json
from math import prod

CARD = b"---\nlicense: apache-2.0\n---\n# A model\n"


def safetensors(*shape: int, dtype: str = "BF16") -> bytes:
    """One tensor of zeros (16 bits each), in the file format."""
    size = 2 * prod(shape)
    header = json.dumps({"weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


def model_files(*shape: int) -> dict[str, bytes]:
    """A repository or folder that holds a model."""
    config = json.dumps({"model_type": "llama"}).encode()
    weights = {"model.safetensors": safetensors(*shape)}
    return {
        "config.json": config,
        "tokenizer.json": b"{}",
        "README.md": CARD,
        "notes.txt": b"not fetched",
        **weights,
    }
