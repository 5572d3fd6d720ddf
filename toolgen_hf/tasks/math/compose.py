"""The teacher that needs no model: a dataset's own worked solution, composed into one formula.

    question  "Natalia sold clips to 48 of her friends in April, and then half as many in May. ..."
    solution  "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\nNatalia sold 48+24 = <<48+24=72>>72 ..."
    answer    ["72"]
    ->        Composition(formula="48+48/2", reason=None, complete=True)

Read are the marks of GSM8K (``<<48/2=24>>``), plain equations in its prose (``20/4 = $5``), equations in
one unknown (``3x-5=16``), and a solution that is one expression, as SVAMP's are (``( 76.0 - 25.0 )``).
A formula is returned only after the task's tool has run it and the task has found the result correct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from math import ceil
from typing import Final

from toolgen_hf.errors import ToolError
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math.equations import read_equations
from toolgen_hf.tasks.math.formula import Formulas, Soundness, Worked
from toolgen_hf.tasks.math.steps import Step, is_right, read_ratios, read_steps, tidy, value_of
from toolgen_hf.tools.expression import operations, parse, render

VERSION: Final = 2
"""Changes when formulas or reasons may change."""

NO_SOLUTION: Final = "no worked solution"
NO_STEPS: Final = "no arithmetic steps"
WRONG_STEP: Final = "arithmetic step is wrong"
"""Followed by the step: ``arithmetic step is wrong: 192*100=1920``."""
ROUNDED: Final = "the answer is rounded up, which no operator does"
"""Followed by the step: ``...: 2060/15=137.333``."""
NO_LEAD: Final = "steps do not lead to the answer"

_HUNDREDTHS = re.compile(r"%|\bpercent|\bcents?\b", re.IGNORECASE)
_CLOSES: Final = {
    "+": re.compile(r"\b(?:total|altogether|all|combined|together|sum|both)\b", re.IGNORECASE),
    "-": re.compile(r"\b(?:left|remain\w*|difference|more|less|fewer|longer|faster|older)\b", re.IGNORECASE),
}
_ASKS_REMAINDER = re.compile(r"\b(?:left|leftover|over|remain\w*|rest|extra|unused)\b", re.IGNORECASE)
_MAX_LOOSE: Final = 4


@dataclass(frozen=True, slots=True)
class Composition:
    """A verified ``formula`` with how sound it is, or the ``reason`` why there is none."""

    formula: str | None
    reason: str | None = None
    soundness: Soundness | None = None


def compose(question: str, solution: str | None, answer: Sequence[str], task: Task) -> Composition:
    """One formula for a worked solution, with at least one operation, that gives the answer.

    Raises nothing. A reason is one of ``NO_SOLUTION``, ``NO_STEPS``, ``NO_LEAD``, or begins with ``WRONG_STEP``
    or ``ROUNDED``.
    """
    if solution is None or not solution.strip():
        return Composition(None, NO_SOLUTION)
    worked = Worked(question, tidy(solution))
    steps = _read(worked, solution)
    first: Composition | None = None
    for reading in _readings(worked, steps):
        for last in _lasts(worked, reading, answer, task):
            made = _composed(Formulas(worked, reading, last), answer, task)
            if made and made.soundness != "unexplained":
                return made
            first = first or made
    return first or Composition(None, _reason([step for step in steps if not step.is_solved], answer, task))


def explain(question: str, formula: str) -> Soundness | None:
    """Whether each number of a formula is the question's or a constant; None if it is no formula.

    A number that is neither may still be right: the writer may have computed it without saying how.
    """
    try:
        step = Step(parse(formula), Fraction(0))
    except ToolError:
        return None
    return "explained" if Worked(question, question).explains(step) else "unexplained"


def _read(worked: Worked, solution: str) -> list[Step]:
    steps = [*read_steps(solution), *read_equations(solution)]
    results = {step.result for step in steps}
    steps += read_ratios(solution, lambda term: bool(worked.question.of_value(term)) or term in results)
    if not steps:
        try:
            expression = parse(solution)
        except ToolError:
            return []
        value = value_of(expression)
        steps = [] if value is None else [Step(expression, value)]
    return sorted(steps, key=lambda step: step.equals)


def _readings(worked: Worked, steps: list[Step]) -> Iterator[list[Step]]:
    """What the solution may mean, from what it says to what it leaves unsaid."""
    yield steps
    if any(_HUNDREDTHS.search(text.text) for text in (worked.question, worked.solution)):
        for step in reversed(steps):  # 0.25 is 25 percent, or cents
            yield [
                *steps,
                replace(step, expression=(step.result, Fraction(100), "*"), result=step.result * 100),
            ]
    for closing in _closings(worked, steps):
        yield [*steps, closing]


def _closings(worked: Worked, steps: Sequence[Step]) -> Iterator[Step]:
    """The step that a solution leaves to its reader: two results that nothing used, put together.

    It is said in words if a sentence has its result: ``"He gets 79 right in total."``
    """
    used = {item for step in steps for item in step.expression}
    loose = list(dict.fromkeys(step.result for step in reversed(steps) if step.result not in used))
    for later, earlier in combinations(loose[:_MAX_LOOSE], 2):
        for left, right in ((earlier, later), (later, earlier)):
            for symbol in "+-*/":
                result = value_of((left, right, symbol))
                if result is not None:
                    said = [worked.solution.sentence_of(m.start) for m in worked.solution.of_value(result)]
                    is_said = symbol in _CLOSES and any(map(_CLOSES[symbol].search, said))
                    yield Step((left, right, symbol), result, is_said=is_said)


def _lasts(worked: Worked, reading: Sequence[Step], answer: Sequence[str], task: Task) -> Iterator[int]:
    """The last step that gives the answer, then the equations that do."""
    found = [index for index in reversed(range(len(reading))) if _states(reading[index].result, answer, task)]
    if (
        len(found) > 1
        and _is_remainder(reading[found[0]])
        and not _ASKS_REMAINDER.search(worked.question.text)
    ):
        found[:2] = reversed(found[:2])  # 10/4=2 r2
    yield from found[:1]
    yield from (index for index in found[1:] if reading[index].is_solved)


def _is_remainder(step: Step) -> bool:
    return step.expression[-1:] == ("%",)


def _composed(formulas: Formulas, answer: Sequence[str], task: Task) -> Composition | None:
    for expression, soundness in formulas:
        if operations(expression):
            formula = render(expression)
            if _is_verified(formula, answer, task):
                return Composition(formula, None, soundness)
    return None


def _states(value: Fraction, answer: Sequence[str], task: Task) -> bool:
    return task.is_correct(task.normalize(repr(float(value))), answer)


def _is_verified(formula: str, answer: Sequence[str], task: Task) -> bool:
    try:
        result = task.tool.run(formula)
    except ToolError:
        return False
    return task.is_correct(task.normalize(result), answer)


def _reason(steps: Sequence[Step], answer: Sequence[str], task: Task) -> str:
    if not any(operations(step.expression) for step in steps):
        return NO_STEPS
    for step in reversed(steps):
        value = value_of(
            tuple("/" if item == "//" else item for item in step.expression)
        )  # 48//5 of "48/5=9 r3"
        if value is not None and value != ceil(value) and _states(Fraction(ceil(value)), answer, task):
            return f"{ROUNDED}: {render(step.expression).replace('//', '/')}={float(value):g}"
    wrong = [step for step in reversed(steps) if not is_right(step)]
    for step in sorted(wrong, key=lambda step: not _states(step.result, answer, task)):
        return f"{WRONG_STEP}: {render(step.expression)}={render((step.result,))}"
    return NO_LEAD
