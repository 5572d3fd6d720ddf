"""Error messages about a recipe: which key is wrong, its value, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from toolgen_hf.errors import ConfigError, did_you_mean
from toolgen_hf.models.config import DEVICE, KINDS
from toolgen_hf.secrets import redact
from toolgen_hf.tools.config import TOOL_KINDS, TOOL_NAME

_GENERATOR = "give a mapping of keys, such as {generator: ...}"
_MESSAGES = {
    "dict_type": "give a mapping of keys, such as {train: 8}",
    "model_type": _GENERATOR,
    "model_attributes_type": _GENERATOR,
    "tuple_type": "give a list, such as [a, b]",
    "union_tag_not_found": "give a mapping with its kind, such as {kind: local, model: org/name}",
    "string_type": "give text",
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
}
"""Messages by pydantic's error type. Pydantic's own messages name types of Python and not of YAML."""
_CHOICE = re.compile(r"(str|int|float|bool|(dict|tuple|list|literal)\[.*\]|constrained-\w+)")
"""Pydantic appends this to a key if its value can have one of several types."""
_BOUNDS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
_UNSHOWN = {"base_url", "extra", "keys_file", "url"}
"""Values of these keys are not shown, because they may hold a password or an API key."""
_PATTERNS = {
    DEVICE: "give auto, cpu, mps, cuda or cuda:N",
    TOOL_NAME: "use letters, digits, '_' and '-', the first a letter or '_'",
}
_NAME = "use letters, digits, '.', '_' and '-', the first a letter or a digit"

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], data: Mapping[str, Any], saying: str) -> M:
    """``data`` as a ``model``.

    Raises:
        ConfigError: ``saying``, then each problem on a line of its own, with the nearest known key for an unknown one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = "\n".join(f"  - {problem}" for problem in problems(model, error))
        raise ConfigError(f"{saying}:\n{lines}") from error


def problems(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Each problem in one line, without problems that only follow from another one further in."""
    errors: list[Mapping[str, Any]] = [dict(problem) for problem in error.errors()]
    places = [problem["loc"] for problem in errors]
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for problem in errors:
        loc = problem["loc"]
        if not any(other[: len(loc)] == loc and len(other) > len(loc) for other in places):
            found.setdefault(loc[:-1] if loc and _CHOICE.fullmatch(str(loc[-1])) else loc, []).append(problem)
    return [_explain(model, loc, same) for loc, same in found.items()]


def _explain(model: type[BaseModel], loc: Sequence[Any], choices: Sequence[Mapping[str, Any]]) -> str:
    """One line about one place. Several ``choices`` mean that the value could have several types."""
    problem = choices[0]
    where = ".".join(str(part) for at, part in enumerate(loc) if not _is_kind(loc, at)) or "recipe"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        return f"{where}: unknown key{did_you_mean(str(loc[-1]), known)} (known: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    if problem["type"] == "union_tag_invalid":
        given, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        return f"{where}.kind: {given!r} is not one of {expected}"
    given = problem["input"]
    hidden = isinstance(given, dict | BaseModel) or bool(_UNSHOWN & set(loc))
    message = ", or ".join(dict.fromkeys(map(_message, choices))).replace(", or give ", " or ")
    return f"{where}: {message}" + ("" if hidden else f" (got {redact(repr(given), ())})")


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(problem["ctx"]["pattern"], _NAME)
    if problem["type"] == "literal_error":
        return f"give {problem['ctx']['expected']}"
    for bound, words in _BOUNDS.items():
        if bound in problem.get("ctx", {}):
            return f"give a number {words} {problem['ctx'][bound]}"
    return _MESSAGES.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")


def _is_kind(loc: Sequence[Any], at: int) -> bool:
    """Whether a part of a location is the kind of a generator or a tool, which pydantic adds, and not a key."""
    if at == 0 or loc[at] not in (*KINDS, *TOOL_KINDS):
        return False
    before = loc[at - 1]
    is_tool = at > 1 and loc[at - 2] == "tools"
    return before in ("generator", "reader", "search") or isinstance(before, int) or is_tool


def _known_keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """The keys of the config at ``loc``, found through field types and kinds."""
    current: set[type[BaseModel]] = {model}
    for at, part in enumerate(loc):
        if _is_kind(loc, at):
            kinds = {m for m in current if "kind" in m.model_fields}
            current = {m for m in kinds if m.model_fields["kind"].default == part}
        else:
            annotations = [m.model_fields[part].annotation for m in current if part in m.model_fields]
            current = {found for a in annotations for found in _models_in(a)} or current
    return sorted({key for found in current for key in found.model_fields})


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for part in getattr(annotation, "__args__", ()) for found in _models_in(part)}
