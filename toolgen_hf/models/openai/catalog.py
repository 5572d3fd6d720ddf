"""What is known of OpenAI's engines: the API each speaks, when it is shut down, what it costs.

The facts are data, in ``catalog.yaml`` beside this file, each group with its source. An engine that is not listed can
be used all the same: it only has no price.

    find_engine("gpt-4o-mini-2024-07-18").price.cost(1_000_000, 0)  # 0.15, from the line of gpt-4o-mini
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal, Self

import yaml
from pydantic import ConfigDict, Field, model_validator

from toolgen_hf.models.config import Config, PriceConfig

Api = Literal["chat", "completions"]

_SNAPSHOT = re.compile(r"(?P<base>.+)-(\d{4}-)?(0[1-9]|1[0-2])(?(2)-)(0[1-9]|[12]\d|3[01])")
_COMPLETIONS = re.compile(r".*(davinci|babbage|curie|ada-00).*|gpt-3\.5.*-instruct")
_REASONING = re.compile(r"(o[1-9]\d*|gpt-([5-9]|1\d)(\.\d+)?)(-.*)?")


class Engine(Config):
    """What is known of one engine; a line of ``engines`` in the catalogue."""

    name: str = ""
    """The name in requests: an alias is resolved, a snapshot keeps its date."""
    api: Api
    reasoning: bool = False
    """It wants ``max_completion_tokens``, and no ``temperature``."""
    input: float | None = Field(default=None, ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)
    shutdown: date | None = None
    """The first day without it, past or to come."""
    replacement: str | None = None
    """OpenAI's own recommendation, which may itself be shut down; ``retired`` follows it on."""
    known: bool = True
    """Whether the catalogue lists it, or the undated name of a snapshot."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.input is None) != (self.output is None):
            raise ValueError("input and output are given together, or neither")
        if self.cached_input is not None and self.input is None:
            raise ValueError("cached_input without input")
        if self.replacement is not None and self.shutdown is None:
            raise ValueError("replacement without shutdown")
        return self

    @property
    def price(self) -> PriceConfig | None:
        """None if it is not known."""
        if self.input is None or self.output is None:
            return None
        return PriceConfig(input=self.input, output=self.output, cached_input=self.cached_input)

    def is_shut(self, today: date) -> bool:
        """Whether it is shut down."""
        return self.shutdown is not None and self.shutdown <= today


def find_engine(name: str) -> Engine:
    """What is known of the engine ``name``; of one that is not listed, what its name tells."""
    catalog = _catalog()
    name = catalog.aliases.get(name, name)
    if name.startswith("ft:"):  # ft:BASE:ORG:SUFFIX:ID, at prices of its own
        base = find_engine(name.split(":")[1])
        return Engine(name=name, api=base.api, reasoning=base.reasoning, known=False)
    facts = catalog.engines.get(name)
    if facts is None and (snapshot := _SNAPSHOT.fullmatch(name)):
        facts = catalog.engines.get(snapshot["base"])
    if facts is not None:
        return facts.model_copy(update={"name": name})
    api: Api = "completions" if _COMPLETIONS.fullmatch(name) else "chat"
    return Engine(name=name, api=api, reasoning=_REASONING.fullmatch(name) is not None, known=False)


def batch_factor() -> float:
    """The part of the price that the Batch API costs."""
    return _catalog().batch_factor


def retired(engine: Engine, today: date) -> str | None:
    """Why ``engine`` cannot be used ``today`` and what can, for a message; None if it is not shut down yet."""
    if not engine.is_shut(today):
        return None
    message = f"{engine.name!r} was shut down on {engine.shutdown}"
    successor: Engine | None = engine
    while successor and successor.is_shut(today):
        successor = find_engine(successor.replacement) if successor.replacement else None
    if successor is None:
        return f"{message}; use an engine that is still served, or any engine of another endpoint (base_url)"
    same = successor.api == engine.api
    speaks = "the same API" if same else f"the {successor.api} API instead of {engine.api}"
    return (
        f"{message}; use {successor.name!r}, which speaks {speaks}, "
        "or any engine of another endpoint (base_url)"
    )


class _Catalog(Config):
    """The whole of ``catalog.yaml``."""

    model_config = ConfigDict(hide_input_in_errors=False)  # it is ours, and holds no secret

    aliases: dict[str, str]
    batch_factor: float = Field(gt=0, le=1)
    engines: dict[str, Engine]

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        for alias, name in self.aliases.items():
            if name not in self.engines or alias in self.engines:
                raise ValueError(
                    f"the alias {alias!r} must stand for a listed engine and be none, got {name!r}"
                )
        for name, entry in self.engines.items():
            seen = {name}
            while (successor := entry.replacement) is not None:
                if successor not in self.engines or successor in seen:
                    raise ValueError(
                        f"the replacements of {name!r} lead to {successor!r}: not listed, or a circle"
                    )
                seen.add(successor)
                entry = self.engines[successor]
        return self


@cache
def _catalog() -> _Catalog:
    text = (files(__package__) / "catalog.yaml").read_text(encoding="utf-8")
    return _Catalog.model_validate(yaml.safe_load(text))
