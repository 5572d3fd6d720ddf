"""Arithmetic text: its value, that printing and reading agree, and that brackets are few."""

from __future__ import annotations

import contextlib
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import CallSyntaxError, LimitError, ToolError, UndefinedError
from toolgen_hf.tools.expression import Expression, evaluate, operations, parse, render

NUMBERS = st.decimals(min_value=0, max_value=9999, places=2, allow_nan=False).map(Fraction)


def grow(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    binary = st.tuples(children, children, st.sampled_from(["+", "-", "*", "/", "//", "%"]))
    power = st.tuples(children, st.integers(-3, 3))
    return st.one_of(
        binary.map(lambda parts: (*parts[0], *parts[1], parts[2])),
        power.map(lambda parts: (*parts[0], Fraction(abs(parts[1])), *["neg"] * (parts[1] < 0), "**")),
        st.tuples(children, st.sampled_from(["neg", "percent"])).map(lambda parts: (*parts[0], parts[1])),
    )


EXPRESSIONS = st.recursive(NUMBERS.map(lambda number: (number,)), grow, max_leaves=8)


def outcome(expression: Expression) -> object:
    """Its value, or the kind of error: both must survive printing."""
    try:
        return evaluate(expression)
    except ToolError as error:
        return type(error)


def by_hand(expression: Expression) -> Fraction:
    """What the definition says, by recursion on Fractions."""
    items = list(expression)

    def value() -> Fraction:
        item = items.pop()
        if isinstance(item, Fraction):
            return item
        right = value()
        if item in ("neg", "percent"):
            return -right if item == "neg" else right / 100
        left = value()
        match item:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case "//":
                return Fraction(left // right)
            case "%":
                return left % right
        return left ** int(right)

    return value()


@given(EXPRESSIONS)
def test_value_is_that_of_fractions(expression: Expression) -> None:
    try:
        expected: object = by_hand(expression)
    except ZeroDivisionError:
        expected = UndefinedError
    assert outcome(expression) == expected


@given(EXPRESSIONS)
def test_printing_keeps_the_value(expression: Expression) -> None:
    assert outcome(parse(render(expression))) == outcome(expression)


@given(EXPRESSIONS)
def test_what_is_printed_reads_and_prints_the_same(expression: Expression) -> None:
    text = render(expression)
    assert render(parse(text)) == text


@given(EXPRESSIONS)
def test_no_pair_of_brackets_is_idle(expression: Expression) -> None:
    """Without it the text means something else; only a negative right side may keep a pair."""
    text = render(expression)
    for start in (match.start() for match in re.finditer(r"\((?!-)", text)):
        depth = 0
        for end in range(start, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                break
        bare = text[:start] + text[start + 1 : end] + text[end + 1 :]
        with contextlib.suppress(CallSyntaxError):
            assert render(parse(bare)) != text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("(12/60)*50", "12/60*50"),
        ("48 + (48/2)", "48+48/2"),
        ("(48/2)+48", "48/2+48"),
        ("2*(3+4)", "2*(3+4)"),
        ("5-(3-1)", "5-(3-1)"),
        ("5-(3*1)", "5-3*1"),
        ("5+(3-1)", "5+3-1"),
        ("8/(4/2)", "8/(4/2)"),
        ("8/(4*2)", "8/(4*2)"),
        ("8*(4/2)", "8*4/2"),
        ("8*(7//2)", "8*(7//2)"),
        ("(7//2)*8", "7//2*8"),
        ("(2**3)**2", "(2**3)**2"),
        ("2**(3**2)", "2**3**2"),
        ("(-2)**2", "(-2)**2"),
        ("-(2**2)", "-2**2"),
        ("-(2+3)", "-(2+3)"),
        ("-(2*3)", "-2*3"),
        ("5-(-3)", "5-(-3)"),
        ("50*(20%)", "50*20%"),
        ("(10+10)%*50", "(10+10)%*50"),
        ("1,450.50 - .5", "1450.5-0.5"),
        ("48.0", "48"),
        ("1e3+1e-3", "1000+0.001"),
    ],
)
def test_fewest_brackets_and_clean_numbers(text: str, printed: str) -> None:
    assert render(parse(text)) == printed


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("48+48/2", (Fraction(48), Fraction(48), Fraction(2), "/", "+")),
        ("-20%", (Fraction(20), "percent", "neg")),
        ("2(3)", (Fraction(2), Fraction(3), "*")),
        ("+5", (Fraction(5),)),
    ],
)
def test_postfix(text: str, expression: Expression) -> None:
    assert parse(text) == expression


def test_operations_leave_signs_aside() -> None:
    assert [operations(parse(text)) for text in ("72", "-72", "72%", "48+24", "48+48/2")] == [0, 0, 0, 1, 2]


def test_exact_as_long_as_it_is_cheap() -> None:
    assert evaluate(parse("0.1+0.2")) == Fraction(3, 10)
    assert evaluate(parse("1/3*3")) == 1
    assert evaluate(parse("2**0.5")) == 2**0.5
    assert isinstance(evaluate(parse("1.0041666**360")), float)


def test_a_step_on_the_way_may_be_larger_than_any_float() -> None:
    assert evaluate(parse("1e400/1e399")) == 10


def test_messages_stay_short() -> None:
    with pytest.raises(LimitError) as error:
        parse("1+" * 10**6)
    assert str(error.value) == "expression of 2000000 characters; at most 1000 are computed"
    with pytest.raises(CallSyntaxError) as syntax:
        parse("1" + "+1" * 400 + "+")
    assert len(str(syntax.value)) < 200
