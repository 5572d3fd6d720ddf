"""What a dry run finds: how many requests are missing, what they would cost, and a few of the prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from toolgen_hf.ask import Prompt
from toolgen_hf.models.base import Generator
from toolgen_hf.runtime.budget import AT_WORST
from toolgen_hf.runtime.texts import Texts

_SHOWN = 2  # prompts
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Planned:
    """What one stage would ask of one model.

    ``requests``: those that are not in the store, one for each question. ``max_requests``: the same if each question
    takes every attempt of every teacher. ``cost``: the expected cost of ``requests`` in US dollars. ``max_cost``: the
    highest possible cost, with prompts and texts as long as they may be. Both are None if no price is known.
    ``is_bound``: an earlier stage is not done, so the number is an upper bound.
    """

    stage: str
    generator: str
    requests: int
    max_requests: int
    prompt_tokens: int
    cost: float | None
    max_cost: float | None
    is_bound: bool
    prompts: tuple[Prompt, ...]
    completion_tokens: int = 0
    """Expected, like ``cost``."""


@dataclass
class Plan:
    """The entries of the stages of a dry run, in their order."""

    entries: list[Planned] = field(default_factory=list)

    def add(self, stage: str, texts: Texts, missing: Iterable[Prompt]) -> None:
        """Count the requests of one stage to one model.

        The expected number is one request for each question. The expected length of a text is the mean of the texts in
        the store, or half of the maximum. At most, every question takes all attempts of every teacher.
        """
        generator, usual, attempts = texts.generator, texts.usual_length(), texts.attempts or 1
        estimates: list[tuple[int, int]] = []
        prompts: list[Prompt] = []
        for prompt in missing:
            estimates.append(generator.estimate(prompt))
            if len(prompts) < _SHOWN:
                prompts.append(prompt)
        before = [entry for entry in self.entries if entry.stage == stage]  # teachers that are asked earlier
        passed_on = sum(entry.requests for entry in before)
        asked, limit = (sum(estimate[at] for estimate in estimates) for at in (0, 1))
        answered = limit // 2 if usual is None else round(usual * len(estimates))
        most = len(estimates) + passed_on
        if most > len(estimates):  # questions of earlier teachers count like the known ones
            asked_at_most = asked + sum(entry.prompt_tokens for entry in before)
            limit += passed_on * generator.estimate(Prompt("", ""))[1]
        else:
            asked_at_most = asked
        # Only the prompts of teachers depend on texts of an earlier stage.
        is_bound = stage.startswith("tool_api") and any(entry.requests for entry in self.entries)
        worst = generator.cost((asked_at_most * AT_WORST + limit) * attempts, limit * attempts)
        self.entries.append(
            Planned(
                stage,
                generator.describe(),
                len(estimates),
                most * attempts,
                asked,
                generator.cost(asked, answered),
                worst if most else 0.0,
                is_bound,
                tuple(prompts),
                answered,
            )
        )

    def add_all(self, stage: str, generator: Generator, requests: int) -> None:
        """Add ``requests`` texts of a local model. Their prompts are not known yet."""
        self.entries.append(Planned(stage, generator.describe(), requests, requests, 0, 0.0, 0.0, False, ()))

    @property
    def requests(self) -> int:
        """All missing requests."""
        return sum(entry.requests for entry in self.entries)

    @property
    def cost(self) -> float | None:
        """The expected cost in US dollars; None if a price is not known."""
        return total(entry.cost for entry in self.entries if entry.requests)

    @property
    def max_cost(self) -> float | None:
        """The highest possible cost in US dollars; None if a price is not known."""
        return total(entry.max_cost for entry in self.entries if entry.max_requests)

    def to_dict(self) -> dict[str, Any]:
        totals = {"requests": self.requests, "cost": self.cost, "max_cost": self.max_cost}
        return {"stages": [asdict(entry) for entry in self.entries], **totals}


def total(parts: Iterable[_Number | None]) -> _Number | None:
    """The sum; None if a part is None."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)
