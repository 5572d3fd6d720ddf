"""How long 1,000 chat completions take: the bare client, curator, distilabel and this library side by side.

    python scripts/benchmarks/engines \\
        --curator-python peers/curator/bin/python --distilabel-python peers/distilabel/bin/python

The peers have environments of their own (README.md says how to make them); without one they are skipped. All send the
same prompts to the same server on this machine, which answers after 50 ms, with at most 64 requests in flight. Each
run is a process of its own in an empty folder; rounds are interleaved, in rotating order. A run counts only if every
text is right, the server counted exactly the requests that were due, and there were never more in flight than allowed.
Prints medians as a Markdown table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import bench

PACKAGES = {
    "aiohttp": "openai",
    "httpx": "openai",
    "toolgen_hf": "toolgen_hf",
    "curator": "bespokelabs-curator",
}
HEADER = "| | seconds | from - to | requests/s | × time | CPU s | × CPU | whole process: seconds | CPU s | in flight |"


def main() -> None:
    parser = bench.parser(__doc__, requests=1000, latency=0.05, rounds=5, timeout=300.0)
    parser.add_argument("--curator-python", type=os.path.abspath, metavar="FILE")
    parser.add_argument("--distilabel-python", type=os.path.abspath, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures")
    args = parser.parse_args()
    pythons = {
        "aiohttp": sys.executable,
        "httpx": sys.executable,
        "curator": args.curator_python,
        "distilabel": args.distilabel_python,
        "toolgen_hf": sys.executable,
    }
    contenders = [name for name, python in pythons.items() if python]
    runs: dict[str, list[bench.Run]] = {name: [] for name in contenders}
    bench.adopt_orphans()
    with TemporaryDirectory() as folder, bench.serve("--latency", str(args.latency)) as server:
        prompts = Path(folder) / "prompts.jsonl"
        expected = bench.write_prompts(prompts, args.requests)
        for number in range(args.rounds):
            first = number % len(contenders)
            for name in contenders[first:] + contenders[:first]:
                due = len(expected) + (name == "curator")  # which asks for the rate limits first
                with TemporaryDirectory() as work:
                    run = bench.run(
                        name, prompts, expected.items(), Path(work), server, args, due, pythons[name]
                    )
                runs[name].append(run)
                print(f"round {number + 1}: {name}: {run.report['seconds']:.2f} s", file=sys.stderr)
    seconds = {name: [run.report["seconds"] for run in done] for name, done in runs.items()}
    cpu = {name: median(run.report["cpu"] for run in done) for name, done in runs.items()}
    best = min(("aiohttp", "httpx"), key=lambda name: median(seconds[name]))
    rows = [
        [
            name if PACKAGES.get(name) != "openai" else f"openai, {name}",
            f"{median(seconds[name]):.2f}",
            f"{min(seconds[name]):.2f} - {max(seconds[name]):.2f}",
            f"{args.requests / median(seconds[name]):.0f}",
            f"{median(seconds[name]) / median(seconds[best]):.2f}",
            f"{cpu[name]:.2f}",
            f"{cpu[name] / cpu[best]:.2f}",
            f"{median(run.wall for run in done):.2f}",
            f"{median(run.cpu for run in done):.2f}",
            max(run.in_flight for run in done),
        ]
        for name, done in runs.items()
    ]
    versions = sorted({f"{_package(name)} {_version(pythons[name], _package(name))}" for name in contenders})
    print(
        f"{bench.markdown(HEADER, rows)}\n\n{args.requests} requests, {args.latency * 1000:g} ms latency, at most "
        f"{args.concurrency} in flight (so at least {args.requests / args.concurrency * args.latency:.2f} s), median "
        f"of {args.rounds} rounds. {bench.machine(*versions)}"
    )
    if args.json is not None:
        raw = {name: [run._asdict() for run in done] for name, done in runs.items()}
        args.json.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")


def _package(contender: str) -> str:
    return PACKAGES.get(contender, contender)


def _version(python: str, package: str) -> str:
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    return subprocess.run(
        [python, "-c", code, package], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
