"""The texts of one model: looked up in the store, committed to it, counted, and paid for within the budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from toolgen_hf._utils import digest
from toolgen_hf.ask import Generation, Keyed, Request, request_key
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.base import Generator, GivenTexts
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.store import Store


@dataclass
class Usage:
    """Texts, tokens and cost. ``cost`` is in US dollars, None where no price is known."""

    texts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0

    def add(self, made: Generation, cost: float | None) -> None:
        """Count one text."""
        self._include(Usage(1, made.prompt_tokens, made.completion_tokens, cost))

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """The sum of several."""
        whole = cls()
        for part in parts:
            whole._include(part)
        return whole

    def _include(self, part: Usage) -> None:
        self.texts += part.texts
        self.prompt_tokens += part.prompt_tokens
        self.completion_tokens += part.completion_tokens
        self.cost = None if part.cost is None or self.cost is None else self.cost + part.cost


class Texts:
    """The texts of one model for one stage: found in the store, counted, and paid for within the budget.

    Args:
        store: opens the store, or gives the open one.
        meter: shows progress and holds the budget.
        label: what messages call this use of the model, such as ``tool_api gpt-4o``.
        attempts: texts that one row asks for at most; None if there is no limit.
    """

    def __init__(
        self,
        generator: Generator,
        store: Callable[[], Store],
        meter: Meter,
        label: str,
        attempts: int | None = 1,
    ) -> None:
        self.generator, self.meter, self.label, self.attempts = generator, meter, label, attempts
        self.identity = dict(generator.identity())
        self.settings = {**self.identity, "parser": getattr(generator, "parser", 0)}
        self.digest = digest(self.identity)
        self.generated: defaultdict[str, Usage] = defaultdict(Usage)
        """What was generated, by split."""
        self.answered: Request | None = None
        """A request whose text was in the store."""
        self._used = Usage()
        self._used_refused: list[str] = []
        self._store = store
        self._refused: dict[str, Generation] = {}
        self._not_answers: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_store": None, "meter": None}

    def open(self, store: Callable[[], Store], meter: Meter) -> None:
        """Use another store and meter: in the process of a worker, whose copy has none."""
        self._store, self.meter = store, meter

    @property
    def store(self) -> Store:
        """The open store."""
        return self._store()

    def keyed(self, request: Request) -> Keyed:
        """A request with the key of its text."""
        return Keyed(request_key(self.digest, request), request)

    def find(self, wanted: Iterable[Keyed]) -> dict[str, Generation]:
        """The texts that are in the store, by key, and the requests that the engine refused in this run.

        Raises:
            GenerationError: a stored answer cannot be used as it is; says what to do.
        """
        requests = {one.key: one.request for one in wanted}
        if isinstance(self.generator, GivenTexts):
            return {key: self.generator.look_up(request.prompt) for key, request in requests.items()}
        found = {key: self._refused[key] for key in requests if key in self._refused}
        for key, kept in self.store.get(list(requests)).items():
            made = kept if kept.raw is None else self.generator.parse(kept.raw)
            if made is None:
                self._not_answers[key] = kept.raw or ""
            else:
                found[key] = self.usable(made)
        if self.answered is None:
            answered = (key for key in requests if key in found and key not in self._refused)
            self.answered = next((requests[key] for key in answered), None)
        return found

    def usable(self, made: Generation) -> Generation:
        """The same text. Raises GenerationError if it cannot be used; says what to do."""
        if made.unusable:
            raise GenerationError(f"{self.label}: {made.unusable}. The answers are stored; run again")
        return made

    def keep(self, arrived: Sequence[tuple[str, Keyed, Generation]]) -> None:
        """Commit texts to the store and count them by split. A refused request is kept for this run only."""
        refused = {keyed.key: made for _, keyed, made in arrived if made.finish_reason == "rejected"}
        answers = [(keyed, made) for _, keyed, made in arrived if keyed.key not in refused]
        if answers:
            self.store.put(self.identity, answers, self._not_answers)
        self._refused.update(refused)
        for split, keyed, made in arrived:
            self.generated[split].add(made, self.meter.arrived(self.generator, keyed.request.prompt, made))

    def use(self, key: str, made: Generation) -> None:
        """Count a text that is part of a stage's output; of ``made`` the tokens alone."""
        self._used.add(
            made, self.generator.cost(made.prompt_tokens, made.completion_tokens, made.cached_tokens)
        )
        if key in self._refused:
            self._used_refused.append(key)

    def take_generated(self, split: str) -> Usage:
        """What was generated for a split since the last call."""
        return self.generated.pop(split, Usage())

    def take_used(self) -> Usage:
        """What the texts that were used since the last call took, whenever they were generated."""
        used, self._used = self._used, Usage()
        return used

    def take_refused(self) -> list[str]:
        """Keys of the refused requests that were used since the last call. The next run asks them again."""
        refused, self._used_refused = self._used_refused, []
        return refused

    def take(self, split: str) -> dict[str, Any]:
        """All that was counted for a split since the last call, as `add` takes it."""
        return {
            "generated": self.take_generated(split),
            "used": self.take_used(),
            "refused": self.take_refused(),
        }

    def add(self, split: str, generated: Usage, used: Usage, refused: Sequence[str]) -> None:
        """Count what another process did."""
        self.generated[split] = Usage.total([self.generated[split], generated])
        self._used = Usage.total([self._used, used])
        self._used_refused += refused

    def usual_length(self) -> float | None:
        """Mean tokens of the texts that the store has of this model; None if it has none."""
        return self.store.mean_tokens(self.digest)
