"""The numbers behind the plots (plots.py) and the report page (html/): the flow, scores and lengths.

flow(summary)  ->  [("questions", [Part("all", "questions", 0, 52)]),
                    ("student alone", [Part("right", "right", 0, 1), Part("wrong", "wrong", 1, 51)]), ...]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from datasets import DatasetDict

from toolgen_hf.runtime.summary import Summary
from toolgen_hf.stages.score import SCORES

NAMED_TEACHERS = 2  # so many stand in the flow by name, the others are counted together


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the questions at one step of the flow, which lie from ``start`` on among all of them."""

    kind: str
    label: str
    start: int
    count: int


def flow(summary: Summary) -> list[tuple[str, list[Part]]]:
    """Step by step, what became of the questions. What stays lies left, so that stage 1 is the left of the whole."""
    total, one, two = (sum(summary.configs.get(name, {}).values()) for name in ("raw", "stage1", "stage2"))
    mixed = mixed_counts(summary)
    total = mixed.get("questions", total)
    responses = sum(sum(source["scores"].values()) for source in summary.sources.values())
    splits = summary.student["splits"].values()
    right = sum(split["correct"] for split in splits)
    asked = sum(split["asked"] for split in splits)
    teachers = sorted(summary.teachers.items(), key=lambda item: -item[1])
    calls = [("call", f"by {name}", count) for name, count in teachers[:NAMED_TEACHERS]]
    if rest := teachers[NAMED_TEACHERS:]:
        name = f"{len(rest)} other teachers" if len(rest) > 1 else rest[0][0]
        calls.append(("call", f"by {name}", sum(count for _, count in rest)))
    without = summary.calls_needed - sum(summary.teachers.values())
    unasked = ("all", "not asked", total - asked) if mixed else ("out", "unusable", total - asked)
    began = [
        ("student alone", _line(0, ("right", "right", right), ("wrong", "wrong", asked - right), unasked)),
        ("verified call", _line(right, *calls, ("out", "rejected", without))),
    ]
    return [
        ("questions", _line(0, ("all", "questions", total))),
        *(began if asked or not one else []),  # of a stage 1 that was made before, nobody is asked
        *([("mix", _mix(mixed))] if mixed else []),
        ("stage 1", _line(0, ("all", "rows", one))),
        ("stage 2", _line(0, ("all", f"questions with {responses:,} responses", two))),
    ]


def _line(start: int, *parts: tuple[str, str, int]) -> list[Part]:
    placed = []
    for kind, label, count in parts:
        if count > 0:
            placed.append(Part(kind, label, start, count))
            start += count
    return placed


def _mix(counts: dict[str, int]) -> list[Part]:
    out, undrawn = ("out", "rejected", counts["rejected"]), ("all", "not drawn", counts["undrawn"])
    return _line(0, ("right", "taken", counts["rows"]), undrawn, out)


def mixed_counts(summary: Summary) -> dict[str, int]:
    """What became of the questions of a mix, all parts and splits together; empty if it is none."""
    kinds = ("questions", "before", "rejected", "undrawn", "rows") if summary.mix else ()
    splits = [split for part in summary.mix.get("parts", {}).values() for split in part["splits"].values()]
    return {kind: sum(split[kind] for split in splits) for kind in kinds}


def score_counts(summary: Summary) -> dict[str, dict[str, int]]:
    """How often each source was given each score, every score named, highest first."""
    return {
        name: {score: source["scores"].get(score, 0) for score in SCORES}
        for name, source in summary.sources.items()
    }


def length_quantiles(stage2: DatasetDict) -> dict[str, list[float]]:
    """Characters of the responses, by source: the quantiles 5%, 25%, 50%, 75% and 95%."""
    lengths: dict[str, list[int]] = {}
    for rows in stage2.values():
        for origins, responses in zip(rows["origin"], rows["responses"], strict=True):
            for origin, response in zip(origins, responses, strict=True):
                lengths.setdefault(origin, []).append(len(response or ""))
    return {
        origin: [float(q) for q in np.percentile(values, [5, 25, 50, 75, 95])]
        for origin, values in lengths.items()
    }
