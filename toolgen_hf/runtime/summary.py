"""What a run did, as plain data: for the screen (screen.py), ``--json`` and the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from datasets import Dataset, DatasetDict

from toolgen_hf.runtime.door import Usage
from toolgen_hf.runtime.workspace import StageReport
from toolgen_hf.schemas import SOUNDNESS

NOT_JUDGED = "not judged"
"""The soundness of a call whose numbers were not traced."""


@dataclass
class Summary:
    """Counts add up: every question is in stage 1 or among the rejected; these also have what files of responses left
    over.

    ``student``: ``{"splits": {split: {"asked", "correct", "truncated"}}}``. ``teachers``: verified calls by teacher,
    of ``calls_needed``. ``calls``: the calls of stage 1 by how they were verified and how sound they are
    (``{"execution+solution": {"explained": 40}}``; ``"not judged"`` where the numbers were not traced). ``sources``:
    per source the number of responses, of those with a tool call (``tool``), with a call that failed (``failed``) and
    right ones (``correct``), those to questions whose need of the tool is known (``need_known``) and that call it
    just then (``need_agreed``), the same by split (``splits``), and how often each score was given. ``generated``,
    the tokens and ``cost`` (US dollars, None where a price is not known) are of the texts that this run generated.
    ``configs``: rows by config and split. ``examples``: one stage 1 and one stage 2 row, whole. ``fewshot_overlap``:
    by split, the rows of stage 1 that are among the prompts' examples. ``used``: what all texts in the result took,
    whichever run generated them (``texts``, ``prompt_tokens``, ``completion_tokens``, ``cost``; None where it is not
    known). ``mix``: of a mix, what was mixed (`toolgen_hf.stages.mix.mix`), each part with its
    ``source`` where it was not made by this run; ``student``, ``calls_needed`` and ``teachers`` are then of the parts
    as they were made.
    ``near_duplicates``: those over splits (`toolgen_hf.stages.near_duplicates.facts`; None where nothing looked for
    them). ``moved``: the rows that are in another split than ``dataset.splits`` writes, with their near duplicates.
    """

    name: str
    stages: list[dict[str, Any]]
    student: dict[str, Any]
    calls_needed: int
    teachers: dict[str, int]
    rejected: dict[str, int]
    sources: dict[str, dict[str, Any]]
    examples: dict[str, dict[str, Any]]
    generated: int
    reused: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    transforms_run: int
    configs: dict[str, dict[str, int]]
    seconds: float = 0.0
    up_to_date: bool = False
    fewshot_overlap: dict[str, int] = field(default_factory=dict)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)
    mix: dict[str, Any] = field(default_factory=dict)
    near_duplicates: list[dict[str, Any]] | None = None
    moved: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From what ``to_dict`` gave; keys of other versions are ignored."""
        names = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in names})


def summarize(
    name: str,
    reports: Sequence[StageReport],
    called: DatasetDict,
    configs: Mapping[str, DatasetDict],
    executed: Mapping[str, DatasetDict],
) -> Summary:
    """Count what happened, from the stages' own tables and reports."""
    teachers = Counter(t for rows in called.values() for t in rows["teacher"] if t is not None)
    student = {str(split): _student(rows) for split, rows in called.items()}
    rejected = Counter(reason for rows in configs["rejected"].values() for reason in rows["reason"])
    needs = {str(split): _needs(rows) for split, rows in executed["gold"].items()}
    return Summary(
        name=name,
        stages=[asdict(report) for report in reports],
        student={"splits": student},
        calls_needed=sum(count["asked"] - count["correct"] for count in student.values()),
        teachers=dict(teachers.most_common()),
        rejected=dict(rejected.most_common()),
        sources={
            source: _source(source, splits, configs["stage2"], needs) for source, splits in executed.items()
        },
        examples=_examples(configs["stage1"], configs["stage2"]),
        generated=sum(report.generated for report in reports),
        reused=sum(report.reused for report in reports),
        prompt_tokens=sum(report.prompt_tokens for report in reports),
        completion_tokens=sum(report.completion_tokens for report in reports),
        cost=None
        if any(report.cost is None for report in reports)
        else sum(report.cost or 0 for report in reports),
        transforms_run=sum(not report.cached for report in reports),
        used=asdict(Usage.total(report.used for report in reports)),
        configs={
            name: {str(split): len(rows) for split, rows in table.items()} for name, table in configs.items()
        },
        calls=_calls(configs["stage1"]),
        fewshot_overlap={
            str(split): sum(map(bool, rows["fewshot_overlap"])) for split, rows in configs["stage1"].items()
        },
    )


