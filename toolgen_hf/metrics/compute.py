"""The figures from plain lists. `toolgen_hf.metrics` says what each one means.

tool_use(["calculator(3*19)", "calculator(3"], [["57"], ["57"]])
{"accuracy": 0.5, "tool_use_rate": 1.0, "execution_success": 0.5, "tool_need_agreement": None,
 "confidence_95": {"accuracy": [0.09, 0.91], ...}, "responses": 2, "correct": 1, "calls": 2, ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from toolgen_hf.errors import DataError
from toolgen_hf.stages.execute import Asked, Execution, execute_texts
from toolgen_hf.tasks import TaskLike, get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tools.native import as_written

_Figures = dict[str, Any]

SHARES: Final = ("accuracy", "tool_use_rate", "execution_success", "tool_need_agreement")
_Z: Final = 1.959963984540054  # the normal quantile of 97.5%


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One response, graded. ``needed``: whether the question needs the tool, None if not known."""

    correct: bool
    calls: bool
    failed: bool
    needed: bool | None
    gradable: bool = True


def tool_use(
    predictions: Sequence[str | None],
    references: Sequence[str | Sequence[str]],
    needs_tool: Sequence[bool | None] | None = None,
    sources: Sequence[str] | None = None,
    task: TaskLike = "math",
    questions: Sequence[str] | None = None,
) -> _Figures:
    """Accuracy, tool use rate, execution success and agreement on the need, of responses to questions.

    Args:
        predictions: the responses as the model wrote them, with calls as ``calculator(3*6)`` or in a native form
            (`toolgen_hf.tools.native`). None where it gave none: that is not right.
        references: for each response the accepted answers, or the one accepted answer.
        needs_tool: for each response whether its question needs the tool, None if not known.
        sources: for each response who wrote it. The figures then also come by source.
        task: how an answer is read and graded, and which tools there are; `toolgen_hf.tasks.Equipped` if these are
            services.
        questions: what each response answers, for a task whose results a model must read.

    Returns:
        The shares (0 to 1, None for zero items), ``confidence_95`` (a pair for each share), ``tool_need_baseline`` (the
        agreement of a model that ``always`` calls, and of one that always does what the ``majority`` of the
        questions needs), and the counts behind them: ``responses``, ``correct``, ``calls``, ``failed`` (calls that
        did not run), ``need_known``, ``need_agreed``, and ``ungradable``: responses that cannot be right, because
        their reference cannot be read as an answer of this task. With ``sources``, ``by_source`` has the same for each.

    Raises:
        ConfigError: there is no such task.
        DataError: there is no response, the lists differ in length, or an item has the wrong type.
    """
    responses, answers = checked(predictions, references)
    _check_lengths(responses, {"needs_tool": needs_tool, "sources": sources, "questions": questions})
    grader = get_task(task)
    needs = [None] * len(responses) if needs_tool is None else list(needs_tool)
    for at, need in enumerate(needs):
        if need is not None and not isinstance(need, bool):
            raise DataError(f"needs_tool[{at}] is {need!r}; give True, False, or None where it is not known")
    asked = [
        Asked(as_written(response, grader.tool), question)
        for response, question in zip(responses, questions or [""] * len(responses), strict=True)
    ]
    outcomes = [
        judge(done, answer, need, grader)
        for done, answer, need in zip(execute_texts(asked, task), answers, needs, strict=True)
    ]
    if sources is None:
        return figures(outcomes)
    by_source: dict[str, list[_Outcome]] = {}
    for source, outcome in zip(sources, outcomes, strict=True):
        by_source.setdefault(str(source), []).append(outcome)
    return {**figures(outcomes), "by_source": {name: figures(part) for name, part in by_source.items()}}


def judge(done: Execution, answer: Sequence[str], needs_tool: bool | None, task: Task) -> _Outcome:
    """Grade an executed response, as stage 2 does."""
    return _Outcome(
        correct=task.is_correct(done.prediction, answer),
        calls=done.uses_tool,
        failed=done.error is not None,
        needed=needs_tool,
        gradable=any(task.normalize(value) is not None for value in answer),
    )


def figures(outcomes: Sequence[_Outcome]) -> _Figures:
    """The shares, their intervals and their counts."""
    known = [outcome for outcome in outcomes if outcome.needed is not None]
    calls = sum(outcome.calls for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    correct = sum(outcome.correct for outcome in outcomes)
    agreed = sum(outcome.calls == outcome.needed for outcome in known)
    needed = sum(bool(outcome.needed) for outcome in known)
    of = [(correct, len(outcomes)), (calls, len(outcomes)), (calls - failed, calls), (agreed, len(known))]
    baseline = {"always": needed, "majority": max(needed, len(known) - needed)}
    return {
        **{name: _share(*parts) for name, parts in zip(SHARES, of, strict=True)},
        "confidence_95": {name: wilson(*parts) for name, parts in zip(SHARES, of, strict=True)},
        "responses": len(outcomes),
        "correct": correct,
        "calls": calls,
        "failed": failed,
        "tool_need_baseline": {name: _share(part, len(known)) for name, part in baseline.items()},
        "need_known": len(known),
        "need_agreed": agreed,
        "ungradable": sum(not outcome.gradable for outcome in outcomes),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def wilson(part: int, whole: int) -> list[float] | None:
    """The 95% Wilson score interval of ``part`` of ``whole``, ``[low, high]``; None if ``whole`` is 0."""
    if not whole:
        return None
    share, room = part / whole, _Z * _Z / whole
    middle = (share + room / 2) / (1 + room)
    half = _Z / (1 + room) * sqrt(share * (1 - share) / whole + room / (4 * whole))
    return [0.0 if part == 0 else middle - half, 1.0 if part == whole else middle + half]


def checked(
    predictions: Sequence[str | None], references: Sequence[str | Sequence[str]]
) -> tuple[list[str | None], list[list[str]]]:
    """Responses, and for each its accepted answers as a list.

    Raises:
        DataError: there is none, the lists differ in length, or an item has the wrong type.
    """
    for name, column in {"predictions": predictions, "references": references}.items():
        if isinstance(column, str):
            raise DataError(f"{name} is the text {column!r}; give a list, one item a response")
    if not len(predictions):
        raise DataError("predictions is empty: there is nothing to evaluate; give at least one response")
    _check_lengths(predictions, {"references": references})
    answers = []
    for at, (response, value) in enumerate(zip(predictions, references, strict=True)):
        if response is not None and not isinstance(response, str):
            raise DataError(
                f"predictions[{at}] is {response!r}; a prediction is the text of a response, or None"
            )
        accepted = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
        if not accepted or not all(isinstance(answer, str) for answer in accepted):
            raise DataError(
                f"references[{at}] is {value!r}; give the accepted answers as text, such as ['72']"
            )
        answers.append(accepted)
    return list(predictions), answers


def _check_lengths(predictions: Sequence[Any], columns: Mapping[str, Sequence[Any] | None]) -> None:
    for name, column in columns.items():
        if column is not None and len(column) != len(predictions):
            raise DataError(
                f"{name} has {len(column)} items, predictions has {len(predictions)}; "
                "they must be of one length, one item a response"
            )
