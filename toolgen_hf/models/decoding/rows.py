"""The decoding itself: rows in slots, a token a step; a row that is complete makes room for the next prompt."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from toolgen_hf.ask import Generation
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding.capacity import Capacity
from toolgen_hf.models.decoding.ending import Ending
from toolgen_hf.models.decoding.forward import Forward
from toolgen_hf.models.decoding.search import Penalty, Row, draw, extend, narrowing
from toolgen_hf.models.decoding.slots import Slots
from toolgen_hf.models.decoding.speed import Spent

Finished = list[tuple[int, Generation]]


class Waiting:
    """Rows that no worker has taken yet, the longest prompt first."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows, self._lock = deque(rows), threading.Lock()

    def take(self, count: int, prefix: int, tokens: int) -> list[Row]:
        """The next few: at most ``count``, and of at most so many ``tokens`` behind the prefix; at least one."""
        with self._lock:
            if not self._rows:
                return []
            fit = tokens // max(1, len(self._rows[0].prompt) - prefix)
            return [self._rows.popleft() for _ in range(min(count, max(1, fit), len(self._rows)))]

    def __len__(self) -> int:
        return len(self._rows)

    def put_back(self, rows: Sequence[Row]) -> None:
        """Rows that must be begun anew."""
        with self._lock:
            for row in sorted(rows, key=lambda row: len(row.prompt)):
                row.restart()
                self._rows.appendleft(row)


class Worker:
    """Decodes rows in slots of its own."""

    def __init__(
        self,
        model: Any,
        slots: Slots,
        config: LocalConfig,
        ending: Ending,
        spent: Spent,
        room: Capacity,
    ) -> None:
        self.forward, self.slots, self.config = Forward(model, slots), slots, config
        self.ending, self.threads, self.at_once = ending, room.threads, room.prompt_tokens
        self.rows: list[Row] = []
        self._finished: Finished = []
        self.spent = spent
        self._narrow = narrowing(config)
        self._penalty: Penalty | None = None
        if config.repetition_penalty != 1.0:
            self._penalty = Penalty(config.repetition_penalty, slots.rows * slots.beams)

    def work(self, waiting: Waiting, until: Callable[[], bool]) -> None:
        """Decode until nothing is left, or until it is time to hand over what is finished.

        That is when ``until`` says so, and when as many are finished as there are slots.
        """
        if self.threads:
            torch.set_num_threads(self.threads)  # of the thread that runs this
        with torch.inference_mode():
            self._admit(waiting)
            while self.rows:
                self._step()
                if until() or len(self._finished) >= self.slots.rows:
                    return  # slots that are free now are filled once the texts are safe
                self._admit(waiting)

    def take_finished(self) -> Finished:
        """What is finished since this was last asked."""
        finished, self._finished = self._finished, []
        return finished

    def _admit(self, waiting: Waiting) -> None:
        """Fill the free slots."""
        started, prefix = time.perf_counter(), self.slots.prefix_length
        while (free := self.slots.rows - len(self.rows)) and (
            new := waiting.take(free, prefix, self.at_once)
        ):
            first, beams = len(self.rows), self.slots.beams
            self.rows += new  # before anything can fail, so that none is lost
            prompts = [row.prompt[prefix:] for row in new]
            logits = self.forward.admit(range(first, first + len(new)), prompts)
            for at, row in enumerate(new, first):
                if self.config.do_sample:
                    row.draws = torch.Generator().manual_seed(row.seed)
                if self._penalty:
                    self._penalty.start(range(at * beams, (at + 1) * beams), row.prompt, logits)
            self._choose(logits, first)
            self._leave()
            self.spent.prompt_tokens += sum(map(len, prompts))
        self.spent.prompts += time.perf_counter() - started

    def _step(self) -> None:
        """One token more for every row."""
        started = time.perf_counter()
        logits = self.forward.step([beam.tokens[-1] for row in self.rows for beam in row.beams])
        self._choose(logits, 0)
        self._leave()
        self.spent.steps += time.perf_counter() - started
        self.spent.sequence_steps += len(logits)
        self.spent.slot_steps += self.slots.rows * self.slots.beams

    def _choose(self, logits: Tensor, first: int) -> None:
        """Give each row from ``first`` on its next token."""
        rows, beams = self.rows[first:], self.slots.beams
        self.spent.made += len(rows)
        if beams > 1:
            self._choose_beams(logits.float().log_softmax(-1), rows, first * beams)
        else:
            self._choose_one(logits, rows, first)
        if self._penalty:
            self._penalty.add(first * beams, [beam.tokens[-1] for row in rows for beam in row.beams])

    def _choose_one(self, scores: Tensor, rows: Sequence[Row], first: int) -> None:
        if self._penalty:
            scores = self._penalty(scores.float(), slice(first, first + len(rows)))
        if self.config.do_sample:
            scores = scores.float()
            for narrow in self._narrow:
                scores = narrow(None, scores)
            tokens = draw(scores, [row.draws for row in rows if row.draws])
        else:
            tokens = scores.argmax(-1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            text = row.beams[0].tokens
            text.append(token)
            if self.ending.is_end(text, row.limit):
                row.result = text

    def _choose_beams(self, scores: Tensor, rows: Sequence[Row], first: int) -> None:
        """The best continuations of each row's texts; a row that has just begun has one, the empty one."""
        beams, size = self.slots.beams, scores.shape[-1]
        begins = len(scores) == len(rows)
        if self._penalty:
            scores = self._penalty(scores, slice(first, first + len(rows) * beams, beams if begins else 1))
        sums = torch.tensor([beam.score for row in rows for beam in row.beams], device=scores.device)
        joint = (scores + sums[:, None]).reshape(len(rows), -1)
        best = joint.topk(min(beams * max(2, 1 + len(self.ending.eos)), joint.shape[1]))
        parents: list[int] = []
        for number, (row, values, places) in enumerate(
            zip(rows, best.values.tolist(), best.indices.tolist(), strict=True)
        ):
            found = [(value, *divmod(place, size)) for value, place in zip(values, places, strict=True)]
            ends = [
                self.ending.is_end([*row.beams[beam].tokens, token], row.limit) for _, beam, token in found
            ]
            parents += [first + number * beams + beam for beam in extend(row, found, ends, beams)]
        changed = [at for at, parent in enumerate(parents, first) if at != parent]
        if changed and not begins:
            sources = [parents[at - first] for at in changed]
            self.slots.copy_texts(sources, changed, max(self.forward.texts))
            if self._penalty:
                self._penalty.copy(sources, changed)

    def _leave(self) -> None:
        """Take out the rows that are complete; the last ones take their slots."""
        beams = self.slots.beams
        for at in reversed(range(len(self.rows))):
            row = self.rows[at]
            if row.result is None:
                continue
            made = self.ending.generation(row.result, len(row.prompt))
            self._finished.append((row.at, made))
            self.spent.texts += 1
            self.spent.tokens += made.completion_tokens
            last = len(self.rows) - 1
            self.forward.drop(at)
            if self._penalty and at != last:
                self._penalty.copy(
                    range(last * beams, (last + 1) * beams), range(at * beams, (at + 1) * beams)
                )
            self.rows[at] = self.rows[last]
            self.rows.pop()
