"""Peak memory of two LoRA adapters on one base model, against two loaded models; and how long a switch takes.

    python scripts/benchmarks/generation/adapters.py

Each way runs in a process of its own; its peak resident memory is read before the first model is loaded and at the end.
The adapters have random weights and the published shape; both ways make the same texts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from driver import MODEL, requests, texts_of
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from toolgen_hf.models import loading
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.weights import resolve_adapter, resolve_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=("shared", "apart"), help=argparse.SUPPRESS)
    parser.add_argument("--adapters", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(_measure(args.adapters, args.way == "apart")))
        return
    runs: dict[str, list[dict[str, Any]]] = {"shared": [], "apart": []}
    with TemporaryDirectory() as folder:
        adapters = [_random_adapter(f"{folder}/{seed}", seed) for seed in (1, 2)]
        for _ in range(args.rounds):
            for way, made in runs.items():
                command = [sys.executable, __file__, "--way", way, "--adapters", *adapters]
                ended = subprocess.run(command, capture_output=True, text=True, check=True)
                made.append(json.loads(ended.stdout.strip().rpartition("\n")[2]))
    one, two = (median(run["mib"] for run in made) for made in runs.values())
    assert all(run["texts"] == runs["apart"][0]["texts"] for made in runs.values() for run in made)
    switch = median(run["switch"] for run in runs["shared"])
    print(f"two adapters on one base {one:.0f} MiB, two loads {two:.0f} MiB: {one / two:.2f}x")
    print(f"switching to the other adapter and back: {switch * 1e3:.1f} ms")


def _measure(adapters: list[str], apart: bool) -> dict[str, Any]:
    """One base whose adapters are switched, as the library does it; or a model in memory for each adapter."""
    before, kept, texts, wanted = _peak(), [], [], requests(4)
    for adapter in adapters:
        config = LocalConfig(model=MODEL, adapter=adapter, max_new_tokens=8, device="cpu")
        texts.append([text.text for text in texts_of(config, wanted)])
        if apart:
            kept.append(dict(loading._LOADED))
            loading._LOADED.clear()
    mib = _peak() - before
    if apart:
        return {"mib": mib, "texts": texts}
    loaded = loading.load(resolve_model(MODEL), "float32", "cpu")
    weights = [resolve_adapter(adapter) for adapter in adapters]
    started = time.perf_counter()
    for weight in weights:
        with loaded.using(weight):
            pass
    return {"mib": mib, "texts": texts, "switch": time.perf_counter() - started}


def _random_adapter(folder: str, seed: int) -> str:
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
