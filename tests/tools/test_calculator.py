"""The calculator as a tool: calls in free text, results as published, and hostile arguments."""

from __future__ import annotations

import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import (
    CallSyntaxError,
    ConfigError,
    ForbiddenError,
    LimitError,
    ToolError,
    UndefinedError,
)
from toolgen_hf.tools import TOOLS, Tool, ToolCall, find_calls, get_tool
from toolgen_hf.tools.base import MAX_CALLS
from toolgen_hf.tools.calculator import CALCULATOR


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ("3*19", "57.0"),
        ("76/4*3", "57.0"),
        ("48+48/2", "72.0"),
        ("50/3", "16.666666666666668"),
        ("0.1+0.2", "0.3"),
        ("-5", "-5.0"),
        ("0*-1", "0.0"),
        ("10**16", "1e+16"),
        # signs people use
        ("3 x 4", "12.0"),
        ("3X4", "12.0"),
        ("3×4·2", "24.0"),
        ("8÷2", "4.0"),
        ("8⁄2", "4.0"),
        ("2^10", "1024.0"),
        ("5 − 3", "2.0"),
        ("5–3", "2.0"),
        ("−5+3", "-2.0"),
        ("0x10", "0.0"),  # no hexadecimal: x multiplies
        # money, thousands
        ("$5 * 3", "15.0"),
        ("€1,450 + £50", "1500.0"),
        ("5$ - 3$", "2.0"),
        ("1,234,567 + 1", "1234568.0"),
        ("12,000.5*2", "24001.0"),
        # percent and remainder
        ("20%", "0.2"),
        ("50*20%", "10.0"),
        ("20% of 50", "10.0"),
        ("20% x 50", "10.0"),
        ("100 - 20%", "99.8"),
        ("100+20%", "100.2"),
        ("(10+10)%*50", "10.0"),
        ("17%5", "2.0"),
        ("17 % (2+3)", "2.0"),
        ("-7 % 3", "2.0"),
        ("17//5", "3.0"),
        # brackets and what is left out between them
        ("[3+4]*{2}", "14.0"),
        ("2(3+4)", "14.0"),
        ("(1+2)(3+4)", "21.0"),
        ("(1/2)20", "10.0"),
        ("6/2(1+2)", "9.0"),
        # what a model adds to it
        ("48/2=", "24.0"),
        ("48/2 = 24", "24.0"),
        ("48/2 = 25", "24.0"),
        ("2*12 = 4*6 = 24", "24.0"),
        # powers
        ("2**3**2", "512.0"),
        ("-2**2", "-4.0"),
        ("2**-1", "0.5"),
        ("4**0.5", "2.0"),
        ("1.05**10", "1.6288946267774413"),
        ("0**0", "1.0"),
        ("1e3", "1000.0"),
        ("5.", "5.0"),
        (".5", "0.5"),
        (" \n3 *\t4 ", "12.0"),
    ],
)
def test_result(argument: str, result: str) -> None:
    assert CALCULATOR.run(argument) == result


HOSTILE = [
    ("9**9**9", LimitError),
    ("10**10**10", LimitError),
    ("10**400", LimitError),
    ("1e400", LimitError),
    ("1e" + "9" * 900, LimitError),
    ("2**-99999999", LimitError),
    ("1" + "%" * 900, LimitError),
    ("0." + "0" * 900 + "1", LimitError),
    ("9" * 999, LimitError),
    ("9" * 490 + "**" + "9" * 490, LimitError),
    ("(2**0.5)**1500*(2**0.5)**1500", LimitError),
    ("(" * 10_000 + "1" + ")" * 10_000, LimitError),
    ("(" * 400 + "1" + ")" * 400, LimitError),
    ("-" * 100_000 + "1", LimitError),
    ("-" * 900 + "1", LimitError),
    ("1+" * 100_000 + "1", LimitError),
    ("1+" * 500_000 + "1", LimitError),
    (" " * 1_000_000, LimitError),
    ("__import__('os').system('x')", ForbiddenError),
    ("().__class__", ForbiddenError),
    ("(1).real", ForbiddenError),
    ("lambda: 1", ForbiddenError),
    ("foo", ForbiddenError),
    ("sqrt(16)", ForbiddenError),
    ("'a'*9", ForbiddenError),
    ('"a"', ForbiddenError),
    ("b'x'", ForbiddenError),
    ('f"{1}"', ForbiddenError),
    ("[i for i in (1,2)]", ForbiddenError),
    ("(a:=1)", ForbiddenError),
    ("1 if 1 else 2", ForbiddenError),
    ("nan", ForbiddenError),
    ("inf", ForbiddenError),
    ("1j", ForbiddenError),
    ("1_000", ForbiddenError),
    ("48/2 = exit()", ForbiddenError),
    ("1/0", UndefinedError),
    ("1%0", UndefinedError),
    ("1//0", UndefinedError),
    ("0**-1", UndefinedError),
    ("0.0**-1.5", UndefinedError),
    ("(-8)**0.5", UndefinedError),
    ("+".join(["1.1111111**99/7.77**31"] * 40) + "/0", UndefinedError),
    ("", CallSyntaxError),
    ("   ", CallSyntaxError),
    ("()", CallSyntaxError),
    ("x", CallSyntaxError),
    ("5==5", CallSyntaxError),
    ("=5", CallSyntaxError),
    ("5=+", CallSyntaxError),
    ("3+", CallSyntaxError),
    ("*3", CallSyntaxError),
    ("5 3", CallSyntaxError),
    ("1.2.3", CallSyntaxError),
    ("1,5", CallSyntaxError),
    ("0,500", CallSyntaxError),
    ("1,0000", CallSyntaxError),
    ("1,00,000", CallSyntaxError),
    ("3, 4", CallSyntaxError),
    ("(3", CallSyntaxError),
    ("3)", CallSyntaxError),
    ("(3]", CallSyntaxError),
    ("1:2", CallSyntaxError),
    ("5!", CallSyntaxError),
    ("1\x00+1", CallSyntaxError),
    ("١+١", CallSyntaxError),
    ("１+１", CallSyntaxError),
    ("\ud800", CallSyntaxError),
    ("=" * 999, CallSyntaxError),
    ("," * 999, CallSyntaxError),
]


