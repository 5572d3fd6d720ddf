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

VERSION = 1
"""Part of a stage's fingerprint; raised when a solution may give another formula."""

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


_TRIVIAL = re.compile(r"<<([0-9.]+)=\1>>(?:\1)?(%?)")
_MIXED = re.compile(r"\b([0-9]+)(?: and)? ([0-9]+/[0-9]+)\b")

def verify(steps, root, answer, task):
        for expression, complete in formulas(steps, root):
            if not operations(expression): continue
            formula = render(expression)
            try:
                result = task.normalize(task.tool.run(formula))
            except ToolError:
                continue
            if task.is_correct(result, answer):
                return Composition(formula, None, complete)

PHASE = True
def compose(question: str, solution: str | None, answer: Sequence[str], task: Task = MATH) -> Composition:
    if not solution or not solution.strip():
        return Composition(None, "no worked solution")
    steps = list(read_steps(solution))
    ok = lambda v: task.is_correct(norm(v), answer)
    def attempt(steps):
        for root in [i for i in reversed(range(len(steps))) if ok(steps[i].result)]:
            k = verify(steps, root, answer, task)
            if k: return k
    k = attempt(steps)
    if k: return k
    if PHASE:
      if steps:
        for i in reversed(range(len(steps))):
            if ok(steps[i].result*100) and re.search(r"%|percent|\bcents?\b", question + solution):
                closed = [*steps, Step((steps[i].result, Fraction(100), "*"), steps[i].result*100)]
                k = verify(closed, len(steps), answer, task)
                if k: return Composition(k.formula, "x100", k.complete)
      from toolgen_hf.generators.equations import solved
      eq = list(solved(solution))
      k = attempt([*eq, *steps])
      if k: return Composition(k.formula, "equation", k.complete)
      if steps:
        used = {it for s in steps for it in s.expression}
        sinks = list(dict.fromkeys([s.result for s in steps if s.result not in used]))[-4:]
        def close(a,b,tag):
            for x,y in ((a,b),(b,a)):
              for op in "+-*/":
                e=(x,y,op)
                try: v=evaluate(e)
                except ToolError: continue
                if ok(v):
                    closed=[*steps, Step(e, Fraction(v))]
                    k = verify(closed, len(steps), answer, task)
                    if k: return Composition(k.formula, tag, k.complete)
        for i in range(len(sinks)):
            for j in range(i):
                k=close(sinks[j],sinks[i],"sinks")
                if k: return k
        nums=[Fraction(x.replace(',','')) for x in re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?",question) if x.strip(',')]
        for n in nums:
            if sinks:
                k=close(sinks[-1],n,"question")
                if k: return k
    if not any(operations(s.expression) for s in steps):
        return Composition(None, "no arithmetic steps")
    for s in steps:
        try: v = evaluate(s.expression)
        except ToolError: v=None
        if v is None or abs(v-s.result)>0.006:
            return Composition(None, f"arithmetic step is wrong: {render(s.expression)}={float(s.result)}")
    return Composition(None, "steps do not lead to the answer")

def norm(v): 
    from toolgen_hf.tasks.numbers import normal_form
    return normal_form(float(v))

def read_steps(solution: str) -> Iterator[Step]:
    text = solution.split("####")[0]
    text = _MIXED.sub(r"(\1+\2)", _TRIVIAL.sub(r"\1\2", text))
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
    sides = _WORD.sub(";", piece).split("=")
    before = None
    for i,(left, right) in enumerate(zip(sides, sides[1:])):
        chunk = right.split(";")[0]
        pc = "%" in chunk
        r=None
        for t in (chunk, *( [m[1]] if (m:=_LEADING.match(chunk)) else [])):
            try: r = evaluate(parse(t.replace("%",""))); break
            except ToolError: pass
        if r is None: continue
        left = left.replace(";"," ")
        found = suffix(left.replace("%",""), r)
        if not found and "%" in left+chunk:
                found = suffix(left, r/100 if pc else r)
                if found and pc: found = (*found, Fraction(100), "*")
        if found and before != r:
            yield Step(found, Fraction(r))
        before = r if found else None

def suffix(left, r):
    for s in [m.start() for m in _START.finditer(left)][-20:]:
        try:
            e = parse(left[s:])
            if operations(e) and abs(evaluate(e)-r) < 0.006: return e
        except ToolError: pass
