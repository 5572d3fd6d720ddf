"""Worked solutions composed into formulas: real rows, hard ones, and what must hold for all."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.generators.annotations import NO_LEAD, NO_SOLUTION, NO_STEPS, WRONG_STEP, Composition, compose
from toolgen_hf.generators.equations import read_equations
from toolgen_hf.generators.formula import MAX_ITEMS, Step
from toolgen_hf.generators.steps import read_steps
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tools.calculator import CALCULATOR
from toolgen_hf.tools.expression import Expression, evaluate, operations, parse, render

ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data" / "gsm8k_worked.jsonl").open()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_rows_of_gsm8k(row: dict[str, Any]) -> None:
    made = compose(row["question"], row["solution"], [row["answer"]])
    assert made == Composition(row["formula"], row["reason"], row["complete"])


def formula(solution: str, answer: str, question: str = "") -> str | None:
    return compose(question, solution, [answer]).formula


@pytest.mark.parametrize(
    ("solution", "answer", "expected"),
    [
        # SVAMP: the solution is an expression
        ("( 76.0 - 25.0 )", "51.0", "76-25"),
        ("( ( 4.0 + 2.0 ) / 3.0 )", "2.0", "(4+2)/3"),
        # marks
        ("<<48/2=24>> <<48+24=72>>", "72", "48+48/2"),
        ("<<12/60=0.2>> <<0.2*50=10>>", "10", "12/60*50"),
        ("<<2+3=5>> <<4*5=20>>", "20", "4*(2+3)"),
        ("<<10-4=6>> <<20-6=14>>", "14", "20-(10-4)"),
        ("<<20*.01*50=10>>", "10", "20*0.01*50"),
        ("<<50*20%=10>>", "10", "50*20%"),
        ("<<2*3=2*3=6>>", "6", "2*3"),
        ("<<1,000+500=1,500>>", "1500", "1000+500"),
        # the same result twice: the latest step counts, and a number of the question only gives way once
        ("<<12+12=24>> <<48/2=24>> <<24+1=25>>", "25", "48/2+1"),
        ("<<48/2=24>> <<24+24=48>>", "48", "48/2+48/2"),
        # unused steps
        ("<<9*9=81>> <<5*5=25>> <<2+3=5>> <<25-1=24>>", "24", "5*5-1"),
        # a rounded result is replaced by what it was rounded from, if that verifies ...
        ("<<100/3=33.33>> <<33.33*3=100>>", "100", "100/3*3"),
        # ... and else stays
        ("<<25/2=13>> <<13*2=26>>", "26", "13*2"),
        # prose
        ("She pays 20/4 = $5 each. So $5 x 3 = $15.", "15", "20/4*3"),
        ("20 apples / 4 kids = 5 apples, 5 apples * $3/apple = $15", "15", "20/4*3"),
        ("Kayla made $84 - 30 = 54. Saheed made 4*Kayla = 4*54 = 216", "216", "4*(84-30)"),
        ("349 - 108 = 241 and 241 - 153 = 88", "88", "349-108-153"),
        ("He has 2*(3+4) = 2*7 = 14 of them", "14", "2*(3+4)"),
        ("46 bags weigh 46*7kg = 322kg", "322", "46*7"),
        ("6 plus 7 equals 13", "13", "6+7"),
        ("$80 000 x 20/100 = $16 000", "16000", "80000*20/100"),
        ("14 * 1 1/2 = 21", "21", "14*(1+1/2)"),
        ("28 / 1/5 = 140", "140", "28/(1/5)"),
        ("He has 1.5 left, and 1.5 / .25 = <<6=6>>6", "6", "1.5/0.25"),
        # percent points and percent
        ("100% - 30% = 70%, then 70% * 50% = 35%", "35", "(100-30)%*50%*100"),
        ("30% of 50 * 2 = 30", "30", "30%*50*2"),
        ("30% * 50 = 15", "15", "30%*50"),
        ("50 / 200 * 100% = 25%", "25", "50/200*100"),
        # algebra
        ("3x - 5 = 16\n3x = 21\nx = 7", "7", "(16+5)/3"),
        ("Let p be the packages. 5p + p = 24, so p = 4.", "4", "24/(5+1)"),
        ("y + 7 = 2y", "7", "7/(2-1)"),
        ("x = 5", "5", None),
        # no closing step
        ("<<40*.75=30>> and <<50*.98=49>>, so 79 in all", "79", "40*0.75+50*0.98"),
        ("That is <<0.50-.25=0.25>> dollars, in cents", "25", "(0.5-0.25)*100"),
    ],
)
def test_formula(solution: str, answer: str, expected: str | None) -> None:
    assert formula(solution, answer) == expected


def test_a_given_number_stands_for_a_step_once() -> None:
    solution = "She is in 5-1 = <<5-1=4>>4 rounds of 4 points each, so 4*4 = <<4*4=16>>16."
    assert formula(solution, "16", "Each of the rounds gives 4 points.") == "(5-1)*4"
    assert formula(solution, "16", "Each of the rounds gives four points.") == "(5-1)*4"
    assert formula(solution, "16") == "(5-1)*(5-1)"


@pytest.mark.parametrize(
    ("solution", "answer", "reason"),
    [
        (None, "5", NO_SOLUTION),
        (" \n", "5", NO_SOLUTION),
        ("It is clear.", "5", NO_STEPS),
        ("72", "72", NO_STEPS),
        ("<<72=72>>", "72", NO_STEPS),
        ("<<2+3=5>>", "6", NO_LEAD),
        ("<<2060/15=137.33>> so 138", "138", NO_LEAD),
        ("<<25/2=13>>", "13", f"{WRONG_STEP}: 25/2=13"),
        ("<<192*100=1920>>", "1920", f"{WRONG_STEP}: 192*100=1920"),
        ("It cost 192*100 = $1920", "1920", f"{WRONG_STEP}: 192*100=1920"),
        ("<<2+2=5>> <<3+3=7>> <<1+1=3>>", "7", f"{WRONG_STEP}: 3+3=7"),
        ("<<1/0=5>>", "5", f"{WRONG_STEP}: 1/0=5"),
        ("<<2+3=5>>", "five apples", NO_LEAD),
        ("<<__import__('os')=5>>", "5", NO_STEPS),
    ],
)
def test_reason(solution: str | None, answer: str, reason: str) -> None:
    assert compose("", solution, [answer]) == Composition(None, reason)


def test_any_accepted_answer_will_do() -> None:
    assert compose("", "<<2+3=5>>", ["4", "5"]).formula == "2+3"
    assert compose("", "<<2+3=5>>", []).reason == NO_LEAD


def test_incomplete_if_a_result_is_left_as_a_number() -> None:
    assert compose("", "<<25/2=13>> <<13*2=26>>", ["26"]) == Composition("13*2", None, complete=False)


def test_doubling_does_not_blow_up() -> None:
    """Ninety steps that each use the one before twice."""
    marks = [f"<<{2**n}+{2**n}={2 ** (n + 1)}>>" for n in range(90)]
    start = time.perf_counter()
    made = compose("", "".join(marks), [str(2**90)])
    assert time.perf_counter() - start < 5
    assert made.formula is not None
    assert len(parse(made.formula)) <= MAX_ITEMS


def grow(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    parts = st.tuples(children, children, st.sampled_from("+-*/"))
    return parts.map(lambda part: (*part[0], *part[1], part[2]))


def is_decimal(value: Fraction) -> bool:
    """A positive number that can be stated without rounding."""
    return value > 0 and 10**6 % value.denominator == 0


def steps_of(expression: Expression) -> list[Step] | None:
    """One step for each operation, as a solution states them; None if a result would be rounded."""
    steps, stack = [], []
    for item in expression:
        if isinstance(item, Fraction):
            stack.append(item)
            continue
        right, left = stack.pop(), stack.pop()
        result = Fraction(evaluate((left, right, item))) if right or item != "/" else Fraction(0)
        if not is_decimal(result):
            return None
        steps.append(Step((left, right, item), result))
        stack.append(result)
    return steps


TREES = st.recursive(st.integers(1, 99).map(lambda number: (Fraction(number),)), grow, max_leaves=8)


@given(TREES.filter(operations).filter(steps_of), st.booleans())
def test_steps_of_any_sum_compose_to_its_value(expression: Expression, marked: bool) -> None:
    steps = steps_of(expression) or []
    lines = [f"{render(step.expression)} = {render((step.result,))}" for step in steps]
    solution = "\n".join(f"<<{line}>>" if marked else f"so {line}." for line in lines)
    answer = render((steps[-1].result,))
    made = compose("", solution, [answer])
    assert made.formula is not None
    assert made.complete
    assert MATH.is_correct(MATH.normalize(CALCULATOR.run(made.formula)), [answer])
    assert operations(parse(made.formula)) >= 1


@given(st.one_of(st.text(), st.text("0123456789.+-*/%=()<>x #\n$y", max_size=80)), st.sampled_from("1235"))
def test_any_text_composes_or_has_a_reason(solution: str, answer: str) -> None:
    made = compose(solution, solution, [answer])
    if made.formula is None:
        assert made.reason
        assert made.reason.startswith((NO_SOLUTION, NO_STEPS, NO_LEAD, WRONG_STEP))
    else:
        assert made.reason is None
        assert MATH.normalize(CALCULATOR.run(made.formula)) == f"{answer}.0"
        assert operations(parse(made.formula)) >= 1


@pytest.mark.parametrize(
    "unit", ["1=", "1+1=2 ", "<<1+1=2>>", "<<", "x+1=2\n", "2x+y=3;", "(", "=", "1+", "x=", "%="]
)
def test_bounded_on_a_megabyte(unit: str) -> None:
    start = time.perf_counter()
    compose("", unit * (1_000_000 // len(unit)), ["7"])
    assert time.perf_counter() - start < 5


def test_read_steps_in_their_order() -> None:
    solution = "He saved 25*2 = $<<25*2=50>>50, so 50 + 20 dollars = $70.\n#### 70"
    assert [f"{render(step.expression)}={render((step.result,))}" for step in read_steps(solution)] == [
        "25*2=50",
        "50+20=70",
    ]


@pytest.mark.parametrize(
    ("text", "solved"),
    [
        ("3*x - 5 = 16", "(16+5)/3"),
        ("x + 4 + x + 2(4+x) = 56", "(56-(4+2*4))/(1+1+2)"),
        ("26 = 5 + 3x", "(26-5)/3"),
        ("5 = 2 - x", "2-5"),
        ("x/4 = 3", "3/(1/4)"),
        ("20% x = 5", None),
        ("20% * n = 5", "5/20%"),
        ("x*x = 4", None),
        ("4/x = 2", None),
        ("x + y = 4", None),
        ("0*x = 4", None),
        ("x = x", None),
        ("a dog + 2 = 4", None),
    ],
)
def test_equations_in_one_unknown(text: str, solved: str | None) -> None:
    assert [render(step.expression) for step in read_equations(text)] == ([] if solved is None else [solved])
