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
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Final

from toolgen_hf.errors import ToolError
from toolgen_hf.generators.equations import read_equations
from toolgen_hf.generators.formula import Formulas, Soundness, Worked
from toolgen_hf.generators.steps import Step, is_right, read_steps, tidy, value_of
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tasks.numbers import NUMBER, WORDS, read_match
from toolgen_hf.tools.expression import operations, parse, render

VERSION: Final = 1
"""Changes when formulas or reasons may change."""

NO_SOLUTION: Final = "no worked solution"
NO_STEPS: Final = "no arithmetic steps"
WRONG_STEP: Final = "arithmetic step is wrong"
"""Followed by the step: ``arithmetic step is wrong: 192*100=1920``."""
NO_LEAD: Final = "steps do not lead to the answer"

_HUNDREDTHS = re.compile(r"%|\bpercent|\bcents?\b", re.IGNORECASE)
_MAX_LOOSE: Final = 4


@dataclass(frozen=True, slots=True)
class Composition:
    """A verified ``formula`` with how sound it is, or the ``reason`` why there is none."""

    formula: str | None
    reason: str | None = None
    soundness: Soundness | None = None


def compose(question: str, solution: str | None, answer: Sequence[str], task: Task = MATH) -> Composition:
    """One formula for a worked solution, with at least one operation, that gives the answer.

    Raises nothing. A reason is one of ``NO_SOLUTION``, ``NO_STEPS``, ``NO_LEAD``, or begins with
    ``WRONG_STEP``.
    """
    if solution is None or not solution.strip():
        return Composition(None, NO_SOLUTION)
    worked = Worked(question, tidy(solution))
    steps = _read(solution)
    best: Composition | None = None
    for reading in _readings(question, solution, steps):
        for last in _lasts(reading, answer, task):
            made = _composed(Formulas(worked, reading, last), answer, task)
            if made and made.soundness != "unexplained":
                return made
            best = best or made
    return best or Composition(None, _reason(steps, answer, task))


def _lasts(reading: Sequence[Step], answer: Sequence[str], task: Task) -> Iterator[int]:
    """The last step that gives the answer, and the equations that do."""
    found = [index for index in reversed(range(len(reading))) if _states(reading[index], answer, task)]
    yield from found[:1]
    yield from (index for index in found[1:] if reading[index].is_solved)


def _composed(formulas: Formulas, answer: Sequence[str], task: Task) -> Composition | None:
    for expression, soundness in formulas:
        if operations(expression):
            formula = render(expression)
            if _is_verified(formula, answer, task):
                return Composition(formula, None, soundness)
    return None


def _read(solution: str) -> list[Step]:
    steps = sorted([*read_steps(solution), *read_equations(solution)], key=lambda step: step.equals)
    if not steps:
        try:
            expression = parse(solution)
        except ToolError:
            return []
        value = value_of(expression)
        steps = [] if value is None else [Step(expression, value)]
    return steps


def _readings(question: str, solution: str, steps: list[Step]) -> Iterator[list[Step]]:
    """What the solution may mean, from what it says to what it leaves unsaid."""
    yield steps
    if _HUNDREDTHS.search(question) or _HUNDREDTHS.search(solution):  # 0.25 is 25 percent, or cents
        for step in reversed(steps):
            yield [*steps, Step((step.result, Fraction(100), "*"), step.result * 100)]
    for closing in _closings(steps):
        yield [*steps, closing]


def _closings(steps: Sequence[Step]) -> Iterator[Step]:
    """The step that a solution leaves to its reader: two results that nothing used, put together."""
    used = {item for step in steps for item in step.expression}
    loose = list(dict.fromkeys(step.result for step in reversed(steps) if step.result not in used))
    for later, earlier in combinations(loose[:_MAX_LOOSE], 2):
        for left, right in ((earlier, later), (later, earlier)):
            for symbol in "+-*/":
                result = value_of((left, right, symbol))
                if result is not None:
                    yield Step((left, right, symbol), result, is_said=False)


def _states(step: Step, answer: Sequence[str], task: Task) -> bool:
    return task.is_correct(task.normalize(repr(float(step.result))), answer)


def _is_verified(formula: str, answer: Sequence[str], task: Task) -> bool:
    try:
        result = task.tool.run(formula)
    except ToolError:
        return False
    return task.is_correct(task.normalize(result), answer)


def _reason(steps: Sequence[Step], answer: Sequence[str], task: Task) -> str:
    if not any(operations(step.expression) for step in steps):
        return NO_STEPS
    wrong = [step for step in reversed(steps) if not is_right(step)]
    for step in sorted(wrong, key=lambda step: not _states(step, answer, task)):
        return f"{WRONG_STEP}: {render(step.expression)}={render((step.result,))}"
    return NO_LEAD


def _numbers(text: str) -> set[Fraction]:
    """The numbers that a question gives, in digits or in words."""
    digits = (read_match(match) for match in NUMBER.finditer(text))
    words = WORDS.keys() & re.findall(r"[a-z]+", text.lower())
    return {Fraction(str(value)) for value in digits if value is not None} | {
        Fraction(WORDS[word]) for word in words
    }
