"""What Ray costs beside `map`: the same recipe with both runners, on one machine.

    python scripts/benchmarks/engines/runners.py
    python scripts/benchmarks/engines/runners.py --rows 2000 --rounds 1     # a quick try

Each question is asked of a student, of a teacher and of a source, all of them the scripted server. A run counts only
if the server got three requests a question and each Parquet file of the output has the same bytes with both runners. At
the end each runner takes the other's cache: it must ask for nothing, and make the same files. Each run is a process of
its own in an empty folder. CPU seconds are those of all its processes, Ray's own included. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import bench
import psutil
import yaml

RUNNERS = ("map", "ray")


class Done(NamedTuple):
    """Seconds and CPU seconds of a run, and the digests of its Parquet files."""

    seconds: float
    cpu: float
    digests: dict[str, str]


def main() -> None:
    parser = bench.parser(__doc__, rows=10_000, rounds=2, workers=2, latency=0.05)
    args = parser.parse_args()
    done: dict[str, list[Done]] = {name: [] for name in RUNNERS}
    with bench.serve("--latency", str(args.latency)) as server, TemporaryDirectory() as folder:
        for number in range(args.rounds):
            for runner in RUNNERS if number % 2 == 0 else reversed(RUNNERS):
                work = Path(folder) / f"{runner}{number}"
                write(work, server, args)
                done[runner].append(run(work, runner, server, 3 * args.rows))
                print(f"round {number + 1}: {runner}: {done[runner][-1][:2]}", file=sys.stderr)
        for runner, other in zip(RUNNERS, reversed(RUNNERS), strict=True):
            done[runner].append(run(Path(folder) / f"{other}0", runner, server, 0))
    every = [one.digests for runs in done.values() for one in runs]
    bench.require("runners", {"the files differ": any(digests != every[0] for digests in every)})
    seconds = {name: [one.seconds for one in runs[:-1]] for name, runs in done.items()}
    cpus = {name: median(one.cpu for one in runs[:-1]) for name, runs in done.items()}
    rows = [
        [
            name,
            f"{median(seconds[name]):.1f}",
            f"{min(seconds[name]):.1f} - {max(seconds[name]):.1f}",
            f"{cpus[name]:.1f}",
            f"{1000 * cpus[name] / args.rows:.2f}",
            f"{runs[-1].seconds:.1f}",
        ]
        for name, runs in done.items()
    ]
    print(
        bench.markdown(
            "| runner | seconds | from - to | CPU s | CPU ms a question | from the other's cache, s |", rows
        )
    )
    print(
        f"\n{args.rows:,} questions, {3 * args.rows:,} requests, {args.workers} workers. The {len(every[0])} Parquet "
        f"files are the same (their names and digests: {sha256(json.dumps(every[0]).encode())[:16]}). Ray takes "
        f"{cpus['ray'] / cpus['map']:.2f} times the CPU, {1000 * (cpus['ray'] - cpus['map']) / args.rows:.2f} ms a "
        f"question more. {args.latency * 1000:g} ms latency, {args.concurrency} in flight for each process, "
        f"{args.rounds} rounds. {bench.machine()}"
    )


def write(work: Path, server: bench.Server, args: argparse.Namespace) -> None:
    """Questions to which the server's sums are the answers, and the recipe."""
    work.mkdir()
    with (work / "questions.jsonl").open("w") as file:
        for n in range(args.rows):
            a, b = n % 97 + 2, n // 97 + 3
            question = (
                f"There are {a} pens on a shelf, and Ann adds {b}. How many pens are on shelf {n} then?"
            )
            file.write(json.dumps({"question": question, "answer": str(a + b)}) + "\n")
    engine = {
        "kind": "openai",
        "engine": "gpt-4o-mini",
        "base_url": server.base_url,
        "concurrency": args.concurrency,
    }
    recipe = {
        "name": "runners",
        "dataset": {"builder": "qa", "name": "Pens", "data_files": {"train": "questions.jsonl"}},
        "answer": {"generator": engine},
        "tool_api": {"teachers": [engine]},
        "sources": {"chatgpt": {"generator": engine}},
        "runner": {"kind": "ray", "workers": args.workers, "cpus": 0.5},
    }
    (work / "runners.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def run(work: Path, runner: str, server: bench.Server, due: int) -> Done:
    """Run the recipe to its end, checked."""
    arguments = ["run", "runners.yaml", "--runner", runner]
    code = f"import sys; from toolgen_hf.cli import main; sys.exit(main({arguments!r}))"
    environment = {
        **os.environ,
        "TOOLGEN_HF_HOME": str(work / "cache"),
        "HF_HOME": str(work / "huggingface"),
        "OPENAI_API_KEY": "benchmark",
    }
    server.reset()
    others = set(psutil.Process().children(recursive=True))  # the server
    spent: dict[psutil.Process, float] = {}
    begun = time.perf_counter()
    with (work / "log").open("a") as log:
        running = subprocess.Popen(
            [sys.executable, "-c", code], cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=log
        )
        while running.poll() is None:
            for process in set(psutil.Process().children(recursive=True)) - others:
                with suppress(psutil.NoSuchProcess):
                    used = process.cpu_times()
                    spent[process] = used.user + used.system
            time.sleep(0.1)
    seconds = time.perf_counter() - begun
    for process in set(psutil.Process().children(recursive=True)) - others:
        process.kill()
    sent = server.stats()["count"]
    bench.require(
        runner,
        {
            f"it failed: {(work / 'log').read_text()[-3000:]}": running.returncode,
            f"{sent} requests, not {due}": sent != due,
        },
    )
    root = work / "outputs" / "runners"
    files = sorted(root.rglob("*.parquet"))
    return Done(
        seconds,
        sum(spent.values()),
        {str(file.relative_to(root)): sha256(file.read_bytes()) for file in files},
    )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    bench.adopt_orphans()  # Ray's processes
    main()
