"""What a run did, as plain data. The screen, ``--json``, the manifest, the card and the report page all show it.

    {"name": "quickstart", "configs": {"raw": {"train": 52}, ...}, "teachers": {"writer": 40}, "rejected": {...}, ...}

The types also say what a manifest may hold (`toolgen_hf.data.manifest` checks it), as others may have written that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NotRequired, Self

from datasets import Dataset, DatasetDict
from pydantic import AfterValidator, ConfigDict, Field, GetPydanticSchema, StringConstraints, with_config
from typing_extensions import TypedDict

from toolgen_hf._utils import column, rows_as_tuples
from toolgen_hf.runtime.texts import Usage
from toolgen_hf.runtime.workspace import StageReport
from toolgen_hf.schemas import SOUNDNESS

NOT_JUDGED = "not judged"
"""The soundness of a call whose numbers were not traced."""


def _file_name(name: str) -> str:
    """Refuse a path that leads out of the directory of the manifest, such as ``../x``."""
    parts = name.split("/")
    is_odd = not name.isprintable() or "\\" in name or set(parts) & {"", ".", ".."}
    if is_odd or PurePosixPath(name).is_absolute():
        raise ValueError("a file name is a relative path below the directory, with '/' and without '..'")
    if parts[0] in (".cache", ".git") or name == "manifest.json":  # of the Hub's client, of git, and its own
        raise ValueError(f"no file of a result is called {name!r}")
    return name


def _name(name: str) -> str:
    """Refuse a config or split that cannot be part of a file name."""
    if set(_file_name(name)) & set("/*?[]"):
        raise ValueError("it is part of a file name: no '/', '*', '?' or brackets")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]
Name = Annotated[str, AfterValidator(_name)]
Score = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,6}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Amount = Annotated[float, Field(ge=0, lt=1e15, allow_inf_nan=False)]
Counts = dict[str, Count]


def _checked_as(kind: Any) -> GetPydanticSchema:
    """A plain dictionary in Python, of this form in a manifest."""
    return GetPydanticSchema(lambda _, handler: handler(kind))


class Stage(TypedDict):
    """What one stage did with one split: a `StageReport` as plain data."""

    stage: str
    split: str
    rows_in: Count
    rows_out: Count
    rejected: Counts
    cached: bool
    seconds: Amount
    generated: NotRequired[Count]
    reused: NotRequired[Count]


class Asked(TypedDict):
    """The student's responses in one split; ``truncated`` were cut at the token limit."""

    asked: Count
    correct: Count
    truncated: Count


class Student(TypedDict):
    """The student's responses by split."""

    splits: dict[str, Asked]


class Responses(TypedDict):
    """The responses of a source: all, with a tool call, with a call that failed, and right ones.

    ``need_known``: those to questions of which it is known whether they need the tool. ``need_agreed``: those of them
    that call the tool exactly if the question needs it.
    """

    responses: Count
    tool: Count
    failed: Count
    correct: Count
    need_known: Count
    need_agreed: Count


class Source(Responses):
    """The responses of a source over all splits, by split, and how often each score was given."""

    splits: dict[str, Responses]
    scores: dict[Score, Count]


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class _Used(TypedDict, total=False):
    """Tokens and price (US dollars, None if not known) of texts."""

    texts: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost: Amount | None


class Mixed(TypedDict):
    """The questions of a part in one split: all, rejected before the mix, rejected by it, not drawn, in the mix."""

    questions: Count
    before: Count
    rejected: Count
    undrawn: Count
    rows: Count


class MixPart(TypedDict):
    """One part of a mix."""

    dataset: str
    task: str
    weight: NotRequired[Amount | dict[str, Amount | None] | None]
    count: NotRequired[Count | dict[str, Count | None] | None]
    splits: dict[str, Mixed]


class _Repeat(TypedDict):
    """How many questions of a part are also in another place."""

    part: str
    split: str
    of: str
    of_split: str
    match: Literal["id", "exact", "normalised", "near"]
    dropped: bool
    count: Count


class Mix(TypedDict, total=False):
    """What was mixed (the facts that `toolgen_hf.mix` gives); empty if the result is not a mix."""

    order: Literal["interleave", "concatenate"]
    seed: int
    parts: dict[str, MixPart]
    repeats: list[_Repeat]