def _calls(stage1: DatasetDict) -> dict[str, dict[str, int]]:
    found = Counter(
        (verified_by, soundness or NOT_JUDGED)
        for rows in stage1.values()
        if "verified_by" in rows.column_names  # a set of an earlier version lacks it
        for verified_by, soundness in zip(rows["verified_by"], rows["soundness"], strict=True)
        if verified_by is not None
    )
    calls: dict[str, dict[str, int]] = {}
    for (verified_by, soundness), count in sorted(found.items()):
        calls.setdefault(verified_by, {})[soundness] = count
    return calls


def soundness_counts(summary: Summary) -> dict[str, int]:
    """How many calls of stage 1 have each soundness, the soundest first."""
    total: Counter[str] = Counter()
    for counts in summary.calls.values():
        total.update(counts)
    return {name: total[name] for name in (*SOUNDNESS, NOT_JUDGED) if total[name]}


def _student(called: Dataset) -> dict[str, int]:
    asked = [
        row
        for row in called.select_columns(["response", "correct", "truncated"])
        if row["response"] is not None
    ]
    return {
        "asked": len(asked),
        "correct": sum(row["correct"] for row in asked),
        "truncated": sum(row["truncated"] for row in asked),
    }


def _needs(gold: Dataset) -> dict[str, bool]:
    """By id, whether a question needs the tool: gold calls it just then (as `toolgen_hf.metrics` has it)."""
    return dict(zip(gold["id"], gold["uses_tool"], strict=True))


def _source(
    source: str, executed: DatasetDict, stage2: DatasetDict, needs: Mapping[str, Mapping[str, bool]]
) -> dict[str, Any]:
    splits = {str(split): _counts(rows, needs.get(str(split), {})) for split, rows in executed.items()}
    scores = Counter(
        str(score)
        for split in stage2.values()
        for row in split
        for origin, score in zip(row["origin"], row["scores"], strict=True)
        if origin == source
    )
    names = dict.fromkeys(name for counts in splits.values() for name in counts)
    return {
        **{name: sum(counts[name] for counts in splits.values()) for name in names},
        "splits": splits,
        "scores": dict(scores),
    }


def _counts(executed: Dataset, needs: Mapping[str, bool]) -> dict[str, int]:
    rows = executed.to_list()
    known = [row for row in rows if row["id"] in needs]
    return {
        "responses": len(rows),
        "tool": sum(row["uses_tool"] for row in rows),
        "failed": sum(row["error"] is not None for row in rows),
        "correct": sum(row["correct"] for row in rows),
        "need_known": len(known),
        "need_agreed": sum(row["uses_tool"] == needs[row["id"]] for row in known),
    }


def _examples(stage1: DatasetDict, stage2: DatasetDict) -> dict[str, dict[str, Any]]:
    """The first stage 1 row, and the stage 2 row with the most different scores."""

    def rows(splits: DatasetDict) -> list[dict[str, Any]]:
        first: Dataset = next((split for split in splits.values() if len(split)), next(iter(splits.values())))
        found: list[dict[str, Any]] = first.to_list()
        return found

    ranked = sorted(rows(stage2), key=lambda row: -len(set(row["scores"])))
    found = {"stage1": rows(stage1)[:1], "stage2": ranked[:1]}
    return {config: dict(row[0]) for config, row in found.items() if row}


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in percent, for people: ``"98.0%"``; ``"-"`` of nothing."""
    return f"{part / whole:.1%}" if whole else "-"
