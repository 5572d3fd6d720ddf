"""What the tests of finetuning have in common: rows, a quick configuration, how two adapters are compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from toolgen_hf.finetune import RECORD

INSTRUCTION = "Given a math problem, please answer it and you can use a calculator for help."
ROWS = [
    {"id": str(n), "instruction": INSTRUCTION, "input": f"What is {n} * 19?", "output": f"calculator({n}*19)"}
    for n in range(5)
]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "adapter_model.safetensors")


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def interrupt(output: Path, after: int) -> None:
    """Makes a finished run look as it did when it was killed after step ``after``."""
    record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    (output / RECORD).write_text(json.dumps({**record, "training": None}), encoding="utf-8")
    for checkpoint in output.glob("checkpoint-*"):
        if int(checkpoint.name.rpartition("-")[2]) > after:
            shutil.rmtree(checkpoint)
