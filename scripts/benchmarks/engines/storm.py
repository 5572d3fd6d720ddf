"""What a storm of 429s costs: 1,000 requests, 300 of which are refused once with ``Retry-After: 1``.

    python scripts/benchmarks/engines/storm.py

Each run is ours.py, the whole ``tool_api`` stage, in a process of its own and an empty folder, with 50 ms latency
and at most 64 in flight; clean and stormy runs take turns. A run counts only if every text is right and the
server counted exactly the requests that were due: 1,000, and 300 more in a storm. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from processes import Server, run_driver, serve
from prompts import MAX_TOKENS, MODEL, write_prompts
from trials import HERE, machine

TARGET = 2.0
"""Seconds that a storm may cost: one ``Retry-After``, and as much again to get going."""


class Run(NamedTuple):
    seconds: float
    cpu: float
    sent: int
    in_flight: int


def main() -> None:
    args = _parser().parse_args()
    latency = ("--latency", str(args.latency))
    limits = ("--rate-limit", str(args.limited), "--rate-limit-every", str(args.every), "--retry-after", "1")
    clean: list[Run] = []
    storm: list[Run] = []
    with TemporaryDirectory() as folder, serve(*latency) as calm, serve(*latency, *limits) as stormy:
        prompts = Path(folder) / "prompts.jsonl"
        expected = write_prompts(prompts, args.requests)
        trials = [("clean", clean, calm, 0), ("storm", storm, stormy, args.limited)]
        for number in range(args.rounds):
            for name, runs, server, limited in trials if number % 2 == 0 else reversed(trials):
                runs.append(measure(name, prompts, expected, server, limited, args))
                print(f"round {number + 1}: {name}: {runs[-1].seconds:.2f} s", file=sys.stderr)
    print(table(clean, storm, args))


def measure(
    name: str, prompts: Path, expected: dict[str, str], server: Server, limited: int, args: argparse.Namespace
) -> Run:
    """One run, checked.

    Raises:
        SystemExit: it did not do the work.
    """
    with TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        command = [sys.executable, str(HERE / "ours.py"), str(prompts), str(texts)]
        command += ["--base-url", server.base_url, "--concurrency", str(args.concurrency)]
        command += ["--model", MODEL, "--max-tokens", str(MAX_TOKENS)]
        server.reset()
        ended = run_driver(command, Path(folder), args.timeout)
        stats = server.stats()
        lines = texts.read_text(encoding="utf-8").splitlines()
    made = {row["id"]: row["text"] for row in map(json.loads, lines)}
    if made != expected or len(lines) != len(expected):
        raise SystemExit(f"{name}: {len(lines)} texts for {len(expected)} prompts, or wrong ones")
    if stats["count"] != len(expected) + limited:
        raise SystemExit(
            f"{name}: the server counted {stats['count']} requests, not {len(expected)} + {limited}"
        )
    if stats["in_flight_max"] > args.concurrency:
        raise SystemExit(f"{name}: {stats['in_flight_max']} requests were in flight")
    return Run(ended.report["seconds"], ended.report["cpu"], stats["count"], stats["in_flight_max"])


def table(clean: list[Run], storm: list[Run], args: argparse.Namespace) -> str:
    lines = ["| | seconds | from - to | CPU s | requests sent | in flight |", "|---|---|---|---|---|---|"]
    for name, runs in (("clean", clean), (f"{args.limited} × 429", storm)):
        seconds = [run.seconds for run in runs]
        cells = [name, f"{median(seconds):.2f}", f"{min(seconds):.2f} - {max(seconds):.2f}"]
        cells += [f"{median(run.cpu for run in runs):.2f}", str(runs[0].sent)]
        cells += [str(max(run.in_flight for run in runs))]
        lines.append(f"| {' | '.join(cells)} |")
    cost = median(run.seconds for run in storm) - median(run.seconds for run in clean)
    return (
        "\n".join(lines)
        + f"\n\nThe storm costs {cost:.2f} s; {'no more than' if cost <= TARGET else 'MORE THAN'} "
        f"the {TARGET:g} s that it may. {args.requests} requests, {args.latency * 1000:g} ms latency, at most "
        f"{args.concurrency} in flight, `Retry-After: 1`, median of {args.rounds} rounds. {machine()}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1000, metavar="N")
    parser.add_argument("--limited", type=int, default=300, metavar="N", help="so many are refused once")
    parser.add_argument("--every", type=int, default=3, metavar="N", help="they are one in N")
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for each run")
    return parser


if __name__ == "__main__":
    main()
