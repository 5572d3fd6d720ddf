"""How many tokens per second local generation makes on this processor, side by side.

    python scripts/benchmarks/generation --rounds 3
    python scripts/benchmarks/generation --questions 4 --max-new-tokens 16 --rounds 1     # a quick try

The first 64 questions of GSM8K, as the stage `answer` asks them of SmolLM2-135M-Instruct, at most 128 new tokens. Each
run is a process of its own; rounds are interleaved, in rotating order. Loading is not counted. Prints medians as a
Markdown table, and what share the stage reaches of the processor's limit: its measured rate of float32 matrix products,
divided by the arithmetic of a token.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from driver import MODEL, token_ids
from transformers import AutoModelForCausalLM

from toolgen_hf.models.weights import resolve_model

DRIVER = str(Path(__file__).resolve().parent / "driver.py")
FEW = 8  # questions for the published loop, which is slow


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument(
        "--few-shot", action="store_true", help="after four examples, which all prompts share"
    )
    parser.add_argument("--json", type=Path, help="write every run here")
    args = parser.parse_args()
    contenders = _contenders(args)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for number in range(args.rounds):
        first = number % len(contenders)
        for name in [*contenders][first:] + [*contenders][:first]:
            run = _run(contenders[name], args)
            runs[name].append(run)
            print(
                f"round {number + 1}: {name}: {run['tokens'] / run['seconds']:.1f} tokens/s", file=sys.stderr
            )
    print(_table(runs))
    if not args.few_shot:
        print(f"\n{_limit(args, runs['the stage, greedy'])}")
    if args.json is not None:
        args.json.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def _contenders(args: argparse.Namespace) -> dict[str, list[str]]:
    """The arguments of driver.py for each row of the table."""
    count = ["--questions", str(args.questions)]
    if args.few_shot:
        after = [*count, "--few-shot"]
        return {
            "the generator, after 4 examples": ["generator", *after],
            "`generate`, sorted, batches of 32, after 4 examples": ["generate", *after, "--batch-size", "32"],
        }
    return {
        "the stage, greedy": ["stage", *count],
        "the stage, 4 beams": ["stage", *count, "--num-beams", "4"],
        **{
            f"`generate`, sorted, batches of {size}": ["generate", *count, "--batch-size", str(size)]
            for size in args.batch_sizes
        },
        "the published loop (batch 1, 4 beams)": ["published", "--questions", str(min(args.questions, FEW))],
    }


def _run(arguments: list[str], args: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, DRIVER, *arguments, "--max-new-tokens", str(args.max_new_tokens)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.strip().rpartition("\n")[2]))


def _table(runs: dict[str, list[dict[str, Any]]]) -> str:
    speeds = {name: [run["tokens"] / run["seconds"] for run in made] for name, made in runs.items()}
    slowest = min(median(each) for each in speeds.values())
    lines = ["| | tokens/s (lowest to highest) | of the slowest | questions |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {median(each):.0f} ({min(each):.0f} to {max(each):.0f}) | {median(each) / slowest:.1f}x | "
        f"{runs[name][0]['texts']} |"
        for name, each in speeds.items()
    ]
    outside = [run["outside"] / run["seconds"] for made in runs.values() for run in made if "outside" in run]
    if outside:
        lines += [
            "",
            f"Outside of generation (prompts, store, map): {median(outside):.2%} of the stage's time.",
        ]
    return "\n".join(lines)


def _limit(args: argparse.Namespace, runs: list[dict[str, Any]]) -> str:
    """What the processor could do if it did nothing but the matrix products."""
    torch.set_num_threads(args.threads)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    rates = []
    for _ in range(9):
        started = time.perf_counter()
        for _ in range(10):
            torch.mm(a, b)
        rates.append(10 * 2 * 1024**3 / (time.perf_counter() - started))
    rate = median(rates)
    model = AutoModelForCausalLM.from_pretrained(resolve_model(MODEL).folder())
    size = sum(part.numel() for part in model.parameters())  # the embedding is also the output layer
    inner = size - model.get_input_embeddings().weight.numel()
    tokens, seconds = runs[0]["tokens"], median(run["seconds"] for run in runs)
    asked = sum(map(len, token_ids(args.questions)))
    best = tokens * rate / (2 * size * tokens + 2 * inner * asked)
    return (
        f"{args.threads} threads, {_processor()}: {rate / 1e9:.0f} GFLOP/s in float32 matrix products of 1024, "
        f"{2 * size / 1e9:.2f} GFLOP a token, so at most {best:.0f} tokens/s with the prompts' {asked:,} tokens "
        f"computed whole; the stage reaches {tokens / seconds / best:.0%} of it.\n"
        f"Python {platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}."
    )


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor unknown"


if __name__ == "__main__":
    main()
