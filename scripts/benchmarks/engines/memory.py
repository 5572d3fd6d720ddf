"""Whether memory grows with the rows: 5,000, 20,000 and 100,000 of them through the whole ``tool_api`` stage.

    python scripts/benchmarks/engines/memory.py

Each size is a run of stage.py in a process of its own and an empty folder, against a server without latency. Its
questions are mapped from disk, as a stage's output is. A run counts only if every row is in the output, in order and
verified, and the server counted one request for each. Prints a Markdown table.

``anonymous`` is memory of the process itself: the interpreter, its modules, and whatever it keeps of the rows.
``mapped`` are pages of files (libraries, and the datasets that pass through), which the system can take back.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from processes import serve
from trials import machine, start_stage, write_questions

TARGET = 32.0
"""MiB of its own by which the largest run may exceed the smallest."""


class Run(NamedTuple):
    rows: int
    seconds: float
    anonymous: float
    mapped: float
    store: float


def main() -> None:
    args = _parser().parse_args()
    runs = []
    for rows in args.rows:
        runs.append(measure(rows, args))
        print(f"{runs[-1]}", file=sys.stderr)
    print(table(runs, args))


def measure(rows: int, args: argparse.Namespace) -> Run:
    """One run, checked.

    Raises:
        SystemExit: it did not do the work.
    """
    with TemporaryDirectory() as folder, serve() as server:
        work, questions = Path(folder), Path(folder) / "questions"
        write_questions([question(n) for n in range(rows)], questions)
        with start_stage(questions, work, server.base_url, args.concurrency) as process:
            try:
                printed, told = process.communicate(timeout=args.timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise SystemExit(f"{rows} rows: no end after {args.timeout:g} s") from None
        if process.returncode:
            raise SystemExit(f"{rows} rows: failed ({process.returncode}): {told}")
        if (count := server.stats()["count"]) != rows:
            raise SystemExit(f"{rows} rows: the server counted {count} requests")
        with (work / "output.jsonl").open(encoding="utf-8") as lines:
            right = [line == expected(n) for n, line in enumerate(lines)]
        if len(right) != rows or not all(right):
            raise SystemExit(f"{rows} rows: {len(right)} in the output, {right.count(False)} of them wrong")
        report = json.loads(printed)
        store = (work / "workspace" / "store.sqlite").stat().st_size / 2**20
    return Run(rows, report["seconds"], report["anonymous"], report["mapped"], store)


def question(n: int) -> dict[str, object]:
    """Every one is another, and the server's sum of its first two numbers is right."""
    first, second = n + 1, n % 97 + 1
    return {
        "id": f"Pens-train-{n}",
        "question": f"A shop sold {first} pens on Monday and {second} on Tuesday. How many did it sell in both days?",
        "answer": [str(first + second)],
    }


def expected(n: int) -> str:
    """The line of stage.py's output for it."""
    call = f"calculator({n + 1}+{n % 97 + 1})"
    return json.dumps({"id": f"Pens-train-{n}", "tool_call": call, "reason": None}) + "\n"


def table(runs: list[Run], args: argparse.Namespace) -> str:
    lines = [
        "| rows | seconds | rows/s | anonymous, peak | mapped, peak | the store |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        cells = [f"{run.rows:,}", f"{run.seconds:.1f}", f"{run.rows / run.seconds:.0f}"]
        cells += [f"{size:.0f} MiB" for size in (run.anonymous, run.mapped, run.store)]
        lines.append(f"| {' | '.join(cells)} |")
    grown = runs[-1].anonymous - runs[0].anonymous
    verdict = "flat" if grown <= TARGET else f"MORE than the {TARGET:g} MiB that it may"
    return "\n".join(
        [
            *lines,
            "",
            f"From {runs[0].rows:,} to {runs[-1].rows:,} rows the process grew by {grown:.0f} MiB: {verdict}. No "
            f"latency, at most {args.concurrency} in flight. {machine()}",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 20_000, 100_000], metavar="N")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N")
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS", help="for each run")
    return parser


if __name__ == "__main__":
    main()