def _whole_mix(mix: dict[str, Any]) -> dict[str, Any]:
    if mix and not set(Mix.__annotations__) <= mix.keys():
        raise ValueError("a mix has order, seed, parts and repeats")
    return mix


class Near(TypedDict):
    """Questions of a split with a near duplicate in another one. ``example``: the ids of one such pair."""

    split: str
    of_split: str
    count: Count
    rows: Count
    example: Annotated[list[str], Field(min_length=2, max_length=2)]


def _example(row: dict[str, Any]) -> dict[str, Any]:
    """Check a row that is shown as an example: in stage 2, its lists have one length."""
    if "responses" not in row:
        return row
    kinds = {"responses": str, "origin": str, "answer": str, "scores": int}
    lists = [row.get(name) for name in kinds]
    for values, kind in zip(lists, kinds.values(), strict=True):
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise ValueError(
                "responses, origin and answer of an example are lists of text, scores of integers"
            )
    if len({len(values) for values in lists if values is not None}) > 1 or not isinstance(
        row.get("query"), str
    ):
        raise ValueError(
            "an example of stage 2 has a query, and an origin, answer and score for each response"
        )
    return row


@dataclass
class Summary:
    """Counts add up: each question is in stage 1 or rejected. Responses in a file to no question are rejected too.

    ``teachers``: verified calls by teacher; ``calls_needed`` questions need one. ``calls``: the calls in stage 1 by
    how they were verified and how sound they are (``{"execution+solution": {"explained": 40}}``). ``generated``, the
    tokens and ``cost`` (US dollars, None if not known) are of the texts that this run generated. ``used``: the same
    for all texts in the result, whichever run generated them. ``configs``: rows by config and split. ``examples``:
    one row of stage 1 and one of stage 2. ``fewshot_overlap``: by split, the rows of stage 1 that are also examples
    in the prompts. In a mix, ``student``, ``calls_needed`` and ``teachers`` are those of its parts.
    ``near_duplicates``: those between splits; None if nothing looked for them. ``moved``: rows that are in another
    split than ``dataset.splits`` says, next to their near duplicates.
    """

    name: str
    stages: list[Stage]
    student: Annotated[dict[str, Any], _checked_as(Student)]
    calls_needed: Count
    teachers: Counts
    rejected: Counts
    sources: dict[str, Source]
    examples: dict[str, Annotated[dict[str, Any], AfterValidator(_example)]]
    generated: Count
    reused: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost: Amount | None
    transforms_run: Count
    configs: dict[Name, dict[Name, Count]]
    seconds: Amount = 0.0
    up_to_date: bool = False
    fewshot_overlap: Counts = field(default_factory=dict)
    calls: dict[str, Counts] = field(default_factory=dict)
    used: Annotated[dict[str, Any], _checked_as(_Used)] = field(default_factory=dict)
    mix: Annotated[dict[str, Any], _checked_as(Mix), AfterValidator(_whole_mix)] = field(default_factory=dict)
    near_duplicates: Annotated[list[dict[str, Any]] | None, _checked_as(list[Near] | None)] = None
    moved: Count = 0

    def to_dict(self) -> dict[str, Any]:
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
    """Count what happened.

    Args:
        called: the rows of ``tool_api``.
        executed: the executed responses by source; those of ``gold`` say which questions need the tool.
    """
    student = {str(split): _asked(rows) for split, rows in called.items()}
    needs = {
        str(split): dict(rows_as_tuples(rows, "id", "uses_tool")) for split, rows in executed["gold"].items()
    }
    scores = _scores(configs["stage2"])
    costs = [report.cost for report in reports]
    return Summary(
        name=name,
        stages=[Stage(**asdict(report)) for report in reports],  # type: ignore[typeddict-item]
        student={"splits": student},
        calls_needed=sum(count["asked"] - count["correct"] for count in student.values()),
        teachers=dict(
            Counter(
                t for rows in called.values() for t in column(rows, "teacher") if t is not None
            ).most_common()
        ),
        rejected=dict(
            Counter(r for rows in configs["rejected"].values() for r in column(rows, "reason")).most_common()
        ),
        sources={
            source: _source(splits, scores.get(source, {}), needs) for source, splits in executed.items()
        },
        examples=_examples(configs["stage1"], configs["stage2"]),
        generated=sum(report.generated for report in reports),
        reused=sum(report.reused for report in reports),
        prompt_tokens=sum(report.prompt_tokens for report in reports),
        completion_tokens=sum(report.completion_tokens for report in reports),
        cost=None if None in costs else sum(cost or 0 for cost in costs),
        transforms_run=sum(not report.cached for report in reports),
        used=asdict(Usage.total(report.used for report in reports)),
        configs={
            config: {str(split): len(rows) for split, rows in table.items()}
            for config, table in configs.items()
        },
        calls=_calls(configs["stage1"]),
        fewshot_overlap={
            str(split): sum(map(bool, column(rows, "fewshot_overlap")))
            for split, rows in configs["stage1"].items()
        },
    )


