"""The texts that a stage needs from one generator: looked ahead, generated as a stream, read from the store.

A stage's batch function asks for its texts by prompt. Before the function is mapped, it is run ahead over
the rows of all splits with what the store has, only to see what is missing; the missing requests stream
to the generator as it can take them, and each text is committed as it arrives. So there is no barrier
between batches or splits, and when the function is mapped every text is there:

    rows ── batch function ──> missing requests ──> generator ──> store ──> the same function, mapped

A request that depends on an earlier text (a teacher's second attempt) shows up in the next such round.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toolgen_hf._utils import digest
from toolgen_hf.ask import Generation, Keyed, Prompt, Request, request_key
from toolgen_hf.errors import GenerationError, RefusedError
from toolgen_hf.models.base import Generator
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.store import Store
from toolgen_hf.runtime.turns import Turn

logger = logging.getLogger(__name__)

Ask = Callable[[Sequence[Prompt]], list[Generation | None]]
"""Gives one text for each prompt, in order; None for one that is not there yet."""

Ahead = Callable[[], Iterable[tuple[str, int]]]
"""Runs a stage's batch function over its rows, batch by batch; names the split and the rows of each."""


@dataclass
class Usage:
    """What texts took; ``cost`` in US dollars is None where no price is known."""

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
    """The texts of one generator for one stage.

    Args:
        store: opens the store, or gives the open one.
        meter: shows progress and holds the budget.
        label: what progress bars call it.
        rounds: how many requests of one row may depend on each other.
    """

    def __init__(
        self, generator: Generator, store: Callable[[], Store], meter: Meter, label: str, rounds: int = 1
    ) -> None:
        self.generator, self.meter, self.label, self.rounds = generator, meter, label, rounds
        self.identity = dict(generator.identity())
        self.settings = {**self.identity, "parser": getattr(generator, "parser", 0)}
        self.looking_ahead = False
        self.used = Usage()  # of all that was asked for since ``take_used``, generated or not
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)  # by split, of what was generated
        self._digest = digest(self.identity)
        self._store = store
        self._wanted: dict[str, Request] = {}
        self._sent: dict[int, tuple[str, Keyed]] = {}  # position in the stream -> split, request
        self._underway: set[str] = set()  # their keys, asked for by an earlier row
        self._arrived: set[str] = set()  # of these, since the batch was looked up
        self._refused: dict[str, Generation] = {}  # requests that the engine refused in this run
        self._used_refused: list[str] = []  # their keys, since ``take_refused``
        self._instead: dict[str, str] = {}  # kept answers that are none
        self._answered: Request | None = None  # one whose text is in the store

    def __call__(self, prompts: Sequence[Prompt]) -> list[Generation | None]:
        """One text for each prompt. Looking ahead, those that are missing are noted and given as None.

        Raises:
            GenerationError: a missing text could not be generated, or an answer cannot be used as it is.
        """
        wanted = [Keyed(request_key(self._digest, request), request) for request in map(Request, prompts)]
        found = self._find(wanted)
        if self._answered is None:
            answered = (w for w in wanted if w.key in found and found[w.key].finish_reason != "rejected")
            self._answered = next((w.request for w in answered), None)
        missing = {w.key: w for w in wanted if w.key not in found}
        if self.looking_ahead:
            self._wanted.update((key, w.request) for key, w in missing.items())
            return [found.get(w.key) for w in wanted]
        if missing:
            with self.meter.progress(self.label, len(missing), self.generator):
                self._generate_missing(lambda: [("", w) for w in missing.values()])
            self.meter.check()
            found.update(self._find(list(missing.values())))
        for w in wanted:
            self.used.add(found[w.key], self._cost(found[w.key]))
        self._used_refused += [w.key for w in wanted if w.key in self._refused]
        return [found[w.key] for w in wanted]

    def _cost(self, made: Generation) -> float | None:
        return self.generator.cost(made.prompt_tokens, made.completion_tokens, made.cached_tokens)

    def _find(self, wanted: Sequence[Keyed]) -> dict[str, Generation]:
        """The texts that are in the store, and the requests that were refused in this run."""
        found = {w.key: self._refused[w.key] for w in wanted if w.key in self._refused}
        for key, kept in self._store().get([w.key for w in wanted]).items():
            made = kept if kept.raw is None else self.generator.parse(kept.raw)
            if made is None:
                self._instead[key] = kept.raw or ""
            elif made.unusable:
                raise GenerationError(f"{self.label}: {made.unusable}. The answers are stored; run again")
            else:
                found[key] = made
        return found

    def fill(self, ahead: Ahead, rows: int) -> None:
        """Generate all that ``ahead`` shows to be missing among ``rows`` rows, round by round.

        Raises:
            GenerationError: the generator failed, or the budget is used up; what arrived is in the store.
        """
        with Turn(self._store().path, self._digest, self.label) as turn:
            for attempt in range(1, self.rounds + 1):
                label = self.label if attempt == 1 else f"{self.label}, attempt {attempt}"
                made = 1
                while made:  # again where the budget admitted only a part at first
                    with self.meter.progress(label, rows if attempt == 1 else None, self.generator):
                        made = self._generate_missing(lambda: self.missing(ahead, turn))
                    if not self.meter.is_cut or self.generator.is_batch:
                        break
                self.meter.check()
                if not made:
                    return

    def _generate_missing(self, missing: Callable[[], Iterable[tuple[str, Keyed]]]) -> int:
        """``_generate``; where all is refused, but the engine still answers what it answered before, for good.

        Without that, a run that is resumed when only such requests are left could never end.
        """
        try:
            return self._generate(missing())
        except RefusedError:
            if self._answered is None or not self._answers_still(self._answered):
                raise
        return self._generate(missing())

    def _answers_still(self, request: Request) -> bool:
        logger.info("%s: all that was missing is refused; asking again for a text that is there", self.label)
        try:
            return any(self.generator.generate([request]))
        except GenerationError:
            return False

    def missing(self, ahead: Ahead, turn: Turn | None = None) -> Iterator[tuple[str, Keyed]]:
        """Each request that ``ahead`` asks for and the store does not have, with its split.

        With a ``turn``, only once it is this run's: another may be asking for the same.
        """
        for split, rows in ahead():
            wanted, self._wanted = self._wanted, {}
            if wanted and turn is not None and turn.take():  # it took a while: look again what is missing
                yield from self.missing(ahead, turn)
                return
            self.meter.found(rows - len(wanted))
            for key, request in wanted.items():
                if key not in self._underway:
                    self._underway.add(key)
                    yield split, Keyed(key, request)
            self._underway -= (
                self._arrived
            )  # the next batch finds them in the store; this one was looked up before
            self._arrived.clear()

    def usual_length(self) -> float | None:
        """Tokens of a text, in the mean over those that the store has of this generator; None if it has none."""
        return self._store().mean_tokens(self._digest)

    def taken(self, split: str) -> list[Usage]:
        """What was generated for ``split``, looking ahead or while it was mapped; counted once."""
        return [self.usage.pop(name) for name in (split, "") if name in self.usage]

    def take_used(self) -> Usage:
        """What the texts that were asked for took, whenever they were generated; counted once."""
        used, self.used = self.used, Usage()
        return used

    def take_refused(self) -> list[str]:
        """Keys of the requests that were asked for and that the engine refused; told once. The next run asks again."""
        refused, self._used_refused = self._used_refused, []
        return refused

    def unwant(self) -> None:
        """Drop what was noted as wanted."""
        self._wanted.clear()

    def forget(self) -> None:
        """Drop all that was noted."""
        for noted in (self._wanted, self._underway, self._arrived):
            noted.clear()

    def _generate(self, wanted: Iterable[tuple[str, Keyed]]) -> int:
        """Send what the budget admits, and commit each chunk that arrives; how many texts did."""
        sent, count, is_whole = self._sent, 0, False

        def requests() -> Iterator[Request]:
            nonlocal is_whole
            for position, (split, keyed) in enumerate(wanted):
                if not self.meter.admit(keyed.request.prompt):
                    return
                sent[position] = split, keyed
                yield keyed.request
            is_whole = True

        try:
            for chunk in self.generator.generate(requests()):
                self.meter.refresh()
                if not chunk:
                    continue
                self._keep([(sent[position][1], made) for position, made in chunk])
                for position, made in chunk:
                    split, keyed = sent.pop(position)
                    self._arrived.add(keyed.key)
                    self.usage[split].add(made, self.meter.arrived(keyed.request.prompt, made))
                count += len(chunk)
            if sent:
                left = next(iter(sent.values()))[1].request.prompt.user
                raise GenerationError(
                    f"the generator gave no text for {len(sent)} requests, the first being {left[:200]!r}"
                )
        except KeyboardInterrupt:
            of = (
                f"{count} of the {count + len(sent)} texts that were missing"
                if is_whole
                else f"{count} more texts"
            )
            logger.warning("%s: %s are stored", self.label, of)
            raise
        finally:
            sent.clear()
            self.forget()
        return count

    def _keep(self, chunk: Sequence[tuple[Keyed, Generation]]) -> None:
        """Commit what is an answer; of what was refused only this run knows."""
        answers = [(keyed, made) for keyed, made in chunk if made.finish_reason != "rejected"]
        if answers:
            self._store().put(self.identity, answers, self._instead)
        self._refused.update((keyed.key, made) for keyed, made in chunk if made.finish_reason == "rejected")


@contextmanager
def looking_ahead(texts: Sequence[Texts]) -> Iterator[None]:
    """Missing texts are noted and given as None, until the block ends."""
    for source in texts:
        source.looking_ahead = True
    try:
        yield
    finally:
        for source in texts:
            source.looking_ahead = False
            source.forget()