@pytest.mark.parametrize(("argument", "error"), HOSTILE, ids=[argument[:24] for argument, _ in HOSTILE])
def test_hostile_argument(argument: str, error: type[ToolError]) -> None:
    with pytest.raises(error) as raised:
        CALCULATOR.run(argument)
    assert type(raised.value) is error
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("argument", [pytest.param(argument, id=argument[:24]) for argument, _ in HOSTILE])
def test_hostile_argument_is_cheap(argument: str) -> None:
    def run() -> float:
        start = time.perf_counter()
        with pytest.raises(ToolError):
            CALCULATOR.run(argument)
        return time.perf_counter() - start

    assert min(run() for _ in range(3)) < 0.05
    tracemalloc.start()
    try:
        run()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@given(st.one_of(st.text(), st.text("0123456789.,+-*/%^()[]{}=x$ e", max_size=60)))
def test_any_text_gives_a_float_or_a_tool_error(argument: str) -> None:
    try:
        result = CALCULATOR.run(argument)
    except ToolError:
        return
    assert repr(float(result)) == result


@pytest.mark.parametrize(
    ("text", "written", "argument"),
    [
        ("calculator(3*19)", "calculator(3*19)", "3*19"),
        (" calculator(76/4*3)", "calculator(76/4*3)", "76/4*3"),
        ("So it is Calculator (2*(3+4)), I think (maybe).", "Calculator (2*(3+4))", "2*(3+4)"),
        ("CALCULATOR(1)", "CALCULATOR(1)", "1"),
        ("calculator( 1 + 2 )", "calculator( 1 + 2 )", " 1 + 2 "),
        ("calculator(1) then calculator(2)", "calculator(1)", "1"),
        ("I use a tool:\ncalculator()", "calculator()", ""),
        (
            "Output: calculator(x+y)",
            "calculator(x+y)",
            "x+y",
        ),  # alone on its line, so meant, though it cannot be run
        ("So calculator(3 apples*6) it is", "calculator(3 apples*6)", "3 apples*6"),
        ("The `calculator(2+3)` says 5", "calculator(2+3)", "2+3"),
        ("```\ncalculator(2+3)\n```", "calculator(2+3)", "2+3"),
        ("I take a **calculator**(2+3)", "calculator**(2+3)", "2+3"),
        ("calculator（2+3）", "calculator（2+3）", "2+3"),
        ("calculator(2+3) = 5", "calculator(2+3)", "2+3"),
        ("calculator(calculator(2+3)*2)", "calculator(calculator(2+3)*2)", "(2+3)*2"),
        ("A calculator (you know, calculator(2+3))", "calculator(2+3)", "2+3"),
        ("=calculator((1)+(2))=3", "calculator((1)+(2))", "(1)+(2)"),
        ("calculator(1\n+2)", "calculator(1\n+2)", "1\n+2"),
    ],
)
def test_find_call(text: str, written: str, argument: str) -> None:
    call = CALCULATOR.find_call(text)
    assert call is not None
    assert text[call.start : call.end] == written
    assert call == ToolCall("calculator", argument, text.index(written), text.index(written) + len(written))
    assert str(call) == f"calculator({argument})"


