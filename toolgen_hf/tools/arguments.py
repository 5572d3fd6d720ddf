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
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from toolgen_hf.errors import CallSyntaxError, LimitError

MAX_LENGTH: Final = 4000
"""Characters of all arguments of a call."""
MAX_DEPTH: Final = 20
"""Brackets within brackets."""

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
    return check({name: _fitting(value, properties.get(name)) for name, value in given.items()}, schema)


def check(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments, if they fit the schema. Raises CallSyntaxError as `parse`."""
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
    return dict(arguments)


def render(arguments: Mapping[str, Any]) -> str:
    """Arguments as text, which `parse` reads."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())


def _read(text: str, names: list[str], required: list[str]) -> dict[str, Any]:
    """By name, whatever their types."""
    if not text.strip():
        return {}
    problem: Exception | None = None
    if text.lstrip().startswith("{"):
        try:
            if isinstance(found := json.loads(text), dict):
                return found
        except (ValueError, RecursionError) as error:
            problem = error
    try:
        return _literals(text, names)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        problem = problem or error
    alone = required[0] if len(required) == 1 else names[0] if len(names) == 1 else None
    if alone is not None and not _KEYWORD.match(text):
        return {alone: text.strip()}
    raise CallSyntaxError(
        f"the arguments {text[:80]!r} cannot be read ({problem}): write name=value, text in quotes"
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
            raise ValueError(f"{keyword.arg or '**'} cannot be given here")
        found[keyword.arg] = _value(keyword.value)
    return found


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


def _fitting(value: Any, wanted: Any) -> Any:
    """A text as a number or a truth value where the schema wants that and nothing is lost; else the value itself."""
    kinds = _kinds(wanted) if isinstance(wanted, Mapping) else []
    if isinstance(value, str) and kinds and "string" not in kinds:
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return read if any(_is(read, kind) for kind in kinds) else value
    if isinstance(value, int | float) and not isinstance(value, bool) and kinds == ["string"]:
        return str(value)
    if isinstance(value, float) and value.is_integer() and kinds == ["integer"]:
        return int(value)
    return value


def _kinds(wanted: Mapping[str, Any]) -> list[str]:
    """The types that a property may have; empty if the schema does not say it plainly."""
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
