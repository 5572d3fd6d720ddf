"""The door between rows and models. What a row asks is stored once, and replayed from then on.

    replay     every text comes from the store. `Dataset.map` runs rows this way: it never waits.
    generate   a missing text is generated and stored, and the row goes on.
    rehearse   a row that lacks a text stops, and what is missing is counted. This is ``--dry-run``.

A stage first generates what its rows lack, over all splits at once, then maps the rows with replay:

    rows ── ask.text ──> in the store? ── no ──> stream of requests ──> model ──> store ──> the row goes on
                             └── yes ──> the row goes on

So there is no barrier between batches or splits, and a killed run repeats nothing.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, TypeVar

from toolgen_hf._utils import well_formed
from toolgen_hf.ask import Generation, Keyed, Prompt, Request, RowRun, Wanted
from toolgen_hf.errors import GenerationError, RefusedError
from toolgen_hf.runtime.store import Claims
from toolgen_hf.runtime.texts import Texts

T = TypeVar("T")

AT_ONCE = 100
"""Rows that are started together: few, so that the first request leaves soon."""
MAX_ROWS = 10_000
"""Rows that wait for texts at most."""
MAX_ROWS_OF_A_BATCH = 50_000
"""The same where a model answers all requests together (OpenAI takes 50,000 in a batch)."""
POLL = 0.5
"""Seconds between two looks for a text that another run is asking for."""
MAX_RESULTS = 10_000
"""Results that are kept in memory for the map."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a row that was run while texts were generated, and the tokens of its texts, by their keys."""

    result: Any
    texts: tuple[tuple[Texts, str, Generation], ...]

    def take(self) -> Any:
        """The result. Its texts are counted as used."""
        for texts, key, made in self.texts:
            texts.use(key, made)
        return self.result


def replay(rows: Sequence[RowRun[T]]) -> list[T]:
    """Run rows to their end with the texts of the store.

    Raises:
        GenerationError: a text is not there.
    """
    done, missing = _run(rows, is_used=True)
    if missing:
        texts, keyed = next(iter(missing.values()))
        raise GenerationError(
            f"{texts.label}: the store {texts.store.name!r} has no text for "
            f"{keyed.request.prompt.user[:200]!r}; it was there or was just generated. Run again"
        )
    return [result for result in done if result is not None]


def rehearse(rows: Sequence[RowRun[T]], missing: dict[str, tuple[Texts, Prompt]]) -> list[T | None]:
    """Run rows as far as the store has their texts. None for a row that lacks one.

    Args:
        missing: gets each missing text, by its key.
    """
    done, lacking = _run(rows)
    missing.update((key, (texts, keyed.request.prompt)) for key, (texts, keyed) in lacking.items())
    return done


def _run(
    rows: Sequence[RowRun[T]], is_used: bool = False
) -> tuple[list[T | None], dict[str, tuple[Texts, Keyed]]]:
    """Run rows with the store alone; the results, and the texts that are missing."""
    results: list[T | None] = [None] * len(rows)
    missing: dict[str, tuple[Texts, Keyed]] = {}
    moving: list[tuple[int, Generation | None]] = [(at, None) for at in range(len(rows))]
    try:
        while moving:
            asked: dict[Texts, list[tuple[int, Keyed]]] = {}
            for at, text in moving:
                try:
                    wanted = _send(rows[at], text)
                except StopIteration as stop:
                    results[at] = stop.value
                else:
                    asked.setdefault(wanted.model, []).append((at, wanted.model.keyed(wanted.request)))
            moving = []
            for texts, wishes in asked.items():
                found = texts.find(keyed for _, keyed in wishes)
                for at, keyed in wishes:
                    if keyed.key not in found:
                        missing[keyed.key] = (texts, keyed)
                        continue
                    moving.append((at, found[keyed.key]))
                    if is_used:
                        texts.use(keyed.key, found[keyed.key])
    finally:
        for row in rows:
            row.close()
    return results, missing


def _as_stored(made: Generation) -> Generation:
    """A text that arrived as the store gives it later, so that a row gets the same text both times."""
    text = well_formed(made.text)
    return made if text is made.text else replace(made, text=text)


def _send(row: RowRun[Any], text: Generation | None) -> Wanted:
    """Let a row go on until it asks for a text. Raises StopIteration with its result at its end."""
    return row.send(text)  # type: ignore[arg-type]  # None starts it


