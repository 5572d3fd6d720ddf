"""Peak memory of two LoRA adapters on one base model, against two models loaded apart; and how long a switch takes.

    python scripts/benchmarks/generation/adapters.py

Each is a process of its own, whose peak resident memory is read before the first model is opened and at the end.
The adapters are random ones of the published shape; both ways give the same texts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from prompts import MODEL, requests

from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.weights import resolve_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=("shared", "apart"), help=argparse.SUPPRESS)
    parser.add_argument("--adapters", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps((_shared if args.way == "shared" else _apart)(args.adapters)))
        return
    with TemporaryDirectory() as folder:
        adapters = [str(_random_adapter(Path(folder) / str(seed), seed)) for seed in (1, 2)]
        runs: dict[str, list[dict[str, Any]]] = {"shared": [], "apart": []}
        for _ in range(args.rounds):
            for way, made in runs.items():
                command = [sys.executable, __file__, "--way", way, "--adapters", *adapters]
                ended = subprocess.run(command, capture_output=True, text=True, check=True)
                made.append(json.loads(ended.stdout.strip().rpartition("\n")[2]))
    one, two = (median(run["mib"] for run in runs[way]) for way in ("shared", "apart"))
    assert all(run["texts"] == runs["apart"][0]["texts"] for made in runs.values() for run in made)
    print(f"two adapters on one base {one:.0f} MiB, two loads {two:.0f} MiB: {one / two:.2f}x")
    print(
        f"switching to the other adapter and back: {median(run['switch'] for run in runs['shared']) * 1e3:.1f} ms"
    )


def _shared(adapters: list[str]) -> dict[str, Any]:
    """As the library does it: one base, the adapters attached and switched."""
    import torch  # noqa: F401

    from toolgen_hf.models.loading import load
    from toolgen_hf.models.weights import resolve_adapter

    before = _peak()
    texts = [_generate(adapter) for adapter in adapters]
    loaded = load(resolve_model(MODEL), "float32", "cpu")
    weights = [resolve_adapter(adapter) for adapter in adapters]
    started = time.perf_counter()
    for weight in weights:
        with loaded.using(weight):
            pass
    return {"mib": _peak() - before, "texts": texts, "switch": time.perf_counter() - started}


def _apart(adapters: list[str]) -> dict[str, Any]:
    """Two models in memory at once."""
    import torch  # noqa: F401

    from toolgen_hf.models import loading

    before, kept, texts = _peak(), [], []
    for adapter in adapters:
        texts.append(_generate(adapter))
        kept.append(dict(loading._LOADED))
        loading._LOADED.clear()
    return {"mib": _peak() - before, "texts": texts}


def _generate(adapter: str) -> list[str]:
    config = LocalConfig(model=MODEL, adapter=adapter, max_new_tokens=8, device="cpu")
    chunks = LocalGenerator(config).generate(requests(4))
    return [text.text for _, text in sorted(pair for chunk in chunks for pair in chunk)]


def _random_adapter(folder: Path, seed: int) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = AutoModelForCausalLM.from_pretrained(resolve_model(MODEL).folder())
    get_peft_model(model, lora).save_pretrained(folder)
    return folder


def _peak() -> float:
    """Peak resident memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
