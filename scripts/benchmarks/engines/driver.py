"""What every driver shares: its arguments, the prompts it reads, the texts it writes, the line it prints.

    prompts    {"id": "GSM8K-train-0", "question": ..., "answer": ["72"], "system": ..., "user": ...}
    texts      {"id": "GSM8K-train-0", "text": "calculator(48+24)"}
    stdout     {"seconds": 1.4, "cpu": 1.3, "seconds_total": 1.9, "rows": 1000, "ok": true}

``seconds`` and ``cpu`` (user + system, child processes that have ended included) are those of the work
itself: from just before it is asked for until every text is there. ``seconds_total`` counts from the
driver's first import. Standard library only, because the peers' environments import it too.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

STARTED = time.perf_counter()  # drivers import this module before anything heavy

Row = dict[str, Any]


class Job(NamedTuple):
    """What a driver is asked to do, in an empty working directory of its own."""

    rows: list[Row]
    base_url: str
    model: str
    max_tokens: int
    concurrency: int


Work = Callable[[], Iterable[tuple[str, str]]]
"""Sends every request; gives (id, text) in any order."""


def drive(prepare: Callable[[Job], Work]) -> None:
    """Read the job, prepare it, do it under the clock, write what came.

    Args:
        prepare: builds what is there before the work is asked for.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("prompts", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.prompts.read_text(encoding="utf-8").splitlines()]
    work = prepare(Job(rows, args.base_url, args.model, args.max_tokens, args.concurrency))

    begun, cpu_before = time.perf_counter(), cpu_seconds()
    texts = dict(work())
    ended, cpu_after = time.perf_counter(), cpu_seconds()

    with args.texts.open("w", encoding="utf-8") as out:
        for row_id, text in texts.items():
            out.write(json.dumps({"id": row_id, "text": text}) + "\n")
    report = {
        "seconds": ended - begun,
        "cpu": cpu_after - cpu_before,
        "seconds_total": ended - STARTED,
        "rows": len(texts),
        "ok": texts.keys() == {row["id"] for row in rows},
    }
    print(json.dumps(report), flush=True)


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)
