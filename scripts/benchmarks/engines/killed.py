"""What ``kill -9`` costs: a run over 1,000 rows is killed at some point, and run again to its end.

    python scripts/benchmarks/engines/killed.py

Each trial starts from nothing. The whole ``tool_api`` stage is killed once the server has answered so many requests (a
random number from each tenth of the rows; and once when all texts are stored but the stage's output is not written),
then started again. A trial counts only if every row is in the output, once, in order and verified, and no more requests
were sent twice, or answered twice, than may be in flight.

    sent        requests that had arrived at the server when the run was killed
    answered    of these, those that it would have charged for
    stored      texts that were durable
    sent twice, answered twice    over both runs, by the SHA-256 of the bodies

A trial ends with two more reruns that must send nothing: one finds the stage's output, the other only the store. Prints
a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import bench

TARGET = 2.0  # seconds that a rerun of what is complete may take, without imports


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
    parser = bench.parser(__doc__, requests=1000, trials=10, seed=0, latency=0.05, timeout=60.0)
    args = parser.parse_args()
    tenth, draw = args.requests / args.trials, random.Random(args.seed)
    points = [max(1, draw.randrange(int(n * tenth), int((n + 1) * tenth))) for n in range(args.trials)]
    trials = []
    with TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.jsonl"
        expected = bench.write_prompts(prompts, args.requests)
        for point in [*points, args.requests]:
            trials.append(measure(point, prompts, expected, args))
            print(f"killed at {point}: {trials[-1]}", file=sys.stderr)
    header = "| killed at | sent | answered | stored | sent twice | answered twice | rows right | then finished in |"
    rows = [[*trial[:6], args.requests, f"{trial.finish:.2f} s"] for trial in trials]
    cache, store = [trial.from_cache for trial in trials], [trial.from_store for trial in trials]
    print(
        f"{bench.markdown(header, rows)}\n\nSent twice at most {max(trial.sent_twice for trial in trials)}, answered "
        f"twice at most {max(trial.answered_twice for trial in trials)}, of {args.concurrency} in flight. A rerun of "
        f"what is complete sends nothing and takes {median(cache):.2f} s (at most {max(cache):.2f}) where the stage is "
        f"cached, {median(store):.2f} s (at most {max(store):.2f}) from the store alone, without imports; "
        f"{'less' if max(cache + store) < TARGET else 'MORE'} than {TARGET:g} s. {args.requests} rows, "
        f"{args.latency * 1000:g} ms latency, seed {args.seed}. {bench.machine()}"
    )


def measure(point: int, prompts: Path, expected: dict[str, str], args: argparse.Namespace) -> Trial:
    """Kill one run and finish it, checked."""
    with TemporaryDirectory() as folder:
        work, log = Path(folder), Path(folder) / "answered"
        with bench.serve("--latency", str(args.latency), "--log", str(log)) as server:

            def finish(due: int) -> float:
                run = bench.run("toolgen_hf", prompts, expected.items(), work, server, args, due)
                return float(run.report["seconds"])

            kill(prompts, work, server, log, point, args)
            sent, answered, stored = server.stats()["count"], _lines(log), _stored(work)
            finished = finish(len(expected) - stored)
            bodies = Counter(log.read_text().split())
            from_cache = finish(0)
            shutil.rmtree(work / "workspace" / "stages")
            from_store = finish(0)
    sent_twice, answered_twice = sent - stored, bodies.total() - len(bodies)
    bench.require(
        f"killed at {point}",
        {
            f"{len(bodies)} different bodies for {len(expected)} rows": len(bodies) != len(expected),
            f"{answered_twice} were answered twice, but {answered - stored} were lost": answered_twice
            != answered - stored,
            f"{sent_twice} were sent twice": sent_twice > args.concurrency,
        },
    )
    return Trial(point, sent, answered, stored, sent_twice, answered_twice, finished, from_cache, from_store)


def kill(
    prompts: Path, work: Path, server: bench.Server, log: Path, point: int, args: argparse.Namespace
) -> None:
    """Start a run, and kill it when ``point`` requests are answered (if that is all of them: when all are stored)."""
    process = bench.start("toolgen_hf", prompts, work, server, args.concurrency)
    deadline = time.monotonic() + args.timeout
    while _lines(log) < point or (point == args.requests and _stored(work) < point):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"killed at {point}: the run did not get there: {(work / 'stderr').read_text()}")
        time.sleep(0.0005)
    process.kill()
    if process.wait() != -9:
        raise SystemExit(f"killed at {point}: the run had ended before ({process.returncode})")
    time.sleep(2 * args.latency + 0.2)  # until the server has answered what had arrived


def _lines(log: Path) -> int:
    """The answers that the server has logged, each as 64 hexadecimal digits."""
    return log.stat().st_size // 65 if log.exists() else 0


def _stored(work: Path) -> int:
    store = work / "workspace" / "store.sqlite"
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT COUNT(*) FROM texts").fetchone()[0])


if __name__ == "__main__":
    main()
