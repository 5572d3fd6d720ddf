"""What a tool is: a name, a way to find its call in free text, and a safe way to run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


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
    """A tool that a response may call. Stateless; ``version`` changes when results may change."""

    name: str
    version: int
    parameter: str
    """What the schema calls the one thing that stands between a call's brackets."""

    def schema(self) -> dict[str, Any]:
        """The tool as chat templates and APIs are told of it: the JSON schema of a function."""
        ...

    def find_call(self, text: str) -> ToolCall | None:
        """The first call in ``text``; None if the text calls nothing.

        Raises:
            CallSyntaxError: the text begins a call (``calculator(``) that never closes.
        """
        ...

    def run(self, argument: str) -> str:
        """The result of the call as text.

        Raises:
            ToolError: the call cannot be run; nothing of it was.
        """
        ...