def _asked(called: Dataset) -> Asked:
    asked = correct = truncated = 0
    for response, is_correct, is_cut in rows_as_tuples(called, "response", "correct", "truncated"):
        asked += response is not None
        correct += response is not None and is_correct
        truncated += response is not None and is_cut
    return {"asked": asked, "correct": correct, "truncated": truncated}


def _calls(stage1: DatasetDict) -> dict[str, dict[str, int]]:
    calls: dict[str, Counter[str]] = {}
    for rows in stage1.values():
        if "verified_by" not in rows.column_names:
            continue  # an earlier version made it
        for verified_by, soundness in rows_as_tuples(rows, "verified_by", "soundness"):
            if verified_by is not None:
                calls.setdefault(verified_by, Counter())[soundness or NOT_JUDGED] += 1
    return {verified_by: dict(sorted(counts.items())) for verified_by, counts in sorted(calls.items())}


def _source(
    executed: DatasetDict, scores: Mapping[str, int], needs: Mapping[str, Mapping[str, bool]]
) -> Source:
    splits = {str(split): _responses(rows, needs.get(str(split), {})) for split, rows in executed.items()}
    parts: list[Any] = list(splits.values())
    total: Any = {kind: sum(part[kind] for part in parts) for kind in Responses.__annotations__}
    return {**total, "splits": splits, "scores": dict(scores)}  # type: ignore[typeddict-item]


def _scores(stage2: DatasetDict) -> dict[str, Counter[str]]:
    """How often each source got each score."""
    counts: dict[str, Counter[int]] = {}
    for rows in stage2.values():
        for origins, scores in rows_as_tuples(rows, "origin", "scores"):
            for origin, score in zip(origins, scores, strict=True):
                counts.setdefault(origin, Counter())[score] += 1
    return {
        origin: Counter({str(score): n for score, n in found.items()}) for origin, found in counts.items()
    }


def _responses(executed: Dataset, needs: Mapping[str, bool]) -> Responses:
    made: Responses = dict.fromkeys(Responses.__annotations__, 0)  # type: ignore[assignment]
    for key, uses_tool, error, correct in rows_as_tuples(executed, "id", "uses_tool", "error", "correct"):
        needed = needs.get(key)
        made["responses"] += 1
        made["tool"] += uses_tool
        made["failed"] += error is not None
        made["correct"] += correct
        made["need_known"] += needed is not None
        made["need_agreed"] += uses_tool == needed
    return made


def _examples(stage1: DatasetDict, stage2: DatasetDict) -> dict[str, dict[str, Any]]:
    """The first row of stage 1, and the first row of stage 2 with the most different scores."""
    made: dict[str, dict[str, Any]] = {}
    for config, splits in (("stage1", stage1), ("stage2", stage2)):
        rows = next((rows for rows in splits.values() if len(rows)), None)
        if rows is not None:
            at = 0
            if config == "stage2":
                kinds = [len(set(scores)) for (scores,) in rows_as_tuples(rows, "scores")]
                at = kinds.index(max(kinds))
            made[config] = rows[at]
    return made


def soundness_counts(summary: Summary) -> dict[str, int]:
    """The calls of stage 1 by soundness, the soundest first."""
    total: Counter[str] = Counter()
    for counts in summary.calls.values():
        total.update(counts)
    return {name: total[name] for name in (*SOUNDNESS, NOT_JUDGED) if total[name]}


def share(part: int, whole: int) -> str:
    """A share in percent, as text: ``"98.0%"``; ``"-"`` if ``whole`` is 0."""
    return f"{part / whole:.1%}" if whole else "-"
