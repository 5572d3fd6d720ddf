"""The answer that is read from a response. The table shows how language models write."""

from __future__ import annotations

import json
import time
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import ConfigError
from toolgen_hf.tasks import TASKS, Task, get_task
from toolgen_hf.tasks.math import MATH

ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "data" / "gsm8k_worked.jsonl").open()]

RESPONSES = [
    # the method's own example
    ("Jean has $76 / 3 = $<<76/3=25>>25", "25.0"),
    ("Jean has $54.", "54.0"),
    # the last number
    ("72", "72.0"),
    ("20 - 5 = 15", "15.0"),
    ("20 -5", None),
    ("4-5", None),
    ("It takes 4-5 hours.", None),
    ("Natalia sold 48/2 = 24 clips in May. She sold 48+24 = 72 clips altogether.", "72.0"),
    ("She pays $1,234.50 in total.", "1234.5"),
    ("They have 1,450,000 people.", "1450000.0"),
    ("He has 3, 4 and 5, so 12.", "12.0"),
    ("The temperature is -5 degrees.", "-5.0"),
    ("The temperature is −5°C.", "-5.0"),
    ("He owes -$20.", "-20.0"),
    ("He owes $-20.", "-20.0"),
    ("5 - 8 = -3", "-3.0"),
    ("- 5 apples\n- 7 pears", "7.0"),
    ("Covid-19", "19.0"),
    ("So 20% of them.", "20.0"),
    ("That is 0.5 of it", "0.5"),
    ("That is .75", "0.75"),
    ("She ate 3/4.", "0.75"),
    ("She needs 1 1/2 cups.", "1.5"),
    ("It happened on 12/25/2020", None),
    ("100*2", None),
    ("100 - 15.00", None),
    ("5 * $3", None),
    (r"$20 \times 3$", None),
    ("12-5=", None),
    ("4*5 = 20 - 5 = 15", "15.0"),
    ("It is 100/2", "50.0"),
    ("The 5-year-old has 3", "3.0"),
    ("He runs 60km.", "60.0"),
    ("Rs500", "500.0"),
    ("It costs £3.50!", "3.5"),
    ("€20", "20.0"),
    ("about $2 million", "2000000.0"),
    ("16.666666666666668", "16.67"),
    ("1e+16", "1e+16"),
    ("x = 5", "5.0"),
    ("That makes 5.", "5.0"),
    ("Total: 5\n\n", "5.0"),
    ("5 * 4 = <<5*4=20>>20 apples", "20.0"),
    ("It is 0 in the end", "0.0"),
    ("-0.001", "-0.001"),
    # The answer is ...
    ("The answer is 42.", "42.0"),
    ("the answer is: **$1,234.50**", "1234.5"),
    ("The final answer is 18 eggs, since 9 + 9 = 18 and not 20.", "18.0"),
    ("The answer is 42. I hope that this answer helps you with all 3 questions!", "42.0"),
    ("Answer: 10", "10.0"),
    ("Answer: 10 because 5 + 6 is 11", "10.0"),
    ("**Answer:** 10 of 20", "10.0"),
    ("**Answer**: 10 of 20", "10.0"),
    ("### Answer\n10 (of 20)", "10.0"),
    ("ANSWER IS 7, NOT 8", "7.0"),
    ("Q: What is 3+4?\nA: 7 (not 8)", "7.0"),
    ("The answer is 20 - 5 = 15 apples.", "15.0"),
    ("The answer is 3 x 19 = 57, more than 20.", "57.0"),
    ("The answer is $5 + $6 = $11 for 2.", "11.0"),
    ("The answer is -7 and not 7.", "-7.0"),
    ("The answer is -$7 and not $8.", "-7.0"),
    ("The answer is (5), not 6", "5.0"),
    ("The answer is \\(5\\), not 6", "5.0"),
    ("The answer is `5`, not 6", "5.0"),
    ("The answer is = 5, not 6", "5.0"),
    ("The answer is 3/4 of 12.", "0.75"),
    ("The answer is 20% of 50.", "20.0"),
    ("The answer is 2.5 hours or 150 minutes.", "2.5"),
    ("The answer to the question is 9 out of 10.", "9.0"),
    ("The answer is 5. No wait, the answer is 6, not 5.", "6.0"),
    ("The answer is unknown, but 5 is likely.", "5.0"),
    ("The answer was 12 yesterday and 13 today", "12.0"),
    ("The answer is 5-year-olds, 20 of them", "20.0"),
    ("The answer is 4-5 hours on 2 days.", None),
    ("Answer: Natalia sold 48 in April and 24 in May, so 72.", "72.0"),
    ("Answer:\n\nNatalia sold 48 and 24, so 72.", "72.0"),
    ("The answer is:\n42\nsince 40 + 3 is too much", "42.0"),
    ("answers: 5 and 6", None),
    # #### and \boxed
    ("48/2=24\n48+24=72\n#### 72", "72.0"),
    ("#### 1,450", "1450.0"),
    ("#### -7", "-7.0"),
    ("#### $12.50 for 3", "12.5"),
    ("####72 clips, 2 months", "72.0"),
    ("#### 1. Add\n5 + 6 = 11\n#### 2. Done\nThat is 11", "11.0"),
    ("#### Step 1: add 5 and 6\nThe answer is 11, I am 99% sure", "11.0"),
    ("The answer is 5.\n#### 6", "6.0"),
    ("So it is \\boxed{72} clips in 2 months.", "72.0"),
    ("\\boxed{5}, no: \\boxed{6} of 7", "6.0"),
    ("$\\boxed{\\frac{3}{4}}$ of 12", "0.75"),
    ("$\\boxed{1\\frac{1}{2}}$ of 12", "1.5"),
    ("$\\boxed{\\dfrac{3}{4}}$ of 12", "0.75"),
    ("\\boxed{1{,}234} of 5", "1234.0"),
    ("\\boxed{1\\,234\\,567} of 5", "1234567.0"),
    ("\\boxed{\\$1,234.50} of 5", "1234.5"),
    ("\\boxed{20\\%} of 5", "20.0"),
    ("\\boxed{72 \\text{ clips}} of 5", "72.0"),
    ("\\boxed{x = 5} of 6", "5.0"),
    ("\\boxed{12 \\times 5 = 60} of 70", "60.0"),
    ("\\boxed{-5} of 6", "-5.0"),
    ("The answer is 4. $$\\boxed{72}$$", "72.0"),
    ("The final answer is $\\boxed{72}$. I hope it is correct 100%.", "72.0"),
    ("\\boxed{72", "72.0"),
    # in words, where they are all of the answer
    ("Twelve.", "12.0"),
    ("twenty-five", "25.0"),
    ("The answer is twelve.", "12.0"),
    ("The answer is twelve apples of 20.", "20.0"),
    ("The answer is twelve apples.", "12.0"),
    ("The answer is one hundred and five", "105.0"),
    ("The final answer is: **Forty-two**.", "42.0"),
    ("Answer: a dozen", "12.0"),
    ("Answer: two dozen eggs", "24.0"),
    ("The answer is zero", "0.0"),
    ("The answer is that one can see 5 of them", "5.0"),
    ("One can see that twelve remain", "12.0"),
    # nothing
    ("", None),
    ("I do not know.", None),
    ("The answer is unknown.", None),
    ("####", None),
    ("\\boxed{}", None),
    ("5/0 is nothing but 7", "7.0"),
    ("<<1+1=2>>", None),
    ("-", None),
    (",,,", None),
    ("9" * 500, None),
]