@dataclass(slots=True)
class _Row:
    """A row on its way: its split, its number in the split, its coroutine, and the tokens of the texts that it got."""

    split: str
    number: int
    run: RowRun[Any]
    asked: Keyed | None = None
    of: Texts | None = None
    texts: list[tuple[Texts, str, Generation]] = field(default_factory=list)

    def send(self, text: Generation | None) -> None:
        """Let the row go on with the text that it asked for. Raises StopIteration with its result at its end."""
        if text is not None and self.of is not None and self.asked is not None:
            tokens = replace(text, text="", raw=None, reasoning=None)  # an engine's answer may be large
            self.texts.append((self.of, self.asked.key, tokens))
        wanted = _send(self.run, text)
        self.of, self.asked = wanted.model, wanted.model.keyed(wanted.request)


@dataclass(slots=True)
class _Missing:
    """A text that is not in the store: its request, the split that asked first, and the rows that wait."""

    keyed: Keyed
    split: str
    rows: list[_Row] = field(default_factory=list)


class Generating:
    """Runs rows and generates each text that they lack. Used once.

    ``done`` has the results of the first rows, by split and number, so that the map need not run these again. Later
    rows are not run beyond the last text that they may ask for.

    Args:
        rows: each with its split; started as there is room.
        models: all that the rows may ask, in the order in which a row asks them.
        label: what the progress bar calls the work.
        count: how many rows there are.
    """

    def __init__(
        self, rows: Iterable[tuple[str, RowRun[Any]]], models: Sequence[Texts], label: str, count: int
    ) -> None:
        numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
        self._rows = (_Row(split, next(numbers[split]), run) for split, run in rows)
        self.done: dict[tuple[str, int], Done] = {}
        self._models, self._meter, self._label, self._count = models, models[0].meter, label, count
        self._most_texts = sum(inf if texts.attempts is None else texts.attempts for texts in models)
        self._missing: dict[Texts, dict[str, _Missing]] = {texts: {} for texts in models}
        self._sent: dict[str, _Missing] = {}
        self._ready: deque[tuple[_Row, Generation]] = deque()
        self._waiting = 0  # rows
        self._claims: Claims | None = None
        self._elsewhere: dict[Texts, dict[str, _Missing]] = {texts: {} for texts in models}
        self._most = MAX_ROWS

    def run(self) -> None:
        """Generate all that is missing, and store each text as it arrives.

        Raises:
            GenerationError: a model failed. What arrived is in the store.
            BudgetError: the budget is used up.
        """
        try:
            with self._meter.progress(self._label, self._count):
                while self._advance() or self._wait_for_others():
                    while (texts := next((t for t in self._models if self._missing[t]), None)) is not None:
                        made = self._generate(texts)
                        if self._meter.is_cut and (texts.generator.is_batch or not made):
                            self._meter.check()
            self._meter.check()
        finally:
            for row, _ in self._ready:
                row.run.close()
            lacking = [*self._missing.values(), *self._elsewhere.values()]
            for one in [*self._sent.values(), *(one for part in lacking for one in part.values())]:
                for row in one.rows:
                    row.run.close()
            if self._claims is not None:
                self._claims.close()

    def _advance(self, has_room: bool = True) -> bool:
        """Let rows go on until each has ended or lacks a text, and start more if there is room. False if none can."""
        moving: list[tuple[_Row, Generation | None]] = [*self._ready]
        self._waiting -= len(moving)
        self._ready.clear()
        while has_room and len(moving) < AT_ONCE and self._waiting + len(moving) < self._most:
            if (new := next(self._rows, None)) is None:
                break
            moving.append((new, None))
        is_moving = bool(moving)
        ended = 0
        while moving:
            asked: dict[Texts, list[_Row]] = {}
            for row, text in moving:
                if text is not None and not self._is_needed(row):
                    row.run.close()
                    ended += 1
                    continue
                try:
                    row.send(text)
                except StopIteration as stop:
                    ended += 1
                    if len(self.done) < MAX_RESULTS:
                        self.done[row.split, row.number] = Done(stop.value, tuple(row.texts))
                else:
                    assert row.of is not None
                    asked.setdefault(row.of, []).append(row)
            moving = []
            for texts, rows in asked.items():
                moving += self._look_up(texts, rows)
        self._meter.done(ended)
        return is_moving

    def _is_needed(self, row: _Row) -> bool:
        """Whether to run a row on: it may ask for more, or its result is kept."""
        return len(row.texts) + 1 < self._most_texts or len(self.done) < MAX_RESULTS

    def _look_up(self, texts: Texts, rows: Sequence[_Row]) -> list[tuple[_Row, Generation | None]]:
        """The rows whose text is in the store. The others wait."""
        wishes = [(row, row.asked) for row in rows if row.asked is not None]
        asked = [keyed for _, keyed in wishes if keyed.key not in self._sent]
        found = texts.find(asked)
        claimed = self._claim(texts, asked, found)
        moving: list[tuple[_Row, Generation | None]] = []
        for row, keyed in wishes:
            if keyed.key in found:
                moving.append((row, found[keyed.key]))
                continue
            lacking = self._missing[texts] if keyed.key in claimed else self._elsewhere[texts]
            one = self._sent.get(keyed.key) or lacking.setdefault(keyed.key, _Missing(keyed, row.split))
            one.rows.append(row)
            self._waiting += 1
        return moving

    def _claim(self, texts: Texts, asked: Sequence[Keyed], found: dict[str, Generation]) -> Collection[str]:
        """The missing texts that this run may ask for. ``found`` gets those that arrived meanwhile."""
        if not (missing := {keyed.key for keyed in asked if keyed.key not in found}):
            return ()
        if self._claims is None:
            self._claims = texts.store.claims({one.digest: one.label for one in self._models})
        claimed, has_more = self._claims.take(texts.digest, missing)
        if has_more:
            found.update(texts.find([keyed for keyed in asked if keyed.key in missing]))
        return claimed

    def _wait_for_others(self) -> bool:
        """Look again for the texts that other runs are asking for. False if there are none."""
        waiting = [(texts, lacking) for texts, lacking in self._elsewhere.items() if lacking]
        if waiting:
            time.sleep(POLL)
        for texts, lacking in waiting:
            asked = [one.keyed for one in lacking.values()]
            found = texts.find(asked)
            claimed = self._claim(texts, asked, found)
            for key in [key for key in lacking if key in found or key in claimed]:
                one = lacking.pop(key)
                if key in found:
                    self._ready.extend((row, found[key]) for row in one.rows)
                    continue
                mine = self._sent.get(key) or self._missing[texts].setdefault(key, one)
                if mine is not one:
                    mine.rows.extend(one.rows)
        return bool(waiting)

    def _generate(self, texts: Texts) -> int:
        """Send what one model is asked for until no row asks more; how many texts arrived.

        If the engine refuses all of it, but still answers a request that it answered before, the refusals are final.
        Else a run that is resumed when only such requests are left could never end.
        """
        try:
            return self._send_missing(texts)
        except RefusedError:
            if texts.answered is None or not self._answers_still(texts, texts.answered):
                raise
        return self._send_missing(texts)

    def _answers_still(self, texts: Texts, request: Request) -> bool:
        logger.info("%s: all that was missing is refused; asking again for a text that is there", texts.label)
        keyed, split = texts.keyed(request), next((m.split for m in self._missing[texts].values()), "")
        try:
            arrived = [made for chunk in texts.generator.generate([request]) for _, made in chunk]
        except GenerationError:
            return False
        texts.keep([(split, keyed, made) for made in arrived])
        return bool(arrived)

    def _send_missing(self, texts: Texts) -> int:
        sent: dict[int, _Missing] = {}  # by position in the stream
        count, is_whole = 0, False
        unusable: Generation | None = None
        missing = self._missing[texts]
        self._most = MAX_ROWS_OF_A_BATCH if texts.generator.is_batch else MAX_ROWS

        def requests() -> Iterator[Request]:
            nonlocal is_whole
            position = 0
            while missing or self._advance():
                while missing:
                    key, one = next(iter(missing.items()))
                    if not self._meter.admit(texts.generator, one.keyed.request.prompt):
                        return
                    del missing[key]
                    self._sent[key] = sent[position] = one
                    position += 1
                    yield one.keyed.request
            is_whole = True

        try:
            for chunk in texts.generator.generate(requests()):
                self._meter.refresh(texts.generator)
                if not chunk:
                    continue
                arrived = [(sent.pop(position), _as_stored(made)) for position, made in chunk]
                texts.keep([(one.split, one.keyed, made) for one, made in arrived])
                count += len(chunk)
                for one, made in arrived:
                    del self._sent[one.keyed.key]
                    unusable = unusable or (made if made.unusable else None)
                    if unusable is None:
                        self._ready.extend((row, made) for row in one.rows)
                self._advance(has_room=False)
            if unusable is not None:  # said once all that was paid for is stored
                texts.usable(unusable)
            if sent:
                left = next(iter(sent.values())).keyed.request.prompt.user
                raise GenerationError(
                    f"the generator gave no text for {len(sent)} requests, the first being {left[:200]!r}"
                )
        except KeyboardInterrupt:
            of = (
                f"{count} of the {count + len(sent)} texts that were missing"
                if is_whole
                else f"{count} more texts"
            )
            logger.warning("%s: %s are stored", texts.label, of)
            raise
        finally:
            for one in sent.values():
                del self._sent[one.keyed.key]
                missing[one.keyed.key] = one
            self._meter.release()
        return count
