"""What a run would do, without doing it: how many requests are missing, what they would cost, how they look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from toolgen_hf.generators.base import Prompt
from toolgen_hf.generators.store import Keyed
from toolgen_hf.generators.texts import Texts

SHOWN = 2  # prompts


@dataclass(frozen=True, slots=True)
class Planned:
    """What one stage would ask of one generator.

    ``cost`` is in US dollars, with every text as long as its limit allows; None where no price is known. ``is_bound``:
    an earlier stage is not done, and so this many at most.
    """

    stage: str
    generator: str
    requests: int
    prompt_tokens: int
    cost: float | None
    is_bound: bool
    prompts: tuple[Prompt, ...]


@dataclass
class Plan:
    """Filled by the stages of a dry run, in their order."""

    entries: list[Planned] = field(default_factory=list)

    def add(self, stage: str, texts: Texts, missing: Iterable[Keyed]) -> None:
        """Count what one stage is missing of one generator."""
        requests = tokens = 0
        cost: float | None = 0.0
        prompts: list[Prompt] = []
        for keyed in missing:
            prompt = keyed.request.prompt
            requests += 1
            estimate = texts.generator.estimate(prompt)
            tokens += estimate[0]
            one = texts.generator.cost(*estimate)
            cost = None if cost is None or one is None else cost + one
            if len(prompts) < SHOWN:
                prompts.append(prompt)
        name = str(texts.identity.get("engine") or texts.identity.get("model"))
        self.entries.append(Planned(stage, name, requests, tokens, cost, self.is_incomplete, tuple(prompts)))

    @property
    def is_incomplete(self) -> bool:
        """Whether a stage so far misses texts, so that what follows is not known."""
        return any(entry.requests for entry in self.entries)
