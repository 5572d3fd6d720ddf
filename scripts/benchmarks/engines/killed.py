"""What ``kill -9`` costs: a run over 1,000 rows is killed somewhere, and run again to its end.

    python scripts/benchmarks/engines/killed.py

Each trial starts from nothing: stage.py, the whole ``tool_api`` stage, is killed once the server has answered so
many requests (a random number from each tenth of the rows; and once when all texts are stored and the stage's output
is not there yet), and started again. A trial counts only if every row is in the output, once, in order and
verified; and what was sent twice, or answered twice, is no more than may be in flight.

    sent        requests that had arrived at the server when the run was killed
    answered    of these, those that it would have charged for
    stored      texts that were durable
    sent twice, answered twice    over both runs, by the SHA-256 of the bodies

A trial ends with two more reruns, which must send nothing: one that finds the stage's output, one that finds only
the store. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from processes import Server, serve
from prompts import write_prompts
from trials import machine, start_stage, write_questions

TARGET = 2.0
"""Seconds that a rerun of what is complete may take, without imports."""


class Trial(NamedTuple):
    point: int
    sent: int
    answered: int
    stored: int
    sent_twice: int
    answered_twice: int
    finish: float
    from_cache: float
    from_store: float


def main() -> None:
    args = _parser().parse_args()
    tenth, draw = args.requests / args.trials, random.Random(args.seed)
    points = [max(1, draw.randrange(int(n * tenth), int((n + 1) * tenth))) for n in range(args.trials)]
    trials = []
    with TemporaryDirectory() as folder:
        prompts, questions = Path(folder) / "prompts.jsonl", Path(folder) / "questions"
        expected = write_prompts(prompts, args.requests)
        rows = [json.loads(line) for line in prompts.read_text(encoding="utf-8").splitlines()]
        write_questions(rows, questions)
        for point in [*points, args.requests]:
            trials.append(measure(point, questions, expected, args))
            print(f"killed at {point}: {trials[-1]}", file=sys.stderr)
    print(table(trials, args))


def measure(point: int, questions: Path, expected: dict[str, str], args: argparse.Namespace) -> Trial:
    """Kill one run and finish it, checked.

    Raises:
        SystemExit: a row is missing, wrong or twice there, too much was paid twice, or a run hangs.
    """
    with TemporaryDirectory() as folder:
        work, log = Path(folder), Path(folder) / "answered"
        with serve("--latency", str(args.latency), "--log", str(log)) as server:
            kill(questions, work, server, log, point, args)
            sent, answered, stored = server.stats()["count"], _lines(log), _stored(work)
            finish = finished(questions, work, server, expected, args)["seconds"]
            bodies = Counter(log.read_text().split())
            sent_twice = server.stats()["count"] - len(expected)
            from_cache = rerun(questions, work, server, expected, args)
            shutil.rmtree(work / "workspace" / "stages")
            from_store = rerun(questions, work, server, expected, args)
            most = server.stats()["in_flight_max"]
    answered_twice = bodies.total() - len(bodies)
    problems = {
        f"{len(bodies)} different bodies for {len(expected)} rows": len(bodies) != len(expected),
        f"{sent_twice} were sent again, but {sent - stored} were not stored": sent_twice != sent - stored,
        f"{answered_twice} were answered twice, but {answered - stored} were lost": answered_twice
        != answered - stored,
        f"{sent_twice} were sent twice": sent_twice > args.concurrency,
        f"{most} were in flight": most > args.concurrency,
    }
    _require(point, problems)
    return Trial(point, sent, answered, stored, sent_twice, answered_twice, finish, from_cache, from_store)


def kill(
    questions: Path, work: Path, server: Server, log: Path, point: int, args: argparse.Namespace
) -> None:
    """Start a run, and kill it when ``point`` requests have been answered (all: when all are stored)."""
    with start_stage(questions, work, server.base_url, args.concurrency) as process:
        deadline = time.monotonic() + args.timeout
        while _lines(log) < point or (point == args.requests and _stored(work) < point):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit(f"killed at {point}: the run did not get there: {process.communicate()[1]}")
            time.sleep(0.0005)
        process.kill()
    if process.returncode != -9:
        raise SystemExit(f"killed at {point}: the run had ended ({process.returncode}) before it was killed")
    time.sleep(2 * args.latency + 0.2)  # what had arrived is answered, or its client found to be gone


def finished(
    questions: Path, work: Path, server: Server, expected: dict[str, str], args: argparse.Namespace
) -> dict[str, Any]:
    """A run to its end, and what it reports; its output is checked."""
    with start_stage(questions, work, server.base_url, args.concurrency) as process:
        try:
            printed, told = process.communicate(timeout=args.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise SystemExit(f"a run hangs: no end after {args.timeout:g} s") from None
    if process.returncode:
        raise SystemExit(f"a run failed ({process.returncode}): {told}")
    rows = [json.loads(line) for line in (work / "output.jsonl").read_text(encoding="utf-8").splitlines()]
    if [row["id"] for row in rows] != list(expected):
        raise SystemExit(f"{len(rows)} rows for {len(expected)}, or not in order")
    if wrong := [row for row in rows if row["tool_call"] != expected[row["id"]] or row["reason"] is not None]:
        raise SystemExit(f"{len(wrong)} rows are wrong or not verified, such as {wrong[0]}")
    (work / "output.jsonl").unlink()
    return dict(json.loads(printed))


def rerun(
    questions: Path, work: Path, server: Server, expected: dict[str, str], args: argparse.Namespace
) -> float:
    """Seconds of a run that finds everything done."""
    before = server.stats()["count"]
    seconds = finished(questions, work, server, expected, args)["seconds"]
    if after := server.stats()["count"] - before:
        raise SystemExit(f"a rerun of what is complete sent {after} requests")
    return float(seconds)


def _lines(log: Path) -> int:
    """How many answers the server has logged, each as 64 hexadecimal digits."""
    return log.stat().st_size // 65 if log.exists() else 0


def _stored(work: Path) -> int:
    store = work / "workspace" / "store.sqlite"
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT COUNT(*) FROM texts").fetchone()[0])


def _require(point: int, problems: dict[str, bool]) -> None:
    found = "; ".join(problem for problem, there in problems.items() if there)
    if found:
        raise SystemExit(f"killed at {point}: {found}")


def table(trials: list[Trial], args: argparse.Namespace) -> str:
    lines = [
        "| killed at | sent | answered | stored | sent twice | answered twice | rows right | then finished in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for trial in trials:
        counts = "".join(f"{count} | " for count in trial[:6])
        lines.append(f"| {counts}{args.requests} | {trial.finish:.2f} s |")
    cache = [trial.from_cache for trial in trials]
    store = [trial.from_store for trial in trials]
    verdict = "less" if max(cache + store) < TARGET else "MORE"
    return "\n".join(
        [
            *lines,
            "",
            f"Sent twice at most {max(trial.sent_twice for trial in trials)}, answered twice at most "
            f"{max(trial.answered_twice for trial in trials)}, of {args.concurrency} in flight. A rerun of what is "
            f"complete sends nothing and takes {median(cache):.2f} s (at most {max(cache):.2f}) where the stage is "
            f"cached, {median(store):.2f} s (at most {max(store):.2f}) from the store alone, without imports; "
            f"{verdict} than {TARGET:g} s. {args.requests} rows, {args.latency * 1000:g} ms latency, seed "
            f"{args.seed}. {machine()}",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1000, metavar="N")
    parser.add_argument("--trials", type=int, default=10, metavar="N", help="random points to kill at")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for each run")
    return parser


if __name__ == "__main__":
    main()
