"""How time and memory grow with the rows, where no model is asked: the whole flow with responses that are given.

    python scripts/benchmarks/rows --rows 10000 100000 1000000
    python scripts/benchmarks/rows --rows 100000 --push     # and to a Hub on this machine, and compared with it

Each size is a process of its own in an empty folder: ``toolgen-hf run`` on questions with a worked solution each, the
student's responses and five sources from files; then the same run again, wholly cached, and the report. A run counts
only if each question is in the output and each source has its response to each. Prints a Markdown table.

``--limit`` runs all of it in a control group with so much memory, mapped files and written pages included (as root).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import yaml

SOURCES = ("chatgpt", "instructgpt", "vicuna", "alpaca", "few")
HERE = Path(__file__).resolve().parent
GROUP = Path("/sys/fs/cgroup/memory/toolgen")
NAMES = (
    "Ann", "Ben", "Cora", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon", "Kim", "Leo", "Mia", "Ned", "Ola", "Pia",
    "Quin", "Rosa", "Sam", "Tia",
)  # fmt: skip
THINGS = (
    "pens", "nuts", "eggs", "cups", "keys", "maps", "hats", "jars", "bags", "books", "coins", "cards", "plums", "pears",
    "shells", "stamps",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--push", action="store_true", help="push the result to the tests' Hub, and compare it"
    )
    parser.add_argument("--limit", type=float, metavar="GIB", help="memory of all processes together")
    args = parser.parse_args()
    if args.limit:
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.limit_in_bytes").write_text(str(int(args.limit * 2**30)))
    lines, more = [], []
    for rows in args.rows:
        with TemporaryDirectory(dir=args.folder) as folder:
            work = Path(folder)
            write_inputs(work, rows)
            first = command(work, "run", "rows.yaml")
            check(work, rows)
            stages = stage_times(work)
            again = command(work, "run", "rows.yaml")
            page = command(work, "report", "outputs/rows")
            size = sum(file.stat().st_size for file in (work / "outputs").glob("*.html")) / 1e6
            more += hub(work, rows) if args.push else []
        lines.append(
            f"| {rows:,} | {first[0]:.0f} | {first[1]:.2f} | {first[2]:.2f} | {again[0]:.1f} | {page[0]:.1f} "
            f"| {size:.1f} |"
        )
        print(lines[-1], stages, file=sys.stderr)
    if args.limit:
        GROUP.rmdir()
    print(
        "| questions | run, seconds | memory, GiB | largest process with mapped files, GiB "
        "| cached rerun, seconds | report, seconds | its size, MB |"
    )
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    if more:
        print(
            "\n| questions | | seconds | memory, GiB | largest process with mapped files, GiB |\n|---|---|---|---|---|"
        )
        print("\n".join(more))
    limit = f"{args.limit:g} GiB of memory for all processes and their files, " if args.limit else ""
    print(
        f"\nFive given sources, {limit}{os.cpu_count()} CPUs, {platform.processor() or platform.machine()}, "
        f"Python {platform.python_version()}."
    )


def write_inputs(work: Path, rows: int) -> None:
    """Questions of all different stories, and responses of which a part is right."""
    with (work / "questions.jsonl").open("w") as questions, (work / "student.jsonl").open("w") as student:
        files = [(work / f"{source}.jsonl").open("w") for source in SOURCES]
        for n in range(rows):
            a, b, c = n % 97 + 2, n // 97 % 89 + 3, n // 8633 + 2
            who, what = NAMES[n % 20], THINGS[n // 20 % 16]
            answer = a * b + c
            question = f"{who} has {a} boxes with {b} {what} in each and finds {c} more. How many {what} are there now?"
            solution = (
                f"The boxes hold {a}*{b}=<<{a}*{b}={a * b}>>{a * b} {what}.\n"
                f"There are {a * b}+{c}=<<{a * b}+{c}={answer}>>{answer} {what}."
            )
            row = {"question": question, "answer": str(answer), "solution": solution}
            questions.write(json.dumps(row) + "\n")
            said = f"The answer is {answer if n % 3 == 0 else answer + 1}."
            student.write(json.dumps({"question": question, "response": said}) + "\n")
            for at, file in enumerate(files):
                value = answer if (n + at) % 4 == 0 else answer + at + n % 5
                response = f"calculator({a}*{b}+{c})" if (n + at) % 3 == 0 else f"There are {value} {what}."
                file.write(json.dumps({"question": question, "response": response}) + "\n")
        for file in files:
            file.close()
    recipe = {
        "name": "rows",
        "dataset": {
            "builder": "qa",
            "name": "Rows",
            "data_files": {"train": "questions.jsonl"},
            "columns": {"solution": "solution"},
        },
        "answer": {"generator": {"kind": "file", "path": "student.jsonl"}},
        "tool_api": {"teachers": [{"kind": "annotations"}]},
        "sources": {source: {"generator": {"kind": "file", "path": f"{source}.jsonl"}} for source in SOURCES},
    }
    (work / "rows.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def hub(work: Path, rows: int) -> list[str]:
    """Push the result to a Hub on this machine, then compare it there with the result here."""
    sys.path.insert(0, str(HERE.parents[2]))
    from tests.support.hub import LocalHub

    lines = []
    with LocalHub(users={"hf_ann": "ann"}) as server:
        os.environ |= {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": "hf_ann", "HF_HUB_DISABLE_XET": "1"}
        push = ("push", "outputs/rows", "ann/rows", "--version", "1.0.0")
        for name, arguments in (
            ("push", push),
            ("the same again", push),
            ("diff", ("diff", "ann/rows@1.0.0", "outputs/rows")),
        ):
            seconds, own, largest = command(work, *arguments)
            lines.append(f"| {rows:,} | {name} | {seconds:.0f} | {own:.2f} | {largest:.2f} |")
    return lines


def command(work: Path, *arguments: str) -> tuple[float, float, float]:
    """Seconds, peak memory of all processes without mapped files, and that of the largest process with them (GiB)."""
    code = f"import sys; from toolgen_hf.cli import main; sys.exit(main({list(arguments)!r}))"
    join = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(GROUP)] if GROUP.exists() else []
    environment = {**os.environ, "TOOLGEN_HF_HOME": str(work / "cache"), "HF_HOME": str(work / "huggingface")}
    begun = time.perf_counter()
    own = largest = 0
    with (work / "log").open("a") as log:
        running = subprocess.Popen(
            [*join, sys.executable, "-c", code],
            cwd=work,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        while running.poll() is None:
            found = [memory(process) for process in tree(running.pid)]
            own = max(own, sum(rss - shared for rss, shared in found))
            largest = max(largest, *(rss for rss, _ in found), 0)
            time.sleep(0.2)
    if running.returncode:
        raise SystemExit(f"toolgen-hf {' '.join(arguments)} failed:\n{(work / 'log').read_text()[-3000:]}")
    return time.perf_counter() - begun, own / 2**30, largest / 2**30


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(process: psutil.Process) -> tuple[int, int]:
    """Resident bytes of a process, and those of them that are of files, which the system takes back when it must."""
    try:
        found = process.memory_info()
        return found.rss, found.shared
    except psutil.NoSuchProcess:
        return 0, 0


def check(work: Path, rows: int) -> None:
    """Each question is in stage 2 or rejected, with a response of each source."""
    import pyarrow.dataset as ds

    made = work / "outputs" / "rows"
    stage2 = ds.dataset(list((made / "stage2").glob("*.parquet")))
    rejected = (
        ds.dataset(list((made / "rejected").glob("*.parquet"))) if (made / "rejected").exists() else None
    )
    count = stage2.count_rows() + (rejected.count_rows() if rejected else 0)
    if count != rows:
        raise SystemExit(f"{count} of {rows} questions are in the output")


def stage_times(work: Path) -> str:
    """Rows a second of each stage, from the log."""
    import re

    said = re.findall(r"(\S+(?: \S+)?)\[train\]: (\d+) rows in, .*?, (\d+\.\d) s", (work / "log").read_text())
    return ", ".join(f"{name} {int(rows) / max(float(seconds), 0.1):.0f}/s" for name, rows, seconds in said)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
