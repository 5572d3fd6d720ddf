"""What a run would do, without doing it: how many requests are missing, what they would cost, how they look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from toolgen_hf.generators.base import Generator, Prompt
from toolgen_hf.generators.texts import Texts

SHOWN = 2  # prompts


@dataclass(frozen=True, slots=True)
class Planned:
    """What one stage would ask of one generator.

    ``requests`` are those that are not in the store, the first about each question (a teacher may be asked again).
    ``cost`` is what they are expected to cost in US dollars, ``max_cost`` with every prompt and text as long as it may
    get; None where no price is known.
    ``is_bound``: an earlier stage is not done, and so there will be this many at most.
    """

    stage: str
    generator: str
    requests: int
    prompt_tokens: int
    cost: float | None
    max_cost: float | None
    is_bound: bool
    prompts: tuple[Prompt, ...]


@dataclass
class Plan:
    """Filled by the stages of a dry run, in their order."""

    entries: list[Planned] = field(default_factory=list)

    def add(self, stage: str, texts: Texts, missing: Iterable[Prompt]) -> None:
        """Count what one stage is missing of one generator.

        Expected are prompts half as long as they may get, and texts as long as those that the store has of the
        same generator, or else half as long as they may get.
        """
        generator = texts.generator
        usual = texts.usual_length()
        estimates: list[tuple[int, int]] = []
        prompts: list[Prompt] = []
        for prompt in missing:
            estimates.append(generator.estimate(prompt))
            if len(prompts) < SHOWN:
                prompts.append(prompt)
        asked, limit = (sum(estimate[at] for estimate in estimates) for at in (0, 1))
        answered = limit // 2 if usual is None else round(usual * len(estimates))
        # The sources' prompts are the questions': only the teachers' follow from an earlier stage's texts.
        is_bound = stage.startswith("tool_api") and any(entry.requests for entry in self.entries)
        self.entries.append(
            Planned(
                stage,
                generator.describe(),
                len(estimates),
                asked // 2,
                generator.cost(asked // 2, answered),
                generator.cost(asked, limit),
                is_bound,
                tuple(prompts),
            )
        )

    def add_all(self, stage: str, generator: Generator, requests: int) -> None:
        """So many texts of a local model whose prompts are not known."""
        self.entries.append(Planned(stage, generator.describe(), requests, 0, 0.0, 0.0, False, ()))

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
        return _total(entry.max_cost for entry in self.entries if entry.requests)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        totals = {"requests": self.requests, "cost": self.cost, "max_cost": self.max_cost}
        return {"stages": [asdict(entry) for entry in self.entries], **totals}


def _total(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)
