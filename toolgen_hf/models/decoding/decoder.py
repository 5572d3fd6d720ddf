"""All rows of a call: the prefix that they share, the workers, and what to do when memory runs out."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from threading import Event

import torch

from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding.capacity import Capacity, capacity, is_out_of_memory
from toolgen_hf.models.decoding.ending import Ending
from toolgen_hf.models.decoding.forward import Forward
from toolgen_hf.models.decoding.rows import Finished, Waiting, Worker
from toolgen_hf.models.decoding.search import Row
from toolgen_hf.models.decoding.slots import Slots
from toolgen_hf.models.decoding.speed import Speed
from toolgen_hf.models.decoding.whole import decode_whole
from toolgen_hf.models.loading import LoadedModel
from toolgen_hf.models.weights import Weights

TURN = 2.0
"""Seconds after which finished texts are handed over."""

logger = logging.getLogger(__name__)


def decode(
    loaded: LoadedModel,
    adapter: Weights | None,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    config: LocalConfig,
    speed: Speed,
) -> Iterator[Finished]:
    """Yields texts with the positions of their prompts as they are finished; in between nothing runs.

    Nothing at all is yielded now and then, too, as a sign of life.

    Args:
        prompts: the token ids of each, at least one, and fewer than the model's context.
        seeds: of each, for sampling.
        speed: notes what is done.

    Raises:
        RuntimeError: the model failed, or the memory does not hold a single row.
    """
    room = [config.max_new_tokens if loaded.context is None else loaded.context - len(ids) for ids in prompts]
    rows = [
        Row(at, ids, min(config.max_new_tokens, left), seed)
        for at, (ids, left, seed) in enumerate(zip(prompts, room, seeds, strict=True))
    ]
    rows.sort(key=lambda row: -len(row.prompt))  # so that prompts computed together need little padding
    if not loaded.has_slots:
        return decode_whole(loaded, adapter, rows, config, speed)
    return Decoder(loaded, adapter, rows, config, speed).run()


class Decoder:
    """Decodes rows in slots, until all are done."""

    def __init__(
        self,
        loaded: LoadedModel,
        adapter: Weights | None,
        rows: Sequence[Row],
        config: LocalConfig,
        speed: Speed,
    ) -> None:
        self.loaded, self.adapter, self.config, self.rows = loaded, adapter, config, rows
        self.ending = Ending(loaded.tokenizer, loaded.eos_ids, config.stop)
        self.waiting, self.workers = Waiting(rows), list[Worker]()
        self.stop, self.speed = Event(), speed

    def run(self) -> Iterator[Finished]:
        """Yields what is finished, turn by turn.

        Raises:
            RuntimeError: the model failed; what was finished has been yielded.
        """
        with ExitStack() as stack:
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            prefix, room = self._plan()
            pool = stack.enter_context(ThreadPoolExecutor(room.workers, "decode"))
            stack.callback(self.stop.set)  # leave at the next step, whatever ends this
            self._hire(prefix, room)
            while self.waiting or any(worker.rows for worker in self.workers):
                failures = self._turn(pool)
                yield [pair for worker in self.workers for pair in worker.take_finished()]
                if failures:
                    room = self._smaller(room, failures)
                    self._hire(prefix, room)
        self.speed.tell(room, self.loaded.device, self.loaded.dtype, self.config)

    def _plan(self) -> tuple[Slots, Capacity]:
        """Slots with the common prefix of all prompts, and how many rows fit beside it."""
        prompts = [row.prompt for row in self.rows]
        shared = common_prefix(prompts)
        slots = Slots(0, self.config.num_beams, 0, 0)
        with self.loaded.using(self.adapter), torch.inference_mode(), self.speed.turn():
            Forward(self.loaded.model, slots).prefix(shared or prompts[0][:1])
        slots.prefix_length = len(shared)
        own = len(prompts[0]) - len(shared) + self.config.max_new_tokens
        return slots, capacity(slots, own, len(prompts), self.config, self.loaded.device)

    def _hire(self, prefix: Slots, room: Capacity) -> None:
        """Make the workers, with empty slots."""
        longest = max(len(row.prompt) for row in self.rows) - prefix.prefix_length
        self.workers = [
            Worker(
                self.loaded.model,
                Slots(room.rows, self.config.num_beams, longest, self.config.max_new_tokens, prefix),
                self.config,
                self.ending,
                self.speed.part(),
                room,
            )
            for _ in range(room.workers)
        ]

    def _turn(self, pool: ThreadPoolExecutor) -> list[BaseException]:
        """Run all workers for a while; returns their errors."""
        end = time.monotonic() + TURN
        with self.loaded.using(self.adapter), self.speed.turn():
            jobs = [
                pool.submit(worker.work, self.waiting, lambda: self.stop.is_set() or time.monotonic() > end)
                for worker in self.workers
            ]
            try:
                wait(jobs)
            except BaseException:  # Ctrl-C
                self.stop.set()
                wait(jobs)
                raise
        return [error for job in jobs if (error := job.exception()) is not None]

    def _smaller(self, room: Capacity, failures: Sequence[BaseException]) -> Capacity:
        """Half the rows, which begin anew, where memory has run out; any other failure is raised."""
        other = [error for error in failures if not is_out_of_memory(error)]
        if other or room.rows == 1:
            raise (other or failures)[0]
        for worker in self.workers:
            self.waiting.put_back(worker.rows)
        self.workers = []
        if self.loaded.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("out of memory with %d rows at once: going on with half", room.rows * room.workers)
        return room.halved()


def common_prefix(prompts: Sequence[list[int]]) -> list[int]:
    """The tokens that all prompts begin with; at least one token shorter than each prompt."""
    first, last = min(prompts), max(prompts)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: min(length, *(len(prompt) - 1 for prompt in prompts))]
