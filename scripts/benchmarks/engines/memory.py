"""Whether memory grows with the rows: 5,000, 20,000 and 100,000 of them through the whole ``tool_api`` stage.

    python scripts/benchmarks/engines/memory.py

Each size is a process of its own in an empty folder, against a server without latency; it is then run again, from its
store and cache. Questions are mapped from disk, like the output of a stage. A run counts only if every row is in the
output, in order and verified, and the server counted one request for each, and none for the rerun. Prints a Markdown
table.

``anonymous`` is the process's own memory: the interpreter, its modules, and what it keeps of the rows. ``mapped`` are
pages of files (libraries, and the datasets that pass through), which the system can take back.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import bench

TARGET = 32.0  # MiB of its own memory that the largest run may take more than the smallest


def main() -> None:
    args = bench.parser(__doc__, rows=[5_000, 20_000, 100_000], timeout=1800.0).parse_args()
    lines, anonymous = [], []
    for rows in args.rows:
        with TemporaryDirectory() as folder, bench.serve() as server:
            work, prompts = Path(folder), Path(folder) / "prompts.jsonl"
            with prompts.open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(question(n)) + "\n" for n in range(rows))
            first, again = (
                bench.run("toolgen_hf", prompts, map(expected, range(rows)), work, server, args, due)
                for due in (rows, 0)
            )
            store = (work / "workspace" / "store.sqlite").stat().st_size / 2**20
        seconds = first.report["seconds"]
        sizes = [f"{size:.0f} MiB" for size in (first.report["anonymous"], first.report["mapped"], store)]
        rerun = f"{again.report['seconds']:.1f}"
        lines.append([f"{rows:,}", f"{seconds:.1f}", f"{rows / seconds:.0f}", *sizes, rerun])
        anonymous.append(first.report["anonymous"])
        print(lines[-1], file=sys.stderr)
    grown = anonymous[-1] - anonymous[0]
    header = "| rows | seconds | rows/s | anonymous, peak | mapped, peak | the store | rerun, seconds |"
    print(
        f"{bench.markdown(header, lines)}\n\nFrom {args.rows[0]:,} to {args.rows[-1]:,} rows the process grew "
        f"by {grown:.0f} MiB: {'flat' if grown <= TARGET else f'MORE than the {TARGET:g} MiB that it may'}. No "
        f"latency, at most {args.concurrency} in flight. {bench.machine()}"
    )


def question(n: int) -> dict[str, object]:
    """A question of its own for each number, with the server's sum as its accepted answer."""
    text = (
        f"A shop sold {n + 1} pens on Monday and {n % 97 + 1} on Tuesday. How many did it sell in both days?"
    )
    return {"id": f"Pens-train-{n}", "question": text, "answer": [str(n + 1 + n % 97 + 1)]}


def expected(n: int) -> tuple[str, str]:
    return f"Pens-train-{n}", f"calculator({n + 1}+{n % 97 + 1})"


if __name__ == "__main__":
    main()
