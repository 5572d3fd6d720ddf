"""What is wrong with a recipe, for people: the key, the value, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from toolgen_hf.errors import ConfigError, closest
from toolgen_hf.models.config import DEVICE, KINDS
from toolgen_hf.models.openai.keys import redact

_MESSAGES = {
    "dict_type": "give a mapping of keys, such as {train: 8}",
    "model_type": "give a mapping of keys, such as {generator: ...}",
    "model_attributes_type": "give a mapping of keys, such as {generator: ...}",
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
"""Where pydantic speaks of Python's types, which nobody writes in YAML."""
_CHOICE = re.compile(r"(str|int|float|bool|(dict|tuple|list|literal)\[.*\]|constrained-\w+)")
"""What pydantic puts after a key that takes one thing or another."""
_BOUNDS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
_UNSHOWN = {"base_url", "extra", "keys_file"}
"""Keys in which people may write a password or a key."""
_PATTERNS = {DEVICE: "give auto, cpu, mps, cuda or cuda:N"}
_NAME = "use letters, digits, '.', '_' and '-', the first a letter or a digit"

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], data: Mapping[str, Any], saying: str) -> M:
    """``data`` as a ``model``.

    Raises:
        ConfigError: ``saying``, then every problem on a line of its own; for an unknown key the nearest known one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = "\n".join(f"  - {problem}" for problem in problems(model, error))
        raise ConfigError(f"{saying}:\n{lines}") from error


def problems(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Each problem in one line, without those that only follow from another."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for problem in _causes(error):
        loc = problem["loc"]
        found.setdefault(loc[:-1] if loc and _CHOICE.fullmatch(str(loc[-1])) else loc, []).append(problem)
    return [_explain(model, loc, same) for loc, same in found.items()]


def _causes(error: ValidationError) -> list[Mapping[str, Any]]:
    """The problems, without those that only follow from one further in."""
    found = [(problem["loc"], dict(problem)) for problem in error.errors()]
    return [
        problem
        for loc, problem in found
        if not any(other[: len(loc)] == loc and len(other) > len(loc) for other, _ in found)
    ]


def _explain(model: type[BaseModel], loc: Sequence[Any], choices: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong at one place in one line; several ``choices`` are what it might be instead."""
    problem = choices[0]
    where = ".".join(str(part) for at, part in enumerate(loc) if not _is_kind(loc, at)) or "recipe"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        return f"{where}: unknown key{nearest(str(loc[-1]), known)} (known: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    if problem["type"] == "union_tag_invalid":
        given, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        return f"{where}.kind: {given!r} is none of {expected}"
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
    """Whether a part of a location is no key: pydantic puts a generator's kind after its place."""
    return at > 0 and loc[at] in KINDS and (loc[at - 1] == "generator" or isinstance(loc[at - 1], int))


def _known_keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """The keys of the config that ``loc`` leads to, following field types and kinds."""
    current: set[type[BaseModel]] = {model}
    for at, part in enumerate(loc):
        if _is_kind(loc, at):
            current = {
                m for m in current if "kind" in m.model_fields and m.model_fields["kind"].default == part
            }
            continue
        annotations = [m.model_fields[part].annotation for m in current if part in m.model_fields]
        current = {found for a in annotations for found in _models_in(a)} or current
    return sorted({key for found in current for key in found.model_fields})


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for part in getattr(annotation, "__args__", ()) for found in _models_in(part)}


def nearest(name: str, known: Sequence[str]) -> str:
    """``"; did you mean 'train'?"`` where one is near."""
    found = closest(name, known)
    return f"; did you mean {found!r}?" if found else ""