@pytest.mark.parametrize(("text", "prediction"), RESPONSES, ids=[repr(text[:40]) for text, _ in RESPONSES])
def test_extract(text: str, prediction: str | None) -> None:
    assert MATH.extract(text) == prediction


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ("72", "72.0"),
        ("57.0", "57.0"),
        (" 72 ", "72.0"),
        ("1,234", "1234.0"),
        ("$5", "5.0"),
        ("-$5.25", "-5.25"),
        ("$-5", "-5.0"),
        ("+5", "5.0"),
        ("3/4", "0.75"),
        ("-3/4", "-0.75"),
        ("1 1/2", "1.5"),
        ("2/3", "0.67"),
        ("20%", "20.0"),
        ("5.", "5.0"),
        (".5", "0.5"),
        ("16.666666666666668", "16.67"),
        ("-0.0", "0.0"),
        ("-0.001", "-0.001"),
        ("1e+16", "1e+16"),
        ("1e-07", "1e-07"),
        ("2 million", "2000000.0"),
        ("twelve", "12.0"),
        ("", None),
        ("abc", None),
        ("5 apples", "5.0"),
        ("9 (apples)", "9.0"),
        ("18 dollars", "18.0"),
        ("5 €", "5.0"),
        ("20 percent", "20.0"),
        ("72 m^2", "72.0"),
        ("60 km/h", "60.0"),
        (r"\frac{3}{4}", "0.75"),
        (r"$-\frac{1}{2}$", "-0.5"),
        (r"\boxed{5}", "5.0"),
        ("48/2=24\n#### 24", "24.0"),
        ("<answer>9</answer>", "9.0"),
        ("1{,}000", "1000.0"),
        ("1 000", "1000.0"),
        ("½", "0.5"),
        ("X = 12", "12.0"),
        ("eighteen dollars", "18.0"),
        ("18 dollars and 50 cents", "18.5"),
        ("4 and 6", None),
        ("9 (apples), 3 (pears)", None),
        ("12*5", None),
        ("3:2", None),
        ("5th", None),
        ("5 ft 3 in", None),
        ("She has 5", None),
        ("10**400", None),
        ("1,23", None),
        ("1/0", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("--5", None),
        ("5 6", None),
        ("٥", "5.0"),
        ("７２", "72.0"),
        ("9" * 5000, None),
    ],
)
def test_normalize(value: str, normal: str | None) -> None:
    assert MATH.normalize(value) == normal


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_gold_answers_and_solutions_of_gsm8k(row: dict[str, str]) -> None:
    gold = MATH.normalize(row["answer"])
    assert gold is not None
    assert float(gold) == float(row["answer"].replace(",", ""))
    assert MATH.extract(f"{row['solution']}\n#### {row['answer']}") == gold


