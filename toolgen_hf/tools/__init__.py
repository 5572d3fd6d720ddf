"""The tools that a response may call. Those that ship are a file and a line here; others come from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from toolgen_hf.errors import ConfigError
from toolgen_hf.plugins import Kind, find
from toolgen_hf.tools.base import Tool, ToolCall, find_calls
from toolgen_hf.tools.calculator import CALCULATOR

__all__ = ["TOOLS", "Tool", "ToolCall", "check_tool", "find_calls", "get_tool"]

TOOLS: Final[dict[str, Tool]] = {
    "calculator": CALCULATOR,
}
TEXTS: Final = ("name", "description", "parameter", "parameter_description")
METHODS: Final = ("run", "find_call", "schema")


def get_tool(name: str | Tool, beside: str | Path | None = None) -> Tool:
    """The tool called ``name``: one that ships, of an installed package (``toolgen_hf.tools``), or of a file.

        get_tool("calculator")
        get_tool("calendar_tool.py:CALENDAR", beside=__file__)   # in a task's own file

    Args:
        name: or the tool itself, which is checked.
        beside: the file in whose folder a relative path begins; default where we are.

    Raises:
        ConfigError: there is none, it cannot be loaded, or it is no tool; says what it lacks.
    """
    return check_tool(name, "tool") if not isinstance(name, str) else find(KIND, name, beside)


def check_tool(tool: object, where: str) -> Tool:
    """``tool``, if it has all that a tool has; ``where`` begins the message if not.

    Raises:
        ConfigError: names all that it lacks.
    """
    return cast(Tool, checked(tool, where, TEXTS, METHODS))


def checked(part: object, where: str, texts: tuple[str, ...], methods: tuple[str, ...]) -> object:
    """A task or tool with its texts, its version and its methods."""
    lacks = [f"the text {key!r}" for key in texts if not isinstance(getattr(part, key, None), str)]
    if not isinstance(getattr(part, "version", None), int):
        lacks.append("'version', a whole number")
    lacks += [f"the method {key!r}" for key in methods if not callable(getattr(part, key, None))]
    if lacks:
        raise ConfigError(f"{where}: {part!r:.80} lacks {', '.join(lacks)} (see docs/extending.md)")
    name = str(getattr(part, "name", ""))
    if not name.replace("-", "_").isidentifier() or not name.isascii() or name != name.lower():
        raise ConfigError(f"{where}: the name {name!r} must be of small letters, digits, '-' and '_'")
    return part


KIND: Final = Kind("tool", "toolgen_hf.tools", TOOLS, check_tool)
