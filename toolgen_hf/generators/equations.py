"""Equations in one unknown, solved into the step that gives it.

    "3*x - 5 = 16"      x = (16+5)/3      Step((16, 5, "+", 3, "/"), 7)

A side is kept as ``a*x + b`` with ``a`` and ``b`` expressions, None for nothing: so the numbers of the
question stay visible in what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from toolgen_hf.errors import ToolError
from toolgen_hf.generators.formula import Step
from toolgen_hf.tools.expression import Expression, evaluate, parse

_UNKNOWN: Final = Fraction("987654321.123456789")
_VARIABLE = re.compile(r"(?<![A-Za-z'’])[A-Za-z](?![A-Za-z'’])")
_WORDS = re.compile(r"[/-]?[A-Za-z'’]{2,}|[^\w\s$%.,()\[\]{}+\-*/×÷=−–]")
_TIMES = re.compile(r"(?<=[0-9)])\s?[xX]\s?(?=[0-9($.])")
_BREAK = re.compile(r"(?<=[.;:?!,])\s+|\n|:")
ONE: Final[Expression] = (Fraction(1),)


class Linear(NamedTuple):
    a: Expression | None
    b: Expression | None


def solved(solution):
    text = re.sub(r"<<[^<>]*>>", "", solution)
    seen = set()
    for sentence in _BREAK.split(text):
        if not sentence or "=" not in sentence: continue
        sides = _WORDS.sub(";", _TIMES.sub("*", sentence)).split("=")
        for left, right in zip(sides, sides[1:]):
            names = set(_VARIABLE.findall(left+right)) - {"a", "I", "A"}
            if len(names) != 1: continue
            name = names.pop()
            l = side(left, name, True); r = side(right, name, False)
            if not l or not r: continue
            try: s = solve(l, r)
            except (ToolError, ZeroDivisionError): continue
            if s and s.result not in seen:
                seen.add(s.result); yield s

def side(text, name, left):
    t = text.rsplit(";",1)[-1] if left else text.split(";",1)[0]
    for t in (text.replace(";"," "), t):
        t = re.sub(rf"(?<![A-Za-z]){name}(?![A-Za-z])", f"({_UNKNOWN_TEXT})", t.strip().rstrip(".,"))
        try: return linear(parse(t))
        except ToolError: continue
_UNKNOWN_TEXT = "987654321.123456789"

def comb(op, x, y):
    if x is None and y is None: return None
    if x is None: return (*y, "neg") if op == "-" else y
    if y is None: return x
    return (*x, *y, op)

def mul(op, x, y):
    if x is None: return None
    if y is None: return None
    if y == ONE: return x
    if x == ONE and op == "*": return y
    return (*x, *y, op)

def linear(expr):
    st = []
    for it in expr:
        if it == _UNKNOWN: st.append(Linear(ONE, None))
        elif isinstance(it, Fraction): st.append(Linear(None, (it,)))
        elif it in ("neg", "percent"):
            v = st.pop()
            st.append(Linear(v.a and (*v.a, it), v.b and (*v.b, it)))
        else:
            r, l = st.pop(), st.pop()
            if it in "+-": st.append(Linear(comb(it, l.a, r.a), comb(it, l.b, r.b)))
            elif r.a is None and it in ("*","/"): st.append(Linear(mul(it,l.a,r.b), mul(it,l.b,r.b)))
            elif l.a is None and it == "*": st.append(Linear(mul(it,l.b,r.a), mul(it,l.b,r.b)))
            else: return None
    return st.pop()

def solve(l, r):
    a = comb("-", l.a, r.a); b = comb("-", r.b, l.b)
    if l.a and r.a and evaluate(a) < 0: a = comb("-", r.a, l.a); b = comb("-", l.b, r.b)
    elif l.a is None and r.a is not None: a = r.a; b = comb("-", l.b, r.b)
    if a is None or b is None or evaluate(a)==0: return None
    e = mul("/", b, a)
    v = evaluate(e)
    return Step(e, Fraction(v).limit_denominator(10**6) if isinstance(v,float) else v)