@pytest.mark.parametrize(
    ("prediction", "answer", "correct", "distance"),
    [
        ("72.0", ["72"], True, 0.0),
        ("0.67", ["2/3"], True, 0.0),
        ("16.67", ["16.666666"], True, 0.0),
        ("25.0", ["57"], False, 32.0),
        ("54.0", ["57"], False, 3.0),
        ("54.0", ["57", "55", "none"], False, 1.0),
        ("-3.0", ["3"], False, 6.0),
        # to two decimals, as published; small numbers also relatively
        ("0.33", ["1/3"], True, 0.0),
        ("0.004", ["0"], False, 0.0),
        ("0.0", ["0.004"], False, 0.0),
        ("0.0027", ["0.001"], False, 0.0),
        ("0.0417", ["1/24"], True, 0.0),
        ("0.042", ["1/24"], True, 0.0),
        ("0.0", ["0"], True, 0.0),
        ("18.0", ["18 dollars"], True, 0.0),
        ("5.0", [], False, inf),
        ("5.0", ["none"], False, inf),
        ("none", ["5"], False, inf),
        (None, ["5"], False, None),
    ],
)
def test_grading(prediction: str | None, answer: list[str], correct: bool, distance: float | None) -> None:
    assert MATH.is_correct(prediction, answer) is correct
    if prediction is not None:
        assert MATH.distance(prediction, answer) == distance


@given(st.floats(-1e9, 1e9).map(lambda number: round(number, 2)))
def test_a_number_is_read_wherever_it_is_stated(number: float) -> None:
    normal = MATH.normalize(repr(number))
    assert normal == MATH.normalize(str(normal))
    for text in (
        f"{number:,}",
        f"so it is {number:.2f}.",
        f"The answer is {number:,.2f} of 7",
        f"\\boxed{{{number!r}}} 7",
    ):
        assert MATH.extract(text) == normal


@given(st.one_of(st.text(), st.text("0123456789.,/-$%# =answeri:\\boxed{}<>\n", max_size=80)))
def test_any_text_is_read_without_error(text: str) -> None:
    for prediction in (MATH.extract(text), MATH.normalize(text)):
        assert prediction is None or MATH.normalize(prediction) == prediction


UNITS = [
    "1",
    ",",
    "1,",
    "111,",
    "1/",
    "1 ",
    "1.",
    "-",
    "#",
    "#### ",
    "<<",
    "<<1",
    "\\boxed{",
    "\\frac{1",
    " ",
    "\n",
]
MARKED = [
    "the answer is ",
    "the answer is one ",
    "answer to ",
    "answer: 1 = ",
    "answer: 5/0=.",
    "A:\n",
    "twenty ",
]


@pytest.mark.parametrize("unit", [*UNITS, *MARKED])
def test_linear_on_a_megabyte(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.perf_counter()
    MATH.extract(text)
    MATH.normalize(text)
    assert time.perf_counter() - start < 4


def test_registry() -> None:
    task: Task = get_task("Math")
    assert task is MATH
    assert list(TASKS) == [task.name for task in TASKS.values()]
    assert task.tool.name == "calculator"
    with pytest.raises(ConfigError, match="unknown task 'chess'; known tasks: math"):
        get_task("chess")


@pytest.mark.parametrize(
    ("question", "call", "answer", "is_copied"),
    [
        ("He had 10 and got 5.", "calculator(15)", "15", True),
        ("He had 10 and got 5.", "calculator(15+10-10)", "15", True),
        ("He had 10 and got 5.", "calculator(15.0*1)", "15", True),
        ("He had 10 and got 5.", "calculator(-15)", "-15", True),
        ("He had 10 and got 5.", "calculator(10+5)", "15", False),
        ("He had 15 and lost none.", "calculator(15-0)", "15", False),  # the question says it
        ("He had fifteen.", "calculator(15)", "15", False),
        ("He ate all but a dozen of 2 dozen eggs.", "calculator(2*12-12)", "12", False),
        ("He pays 40% of 90.", "calculator(40/100*90)", "36", False),
        ("He had 10.", f"calculator({'9' * 400}-1)", "15", False),
        ("He had 10.", "calculator(15", "15", False),
        ("He had 10.", "15", "15", False),
    ],
)
def test_a_call_that_holds_the_answer(question: str, call: str, answer: str, is_copied: bool) -> None:
    assert MATH.leaks(question, call, [answer]) is is_copied


@pytest.mark.parametrize(
    ("question", "call", "is_copied"),
    [
        ("Who wrote Dracula?", "search(Dracula author)", False),
        ("Who wrote Dracula?", "search(bram STOKER)", True),
        ("Did Bram Stoker write it?", "search(Bram Stoker)", False),
        ("Who wrote Dracula?", "search(Stokerville)", False),
    ],
)
def test_the_words_of_an_answer_in_a_call(question: str, call: str, is_copied: bool) -> None:
    assert Task.leaks(MATH, question, call, ["Bram Stoker", "Stoker"]) is is_copied
