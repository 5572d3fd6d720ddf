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
from collections.abc import Callable, Mapping
from typing import Any

from toolgen_hf.errors import ConfigError, ToolError, UndefinedError
from toolgen_hf.tools.arguments import check, parse, render
from toolgen_hf.tools.base import Tool

_OF_THE_CALL = (ValueError, TypeError, LookupError, ArithmeticError)
"""Errors of a function that a call's arguments caused. Any other one ends the run."""


class FunctionTool(Tool):
    """A function as a tool. ``version`` is 1; a change of its file is a change of its identity.

    Raises:
        ConfigError: an argument has no type or no description, or the function has no docstring.
    """

    takes_text = True
    version = 1

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.__module__ = function.__module__  # whose file is the tool's
        schema = _schema(function)
        self.name, self.description = name or function.__name__, schema["description"]
        self.parameters: Mapping[str, Any] = schema["parameters"]
        properties = self.parameters.get("properties") or {}
        self.parameter = next(iter(properties), "")
        self.parameter_description = str((properties.get(self.parameter) or {}).get("description", ""))

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

    def bare(self, argument: str) -> str:
        """As it was written: quotes and names tell the arguments apart."""
        return argument

    def is_argument(self, argument: str) -> bool:
        """Whether the text in brackets can be read as arguments."""
        try:
            self.arguments(argument)
        except ToolError:
            return super().is_argument(argument) and any(sign in argument for sign in "=\"',")
        return super().is_argument(argument)

    def arguments(self, argument: str) -> dict[str, Any]:
        """The arguments by name. Raises CallSyntaxError where they do not fit."""
        return parse(argument, self.parameters)

    def written(self, arguments: Mapping[str, Any]) -> str:
        """The arguments as text."""
        return render(check(arguments, self.parameters))

    def schema(self) -> dict[str, Any]:
        """The function's JSON schema."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


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
