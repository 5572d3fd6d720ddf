"""What a tool is: a name, a way to find its call in free text, and a safe way to run it.

    "So she needs calculator(48+48/2) clips."   find_call -> ToolCall("calculator", "48+48/2", 13, 32)
    "48+48/2"                                   run       -> "72.0"

A tool is a class with five texts, a version and ``run``; ``docs/extending.md`` writes one step by step.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from toolgen_hf.errors import CallSyntaxError
from toolgen_hf.tools.expression import shorten

_BRACKET = re.compile(r"[()]")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call found in a text: ``text[start:end] == f"{tool}({argument})"``."""

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
        """The first ``name(...)`` in ``text``, in any case, blanks before the bracket allowed; None if there is none.

        ``text[start:end]`` is the call as it was written. Linear in ``text``.

        Raises:
            CallSyntaxError: the first call never closes.
        """
        opening = _opening(self.name).search(text)
        if opening is None:
            return None
        depth = 1
        for bracket in _BRACKET.finditer(text, opening.end()):
            depth += 1 if bracket.group() == "(" else -1
            if depth == 0:
                argument = text[opening.end() : bracket.start()]
                return ToolCall(self.name, argument, opening.start(), bracket.end())
        raise CallSyntaxError(f"the call never closes: {shorten(text[opening.start() : opening.end() + 80])}")

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


@cache
def _opening(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}[ \t]*\(", re.IGNORECASE)
