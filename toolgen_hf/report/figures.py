"""The figures that the screen, the plots, the card and the report page share, all from the summary of a run.

flow(summary)  ->  [("questions", [Part("all", "questions", 0, 52)]),
                    ("student alone", [Part("right", "right", 0, 1), Part("wrong", "wrong", 1, 51)]), ...]
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from datasets import Dataset

from toolgen_hf._utils import rows_as_tuples
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.stages.score import SCORES

_NAMED_TEACHERS = 2
"""How many teachers the flow names. The others are counted together."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the questions at one step: ``count`` of them, drawn from ``start`` on. ``kind`` gives the colour."""

    kind: str
    label: str
    start: int
    count: int


_Flow = list[tuple[str, list[Part]]]


def flow(summary: Summary) -> _Flow:
    """The questions at each step, by what became of them. Those that go on to the next step are at the left."""
    total, one, two = (sum(summary.configs.get(name, {}).values()) for name in ("raw", "stage1", "stage2"))
    mixed = mixed_counts(summary)
    total = mixed.get("questions", total)
    splits = summary.student["splits"].values()
    right, asked = (sum(split[kind] for split in splits) for kind in ("correct", "asked"))
    teachers = sorted(summary.teachers.items(), key=lambda item: -item[1])
    calls = [("call", f"by {name}", count) for name, count in teachers[:_NAMED_TEACHERS]]
    if rest := teachers[_NAMED_TEACHERS:]:
        name = f"{len(rest)} other teachers" if len(rest) > 1 else rest[0][0]
        calls.append(("call", f"by {name}", sum(count for _, count in rest)))
    rejected = summary.calls_needed - sum(summary.teachers.values())
    steps = [("questions", _place(0, ("all", "questions", total)))]
    if asked or not one:  # no student is asked where stage 1 comes from another result
        not_asked = ("all", "not asked", total - asked) if mixed else ("out", "unusable", total - asked)
        student = _place(0, ("right", "right", right), ("wrong", "wrong", asked - right), not_asked)
        calls_step = _place(right, *calls, ("out", "rejected", rejected))
        steps += [("student alone", student), ("verified call", calls_step)]
    if mixed:
        kinds = ("right", "taken", "rows"), ("all", "not drawn", "undrawn"), ("out", "rejected", "rejected")
        steps.append(("mix", _place(0, *((kind, label, mixed[key]) for kind, label, key in kinds))))
    responses = sum(sum(source["scores"].values()) for source in summary.sources.values())
    return [
        *steps,
        ("stage 1", _place(0, ("all", "rows", one))),
        ("stage 2", _place(0, ("all", f"questions with {responses:,} responses", two))),
    ]


def _place(start: int, *parts: tuple[str, str, int]) -> list[Part]:
    """The parts that have any questions, side by side from ``start`` on."""
    placed = []
    for kind, label, count in parts:
        if count > 0:
            placed.append(Part(kind, label, start, count))
            start += count
    return placed


def flow_title(summary: Summary, steps: _Flow) -> tuple[int, str, str]:
    """The number of questions in a flow, its title, and how many there are in each split."""
    total = max((part.start + part.count for _, parts in steps for part in parts), default=0)
    splits = " + ".join(f"{rows:,} {split}" for split, rows in summary.configs.get("raw", {}).items())
    return total, f"Where {total:,} questions went", splits


def mixed_counts(summary: Summary) -> dict[str, int]:
    """What became of the questions of a mix, over all parts and splits; empty if it is not a mix."""
    kinds = ("questions", "before", "rejected", "undrawn", "rows") if summary.mix else ()
    splits = [split for part in summary.mix.get("parts", {}).values() for split in part["splits"].values()]
    return {kind: sum(split[kind] for split in splits) for kind in kinds}


def score_counts(summary: Summary) -> dict[str, dict[str, int]]:
    """How often each source got each score, the highest score first."""
    return {
        name: {score: source["scores"].get(score, 0) for score in SCORES}
        for name, source in summary.sources.items()
    }


def length_quantiles(stage2: Mapping[str, Dataset | list[dict[str, Any]]]) -> dict[str, list[float]]:
    """Characters of the responses by source: the quantiles 5%, 25%, 50%, 75% and 95%."""
    lengths: dict[str, array[int]] = {}
    for rows in stage2.values():
        columns = ("origin", "responses")
        listed = isinstance(rows, list)
        for origins, responses in (
            map(itemgetter(*columns), rows) if listed else rows_as_tuples(rows, *columns)
        ):
            for origin, response in zip(origins, responses, strict=True):
                lengths.setdefault(origin, array("Q")).append(len(response or ""))
    quantiles = (5, 25, 50, 75, 95)
    return {origin: [float(q) for q in np.percentile(n, quantiles)] for origin, n in lengths.items()}


def longest(lengths: dict[str, list[float]]) -> float:
    """Where the axis of lengths ends."""
    return max((quantiles[-1] for quantiles in lengths.values()), default=0.0) or 1.0


def work(summary: Summary) -> list[str]:
    """What the run did: texts, tokens, and what they cost."""
    parts = [f"{summary.generated:,} texts generated, {summary.reused:,} from the store"]
    if summary.prompt_tokens or summary.completion_tokens:
        parts.append(f"{summary.prompt_tokens:,} + {summary.completion_tokens:,} tokens")
    if summary.cost is None and summary.generated:
        parts.append("at a price that is not known")
    elif summary.cost:
        parts.append(dollars(summary.cost))
    whole = summary.used.get("cost")
    if whole and whole != summary.cost:
        parts.append(f"{dollars(whole)} for all texts in it")
    return parts
