"""What 429s cost: 1,000 requests, 300 of which are refused once with ``Retry-After: 1``.

    python scripts/benchmarks/engines/storm.py

Each run is the whole ``tool_api`` stage in a process of its own and an empty folder, with 50 ms latency and at most 64
requests in flight; runs with and without refusals alternate. A run counts only if every text is right and the server
counted exactly the requests that were due: 1,000, or 1,300. Prints a Markdown table.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import bench

TARGET = 2.0  # seconds that the refusals may cost: one Retry-After, and as much again to get going


def main() -> None:
    parser = bench.parser(__doc__, requests=1000, limited=300, every=3, latency=0.05, rounds=5, timeout=60.0)
    args = parser.parse_args()
    latency = ("--latency", str(args.latency))
    limits = ("--rate-limit", str(args.limited), "--rate-limit-every", str(args.every), "--retry-after", "1")
    with (
        TemporaryDirectory() as folder,
        bench.serve(*latency) as clean,
        bench.serve(*latency, *limits) as limited,
    ):
        prompts = Path(folder) / "prompts.jsonl"
        expected = bench.write_prompts(prompts, args.requests)

        def trial(server: bench.Server, refused: int, work: Path) -> bench.Run:
            due = len(expected) + refused
            return bench.run("toolgen_hf", prompts, expected.items(), work, server, args, due)

        trials = {
            "clean": partial(trial, clean, 0),
            f"{args.limited} × 429": partial(trial, limited, args.limited),
        }
        runs = bench.alternate(trials, args.rounds)
    rows = [
        [*row, done[0].sent, max(run.in_flight for run in done)]
        for row, done in zip(bench.summary(runs), runs.values(), strict=True)
    ]
    without, with_refusals = (median(run.report["seconds"] for run in done) for done in runs.values())
    cost = with_refusals - without
    print(
        bench.markdown("| | seconds | from - to | CPU s | requests sent | in flight |", rows)
        + f"\n\nThe refusals cost {cost:.2f} s; {'no more than' if cost <= TARGET else 'MORE THAN'} the {TARGET:g} s "
        f"that they may. {args.requests} requests, {args.latency * 1000:g} ms latency, at most {args.concurrency} in "
        f"flight, `Retry-After: 1`, median of {args.rounds} rounds. {bench.machine()}"
    )


if __name__ == "__main__":
    main()
