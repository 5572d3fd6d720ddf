"""The teacher that needs no model: a dataset's own worked solution, composed into one formula.

    question  "Natalia sold clips to 48 of her friends in April, and then half as many in May. ..."
    solution  "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\nNatalia sold 48+24 = <<48+24=72>>72 ..."
    answer    ["72"]
    ->        Composition(formula="48+48/2", reason=None, complete=True)

Read are the marks of GSM8K (``<<48/2=24>>``), plain equations in its prose (``20/4 = $5``), and a
solution that is one expression, as SVAMP's are (``( 76.0 - 25.0 )``). A formula is returned only after
the calculator has run it and the task has found the result correct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from toolgen_hf.errors import ToolError
from toolgen_hf.generators.formula import Step, formulas
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tools.expression import evaluate, operations, parse, render

_PIECES = re.compile(r"(<<[^<>]*>>)|(?<=[.;:?!])\s+|\n")
_WORD = re.compile(r"/?\s?\b(?![xX]\b)[A-Za-z][A-Za-z'-]*|[^\w\s$%.,()+\-*/×÷=−–]")
_LEADING = re.compile(r"\s*\$?\s*(-?\$?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)%?)")
_START = re.compile(r"(?<![0-9.,])[0-9.]|[(-]")


@dataclass(frozen=True, slots=True)
class Composition:
    """A verified ``formula``, or the ``reason`` why there is none.

    ``complete`` says that no intermediate result is left in the formula as a bare number.
    """

    formula: str | None
    reason: str | None = None
    complete: bool = False


def compose(question: str, solution: str | None, answer: Sequence[str], task: Task = MATH) -> Composition:
    if not solution or not solution.strip():
        return Composition(None, "no worked solution")
    steps = list(read_steps(solution))
    if not any(operations(s.expression) for s in steps):
        return Composition(None, "no arithmetic steps")
    roots = [i for i in reversed(range(len(steps))) if task.is_correct(norm(steps[i].result), answer)]
    for root in roots:
        for expression, complete in formulas(steps, root):
            if not operations(expression): continue
            formula = render(expression)
            try:
                result = task.normalize(task.tool.run(formula))
            except ToolError:
                continue
            if task.is_correct(result, answer):
                return Composition(formula, None, complete)
    for s in steps:
        try: v = evaluate(s.expression)
        except ToolError: v=None
        if v is None or abs(v-s.result)>0.006:
            return Composition(None, f"arithmetic step is wrong: {render(s.expression)}={float(s.result)}")
    return Composition(None, "steps do not lead to the answer" + (" R" if roots else ""))

def norm(v):
    from toolgen_hf.tasks.numbers import normal_form
    return normal_form(float(v))

def read_steps(solution: str) -> Iterator[Step]:
    text = solution.split("####")[0]
    for piece in _PIECES.split(text):
        if piece and piece.startswith("<<"):
            left, *_, right = [*piece[2:-2].split("="), ""] if "=" not in piece else piece[2:-2].split("=")
            try:
                result = evaluate(parse(right))
                yield Step(parse(left), Fraction(result))
            except ToolError as e:
                print("ANN", piece, e)
        elif piece and "=" in piece:
            yield from plain(piece)

def plain(piece):
    sides = _WORD.sub(" ", piece).split("=")
    for i,(left, right) in enumerate(zip(sides, sides[1:])):
        for later in sides[i+1:i+3]:
            m = _LEADING.match(later)
            if not m: continue
            try: r = evaluate(parse(m[1]))
            except ToolError: continue
            found = suffix(left, r)
            if found:
                yield Step(found, Fraction(r)); break

def suffix(left, r):
    for s in [m.start() for m in _START.finditer(left)][-20:]:
        try:
            e = parse(left[s:])
            if operations(e) and abs(evaluate(e)-r) < 0.006: return e
        except ToolError: pass
