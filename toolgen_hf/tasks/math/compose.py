"""The teacher that needs no model: it composes a dataset's worked solution into one formula.

    question  "Natalia sold clips to 48 of her friends in April, and then half as many in May. ..."
    solution  "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\nNatalia sold 48+24 = <<48+24=72>>72 ..."
    answer    ["72"]
    ->        Composition(formula="48+48/2", reason=None, soundness="explained")

It reads the marks of GSM8K (``<<48/2=24>>``), plain equations in prose (``20/4 = $5``), equations in one unknown
(``3x-5=16``), and solutions that are one expression, as in SVAMP (``( 76.0 - 25.0 )``). It returns a formula only after
the task's tool has run it and the task has found the result correct.
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
from toolgen_hf.tasks.math.formula import Formulas, Soundness, Worked
from toolgen_hf.tasks.math.grading import GRADING
from toolgen_hf.tasks.math.steps import Step, parsed, read_equations, read_ratios, read_steps, tidy, value_of
from toolgen_hf.tools.expression import operations, render

VERSION: Final = 2
"""Changes when formulas or reasons may change."""

NO_SOLUTION: Final = "no worked solution"
NO_STEPS: Final = "no arithmetic steps"
WRONG_STEP: Final = "arithmetic step is wrong"
"""The step follows: ``arithmetic step is wrong: 192*100=1920``."""
ROUNDED: Final = "the answer is rounded up, which no operator does"
"""The step follows: ``...: 2060/15=137.333``."""
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
    """A verified ``formula`` with its soundness, or the ``reason`` why there is none."""

    formula: str | None
    reason: str | None = None
    soundness: Soundness | None = None


def compose(question: str, solution: str | None, answer: Sequence[str], task: Task = GRADING) -> Composition:
    """One formula with at least one operation that follows a worked solution and gives the answer.

    Raises nothing. A reason is ``NO_SOLUTION``, ``NO_STEPS`` or ``NO_LEAD``, or begins with ``WRONG_STEP`` or
    ``ROUNDED``. ``task`` runs and grades the formula; by default it is the math task.
    """
    if solution is None or not solution.strip():
        return Composition(None, NO_SOLUTION)
    worked = Worked(question, tidy(solution))
    steps = _steps(worked, solution)
    first: Composition | None = None
    for reading in _readings(worked, steps):
        for last in _lasts(worked, reading, answer, task):
            made = _composed(Formulas(worked, reading, last), answer, task)
            if made and made.soundness != "unexplained":
                return made
            first = first or made
    return first or Composition(None, _reason([step for step in steps if not step.is_solved], answer, task))


def explain(question: str, formula: str) -> Soundness | None:
    """Whether each number of a formula is the question's or a constant; None if it is not a formula.

    A formula with another number may still be right: its writer may have computed that number in the head.
    """
    if (expression := parsed(formula)) is None:
        return None
    step = Step(expression, Fraction(0))
    return "explained" if Worked(question, question).explains(step) else "unexplained"


def copies(question: str, formula: str, answer: Sequence[str], task: Task = GRADING) -> bool:
    """Whether a number of a formula is an accepted answer, and neither the question's nor a constant."""
    if (expression := parsed(formula)) is None:
        return False
    step, worked = Step(expression, Fraction(0)), Worked(question, question)
    return any(
        (_states(value, answer, task) or _states(-value, answer, task))
        and not worked.stays(value, step, at in step.added)
        for at, value in step.numbers
    )


def _steps(worked: Worked, solution: str) -> list[Step]:
    steps = [*read_steps(solution), *read_equations(solution)]
    results = {step.result for step in steps}
    steps += read_ratios(solution, lambda term: bool(worked.question.of_value(term)) or term in results)
    if not steps and (expression := parsed(solution)) is not None:
        value = value_of(expression)
        return [] if value is None else [Step(expression, value)]
    return sorted(steps, key=lambda step: step.equals)


def _readings(worked: Worked, steps: list[Step]) -> Iterator[list[Step]]:
    """The steps as they are, then with a step that the solution leaves out."""
    yield steps
    if any(_HUNDREDTHS.search(text.text) for text in (worked.question, worked.solution)):
        for step in reversed(steps):  # 0.25 is 25 percent, or cents
            expression = (step.result, Fraction(100), "*")
            yield [*steps, replace(step, expression=expression, result=step.result * 100)]
    used = {item for step in steps for item in step.expression}
    loose = list(dict.fromkeys(step.result for step in reversed(steps) if step.result not in used))
    for later, earlier in combinations(loose[:_MAX_LOOSE], 2):  # two results that no step used
        for left, right in ((earlier, later), (later, earlier)):
            for symbol in "+-*/":
                result = value_of((left, right, symbol))
                if result is not None:  # a sentence may state it: "He gets 79 right in total."
                    said = [worked.solution.sentence_of(m.start) for m in worked.solution.of_value(result)]
                    is_said = symbol in _CLOSES and any(map(_CLOSES[symbol].search, said))
                    yield [*steps, Step((left, right, symbol), result, is_said=is_said)]


def _lasts(worked: Worked, reading: Sequence[Step], answer: Sequence[str], task: Task) -> Iterator[int]:
    """The last step that gives the answer, then the equations that do."""
    found = [index for index in reversed(range(len(reading))) if _states(reading[index].result, answer, task)]
    is_remainder = len(found) > 1 and reading[found[0]].expression[-1:] == ("%",)
    if is_remainder and not _ASKS_REMAINDER.search(worked.question.text):  # 10/4=2 r2
        found[:2] = reversed(found[:2])
    yield from found[:1]
    yield from (index for index in found[1:] if reading[index].is_solved)


def _composed(formulas: Formulas, answer: Sequence[str], task: Task) -> Composition | None:
    for expression, soundness in formulas:
        if operations(expression):
            formula = render(expression)
            try:
                result = task.tool.run(formula)
            except ToolError:
                continue
            if task.is_correct(task.normalize(result), answer):
                return Composition(formula, None, soundness)
    return None


def _states(value: Fraction, answer: Sequence[str], task: Task) -> bool:
    try:
        return task.is_correct(task.normalize(repr(float(value))), answer)
    except OverflowError:
        return False


def _reason(steps: Sequence[Step], answer: Sequence[str], task: Task) -> str:
    if not any(operations(step.expression) for step in steps):
        return NO_STEPS
    for step in reversed(steps):
        value = value_of(tuple("/" if item == "//" else item for item in step.expression))  # "48/5=9 r3"
        if value is not None and value != ceil(value) and _states(Fraction(ceil(value)), answer, task):
            return f"{ROUNDED}: {render(step.expression).replace('//', '/')}={float(value):g}"
    wrong = [step for step in reversed(steps) if not step.is_right]
    for step in sorted(wrong, key=lambda step: not _states(step.result, answer, task)):
        value = step.result
        is_decimal = 10**30 % value.denominator == 0
        quotient = (Fraction(value.numerator), Fraction(value.denominator), "/")
        return f"{WRONG_STEP}: {render(step.expression)}={render((value,) if is_decimal else quotient)}"
    return NO_LEAD
