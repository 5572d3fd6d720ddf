"""A typed Python function with a docstring as a tool.

    @tool
    def convert(amount: float, unit: str) -> str:
        \"\"\"Convert miles or pounds to metric units.

        Args:
            amount: How much.
            unit: ``mi`` or ``lb``.
        \"\"\"

    "That is convert(amount=3, unit=\"mi\")."    ->  convert(3.0, "mi")  ->  "4.83 km"

Its JSON schema comes from the annotations and the docstring, as transformers reads them for chat templates.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from toolgen_hf.errors import ConfigError, ToolError, UndefinedError
from toolgen_hf.tools.arguments import SchemaTool

_OF_THE_CALL = (ValueError, TypeError, LookupError, ArithmeticError)
"""Errors of a function that a call's arguments caused. Any other one ends the run."""


class FunctionTool(SchemaTool):
    """A function as a tool. ``version`` is 1; a change of its file is a change of its identity.

    Raises:
        ConfigError: an argument has no type or no description, or the function has no docstring.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.__module__ = function.__module__  # whose file is the tool's
        schema = _schema(function)
        super().__init__(name or function.__name__, schema["description"], schema["parameters"])

    def run(self, argument: str) -> str:
        """The function's value; JSON if it is no text.

        Raises:
            ToolError: the arguments do not fit, or the function refused them: it raised a `ToolError`, ``ValueError``,
                ``TypeError``, ``LookupError`` or ``ArithmeticError``.
        """
        arguments = self.arguments(argument)
        try:
            value = self.function(**arguments)
        except ToolError:
            raise
        except _OF_THE_CALL as error:
            raise UndefinedError(f"{type(error).__name__}: {error}") from error
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def tool(function: Callable[..., Any]) -> FunctionTool:
    """Make a tool of a typed function with a docstring. A decorator."""
    return FunctionTool(function)


def _schema(function: Callable[..., Any]) -> dict[str, Any]:
    where = f"the function {getattr(function, '__name__', function)!r}"
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise ConfigError(f"{where}: give a plain function, not {type(function).__name__}")
    try:
        from transformers.utils import get_json_schema
    except ImportError as error:
        raise ConfigError(f"{where} as a tool needs transformers: pip install 'toolgen_hf[local]'") from error
    try:
        found: dict[str, Any] = get_json_schema(function)["function"]
    except Exception as error:  # transformers raises types of its own
        raise ConfigError(
            f"{where} cannot be a tool ({error}): give every argument a type, and a docstring with a line for each "
            "below 'Args:'"
        ) from error
    return {"description": found["description"], "parameters": found["parameters"]}
