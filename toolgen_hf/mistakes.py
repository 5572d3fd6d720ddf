"""What is wrong with a recipe, for people: the key, the value, and what was probably meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from toolgen_hf.errors import ConfigError, closest
from toolgen_hf.generators.config import DEVICE, KINDS

_MESSAGES = {
    "dict_type": "give a mapping of keys, such as {train: 8}",
    "model_type": "give a mapping of keys, such as {generator: ...}",
    "model_attributes_type": "give a mapping of keys, such as {generator: ...}",
    "tuple_type": "give a list, such as [a, b]",
}
"""Where pydantic speaks of Python's types, which nobody writes in YAML."""
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
    return [_explain(model, problem) for problem in _causes(error)]


def _causes(error: ValidationError) -> list[Mapping[str, Any]]:
    """The problems, without those that only follow from one further in."""
    found = [(problem["loc"], dict(problem)) for problem in error.errors()]
    return [
        problem
        for loc, problem in found
        if not any(other[: len(loc)] == loc and len(other) > len(loc) for other, _ in found)
    ]


def _explain(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """One problem in one line."""
    loc = problem["loc"]
    where = ".".join(str(part) for at, part in enumerate(loc) if not _is_kind(loc, at)) or "recipe"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        return f"{where}: unknown key{nearest(str(loc[-1]), known)} (known: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    message = _MESSAGES.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        message = _PATTERNS.get(problem["ctx"]["pattern"], _NAME)
    if problem["type"] == "union_tag_invalid":
        given, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        return f"{where}.kind: {given!r} is none of {expected}"
    given = problem["input"]
    hidden = isinstance(given, dict | BaseModel) or loc[-1:] == ("base_url",)  # it may hold a password
    return f"{where}: {message}" + ("" if hidden else f" (got {given!r})")


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
