"""The tools that a response may call. A new tool is one new file and one line here."""

from __future__ import annotations

from typing import Final

from toolgen_hf.errors import ConfigError
from toolgen_hf.tools.base import Tool, ToolCall
from toolgen_hf.tools.calculator import CALCULATOR

__all__ = ["TOOLS", "Tool", "ToolCall", "get_tool"]

TOOLS: Final[dict[str, Tool]] = {
    "calculator": CALCULATOR,
}


def get_tool(name: str) -> Tool:
    """The tool called ``name``.

    Raises:
        ConfigError: there is none; the message names those there are.
    """
    try:
        return TOOLS[name]
    except KeyError:
        raise ConfigError(f"unknown tool {name!r}; known tools: {', '.join(TOOLS)}") from None
