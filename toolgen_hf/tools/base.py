"""A tool: a name, a way to find its call in free text, and a safe way to run it.

    "So she needs calculator(48+48/2) clips."   find_call -> ToolCall("calculator", "48+48/2", 13, 32)
    "48+48/2"                                   run       -> "72.0"

A tool is a class with four texts, a version and ``run``. ``docs/extending.md`` writes one step by step.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

from toolgen_hf.errors import CallSyntaxError, ConfigError, LimitError, ToolError
from toolgen_hf.tools.expression import shorten

MAX_CALLS: Final = 100
"""The most calls in one response. A model that repeats itself may write any number."""

_BRACKET = re.compile(r"[()（）]")
_LINE = 1000
"""Characters in which the end of a call is looked for whose brackets do not match."""
_CLOSING = re.compile("[)）]")
_LONGEST = 10_000
"""Characters in which the end of a call with texts in quotes is looked for."""
_STRING = re.compile(
    r'"(?:\\.|[^"\\]){0,5000}"|\'(?:\\.|[^\'\\]){0,5000}\'|`[^`]{0,5000}`|“[^”]{0,5000}”', re.DOTALL
)
_BEFORE = re.compile(r"\n[ \t`*_>#\"'.-]*(?:\w{1,20}(?: \w{1,20})?:)?[ \t`*_\"']*\Z")
_AFTER = re.compile(r"[ \t`*_.;\"']{0,20}(?:\n|\Z)")
_NAMED = re.compile(
    r"""\s*\{\s*["'](?P<key>\w+)["']\s*:\s*(?P<entry>.*?)\s*\}\s*|\s*(?P<name>[^\W\d]\w*)\s*[=:]\s*(?P<value>.*?)\s*""",
    re.DOTALL,
)
_QUOTED = re.compile(
    r"""\s*[rbfu]?(?P<quote>\"\"\"|["'`“‘])(?P<inner>(?:(?!(?P=quote)).)*)(?:(?P=quote)|[”’])\s*""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call at ``text[start:end]``. ``argument`` is without quotes and without a name."""

    tool: str
    argument: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.tool}({self.argument})"


class Tool(Protocol):
    """A tool that a response may call, written ``name(argument)``. Stateless: equal arguments give equal results.

    Subclass it. Methods that are not abstract may stay as they are.
    """

    name: str
    """The word before the brackets of a call."""
    version: int
    """Raise it when results may change. Rows of another version are then made again."""
    description: str
    """One sentence that describes the tool to a model."""
    parameter: str
    """The name of the argument in the JSON schema."""
    parameter_description: str
    """What the argument is, with an example."""
    takes_text: bool = False
    """Whether the argument is free text, whose brackets need not match."""

    @abstractmethod
    def run(self, argument: str) -> str:
        """The result of the call as text.

        A model wrote ``argument``: it is data of any length. Never run it as code, and limit the work it can cause.

        Raises:
            ToolError: the call cannot be run (`CallSyntaxError`, `ForbiddenError`, `LimitError`, `UndefinedError`).
        """
        ...

    def find_call(self, text: str) -> ToolCall | None:
        """The first call in ``text``, ``name(argument)`` in any case; None if there is none.

        The argument may be quoted or named: ``name("argument")``, ``name(parameter="argument")``,
        ``name({"parameter": "argument"})``. ``text[start:end]`` is the call as it was written. The time is linear.

        Raises:
            CallSyntaxError: the first call never closes.
        """
        return next(self._calls(text), None)

    def is_argument(self, argument: str) -> bool:
        """Whether the text in brackets is an argument; if not, a sentence only mentions the tool: "the calculator(s)".

        It is called for a call within a sentence. A call that is alone on its line always counts.
        """
        return argument not in ("s", "es")

    def bare(self, argument: str) -> str:
        """The argument without the quotes or the name that it was written with."""
        value = argument
        if named := _NAMED.fullmatch(argument):
            name, inner = named["key"] or named["name"], named["entry"] if named["key"] else named["value"]
            if name.lower() == self.parameter.lower() or _QUOTED.fullmatch(inner):
                value = inner
        quoted = _QUOTED.fullmatch(value)
        return quoted["inner"] if quoted else value

    def _calls(self, text: str) -> Iterator[ToolCall]:
        closing: dict[int, int] | None = None
        end = 0
        for number, opening in enumerate(_opening(self.name).finditer(text)):
            start, inner = opening.span()
            if start < end:  # within the argument of the call before
                continue
            closing = _pairs(text) if closing is None else closing
            close = closing.get(inner - 1)
            if self.takes_text and number < 2 * MAX_CALLS:  # so that the time is linear
                close = _after_literals(text, inner) or close or _last_bracket(text, inner)
            written = text[inner : inner + 200].partition("\n")[0] if close is None else text[inner:close]
            after = len(text) if close is None else close + 1
            argument = self.bare(written)
            is_apart = self.takes_text and text[inner - 2].isspace()  # "the search (which is slow)"
            if (is_apart or not self.is_argument(argument)) and not _stands_alone(text, start, after):
                continue
            if close is None:
                raise CallSyntaxError(f"the call never closes: {shorten(text[start : inner + 80])}")
            end = after
            yield ToolCall(self.name, argument, start, end)

    def arguments(self, argument: str) -> dict[str, Any]:
        """The arguments by name, as the JSON schema has them, of a call that was written ``name(argument)``.

        Raises:
            CallSyntaxError: they cannot be read.
        """
        return {self.parameter: argument}

    def written(self, arguments: Mapping[str, Any]) -> str:
        """The argument as text, of a call whose arguments came by name.

        Raises:
            CallSyntaxError: one is missing, or there is one too many.
        """
        if set(arguments) != {self.parameter}:
            given = ", ".join(map(repr, arguments)) or "none"
            raise CallSyntaxError(f"{self.name} takes one argument, {self.parameter!r}; given: {given}")
        value = arguments[self.parameter]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the tool for chat templates and APIs: a function with one text as its argument."""
        argument = {"type": "string", "description": self.parameter_description}
        parameters = {
            "type": "object",
            "properties": {self.parameter: argument},
            "required": [self.parameter],
        }
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }


class Declared(Tool):
    """A tool that a task names and describes. What answers its calls is named in a recipe (``tools``).

    Declared("WikiSearch", "Searches an encyclopedia.", "term", "What to look for.")
    """

    takes_text = True

    def __init__(self, name: str, description: str, parameter: str, parameter_description: str) -> None:
        self.name, self.version, self.description = name, 1, description
        self.parameter, self.parameter_description = parameter, parameter_description

    def run(self, argument: str) -> str:
        """Raises: ConfigError: always; a recipe's tool is called in place of this one."""
        raise ConfigError(
            f"nothing answers the calls of {self.name}: say in the recipe's key tools what does (tools.{self.name}; in "
            "Python: tools=)"
        )


def find_calls(tools: Sequence[Tool], text: str) -> list[ToolCall]:
    """Every call in ``text``, in order. A tool with its own ``find_call`` decides what a call is.

    Raises:
        CallSyntaxError: a call never closes.
        LimitError: there are more than ``MAX_CALLS``.
    """
    calls: list[ToolCall] = []
    for tool in tools:
        for call in tool._calls(text) if type(tool).find_call is Tool.find_call else _one_by_one(tool, text):
            if len(calls) == MAX_CALLS:
                raise LimitError(f"more than {MAX_CALLS} calls in one response")
            calls.append(call)
    return calls if len(tools) == 1 else _outermost(calls)


def _outermost(calls: Iterable[ToolCall]) -> list[ToolCall]:
    """The calls in order, without those in the argument of another tool's call."""
    kept: list[ToolCall] = []
    for call in sorted(calls, key=lambda call: call.start):
        if not kept or call.start >= kept[-1].end:
            kept.append(call)
    return kept


def has_call(tools: Sequence[Tool], text: str) -> bool:
    """Whether there is a call in ``text``, complete or not."""
    try:
        return bool(find_calls(tools, text))
    except ToolError:
        return True


def _one_by_one(tool: Tool, text: str) -> Iterator[ToolCall]:
    """The first call, then the first call after it. Dots replace what was read, so that places stay right."""
    while (call := tool.find_call(text)) is not None and call.end > call.start:
        yield call
        text = "." * call.end + text[call.end :]


@cache
def _opening(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}[`*_]{{0,3}}[ \t]*[(（]", re.IGNORECASE)


def _pairs(text: str) -> dict[int, int]:
    """The place of each opening bracket, with the place of its closing one."""
    closing: dict[int, int] = {}
    open_brackets: list[int] = []
    for bracket in _BRACKET.finditer(text):
        if bracket.group() in "(（":
            open_brackets.append(bracket.start())
        elif open_brackets:
            closing[open_brackets.pop()] = bracket.start()
    return closing


def _after_literals(text: str, inner: int) -> int | None:
    """The place of the bracket that closes a call, whatever brackets are in its texts in quotes; None if none does."""
    depth, at, before = 1, inner, "("
    while at < min(len(text), inner + _LONGEST):
        sign = text[at]
        if before in "([{,=:" and (string := _STRING.match(text, at)):
            at, before = string.end(), '"'
            continue
        depth += (sign in "(（") - (sign in ")）")
        if not depth:
            return at
        before = before if sign.isspace() else sign
        at += 1
    return None


def _last_bracket(text: str, inner: int) -> int | None:
    """The place of the last closing bracket in the line of a call that has an opening bracket too many."""
    line = text[inner : inner + _LINE].partition("\n")[0]
    return max(inner + line.rfind(")"), inner + line.rfind("）")) if _CLOSING.search(line) else None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the line of a call has nothing else but markup and a label ("Output:")."""
    before = "\n" * (start < 80) + text[max(0, start - 80) : start]
    return bool(_BEFORE.search(before) and _AFTER.match(text, end))
