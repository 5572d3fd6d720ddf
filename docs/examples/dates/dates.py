"""A task: questions about dates. The answer is a date, a number of days or a weekday.

question    "A parcel was sent on 31 January 2024 and took 45 days. On which day of the week did it arrive?"
response    "It arrived on 16 March 2024, which is a Saturday. The answer is Saturday."
prediction  "saturday"      answer ["Saturday"]      correct
solution    "2024-01-31 + 45 days = 2024-03-16. 2024-03-16 is a Saturday."
annotate    "calendar(weekday(add_days(2024-01-31, 45)))"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from math import inf
from typing import Final

from toolgen_hf.tasks import Annotation, Task
from toolgen_hf.tools import get_tool

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_MONTH = rf"(?:{'|'.join(MONTHS)})"
_ANSWER = re.compile(
    rf"""(?P<iso>\b[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\b)
    |\b(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month>{_MONTH}),?\s(?P<year>[0-9]{{4}})\b
    |\b(?P<month2>{_MONTH})\s(?P<day2>[0-9]{{1,2}})(?:st|nd|rd|th)?,?\s(?P<year2>[0-9]{{4}})\b
    |\b(?P<weekday>{"|".join(WEEKDAYS)})\b
    |(?<![\w.,-])(?P<number>-?[0-9]{{1,7}})(?![\w,]|\.[0-9])""",
    re.VERBOSE | re.IGNORECASE,
)
_MARKER = re.compile(r"\banswer(?:\sis)?\b:?", re.IGNORECASE)

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_STEP = re.compile(  # one step of a worked solution
    rf"""(?P<first>{_DATE})\s
    (?:(?P<sign>[+-])\s(?P<days>[0-9]+)\sdays?\s=\s(?P<end>{_DATE})
      |-\s(?P<start>{_DATE})\s=\s[0-9]+\sdays?
      |is\sa\s\w+day)""",
    re.VERBOSE,
)

PROMPTS: Final = {
    "answer": {"system": "Answer the question. End with one line: The answer is <date, number or weekday>."},
    "respond": {
        "system": "Answer the question about dates. You can use a calendar for help.",
        "examples": [
            {
                "question": "On which day of the week was the day 100 days after 4 July 2001?",
                "output": "calendar(weekday(add_days(2001-07-04, 100)))",
            },
            {
                "question": "A loan of 30 days starts on 10 January 2023. On which date does it end?",
                "output": "calendar(add_days(2023-01-10, 30))",
            },
            {
                "question": "How many days is it from 5 March 2021 to 1 June 2021?",
                "output": "calendar(days_between(2021-03-05, 2021-06-01))",
            },
        ],
    },
    "tool_api": {
        "system": "I give you a question about dates and its golden answer. Write the call of the calendar that "
        "leads to it: add_days(date, n), days_between(date, date) or weekday(date). Here are some examples:",
        "examples": [
            {
                "question": "Ann was born on 4 July 2001. On which day of the week was that?",
                "answer": ["Wednesday"],
                "output": "calendar(weekday(2001-07-04))",
            },
        ],
    },
}


class Dates(Task):
    """Answers in normal form are ``"2024-03-16"``, ``"30"`` and ``"saturday"``."""

    name = "dates"
    version = 1
    tool = get_tool("calendar_tool.py:CALENDAR", beside=__file__)
    instruction = "Answer the question about dates. You can use a calendar for help."
    query_instruction = "Please solve the question about dates. You can use a calendar for help."
    prompts = PROMPTS

    def extract(self, text: str) -> str | None:
        """The stated answer, or else the last date, number or weekday in the text."""
        last = max(_ANSWER.finditer(text), key=lambda match: match.end(), default=None)
        return self.stated_answer(text) or _normal(last)

    def stated_answer(self, text: str) -> str | None:
        """The answer after the last "answer is"."""
        markers = list(_MARKER.finditer(text))
        return _normal(_ANSWER.search(text, markers[-1].end()) if markers else None)

    def normalize(self, value: str) -> str | None:
        """``"16 March 2024"`` as ``"2024-03-16"``, ``"30 days"`` as ``"30"``, ``"Saturday"`` as ``"saturday"``."""
        return _normal(
            _ANSWER.fullmatch(re.sub(r"\s*days?\.?$", "", value.strip()) if value[:1].isdigit() else value)
        )

    def distance(self, prediction: str, answer: Sequence[str]) -> float:
        """The days between two dates, numbers or weekdays; ``inf`` if they are of different kinds."""
        place = _place(self.normalize(prediction))
        places = [_place(self.normalize(value)) for value in answer]
        return min((abs(at - place[1]) for kind, at in places if kind == place[0] != ""), default=inf)

    def annotate(self, question: str, solution: str, answer: Sequence[str]) -> Annotation:
        """The steps of a solution as one call. A step that needs the date of an earlier step contains its call."""
        known: dict[str, str] = {}
        call = ""
        for step in _STEP.finditer(solution):
            first = known.get(step["first"], step["first"])
            if step["days"]:
                call = known[step["end"]] = f"add_days({first}, {step['sign'].strip('+')}{step['days']})"
            elif step["start"]:
                call = f"days_between({known.get(step['start'], step['start'])}, {first})"
            else:
                call = f"weekday({first})"
        return Annotation(f"calendar({call})") if call else Annotation(reason="no step with a date")


def _normal(match: re.Match[str] | None) -> str | None:
    if match is None:
        return None
    if match["weekday"]:
        return match["weekday"].lower()
    if match["number"]:
        return str(int(match["number"]))
    try:
        if match["iso"]:
            return date.fromisoformat(match["iso"]).isoformat()
        month = MONTHS.index((match["month"] or match["month2"]).lower()) + 1
        return date(
            int(match["year"] or match["year2"]), month, int(match["day"] or match["day2"])
        ).isoformat()
    except ValueError:  # 31 February
        return None


def _place(form: str | None) -> tuple[str, int]:
    """The kind of an answer and its position in days; the kind is empty if there is no answer."""
    if form is None:
        return "", 0
    if form in WEEKDAYS:
        return "weekday", WEEKDAYS.index(form)
    return ("date", date.fromisoformat(form).toordinal()) if form.count("-") == 2 else ("days", int(form))
