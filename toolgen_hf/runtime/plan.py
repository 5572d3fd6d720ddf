"""What a run would do, without doing it: how many requests are missing, what they would cost, how they look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from toolgen_hf.ask import Prompt
from toolgen_hf.models.base import Generator
from toolgen_hf.runtime.budget import AT_WORST
from toolgen_hf.runtime.door import Texts

SHOWN = 2  # prompts


@dataclass(frozen=True, slots=True)
class Planned:
    """What one stage would ask of one generator.

    ``requests`` are those that are not in the store, one a question; ``max_requests`` if each takes every attempt, and
    every teacher before passes it on. ``cost`` is what the first are expected to cost in US dollars, ``max_cost`` the
    most that can be, with every prompt and text as long as it may get; None where no price is known.
    ``is_bound``: an earlier stage is not done, and so there will be this many at most.
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
    """Expected, as ``cost`` is."""


@dataclass
class Plan:
    """Filled by the stages of a dry run, in their order."""

    entries: list[Planned] = field(default_factory=list)

    def add(self, stage: str, texts: Texts, missing: Iterable[Prompt]) -> None:
        """Count what one stage is missing of one generator.

        Expected are one request a question, and texts as long as those that the store has of the same generator, or
        else half as long as they may get. At most, every question takes all attempts of every teacher.
        """
        generator, usual = texts.generator, texts.usual_length()
        estimates: list[tuple[int, int]] = []
        prompts: list[Prompt] = []
        for prompt in missing:
            estimates.append(generator.estimate(prompt))
            if len(prompts) < SHOWN:
                prompts.append(prompt)
        before = [entry for entry in self.entries if entry.stage == stage]  # teachers that are asked first
        passed_on = sum(entry.requests for entry in before)
        asked, limit = (sum(estimate[at] for estimate in estimates) for at in (0, 1))
        answered = limit // 2 if usual is None else round(usual * len(estimates))
        most = len(estimates) + passed_on
        if most > len(estimates):  # as if each that is passed on were like those that are known
            asked_at_most = asked + sum(entry.prompt_tokens for entry in before)
            limit += passed_on * generator.estimate(Prompt("", ""))[1]
        else:
            asked_at_most = asked
        # The sources' prompts are the questions': only the teachers' follow from an earlier stage's texts.
        is_bound = stage.startswith("tool_api") and any(entry.requests for entry in self.entries)
        worst = generator.cost((asked_at_most * AT_WORST + limit) * texts.attempts, limit * texts.attempts)
        self.entries.append(
            Planned(
                stage,
                generator.describe(),
                len(estimates),
                most * texts.attempts,
                asked,
                generator.cost(asked, answered),
                worst if most else 0.0,
                is_bound,
                tuple(prompts),
                answered,
            )
        )

    def add_all(self, stage: str, generator: Generator, requests: int) -> None:
        """So many texts of a local model whose prompts are not known."""
        self.entries.append(Planned(stage, generator.describe(), requests, requests, 0, 0.0, 0.0, False, ()))

    @property
    def requests(self) -> int:
        """All that is missing."""
        return sum(entry.requests for entry in self.entries)

    @property
    def cost(self) -> float | None:
        """What is expected, in US dollars; None where a price is not known."""
        return _total(entry.cost for entry in self.entries if entry.requests)

    @property
    def max_cost(self) -> float | None:
        """US dollars at most; None where a price is not known."""
        return _total(entry.max_cost for entry in self.entries if entry.max_requests)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        totals = {"requests": self.requests, "cost": self.cost, "max_cost": self.max_cost}
        return {"stages": [asdict(entry) for entry in self.entries], **totals}


def _total(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)