@pytest.mark.parametrize(
    "written",
    [
        *('"40/8"', "'40/8'", "`40/8`", "“40/8”", '"""40/8"""', "r'40/8'"),
        *("expression='40/8'", 'expression="40/8"', "expression = 40/8", "Expression: '40/8'", "expr='40/8'"),
        *("formula=40/8", '{"expression": "40/8"}', "{'expression': '40/8'}", '{ "input": "40/8" }'),
    ],
)
def test_an_argument_may_be_quoted_or_named(written: str) -> None:
    text = f"So calculator({written}) it is."
    call = CALCULATOR.find_call(text)
    assert call is not None
    assert (call.argument, text[call.start : call.end]) == ("40/8", f"calculator({written})")


@pytest.mark.parametrize(
    "text",
    [
        *("", "Jean has $54.", "mycalculator(1)", "calculators(1)", "a calculator, (1)", "calculator"),
        "The calculator(s) say 5.",
        "A calculator (a tool) says 5.",
        "A calculator (see below, it is new.",  # a bracket that never closes
        "Use calculator() for it.",
        "Use calculator(expression) for it.",
        "My calculator (TI-84 Plus) says 5.",
        "My calculator (the one with 18 keys) says 5.",
        "calculator[2+3]",
        "calculator: 2+3",
    ],
)
def test_no_call(text: str) -> None:
    assert CALCULATOR.find_call(text) is None
    assert find_calls([CALCULATOR], text) == []


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("calculator(1) then calculator(2)", ["1", "2"]),
        ("calculator(1)calculator(2)\n\ncalculator('3')", ["1", "2", "3"]),
        ("The calculator(s): calculator(1+1), calculator (a tool), calculator(4).", ["1+1", "4"]),
    ],
)
def test_every_call(text: str, arguments: list[str]) -> None:
    calls = find_calls([CALCULATOR], text)
    assert [call.argument for call in calls] == arguments
    assert all(text[call.start :].startswith("calculator(") for call in calls)


def test_more_calls_than_a_response_has() -> None:
    assert len(find_calls([CALCULATOR], "calculator(1) " * MAX_CALLS)) == MAX_CALLS
    with pytest.raises(LimitError, match="more than 100 calls"):
        find_calls([CALCULATOR], "calculator(1) " * (MAX_CALLS + 1))


def test_a_tool_that_finds_its_calls_itself() -> None:
    """After the first call of a tool from outside, its `find_call` reads the rest of the text."""

    class Marked(Tool):
        name, version, description = "marked", 1, "Says what stands between two marks."
        parameter = parameter_description = "text"

        def run(self, argument: str) -> str:
            return argument

        def find_call(self, text: str) -> ToolCall | None:
            found = re.search(r"@(\w+)@", text)
            return None if found is None else ToolCall("marked", found[1], found.start(), found.end())

    assert find_calls([Marked()], "@a@ and @b@") == [
        ToolCall("marked", "a", 0, 3),
        ToolCall("marked", "b", 8, 11),
    ]


@pytest.mark.parametrize("text", ["calculator(", "calculator(3*(19)", "calculator(3 and calculator(4)"])
def test_call_that_never_closes(text: str) -> None:
    with pytest.raises(CallSyntaxError, match="never closes"):
        CALCULATOR.find_call(text)


@given(st.text(), st.text("0123456789+()", max_size=20), st.text())
def test_span_is_the_call_as_written(before: str, argument: str, after: str) -> None:
    text = f"{before} calculator({argument}){after}"
    try:
        call = CALCULATOR.find_call(text)
    except CallSyntaxError:
        return
    if call is None:  # it only mentions the tool
        return
    assert (
        text[call.start : call.end]
        .lower()
        .replace(" ", "")
        .endswith(call.argument.lower().replace(" ", "") + ")")
    )
    assert call.argument.count("(") == call.argument.count(")")


@pytest.mark.parametrize("unit", ["calculator(", "calculator", "calculator ", "calculator()calculator(", "("])
def test_find_call_is_linear(unit: str) -> None:
    text = "calculator(" + unit * (1_000_000 // len(unit))
    start = time.perf_counter()
    with pytest.raises(CallSyntaxError):
        CALCULATOR.find_call(text)
    assert time.perf_counter() - start < 2


def test_registry() -> None:
    tool: Tool = get_tool("calculator")
    assert tool is CALCULATOR
    assert list(TOOLS) == [tool.name for tool in TOOLS.values()]
    with pytest.raises(ConfigError, match="unknown tool 'abacus'; known tools: calculator"):
        get_tool("abacus")
