"""Worked solutions composed into formulas: real rows, hard rows, and properties that hold for all."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.tasks.math import MATH
from toolgen_hf.tasks.math.compose import (
    NO_LEAD,
    NO_SOLUTION,
    NO_STEPS,
    ROUNDED,
    WRONG_STEP,
    Composition,
    compose,
    explain,
)
from toolgen_hf.tasks.math.formula import MAX_ITEMS, canonical
from toolgen_hf.tasks.math.mentions import Text
from toolgen_hf.tasks.math.steps import Step, read_equations, read_steps
from toolgen_hf.tools.calculator import CALCULATOR
from toolgen_hf.tools.expression import Expression, evaluate, operations, parse, render

ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parents[2] / "data" / "gsm8k_worked.jsonl").open()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_rows_of_gsm8k(row: dict[str, Any]) -> None:
    made = compose(row["question"], row["solution"], [row["answer"]], MATH)
    assert made == Composition(row["formula"], row["reason"], row["soundness"])


def formula(solution: str, answer: str, question: str = "") -> str | None:
    return compose(question, solution, [answer], MATH).formula


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
    assert formula(solution, "16", "Each of the rounds gives 4 points.") == "4*(5-1)"
    assert formula(solution, "16", "Each of the rounds gives four points.") == "4*(5-1)"
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
        ("<<2060/15=137.33>> so 138", "138", f"{ROUNDED}: 2060/15=137.333"),
        ("<<25/2=13>>", "13", f"{ROUNDED}: 25/2=12.5"),
        ("48/5=9 r3, so they need 10", "10", f"{ROUNDED}: 48/5=9.6"),
        ("<<192*100=1920>>", "1920", f"{WRONG_STEP}: 192*100=1920"),
        ("It cost 192*100 = $1920", "1920", f"{WRONG_STEP}: 192*100=1920"),
        ("<<2+2=5>> <<3+3=7>> <<1+1=3>>", "7", f"{WRONG_STEP}: 3+3=7"),
        ("<<1/0=5>>", "5", f"{WRONG_STEP}: 1/0=5"),
        ("It is 1/2 = 1/3.", "7", f"{WRONG_STEP}: 1/2=1/3"),  # no decimal is a third
        ("<<2+3=5>>", "a few apples", NO_LEAD),
        ("<<__import__('os')=5>>", "5", NO_STEPS),
    ],
)
def test_reason(solution: str | None, answer: str, reason: str) -> None:
    assert compose("", solution, [answer], MATH) == Composition(None, reason)


def test_any_accepted_answer_will_do() -> None:
    assert compose("", "<<2+3=5>>", ["4", "5"], MATH).formula == "2+3"
    assert compose("", "<<2+3=5>>", [], MATH).reason == NO_LEAD


def test_unexplained_if_a_result_is_left_as_a_number() -> None:
    assert compose("25 in 2", "<<25/2=13>> <<13*2=26>>", ["26"], MATH) == Composition(
        "13*2", None, "unexplained"
    )


def test_doubling_does_not_blow_up() -> None:
    """Ninety steps that each use the one before twice."""
    marks = [f"<<{2**n}+{2**n}={2 ** (n + 1)}>>" for n in range(90)]
    start = time.perf_counter()
    made = compose("", "".join(marks), [str(2**90)], MATH)
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
    made = compose("", solution, [answer], MATH)
    assert made.formula is not None
    assert MATH.is_correct(MATH.normalize(CALCULATOR.run(made.formula)), [answer])
    assert operations(parse(made.formula)) >= 1


@given(st.one_of(st.text(), st.text("0123456789.+-*/%=()<>x #\n$y", max_size=80)), st.sampled_from("1235"))
def test_any_text_composes_or_has_a_reason(solution: str, answer: str) -> None:
    made = compose(solution, solution, [answer], MATH)
    if made.formula is None:
        assert made.reason
        assert made.reason.startswith((NO_SOLUTION, NO_STEPS, NO_LEAD, ROUNDED, WRONG_STEP))
    else:
        assert made.reason is None
        assert MATH.normalize(CALCULATOR.run(made.formula)) == f"{answer}.0"
        assert operations(parse(made.formula)) >= 1


@pytest.mark.parametrize(
    "unit", ["1=", "1+1=2 ", "<<1+1=2>>", "<<", "x+1=2\n", "2x+y=3;", "(", "=", "1+", "x=", "%="]
)
def test_bounded_on_a_megabyte(unit: str) -> None:
    start = time.perf_counter()
    compose("", unit * (1_000_000 // len(unit)), ["7"], MATH)
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


@pytest.mark.parametrize(
    ("question", "solution", "answer", "expected"),
    [
        # the noun beside the number decides: 12 cans are the question's, 12 bottles a result
        (
            "A shop has 12 cans and 3 boxes of 4 bottles. It sells half of the cans. How many are left?",
            "There are 3*4=<<3*4=12>>12 bottles. It sells 12 cans/2=<<12/2=6>>6 cans. "
            "So 12 cans-6 cans=<<12-6=6>>6 cans are left. In total 12 bottles+6 cans=<<12+6=18>>18 are left.",
            "18",
            "3*4+12-12/2",
        ),
        # the sign decides: $6 is a result, 6 days are the question's
        (
            "Ann works 6 days. Each day she earns $2 from each of 3 dogs. How much does she earn?",
            "She earns $2*3=$<<2*3=6>>6 a day. In 6 days she earns $6*6=$<<6*6=36>>36.",
            "36",
            "2*3*6",
        ),
        # so does which reading uses every step and every number: each 20 is one of the two steps
        (
            "Tom buys 4 pens at $5 and 2 books at $10. What does he pay?",
            "Pens: 4*5=<<4*5=20>>20. Books: 2*10=<<2*10=20>>20. In total 20+20=<<20+20=40>>40.",
            "40",
            "2*10+4*5",
        ),
        # a number of a fraction that the question states is never a result
        (
            "There are 30 birds. A third fly away, 1/10 of the birds are white. How many more fly away?",
            "30/3=<<30/3=10>>10 fly away. 30*1/10=<<30*1/10=3>>3 are white. 10-3=<<10-3=7>>7 more.",
            "7",
            "30/3-30*1/10",
        ),
        # percent of the question counts no things
        (
            "Of 50 birds 20% leave, then 20 come. How many birds are there?",
            "50*.2=<<50*.2=10>>10 birds leave. 50-10=<<50-10=40>>40 stay. 40+20=<<40+20=60>>60 birds.",
            "60",
            "50-50*0.2+20",
        ),
        # an equation shows what was done in the head
        (
            "Lea has four times as many stamps as Max. Together they have 85. How many has Lea?",
            "Let m be Max's stamps. m + 4m = 85, so 5m = 85 and m = 17. Lea has 4*17=<<4*17=68>>68.",
            "68",
            "4*85/(1+4)",
        ),
        # the rest of a percentage and of a fraction, which the solution does not spell out
        ("A coat of $90 is 30% off. Its price?", "90*.7=<<90*.7=63>>63", "63", "90*(100-30)%"),
        ("1/5 of 40 pupils are ill. How many are not?", "4/5*40=<<4/5*40=32>>32", "32", "(1-1/5)*40"),
        # a fraction that a step gave
        (
            "A shirt of $80 costs $60 now. By how many percent did it fall?",
            "It fell by 80-60=$<<80-60=20>>20. That is 20/80=1/4. 1/4*100%=25%",
            "25",
            "(80-60)/80*100",
        ),
        # words, units and the terms of an average
        (
            "Two dozen eggs, a quarter are broken. How many?",
            "2*12=<<2*12=24>>24, 24/4=<<24/4=6>>6",
            "6",
            "2*12/4",
        ),
        ("He runs 4 km a day for 3 weeks.", "3 weeks are 21 days. 4*21=<<4*21=84>>84", "84", "4*3*7"),
        ("She has 3, 4, 5 and 8 points. The average?", "3+4+5+8=20, so 20/4=5", "5", "(3+4+5+8)/4"),
        # remainders and ratios
        ("743 sheets go to 9 pupils. How many are left over?", "743/9=82 r5", "5", "743%9"),
        ("743 sheets go to 9 pupils. How many does each get?", "743 / 9 = 82 remainder 5", "82", "743//9"),
        ("14 nuts go to 4 boys. How many does each get?", "14/4=3 r2", "3", "14//4"),
        ("10 nuts go to 4 boys. How many does each get?", "10/4=2 r2", "2", "10//4"),
        ("10 nuts go to 4 boys. How many are left?", "10/4=2 r2", "2", "10%4"),
        ("Red to blue is 3:7. There are 21 red ones. How many blue?", "3:7 = 21:49", "49", "21*7/3"),
        ("Red to blue is 3:7. There are 49 blue ones. How many red?", "3:7=21:49", "21", "49*3/7"),
    ],
)
def test_every_number_has_its_source(question: str, solution: str, answer: str, expected: str) -> None:
    assert compose(question, solution, [answer], MATH) == Composition(expected, None, "explained")


@pytest.mark.parametrize(
    ("question", "solution", "answer", "formula"),
    [
        (
            "He bakes 10 pies and 12 cakes for $66. The price of one?",
            "66/22=<<66/22=3>>3",
            "3",
            "66/22",
        ),  # 10+12
        ("She had $90 and spent a third. Half of the rest?", "$60/2=$<<60/2=30>>30", "30", "60/2"),  # 90-90/3
        ("Three friends and their guide pay $5 each.", "4*5=<<4*5=20>>20", "20", "4*5"),  # 3+1
        ("Twice 8 more than 5", "8+2=<<8+2=10>>10", "10", "8+2"),  # the 2 of "twice" is not added
        ("40 pens for 7 pupils", "40/7=<<40/7=5>>5, 5*7=<<5*7=35>>35", "35", "5*7"),  # a step that is wrong
    ],
)
def test_a_number_from_nowhere_is_unexplained(
    question: str, solution: str, answer: str, formula: str
) -> None:
    assert compose(question, solution, [answer], MATH) == Composition(formula, None, "unexplained")


def test_ambiguous_if_the_text_does_not_decide() -> None:
    """The second 5 may be the question's, and the third the first step's; or the other way round."""
    made = compose("5, 2, 3, 4", "2+3=<<2+3=5>>5. 5*4=<<5*4=20>>20. 20-5=<<20-5=15>>15.", ["15"], MATH)
    assert made.soundness == "ambiguous"


@pytest.mark.parametrize("solution", ["927/2/463", "927/2=463", "3+4=7, 7/2=3"])
def test_no_match_by_rounding_luck(solution: str) -> None:
    assert compose("927 cones for 2 teams. How many are left? 3 4", solution, ["1"], MATH).soundness in (
        None,
        "unexplained",
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$1.50", ["1.5", "150"]),
        ("40%", ["40", "0.4"]),
        ("40 percent", ["40", "0.4"]),
        ("25 cents", ["25", "0.25"]),
        ("twenty-five", ["25"]),
        ("one hundred and five", ["105"]),
        ("two-fifths", ["0.4", "5", "0.2", "2"]),
        ("a third", ["1/3", "3"]),
        ("half", ["0.5", "2"]),
        ("3 1/2", ["3.5", "0.5", "1", "2", "3", "7"]),
        ("thrice", ["3"]),
        ("a dozen", ["12"]),
        ("2 million", ["2", "2000000"]),
        ("10k", ["10", "10000"]),
        ("Ann, Bob and Eve", ["3"]),
        ("Monday to Friday", ["5"]),
        ("12,500", ["12500"]),
        ("no number", []),
    ],
)
def test_mentions_of_a_number(text: str, values: list[str]) -> None:
    found = [value for mention in Text(text).mentions for value in mention.values]
    assert found == [*map(Fraction, values)]


@pytest.mark.parametrize(
    ("question", "formula", "expected"),
    [
        ("Ann has 3 boxes of 12 eggs.", "3*12", "explained"),
        ("Ann has two boxes of a dozen eggs.", "2*12", "explained"),
        ("He works 8 hours. How many minutes?", "8*60", "explained"),
        ("A $20 coat is 10% off.", "20-20*0.1", "explained"),
        ("Ann has 3 boxes of 12 eggs.", "36", "unexplained"),
        ("Ann has 3 boxes of 12 eggs.", "3*13", "unexplained"),
        ("Ann has 3 boxes of 12 eggs.", "3*", None),
    ],
)
def test_explain_the_call_of_a_model(question: str, formula: str, expected: str | None) -> None:
    assert explain(question, formula) == expected


NOUNS = [
    "apples",
    "birds",
    "coins",
    "dogs",
    "eggs",
    "forks",
    "gloves",
    "hats",
    "irons",
    "jars",
    "keys",
    "lamps",
    "mugs",
    "nuts",
    "oars",
    "pens",
]


@given(
    st.recursive(st.integers(1, 9).map(lambda number: (Fraction(number),)), grow, max_leaves=6)
    .filter(operations)
    .filter(steps_of),
    st.booleans(),
)
def test_never_a_wrong_formula_that_counts_as_explained(expression: Expression, has_nouns: bool) -> None:
    """Small numbers, so that results and numbers of the question coincide all the time."""
    numbers = [item for item in expression if not isinstance(item, str)]
    question = ". ".join(
        f"There are {render((n,))} {noun if has_nouns else ''}"
        for n, noun in zip(numbers, NOUNS, strict=False)
    )
    solution = worked_out(expression, has_nouns)
    made = compose(question, solution, [render((Fraction(evaluate(expression)),))], MATH)
    if made.soundness == "explained":
        assert made.formula is not None
        assert as_set(parse(made.formula)) == as_set(expression)


def worked_out(expression: Expression, has_nouns: bool) -> str:
    """The solution, in which each number keeps its own noun, and each result gets one."""
    stack: list[tuple[Fraction, str]] = []
    nouns, results, lines = iter(NOUNS), iter(f"result{letter}" for letter in "abcdefgh"), []
    for item in expression:
        if not isinstance(item, str):
            stack.append((item, next(nouns)))
            continue
        (right, right_noun), (left, left_noun) = stack.pop(), stack.pop()
        result, noun = Fraction(evaluate((left, right, item))), next(results)
        left_text, right_text, result_text = (render((n,)) for n in (left, right, result))
        mark = f"<<{left_text}{item}{right_text}={result_text}>>"
        names = (left_noun, right_noun, noun) if has_nouns else ("", "", "")
        lines.append(
            f"{left_text} {names[0]} {item} {right_text} {names[1]} = {mark}{result_text} {names[2]}."
        )
        stack.append((result, noun))
    return "\n".join(lines)


def as_set(expression: Expression) -> object:
    """A formula without the order of what it adds or multiplies."""
    return canonical(parse(render(expression)))
