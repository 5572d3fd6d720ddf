"""Arguments as a model writes them, by a JSON schema. (test_function.py has those of a plain function.)"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import CallSyntaxError, ConfigError, LimitError, ToolError
from toolgen_hf.tools import find_calls
from toolgen_hf.tools.arguments import MAX_LENGTH, SchemaTool, check, parse, render
from toolgen_hf.tools.mcp import McpTool

SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What to look for."},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "tags": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object"},
        "order": {"enum": ["new", "old"]},
        "ratio": {"type": ["number", "null"]},
        "from": {"type": "string"},
        "any": True,
    },
    "required": ["query"],
}
TOOL: SchemaTool = McpTool("find", "Finds pages.", SCHEMA)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('"a", 3', {"query": "a", "limit": 3}),
        ('"a", null', {"query": "a", "limit": None}),
        ('"a", None, ["b", "c"]', {"query": "a", "limit": None, "tags": ["b", "c"]}),
        ('query="a", tags=("b", "c")', {"query": "a", "tags": ["b", "c"]}),
        ('query="a", limit="3"', {"query": "a", "limit": 3}),
        (
            'query="a", where={"year": {"after": -1.5, "sure": true}}',
            {"query": "a", "where": {"year": {"after": -1.5, "sure": True}}},
        ),
        ("query='a', tags='[\"b\"]'", {"query": "a", "tags": ["b"]}),
        ('query="a", order="new"', {"query": "a", "order": "new"}),
        ('{"query": "a", "from": "b", "any": [1]}', {"query": "a", "from": "b", "any": [1]}),
        ('query="\\ud83d\\ude00"', {"query": "😀"}),
        ('query="\\ud800"', {"query": "\ufffd"}),
        ("{'query': 'a', 'limit': None}", {"query": "a", "limit": None}),
        ("who wrote it?", {"query": "who wrote it?"}),
        (" 'a' ,\n ratio = 1 ", {"query": "a", "ratio": 1}),
    ],
)
def test_parse(text: str, arguments: dict[str, Any]) -> None:
    assert parse(text, SCHEMA) == arguments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limit=3", "the argument 'query' is missing; there is 'query', 'limit'"),
        ('query="a", size=3', "there is no argument 'size'; there is 'query'"),
        ('query="a", limit="many"', "limit='many': give integer or null"),
        ('query="a", limit=true', "limit=True: give integer or null"),
        ('query="a", tags="b"', "tags='b': give array"),
        ('query="a", order="best"', r"order='best': give one of \['new', 'old'\]"),
        ('query="a", query="b"', "query is given twice"),
        ('query="a', r"cannot be read \(unterminated string literal .*write name=value, text in quotes"),
        ('query="a", limit=1+1', "only text in quotes, numbers, lists, true, false and null can be given"),
        ('query=f"{1}"', "only text in quotes"),
        ("query=b'a'", "only text in quotes"),
        ("query=(x for x in y)", "only text in quotes"),
        ('query="a", where={**{}}', "only text in quotes"),
        ('{"query": NaN}', "cannot be read"),
        ('query="a", ratio=nan', "only text in quotes"),
    ],
)
def test_arguments_that_do_not_fit(text: str, message: str) -> None:
    with pytest.raises(CallSyntaxError, match=message):
        parse(text, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        'query="a", ratio=1e999',
        '{"query": "a", "ratio": 1e999}',
        'query="a", limit=0x' + "f" * 3900,
        'query="a", where={"a": [9' + "9" * 40 + "]}",
        "query=" + "[" * 30 + "]" * 30,
        "query='" + "x" * MAX_LENGTH + "'",
    ],
)
def test_limits(text: str) -> None:
    with pytest.raises(LimitError):
        parse(text, SCHEMA)


@pytest.mark.parametrize(
    "unit", ["-", "not ", "a.", "1+", "a=", "lambda:", "1if 1else ", "'", "\\", "\0", "a(", "*"]
)
def test_odd_text_is_an_error_of_the_call(unit: str) -> None:
    with suppress(ToolError):
        assert set(parse(unit * (MAX_LENGTH // len(unit) - 4) + "1", SCHEMA)) == {"query"}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"query": st.text(max_size=30)},
        optional={
            "limit": st.none() | st.integers(-9, 9),
            "tags": st.lists(st.text(max_size=9), max_size=3),
            "where": st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
            "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "from": st.text(max_size=9),
            "any": VALUES,
        },
    )
)
def test_what_is_written_is_read_back(arguments: dict[str, Any]) -> None:
    assert parse(render(arguments), SCHEMA) == arguments
    assert TOOL.arguments(TOOL.written(arguments)) == arguments
    [call] = find_calls([TOOL], f"I see (1). find({render(arguments)}) And: (2)")
    assert TOOL.arguments(call.argument) == arguments


def test_arguments_without_any() -> None:
    assert parse("", {"type": "object"}) == {}
    assert check({}, {}) == {}
    assert render({}) == ""
    with pytest.raises(CallSyntaxError, match="there is no argument 'a'; there is none"):
        parse("a=1", {})


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("find(query=':)', limit=3)", ["query=':)', limit=3"]),
        ('find("(a", tags=["b)", ")"]) find("c")', ['"(a", tags=["b)", ")"]', '"c"']),
        ('find({"query": "a)"}).', ['{"query": "a)"}']),
        ("find(Land's End) is not find(John o' Groats)", ["Land's End", "John o' Groats"]),
        ("find(a (b) c)", ["a (b) c"]),
        ('find(query="a \\" )")', ['query="a \\" )"']),
        ("The find(s) are old.", []),
    ],
)
def test_calls_in_a_text(text: str, arguments: list[str]) -> None:
    assert [call.argument for call in find_calls([TOOL], text)] == arguments


@pytest.mark.parametrize(
    "unit", ["find('", "find(',", "find(',\"", "find(a,", "'find(',", "',find(',", '"\',find(",']
)
def test_calls_are_found_in_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.perf_counter()
    with suppress(ToolError):
        find_calls([TOOL], text)
    assert time.perf_counter() - start < 2


def test_a_tool_of_a_server_does_not_run_here() -> None:
    assert TOOL.parameter == "query"
    assert TOOL.parameter_description == "What to look for."
    assert TOOL.schema()["function"]["parameters"] == SCHEMA
    with pytest.raises(ConfigError, match="name the server in the recipe's key tools"):
        TOOL.run("a")
