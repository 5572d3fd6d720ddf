"""How many tokens a second local generation makes on this processor, side by side.

    python scripts/benchmarks/generation --llama-python peers/llama/bin/python --rounds 3

The first 64 questions of GSM8K, as the stage `answer` asks them of SmolLM2-135M-Instruct, 128 new tokens at most.
llama.cpp has an environment of its own, and is left out if none is given:

    python -m venv peers/llama
    peers/llama/bin/pip install llama-cpp-python==0.3.36 numpy

Each run is a process of its own; rounds are interleaved, in rotating order. Loading is not counted. Prints medians as
a Markdown table, and the share of what the processor could do: its measured rate of float32 matrix products,
divided by the arithmetic that a token takes.
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
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from prompts import MODEL, token_ids

from toolgen_hf.models.weights import resolve_model

HERE = Path(__file__).resolve().parent
FULL, FEW = 64, 8
"""Questions; the published loop is so slow that it is timed on a few of them."""


class Contender(NamedTuple):
    name: str
    arguments: tuple[str, ...]
    questions: int = FULL


def main() -> None:
    args = _parser().parse_args()
    runs: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.json"
        prompts.write_text(json.dumps(token_ids(FULL)), encoding="utf-8")
        contenders = _contenders(args, prompts)
        for number in range(args.rounds):
            first = number % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                run = _run(contender, args)
                runs.setdefault(contender.name, []).append(run)
                speed = run["tokens"] / run["seconds"]
                print(f"round {number + 1}: {contender.name}: {speed:.1f} tokens/s", file=sys.stderr)
    print(_table(contenders, runs))
    if not args.few_shot:
        print(f"\n{_limit(args, runs)}")
    if args.json is not None:
        args.json.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def _contenders(args: argparse.Namespace, prompts: Path) -> list[Contender]:
    driver = (sys.executable, str(HERE / "driver.py"))
    found = [
        Contender("the stage, greedy", (*driver, "stage")),
        Contender("the stage, 4 beams", (*driver, "stage", "--num-beams", "4")),
        *(
            Contender(
                f"`generate`, sorted, batches of {size}", (*driver, "generate", "--batch-size", str(size))
            )
            for size in args.batch_sizes
        ),
        Contender("the published loop (batch 1, 4 beams)", (*driver, "published"), FEW),
    ]
    if args.few_shot:
        behind = ("--few-shot", "--batch-size", "32")
        return [
            Contender("the generator, behind 4 examples", (*driver, "generator", "--few-shot")),
            Contender("`generate`, sorted, batches of 32, behind 4 examples", (*driver, "generate", *behind)),
        ]
    if args.llama_python:
        gguf = str(resolve_model(MODEL).path)
        script = (args.llama_python, str(HERE / "llama_cpp_driver.py"), gguf, str(prompts))
        parallel = ("--parallel", str(args.llama_parallel), "--threads", str(args.threads))
        found.append(Contender("llama.cpp, batched, 4-bit weights", (*script, *parallel)))
    return found


def _run(contender: Contender, args: argparse.Namespace) -> dict[str, Any]:
    command = [*contender.arguments, "--max-new-tokens", str(args.max_new_tokens)]
    if "driver.py" in Path(command[1]).name and "llama" not in command[1]:
        command += ["--questions", str(contender.questions)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{contender.name} failed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.strip().rpartition("\n")[2]))


def _table(contenders: list[Contender], runs: dict[str, list[dict[str, Any]]]) -> str:
    speeds = {name: median(run["tokens"] / run["seconds"] for run in made) for name, made in runs.items()}
    slowest = min(speeds, key=lambda name: speeds[name])
    lines = ["| | tokens/s (lowest to highest) | of the slowest | questions |", "|---|---|---|---|"]
    for contender in contenders:
        each = sorted(run["tokens"] / run["seconds"] for run in runs[contender.name])
        speed = speeds[contender.name]
        lines.append(
            f"| {contender.name} | {speed:.0f} ({each[0]:.0f} to {each[-1]:.0f}) | "
            f"{speed / speeds[slowest]:.1f}x | {contender.questions} |"
        )
    outside = [run["outside"] / run["seconds"] for made in runs.values() for run in made if "outside" in run]
    if outside:
        lines += [
            "",
            f"Outside of generation (prompts, store, map): {median(outside):.2%} of the stage's time.",
        ]
    return "\n".join(lines)


def _limit(args: argparse.Namespace, runs: dict[str, list[dict[str, Any]]]) -> str:
    """What the processor could do at most, if it did nothing but the matrix products."""
    from transformers import AutoModelForCausalLM

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
    made = runs["the stage, greedy"]
    tokens, seconds = made[0]["tokens"], median(run["seconds"] for run in made)
    asked = sum(map(len, token_ids(FULL)))
    work = 2 * size * tokens + 2 * inner * asked
    best = tokens / (work / rate)
    share = tokens / seconds / best
    return (
        f"{args.threads} threads, {_processor()}: {rate / 1e9:.0f} GFLOP/s in float32 matrix products of 1024, "
        f"{2 * size / 1e9:.2f} GFLOP a token, so at most {best:.0f} tokens/s with the prompts' {asked:,} tokens "
        f"computed whole; the stage reaches {share:.0%} of it.\n"
        f"Python {platform.python_version()}; "
        + ", ".join(f"{name} {version(name)}" for name in ("toolgen_hf", "torch", "transformers"))
        + f". {args.rounds} interleaved rounds, medians."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), "processor unknown"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument(
        "--few-shot", action="store_true", help="behind four examples, which all prompts share"
    )
    parser.add_argument("--llama-python", help="a Python that has llama-cpp-python")
    parser.add_argument("--llama-parallel", type=int, default=32, help="sequences it decodes together")
    parser.add_argument("--json", type=Path, help="write every run here")
    return parser


if __name__ == "__main__":
    main()
