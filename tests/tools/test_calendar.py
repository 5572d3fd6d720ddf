"""The calendar of docs/examples/dates: a tool from outside, checked as those that ship are."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.errors import CallSyntaxError, ForbiddenError, LimitError, ToolError
from toolgen_hf.tools import get_tool

ROOT = Path(__file__).parent.parent.parent
CALENDAR = get_tool(f"{ROOT / 'docs/examples/dates/calendar_tool.py'}:CALENDAR")


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ("days_between(2024-01-31, 2024-03-01)", "30"),
        ("days_between(2024-03-01,2024-01-31)", "-30"),
        (" add_days( 2024-01-31 , 45 ) ", "2024-03-16"),
        ("add_days(2024-03-01, -1)", "2024-02-29"),
        ("weekday(add_days(2024-01-31, 45))", "Saturday"),
        ("add_days(2000-01-01, days_between(2024-01-31, 2024-03-01))", "2000-01-31"),
        ("2024-03-16", "2024-03-16"),
    ],
)
def test_dates_are_computed(argument: str, result: str) -> None:
    assert CALENDAR.run(argument) == result


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("", CallSyntaxError, "missing at the end"),
        ("weekday()", CallSyntaxError, r"missing before '\)'"),
        ("weekday(2024-01-31", CallSyntaxError, r"'\)' is missing in weekday"),
        ("weekday(2024-01-31) + 1", CallSyntaxError, "out of place"),
        ("weekday(3)", CallSyntaxError, "weekday takes date"),
        ("days_between(2024-01-31, 3)", CallSyntaxError, "days_between takes date, date"),
        ("add_days(2024-01-31, 3, 4)", CallSyntaxError, "is missing in add_days"),
        ("__import__(os)", ForbiddenError, "__import__"),
        ("today()", ForbiddenError, "add_days, days_between, weekday"),
        ("weekday(2023-02-29)", LimitError, "'2023-02-29' is no date"),
        ("add_days(9999-12-31, 1)", LimitError, "years 1 to 9999"),
        ("add_days(2024-01-31, 99999999)", CallSyntaxError, "out of place"),
        ("weekday(" * 20, LimitError, "nested deeper"),
        ("1" * 201, LimitError, "201 characters"),
    ],
)
def test_what_cannot_be_computed_says_why(argument: str, error: type[ToolError], message: str) -> None:
    with pytest.raises(error, match=message):
        CALENDAR.run(argument)


@given(st.dates(), st.integers(-(10**6), 10**6))
def test_it_computes_as_datetime_does(start: date, days: int) -> None:
    try:
        end = start + timedelta(days=days)
    except OverflowError:
        with pytest.raises(LimitError):
            CALENDAR.run(f"add_days({start}, {days})")
        return
    assert CALENDAR.run(f"add_days({start}, {days})") == end.isoformat()
    assert CALENDAR.run(f"days_between({start}, {end})") == str(days)
    assert CALENDAR.run(f"weekday({end})") == f"{end:%A}"


@given(st.text(alphabet="adweky_s(),-0123456789 \n'٣", max_size=250))
def test_whatever_a_model_writes_gives_a_result_or_a_tool_error(argument: str) -> None:
    with suppress(ToolError):
        assert CALENDAR.run(argument)
