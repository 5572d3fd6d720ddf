"""A placeholder in a plan for a model that cannot be used here: its files or its client are not on this machine.

    AbsentConfig(config=OpenAIConfig(engine="gpt-6-luna"))

It estimates tokens and costs like the real model. The stored texts of an engine are found, because that needs no
client; those of a local model are not, because it cannot be identified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.base import Generator
from toolgen_hf.models.config import Config, LocalConfig, OpenAIConfig
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.openai.engine import OpenAIGenerator


class AbsentConfig(Config):
    """Takes the place of ``config`` in a recipe that is only planned; no recipe can ask for it."""

    kind: Literal["absent"] = "absent"
    config: LocalConfig | OpenAIConfig
    adapter: str | None = None

    @property
    def name(self) -> str:
        """What teachers and summaries call it."""
        return self.config.name

    @property
    def trained_adapter(self) -> str | None:
        """As the real one's, until it is planned without."""
        return self.config.trained_adapter if self.adapter else None


class AbsentGenerator:
    """Implements `toolgen_hf.models.base.Generator`, but for its texts."""

    is_batch = False

    def __init__(self, config: AbsentConfig) -> None:
        self.config = config

    @cached_property
    def _real(self) -> Generator:
        config = self.config.config
        return LocalGenerator(config) if isinstance(config, LocalConfig) else OpenAIGenerator(config)

    @property
    def parser(self) -> Any:
        """The real one's, so that a stage's settings are the same."""
        return getattr(self._real, "parser", 0)

    def identity(self) -> dict[str, Any]:
        """An engine's own; of a model that cannot be found, one that no stored text has."""
        if isinstance(self._real, OpenAIGenerator):
            return self._real.identity()
        return {"kind": self.config.kind, **self.config.config.model_dump(mode="json", include={"model"})}

    def check(self) -> None:
        """Nothing is needed to plan."""

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Never.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.config.name!r} cannot be used here: it was only planned with")

    def parse(self, raw: str) -> Generation | None:
        """Reads a kept answer again."""
        return self._real.parse(raw)

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        """Tokens of the prompt, and of its text at most."""
        return self._real.estimate(prompt)

    def describe(self) -> str:
        """The name."""
        return f"`{self.config.name}`"

    def terms(self) -> str:
        """Nothing is made."""
        return "not used"

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        """US dollars, as the real one's."""
        return self._real.cost(prompt_tokens, completion_tokens, cached_tokens)
