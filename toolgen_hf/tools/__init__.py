"""The tools that a response may call. One that ships is a file and a line here; others come from outside."""

from __future__ import annotations

from inspect import isfunction
from pathlib import Path
from typing import Final, cast

from toolgen_hf.plugins import Registry, check_members
from toolgen_hf.tools.base import Tool, ToolCall, find_calls, has_call
from toolgen_hf.tools.calculator import CALCULATOR
from toolgen_hf.tools.function import FunctionTool, tool

__all__ = ["TOOLS", "Tool", "ToolCall", "check_tool", "find_calls", "get_tool", "has_call", "tool"]

TOOLS: Final[dict[str, Tool]] = {
    "calculator": CALCULATOR,
}
TEXTS: Final = ("name", "description", "parameter", "parameter_description")
METHODS: Final = ("run", "find_call", "schema")


def get_tool(name: str | Tool, beside: str | Path | None = None) -> Tool:
    """The tool called ``name``: one that ships, one of an installed package (``toolgen_hf.tools``), or one in a file.

        get_tool("calculator")
        get_tool("calendar_tool.py:CALENDAR", beside=__file__)   # in a task's own file

    Args:
        name: or the tool itself, which is checked.
        beside: a file; a relative path begins in its folder. Default: the current folder.

    Raises:
        ConfigError: there is none, it cannot be loaded, or it is not a tool. The message says what it lacks.
    """
    return REGISTRY.find(name, beside) if isinstance(name, str) else check_tool(name, "tool")


def check_tool(tool: object, where: str) -> Tool:
    """``tool`` if it has all that a tool has, a function as a tool; ``where`` begins the message if not.

    Raises:
        ConfigError: names all that it lacks.
    """
    found = FunctionTool(tool) if isfunction(tool) else tool
    return cast(Tool, check_members(found, where, TEXTS, METHODS, capitals=True))


REGISTRY: Final = Registry("tool", "toolgen_hf.tools", TOOLS, check_tool)
