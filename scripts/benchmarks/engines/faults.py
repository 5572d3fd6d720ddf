"""What runs on Ray hold and pay when something dies: the tests that kill, three times each, as a table.

    python scripts/benchmarks/engines/faults.py
    python scripts/benchmarks/engines/faults.py --trials 1     # a quick try

Runs the tests of ``tests/runtime/test_ray.py`` with the marker ``cluster`` that record what happened. Each kills
something after the server has got some of the requests, and checks that every row is in the output once, in order, and
that no more texts were paid for twice than were in flight on what died. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import bench

ROOT = bench.HERE.parents[2]
TESTS = "tests/runtime/test_ray.py"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=3)
    args = parser.parse_args()
    found: dict[str, list[dict[str, str]]] = {}
    for number in range(args.trials):
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-n0",
                "-m",
                "cluster",
                TESTS,
                f"--junitxml={report}",
            ]
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if ended.returncode:
                raise SystemExit(f"trial {number + 1} failed:\n{ended.stdout[-6000:]}")
            for case in ElementTree.parse(report).iter("testcase"):
                if recorded := {one.get("name", ""): one.get("value", "") for one in case.iter("property")}:
                    found.setdefault(case.get("name", ""), []).append(recorded)
        print(f"trial {number + 1} done", file=sys.stderr)
    rows = [
        [name.removeprefix("test_").replace("_", " ")]
        + [", ".join(trial[column] for trial in trials) for column in ("requests", "twice")]
        + [trials[0]["rows"], trials[0]["in flight"]]
        for name, trials in found.items()
    ]
    print(
        bench.markdown("| | requests sent | paid twice | rows, each once | may be paid twice |", rows)
        + f"\n\n{args.trials} trials of each, one after the other. {bench.machine()}"
    )


if __name__ == "__main__":
    main()
