"""The keys of a recipe, from the models that validate it."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tests.docs.reference.markdown import line, prose, table
from toolgen_hf.finetune import FinetuneConfig
from toolgen_hf.models.config import AnnotationsConfig, FileConfig, LocalConfig, OpenAIConfig, PriceConfig
from toolgen_hf.recipe import (
    AnswerConfig,
    DatasetConfig,
    PreferenceConfig,
    Recipe,
    ScoreConfig,
    ToolApiConfig,
)
from toolgen_hf.recipe.recipe import MixSettings, PartConfig
from toolgen_hf.stages.respond import SourceConfig

TITLES: dict[type[BaseModel], str] = {
    Recipe: "The recipe",
    DatasetConfig: "dataset",
    AnswerConfig: "answer",
    ToolApiConfig: "tool_api",
    FinetuneConfig: "finetune.NAME",
    SourceConfig: "sources.NAME",
    ScoreConfig: "score",
    PreferenceConfig: "preference",
    LocalConfig: "kind: local",
    OpenAIConfig: "kind: openai",
    AnnotationsConfig: "kind: annotations",
    FileConfig: "kind: file",
    PriceConfig: "price",
    MixSettings: "mix",
    PartConfig: "mix.parts.NAME",
}
RECIPE = list(TITLES)[:8]
GENERATORS = list(TITLES)[8:13]
MIX = list(TITLES)[13:]
PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
    dict: "mapping",
}
BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


def recipe_keys() -> str:
    """The tables of a recipe of one dataset."""
    return "\n\n".join(section(model) for model in RECIPE)


def generator_keys() -> str:
    """The tables of the generators."""
    return "\n\n".join(section(model) for model in GENERATORS)


def mix_keys() -> str:
    """The tables of a mix."""
    return "\n\n".join(section(model) for model in MIX)


def section(model: type[BaseModel]) -> str:
    """A heading, what the model is, and its keys."""
    docs = attribute_docs(model)
    rows = [
        [f"`{name}`", kind(field), default(field), line(docs[name])]
        for name, field in model.model_fields.items()
    ]
    keys = table(["key", "type", "default", "meaning"], rows)
    return f"### {TITLES[model]}\n\n{prose(inspect.getdoc(model))}\n\n{keys}"


def kind(field: FieldInfo) -> str:
    """A field's type in words, with its bounds."""
    bounds = [
        words.format(getattr(rule, bound))
        for rule in field.metadata
        for bound, words in BOUNDS.items()
        if hasattr(rule, bound)
    ]
    return ", ".join([spell(field.annotation), *bounds])


def spell(annotation: Any) -> str:
    """A type in words: ``int | None`` is a whole number or null."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in TITLES:
        title = TITLES[annotation]
        return f"[{title}](#{anchor(title)})"
    if annotation in PLAIN:
        return PLAIN[annotation]
    if annotation is type(None):
        return "null"
    if origin is Annotated:
        return spell(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(spell(argument) for argument in arguments))
    if origin is tuple:
        return f"list of {spell(arguments[0])}"
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        values = spell(arguments[1])
        return f"mapping of {spell(arguments[0])} to {f'({values})' if ' or ' in values else values}"
    return str(getattr(annotation, "__name__", annotation))


def anchor(title: str) -> str:
    """The address that GitHub gives a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def default(field: FieldInfo) -> str:
    """What a key is where it is not given."""
    if field.is_required():
        return "**required**"
    value = field.default
    if field.default_factory is not None:
        value = field.default_factory()  # type: ignore[call-arg]
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return "its own defaults"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict) and not value:
        return "none"
    if isinstance(value, tuple):
        return (
            "`["
            + ", ".join(f"{{kind: {item.kind}}}" if hasattr(item, "kind") else str(item) for item in value)
            + "]`"
        )
    return f'`"{value}"`' if value == "" else f"`{value}`"


@cache
def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """The strings that stand under the fields in the source, those of base classes included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(after.value.value)
    return found
