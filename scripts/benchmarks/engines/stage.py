"""The whole ``tool_api`` stage over questions on disk, as a process that can be killed and started again.

    questions    a DatasetDict as ``save_to_disk`` left it: mapped, not read
    output       {"id": "GSM8K-train-0", "tool_call": "calculator(48+24)", "reason": null} in the stage's order
    stdout       {"imports": 1.1, "seconds": 1.4, "anonymous": 180.5, "mapped": 95.2}

``seconds`` is the stage alone, without imports and without writing the output. ``anonymous`` and ``mapped`` are the
most MiB of memory of its own, and of files, that it held (0 where there is no ``/proc``).
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import threading  # noqa: E402
from pathlib import Path  # noqa: E402

from datasets import load_from_disk  # noqa: E402

from toolgen_hf import OpenAIConfig, Workspace, tool_api  # noqa: E402


class Watch:
    """The most memory that this process holds, looked at every 20 ms."""

    def __init__(self) -> None:
        self.anonymous = self.mapped = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while status.exists():
            held = dict(line.split(":", 1) for line in status.read_text().splitlines())
            self.anonymous = max(self.anonymous, _mib(held["RssAnon"]))
            self.mapped = max(self.mapped, _mib(held["RssFile"]))
            time.sleep(0.02)


def _mib(field: str) -> float:
    return int(field.split()[0]) / 1024  # "  123456 kB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("questions", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    args = parser.parse_args()
    teacher = OpenAIConfig(
        engine=args.model, base_url=args.base_url, max_tokens=args.max_tokens, concurrency=args.concurrency
    )
    questions = load_from_disk(args.questions)

    watch, begun = Watch(), time.perf_counter()
    with Workspace(cache_dir="workspace", progress=False) as workspace:
        called = tool_api(questions, [teacher], workspace, max_attempts=1)["train"]
    report = {
        "imports": begun - STARTED,
        "seconds": time.perf_counter() - begun,
        "anonymous": watch.anonymous,
        "mapped": watch.mapped,
    }
    with args.output.open("w", encoding="utf-8") as out:
        for row in called.select_columns(["id", "tool_call", "reason"]):
            out.write(json.dumps(row) + "\n")
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
