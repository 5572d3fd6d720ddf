"""The arguments of a call that is written as text, by the JSON schema of its tool.

    parse('city="Paris", days=3', schema)      -> {"city": "Paris", "days": 3}
    parse('"Paris", 3', schema)                -> {"city": "Paris", "days": 3}
    parse('{"city": "Paris", "days": 3}', schema)
    parse("Paris", schema)                     -> {"city": "Paris"}, if only the city is required
    render({"city": "Paris", "days": 3})       -> 'city="Paris", days=3'

A model wrote the text: it is read as literals, never run, and its length and depth are limited first.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any, Final, NoReturn

from toolgen_hf._utils import well_formed
from toolgen_hf.errors import CallSyntaxError, LimitError, ToolError
from toolgen_hf.tools.base import Tool

MAX_LENGTH: Final = 4000
"""Characters of all arguments of a call."""
MAX_DEPTH: Final = 20
"""Brackets within brackets."""
_LARGEST: Final = 2**63
"""Whole numbers are smaller than this."""

_NAMES: Final = {"true": True, "false": False, "null": None, "none": None}
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_KEYWORD = re.compile(r"\s*[A-Za-z_]\w*\s*=(?!=)")


class SchemaTool(Tool):
    """Base of the tools whose arguments have a JSON schema (``parameters``)."""

    takes_text = True
    version = 1

    def __init__(self, name: str, description: str, parameters: Mapping[str, Any]) -> None:
        self.name, self.description, self.parameters = name, description, parameters
        properties = parameters.get("properties") or {}
        self.parameter = next(iter(properties), "")
        first = properties.get(self.parameter)
        self.parameter_description = str(first.get("description", "")) if isinstance(first, Mapping) else ""

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
        """The JSON schema for chat templates and APIs."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


def parse(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name.

    Args:
        schema: ``{"type": "object", "properties": {...}, "required": [...]}``.

    Raises:
        LimitError: the text is too long or too deep.
        CallSyntaxError: it cannot be read, or an argument is missing, unknown or of the wrong type. The message says
            which, so that a model can do better.
    """
    if len(text) > MAX_LENGTH:
        raise LimitError(f"arguments of {len(text)} characters; at most {MAX_LENGTH} are read")
    if _depth(text) > MAX_DEPTH:
        raise LimitError(f"arguments with more than {MAX_DEPTH} brackets within brackets")
    properties: Mapping[str, Any] = schema.get("properties") or {}
    required = [name for name in schema.get("required") or () if name in properties]
    given = _read(text, list(properties), required)
    fitting = {name: _fitting(_plain(value), properties.get(name)) for name, value in given.items()}
    return check(fitting, schema)


def check(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments in the schema's order, if they fit it. Raises CallSyntaxError as `parse`."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    known = ", ".join(map(repr, properties)) or "none"
    if unknown := [name for name in arguments if name not in properties]:
        raise CallSyntaxError(f"there is no argument {unknown[0]!r}; there is {known}")
    if missing := [name for name in schema.get("required") or () if name not in arguments]:
        raise CallSyntaxError(f"the argument {missing[0]!r} is missing; there is {known}")
    for name, value in arguments.items():
        wanted = properties[name] if isinstance(properties[name], Mapping) else {}
        if "enum" in wanted and value not in wanted["enum"]:
            raise CallSyntaxError(f"{name}={value!r}: give one of {wanted['enum']}")
        kinds = _kinds(wanted)
        if kinds and not any(_is(value, kind) for kind in kinds):
            raise CallSyntaxError(f"{name}={value!r}: give {' or '.join(kinds)}")
    return {name: arguments[name] for name in properties if name in arguments}


def render(arguments: Mapping[str, Any]) -> str:
    """Arguments as text, which `parse` reads. JSON where a name cannot stand before ``=``."""
    if not all(name.isidentifier() and not iskeyword(name) for name in arguments):
        return json.dumps(arguments, ensure_ascii=False)
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())


def _read(text: str, names: list[str], required: list[str]) -> dict[str, Any]:
    """By name, whatever their types."""
    if not text.strip():
        return {}
    problem: Exception | None = None
    if text.lstrip().startswith("{"):
        try:
            if isinstance(found := json.loads(text, parse_constant=_no_number), dict):
                return found
        except (ValueError, RecursionError) as error:
            problem = error
    try:
        return _literals(text, names)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        problem = problem or error
    alone = required[0] if len(required) == 1 else names[0] if len(names) == 1 else None
    if alone is not None and not _KEYWORD.match(text) and not text.lstrip().startswith("{"):
        return {alone: text.strip()}
    raise CallSyntaxError(
        f"the arguments {text[:80]!r} cannot be read ({getattr(problem, 'msg', problem)}): write name=value, text in "
        "quotes"
    )


def _literals(text: str, names: list[str]) -> dict[str, Any]:
    """Arguments as Python and JSON write them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as an unknown escape
        call = ast.parse(f"f({text}\n)", mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("they are not a list of arguments")
    if len(call.args) > len(names):
        raise ValueError(f"there are {len(call.args)}, and the tool takes {len(names)}")
    found = {name: _value(node) for name, node in zip(names, call.args, strict=False)}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in found:
            raise ValueError(f"{keyword.arg} is given twice" if keyword.arg else "** cannot be used")
        found[keyword.arg] = _value(keyword.value)
    alone = found.get(names[0]) if len(found) == len(call.args) == 1 else None
    return alone if isinstance(alone, dict) and alone and set(alone) <= set(names) else found


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | bool() | None as value):
            return value
        case ast.Name(id=name) if name.lower() in _NAMES:
            return _NAMES[name.lower()]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            return {str(key.value): _value(value) for key, value in zip(keys, values, strict=True)}  # type: ignore[union-attr]
    raise ValueError("only text in quotes, numbers, lists, true, false and null can be given")


def _plain(value: Any) -> Any:
    """The same value, as JSON in UTF-8 can have it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise LimitError("a number is too large")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise LimitError("a whole number is too large: at most 18 digits are read")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): _plain(item) for key, item in value.items()}
    return well_formed(value) if isinstance(value, str) else value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _fitting(value: Any, wanted: Any) -> Any:
    """A text as a number or a truth value where the schema wants that and nothing is lost; else the value itself."""
    kinds = _kinds(wanted) if isinstance(wanted, Mapping) else []
    if isinstance(value, str) and kinds and "string" not in kinds:
        try:
            read = _plain(json.loads(value, parse_constant=_no_number))
        except (ValueError, RecursionError):
            return value
        return read if any(_is(read, kind) for kind in kinds) else value
    if isinstance(value, int | float) and not isinstance(value, bool) and kinds == ["string"]:
        return str(value)
    if isinstance(value, float) and value.is_integer() and kinds == ["integer"]:
        return int(value)
    return value


def _kinds(wanted: Mapping[str, Any]) -> list[str]:
    """The types that a property may have, such as ``["integer", "null"]`` of an ``Optional[int]``; empty if the schema
    does not say it plainly."""
    if isinstance(options := wanted.get("anyOf"), list):
        each = [_kinds(option) if isinstance(option, Mapping) else [] for option in options]
        return [kind for kinds in each for kind in kinds] if all(each) else []
    found = wanted.get("type")
    kinds = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return [*kinds, *(["null"] if wanted.get("nullable") is True and kinds else [])]


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS.get(kind, object)) and (kind == "boolean" or not isinstance(value, bool))


def _depth(text: str) -> int:
    deepest = now = 0
    for sign in text:
        now += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, now)
    return deepest
