"""A placeholder in a plan for a local model whose files are not on this machine.

    AbsentConfig(config=LocalConfig(model="org/name"))

It estimates tokens and costs like the model. No stored texts are found, because the model cannot be identified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from toolgen_hf.ask import Generation, Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import Config, LocalConfig
from toolgen_hf.models.local import LocalGenerator


class AbsentConfig(Config):
    """Takes the place of ``config`` in a recipe that is only planned; no recipe can ask for it."""

    kind: Literal["absent"] = "absent"
    config: LocalConfig
    adapter: str | None = None

    @property
    def name(self) -> str:
        """The name of the model in teachers and summaries."""
        return self.config.name

    @property
    def trained_adapter(self) -> str | None:
        """As the model's own, until it is planned without."""
        return self.config.trained_adapter if self.adapter else None


class AbsentGenerator(LocalGenerator):
    """Counts like the model in ``config``, and generates nothing."""

    def __init__(self, config: AbsentConfig) -> None:
        super().__init__(config.config)

    def identity(self) -> dict[str, Any]:
        """A placeholder that matches no stored text."""
        return {"kind": "absent", "model": self.config.model}

    def check(self) -> None:
        """Nothing is needed to plan."""

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Raises: ConfigError: always."""
        raise ConfigError(f"{self.config.name!r} cannot be used here: it was only planned with")

    def describe(self) -> str:
        """The model's name."""
        return f"`{self.config.name}`"

    def terms(self) -> str:
        """None apply."""
        return "not used"
