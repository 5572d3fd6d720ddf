"""What a tool is: a name, a way to find its call in free text, and a safe way to run it.

    "So she needs calculator(48+48/2) clips."   find_call -> ToolCall("calculator", "48+48/2", 13, 32)
    "48+48/2"                                   run       -> "72.0"

A tool is a class with five texts, a version and ``run``; ``docs/extending.md`` writes one step by step.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

from toolgen_hf.errors import CallSyntaxError, LimitError
from toolgen_hf.tools.expression import shorten

MAX_CALLS: Final = 100
"""Of one response: a model that repeats itself writes any number."""

_BRACKET = re.compile(r"[()（）]")
_BEFORE = re.compile(r"\n[ \t`*_>#\"'.-]*(?:\w{1,20}(?: \w{1,20})?:)?[ \t`*_\"']*\Z")
_AFTER = re.compile(r"[ \t`*_.;\"']{0,20}(?:\n|\Z)")
_OBJECT = re.compile(r"""\s*\{\s*["'](?P<name>\w+)["']\s*:\s*(?P<value>.*?)\s*\}\s*""", re.DOTALL)
_KEYWORD = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*[=:]\s*(?P<value>.*?)\s*", re.DOTALL)
_QUOTED = re.compile(
    r"""\s*[rbfu]?(?P<quote>\"\"\"|["'`“‘])(?P<inner>(?:(?!(?P=quote)).)*)(?:(?P=quote)|[”’])\s*""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call found in a text, at ``text[start:end]``; ``argument`` is without quotes or a name around it."""

    tool: str
    argument: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.tool}({self.argument})"


class Tool(Protocol):
    """A tool that a response may call, written ``name(argument)``. Stateless: equal arguments give equal results.

    To be subclassed; what is not abstract may stay as it is.
    """

    name: str
    """A word: what stands before the call's brackets."""
    version: int
    """Goes up when results may change: what was made with another version is made anew."""
    description: str
    """What it does, in one sentence, for a model that is told of its tools."""
    parameter: str
    """What the schema calls the one thing that stands between a call's brackets."""
    parameter_description: str
    """What that is, with an example."""

    @abstractmethod
    def run(self, argument: str) -> str:
        """The result of the call as text.

        ``argument`` was written by a model: it is data, of any length. Nothing of it may be evaluated as code, and the
        work that it can cause must be bounded.

        Raises:
            ToolError: the call cannot be run (`CallSyntaxError`, `ForbiddenError`, `LimitError`, `UndefinedError`);
                nothing of it was.
        """
        ...

    def find_call(self, text: str) -> ToolCall | None:
        """The first call in ``text``, ``name(argument)`` in any case; None if there is none.

        The argument may be quoted or named: ``name("argument")``, ``name(parameter="argument")``,
        ``name({"parameter": "argument"})``. ``text[start:end]`` is the call as it was written. Linear in ``text``.

        Raises:
            CallSyntaxError: the first call never closes.
        """
        return next(self._calls(text), None)

    def is_argument(self, argument: str) -> bool:
        """Whether what stands in brackets after the tool's name, within a sentence, is meant as an argument.

        If not, the sentence only mentions the tool: "the calculator(s)". It is not asked where the call stands alone on
        its line.
        """
        return argument not in ("s", "es")

    def bare(self, argument: str) -> str:
        """The argument without the quotes or the name that it was written with."""
        named = _OBJECT.fullmatch(argument) or _KEYWORD.fullmatch(argument)
        value = argument
        if named and (named["name"].lower() == self.parameter.lower() or _QUOTED.fullmatch(named["value"])):
            value = named["value"]
        quoted = _QUOTED.fullmatch(value)
        return quoted["inner"] if quoted else value

    def _calls(self, text: str) -> Iterator[ToolCall]:
        closing: dict[int, int] | None = None
        end = 0
        for opening in _opening(self.name).finditer(text):
            if opening.start() < end:  # within the argument of the call before
                continue
            closing = _pairs(text) if closing is None else closing
            close = closing.get(opening.end() - 1)
            written = text[opening.end() : close] if close is not None else _first_line(text, opening.end())
            argument = self.bare(written)
            after = len(text) if close is None else close + 1
            if not _stands_alone(text, opening.start(), after) and not self.is_argument(argument):
                continue
            if close is None:
                shown = shorten(text[opening.start() : opening.end() + 80])
                raise CallSyntaxError(f"the call never closes: {shown}")
            end = close + 1
            yield ToolCall(self.name, argument, opening.start(), end)

    def schema(self) -> dict[str, Any]:
        """The tool as chat templates and APIs are told of it: the JSON schema of a function of one text."""
        argument = {"type": "string", "description": self.parameter_description}
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {
                    "type": "object",
                    "properties": {self.parameter: argument},
                    "required": [self.parameter],
                },
            },
        }


def find_calls(tool: Tool, text: str) -> list[ToolCall]:
    """Every call in ``text``, in order. A tool's own ``find_call`` decides what a call is.

    Raises:
        CallSyntaxError: a call never closes.
        LimitError: there are more than ``MAX_CALLS``.
    """
    calls: list[ToolCall] = []
    for call in tool._calls(text) if type(tool).find_call is Tool.find_call else _one_by_one(tool, text):
        if len(calls) == MAX_CALLS:
            raise LimitError(f"more than {MAX_CALLS} calls in one response")
        calls.append(call)
    return calls


def _one_by_one(tool: Tool, text: str) -> Iterator[ToolCall]:
    """Each first call of what is left; what was seen stays, so that places are those in the whole text."""
    while (call := tool.find_call(text)) is not None and call.end > call.start:
        yield call
        text = "." * call.end + text[call.end :]


@cache
def _opening(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}[`*_]{{0,3}}[ \t]*[(（]", re.IGNORECASE)


def _pairs(text: str) -> dict[int, int]:
    """Where each bracket that closes does so."""
    closing: dict[int, int] = {}
    open_brackets: list[int] = []
    for bracket in _BRACKET.finditer(text):
        if bracket.group() in "(（":
            open_brackets.append(bracket.start())
        elif open_brackets:
            closing[open_brackets.pop()] = bracket.start()
    return closing


def _first_line(text: str, start: int) -> str:
    return text[start : start + 200].partition("\n")[0]


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether there is nothing but markup and a label ("Output:") beside the call on its line."""
    before = "\n" * (start < 80) + text[max(0, start - 80) : start]
    return bool(_BEFORE.search(before) and _AFTER.match(text, end))
