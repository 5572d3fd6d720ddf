"""A typed function as a tool, and the arguments that a model may write for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolgen_hf.errors import CallSyntaxError, ConfigError, LimitError, ToolError, UndefinedError
from toolgen_hf.tools import check_tool, find_calls, tool
from toolgen_hf.tools.arguments import MAX_DEPTH, MAX_LENGTH, parse, render


@tool
def forecast(city: str, days: int = 1, exact: bool = False) -> dict[str, Any]:
    """The weather of the next days.

    Args:
        city: The town.
        days: How many days.
        exact: Whether the numbers are not rounded.
    """
    if days > 7:
        raise ValueError("at most 7 days")
    return {"city": city, "days": days, "exact": exact}


SCHEMA = forecast.parameters


def test_its_schema_is_of_its_types_and_its_docstring() -> None:
    assert forecast.schema() == {
        "type": "function",
        "function": {
            "name": "forecast",
            "description": "The weather of the next days.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The town."},
                    "days": {"type": "integer", "description": "How many days."},
                    "exact": {"type": "boolean", "description": "Whether the numbers are not rounded."},
                },
                "required": ["city"],
            },
        },
    }
    assert check_tool(forecast, "tool") is forecast


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('city="Paris", days=3', {"city": "Paris", "days": 3}),
        ("'Paris', 3", {"city": "Paris", "days": 3}),
        ('"Paris", exact=true', {"city": "Paris", "exact": True}),
        ('{"city": "Paris", "days": 3}', {"city": "Paris", "days": 3}),
        ("Paris", {"city": "Paris"}),
        ("Aix-en-Provence (Bouches)", {"city": "Aix-en-Provence (Bouches)"}),
        ('city="Paris", days="3"', {"city": "Paris", "days": 3}),
        ('city="Paris", days=3.0', {"city": "Paris", "days": 3}),
        ("city=75001", {"city": "75001"}),
        ('city="a, b) \\" c"', {"city": 'a, b) " c'}),
        ('city="Paris",\n  days=-2', {"city": "Paris", "days": -2}),
    ],
)
def test_arguments(text: str, arguments: dict[str, Any]) -> None:
    assert parse(text, SCHEMA) == arguments


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", CallSyntaxError, "'city' is missing; there is 'city', 'days', 'exact'"),
        ("town='x'", CallSyntaxError, "no argument 'town'"),
        ("city='x', days='many'", CallSyntaxError, "days='many': give integer"),
        ("city='x', days=1.5", CallSyntaxError, r"days=1\.5: give integer"),
        ("city='x', days=True", CallSyntaxError, "days=True: give integer"),
        ("city=[1]", CallSyntaxError, r"city=\[1\]: give string"),
        ("'a', 1, True, 4", LookupError, ""),
        ("city=__import__('os')", CallSyntaxError, "cannot be read"),
        ("city=open('/etc/passwd').read()", CallSyntaxError, "cannot be read"),
        ("**{'city': 'x'}", LookupError, ""),
        ("city='x', city='y'", CallSyntaxError, "cannot be read"),
        ("city=" + "(" * 30 + ")" * 30, LimitError, f"more than {MAX_DEPTH} brackets"),
        ("city='" + "x" * MAX_LENGTH + "'", LimitError, "characters"),
    ],
)
def test_arguments_that_do_not_fit(text: str, error: type[Exception], message: str) -> None:
    if error is LookupError:  # it is the town's name then, and a strange one
        assert parse(text, SCHEMA) == {"city": text}
        return
    with pytest.raises(error, match=message):
        parse(text, SCHEMA)


@given(st.text(max_size=300))
@settings(deadline=None)
def test_any_text_gives_arguments_or_an_error_of_the_call(text: str) -> None:
    with suppress(ToolError):
        assert set(parse(text, SCHEMA)) <= {"city", "days", "exact"}


@given(
    st.fixed_dictionaries(
        {"city": st.text(max_size=40)}, optional={"days": st.integers(-9, 9), "exact": st.booleans()}
    )
)
@settings(deadline=None)
def test_arguments_are_read_as_they_are_written(arguments: dict[str, Any]) -> None:
    assert parse(render(arguments), SCHEMA) == arguments
    assert forecast.arguments(forecast.written(arguments)) == arguments
    [call] = find_calls([forecast], f"I call forecast({render(arguments)}).")
    assert forecast.arguments(call.argument) == arguments


def test_run() -> None:
    assert forecast.run('"Oslo", 2') == '{"city": "Oslo", "days": 2, "exact": false}'
    with pytest.raises(UndefinedError, match="ValueError: at most 7 days"):
        forecast.run('"Oslo", 8')


def test_an_error_that_no_argument_caused_ends_the_run() -> None:
    @tool
    def service(key: str) -> str:
        """Ask a service.

        Args:
            key: Which.
        """
        raise ConnectionError("it is down")

    with pytest.raises(ConnectionError):
        service.run("a")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("forecast(Oslo)", 1),
        ('Then forecast("Oslo") helps.', 1),
        ("The forecast (it is from today) says rain.", 0),
        ("See the forecast(s).", 0),
    ],
)
def test_calls_in_a_text(text: str, count: int) -> None:
    assert len(find_calls([forecast], text)) == count


def test_a_function_that_cannot_be_a_tool() -> None:
    def untyped(city):  # type: ignore[no-untyped-def]
        """Finds.

        Args:
            city: The town.
        """

    def undocumented(city: str) -> str:
        return city

    for function in (untyped, undocumented):
        with pytest.raises(ConfigError, match="give every argument a type, and a docstring"):
            tool(function)
