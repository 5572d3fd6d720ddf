"""How long 1,000 chat completions take: the bare client, curator, distilabel and this library side by side.

    python scripts/benchmarks/engines \\
        --curator-python peers/curator/bin/python --distilabel-python peers/distilabel/bin/python

The peers have environments of their own; what is not given is skipped:

    python -m venv peers/curator
    peers/curator/bin/pip install bespokelabs-curator==0.1.31
    python -m venv peers/distilabel
    peers/distilabel/bin/pip install 'distilabel[openai]==1.5.3' requests 'datasets<4' 'huggingface_hub<1' 'openai<2'

All send the same prompts to the same server on this machine, which answers after 50 ms, with at most 64 in
flight. Each run is a process of its own in an empty folder; rounds are interleaved, in rotating order. A run
counts only if every text is right, the server counted exactly the requests that were due, and there were
never more in flight than allowed. Prints medians as a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from processes import Ended, Server, adopt_orphans, processor, run_driver, serve
from prompts import MAX_TOKENS, MODEL, write_prompts

HERE = Path(__file__).resolve().parent


class Contender(NamedTuple):
    """One row of the table. ``extra_requests``: what a library sends of its own besides the prompts."""

    name: str
    python: str
    script: tuple[str, ...]
    package: str
    extra_requests: int = 0

    @property
    def is_bare(self) -> bool:
        return self.script[0] == "bare.py"


class Run(NamedTuple):
    ended: Ended
    in_flight: int


def main() -> None:
    args = _parser().parse_args()
    contenders = _contenders(args)
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    adopt_orphans()
    with TemporaryDirectory() as folder, serve("--latency", str(args.latency)) as server:
        prompts = Path(folder) / "prompts.jsonl"
        expected = write_prompts(prompts, args.requests)
        for number in range(args.rounds):
            first = number % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                run = measure(contender, prompts, expected, server, args)
                runs[contender.name].append(run)
                print(
                    f"round {number + 1}: {contender.name}: {run.ended.report['seconds']:.2f} s",
                    file=sys.stderr,
                )
    print(table(contenders, runs, args.requests))
    print(f"\n{settings(contenders, args)}")
    if args.json is not None:
        raw = {
            name: [{**run.ended._asdict(), "in_flight": run.in_flight} for run in runs[name]] for name in runs
        }
        args.json.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")


def measure(
    contender: Contender, prompts: Path, expected: dict[str, str], server: Server, args: argparse.Namespace
) -> Run:
    """One run of one contender, checked.

    Raises:
        SystemExit: it did not do the work.
    """
    with TemporaryDirectory() as folder:
        work = Path(folder)
        texts = work / "texts.jsonl"
        script, *options = contender.script
        command = [contender.python, str(HERE / script), *options, str(prompts), str(texts)]
        command += ["--base-url", server.base_url, "--concurrency", str(args.concurrency)]
        command += ["--model", MODEL, "--max-tokens", str(MAX_TOKENS)]
        server.reset()
        ended = run_driver(command, work, args.timeout)
        stats = server.stats()
        made = {
            row["id"]: row["text"] for row in map(json.loads, texts.read_text(encoding="utf-8").splitlines())
        }
    wrong = [row_id for row_id, text in expected.items() if made.get(row_id) != text]
    due = len(expected) + contender.extra_requests
    fastest = args.latency * -(-len(expected) // args.concurrency)
    problems = {
        f"{len(wrong)} texts are wrong or missing, such as that of {wrong[:1]}": bool(wrong),
        f"{len(made)} texts for {len(expected)} prompts": made.keys() != expected.keys(),
        f"it reports {ended.report}": not ended.report["ok"],
        f"the server counted {stats['count']} requests, not {due}": stats["count"] != due,
        f"{stats['in_flight_max']} requests were in flight": stats["in_flight_max"] > args.concurrency,
        f"{ended.report['seconds']:.2f} s cannot be": ended.report["seconds"] < fastest,
    }
    if any(problems.values()):
        found = "; ".join(problem for problem, there in problems.items() if there)
        raise SystemExit(f"{contender.name} did not do the work: {found}")
    return Run(ended, stats["in_flight_max"])


def table(contenders: list[Contender], runs: dict[str, list[Run]], requests: int) -> str:
    """Medians over the rounds; ratios against the faster transport of the bare client."""
    lines = [
        "| | seconds | from - to | requests/s | × time | CPU s | × CPU | whole process: seconds | CPU s | in flight |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    seconds = {name: [run.ended.report["seconds"] for run in done] for name, done in runs.items()}
    cpu = {name: median(run.ended.report["cpu"] for run in done) for name, done in runs.items()}
    best = min((c.name for c in contenders if c.is_bare), key=lambda name: median(seconds[name]))
    for name, done in runs.items():
        middle = median(seconds[name])
        cells = [
            name,
            f"{middle:.2f}",
            f"{min(seconds[name]):.2f} - {max(seconds[name]):.2f}",
            f"{requests / middle:.0f}",
            f"{middle / median(seconds[best]):.2f}",
            f"{cpu[name]:.2f}",
            f"{cpu[name] / cpu[best]:.2f}",
            f"{median(run.ended.wall for run in done):.2f}",
            f"{median(run.ended.cpu for run in done):.2f}",
            str(max(run.in_flight for run in done)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def settings(contenders: list[Contender], args: argparse.Namespace) -> str:
    """What was measured, on what."""
    floor = args.requests / args.concurrency * args.latency
    versions = {f"{c.package} {_ask(c.python, _VERSION, c.package)}" for c in contenders}
    pythons = {_ask(c.python, _PYTHON) for c in contenders}
    return (
        f"{args.requests} requests, {args.latency * 1000:g} ms latency, at most {args.concurrency} in flight "
        f"(so at least {floor:.2f} s), median of {args.rounds} rounds. {os.cpu_count()} CPUs, {processor()}; "
        f"the server runs on the same machine. Python {', '.join(sorted(pythons))}; {', '.join(sorted(versions))}."
    )


_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
_PYTHON = "import platform; print(platform.python_version())"


def _ask(python: str, code: str, *arguments: str) -> str:
    done = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _contenders(args: argparse.Namespace) -> list[Contender]:
    """Those that can run here, and were asked for."""
    there = [
        Contender("openai, aiohttp", sys.executable, ("bare.py", "--transport", "aiohttp"), "openai"),
        Contender("openai, httpx", sys.executable, ("bare.py", "--transport", "httpx"), "openai"),
    ]
    if args.curator_python:
        there.append(
            Contender("curator", args.curator_python, ("curator_driver.py",), "bespokelabs-curator", 1)
        )
    if args.distilabel_python:
        there.append(Contender("distilabel", args.distilabel_python, ("distilabel_driver.py",), "distilabel"))
    for name in {"curator", "distilabel"} - {contender.name for contender in there}:
        print(f"{name} is skipped: give --{name}-python, the Python of its environment", file=sys.stderr)
    if args.ours:
        there.append(Contender("toolgen_hf", sys.executable, ("ours.py",), "toolgen_hf"))
    return there


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python scripts/benchmarks/engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--curator-python", type=os.path.abspath, metavar="FILE")
    parser.add_argument("--distilabel-python", type=os.path.abspath, metavar="FILE")
    parser.add_argument("--no-ours", dest="ours", action="store_false", help="only the others")
    parser.add_argument("--requests", type=int, default=1000, metavar="N")
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="for each run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures")
    return parser


if __name__ == "__main__":
    main()
