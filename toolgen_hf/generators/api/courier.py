"""Carries requests from a caller that waits to an event loop that does not, and the texts back.

    caller's thread                       own thread, one event loop
    requests ──(as they are wanted)──>  Dispatcher ──> engine
    texts  <──(as they arrive)────────

The caller makes each chunk durable before it asks for the next; only then are the slots of that chunk free
again. So what a crash can lose, and a rerun pays again, is what was in flight: ``concurrency`` at most.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from openai import AsyncOpenAI, DefaultAioHttpClient

from toolgen_hf.errors import GenerationError
from toolgen_hf.generators.api.dispatch import Dispatcher, Job
from toolgen_hf.generators.api.health import Health
from toolgen_hf.generators.api.lanes import Lane
from toolgen_hf.generators.base import Generation
from toolgen_hf.generators.config import OpenAIConfig

GRACE = 30.0
"""Seconds that what is in flight is waited for once a run has been ended."""

logger = logging.getLogger(__name__)

Arrival = tuple[int, Generation]


class Courier:
    """One stream of requests through one engine. Used once."""

    def __init__(self, config: OpenAIConfig, base_url: str, keys: Sequence[str], path: str) -> None:
        self._config, self._base_url, self._keys, self._path = config, base_url, keys, path
        self._arrived: SimpleQueue[Arrival | None] = SimpleQueue()  # None: see what the dispatcher wants
        self._is_open: SimpleQueue[BaseException | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop
        self._dispatcher: Dispatcher
        self._closing: asyncio.Event
        self._interrupted = False

    def carry(self, requests: Iterable[tuple[dict[str, Any], int]]) -> Iterator[list[Arrival]]:
        """Yields texts in chunks, by their position in ``requests`` (body, tokens at most).

        Raises:
            GenerationError: why it ended early, or how many requests failed.
            KeyboardInterrupt: after what was in flight had arrived.
        """
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="toolgen-hf", daemon=True)
        thread.start()
        if (error := self._is_open.get()) is not None:
            raise error
        try:
            with self._interrupts():
                yield from self._exchange(enumerate(requests))
            self._raise_what_failed()
        finally:
            self._loop.call_soon_threadsafe(self._closing.set)
            thread.join()

    def _exchange(self, stream: Iterator[tuple[int, tuple[dict[str, Any], int]]]) -> Iterator[list[Arrival]]:
        """Feed and collect until all is answered or given up."""
        dispatcher, room = self._dispatcher, self._config.concurrency
        while True:
            is_over = dispatcher.is_over  # before the queue is emptied: nothing is delivered after it is set
            arrivals = self._collect(block=not is_over)
            if arrivals:
                yield arrivals
            if is_over:
                return
            jobs: list[Job] | None = None
            if dispatcher.is_hungry and not self._interrupted:
                jobs = [Job(position, body, tokens) for position, (body, tokens) in islice(stream, room)]
            self._loop.call_soon_threadsafe(dispatcher.step, jobs, len(arrivals))

    def _collect(self, block: bool) -> list[Arrival]:
        """All that has arrived, waiting for the first; once the run has been ended, only for so long."""
        items: list[Arrival | None] = []
        try:
            if block:
                items.append(self._arrived.get(timeout=GRACE if self._dispatcher.stopped else None))
            while True:
                items.append(self._arrived.get_nowait())
        except Empty:
            if block and not items:
                self._loop.call_soon_threadsafe(self._dispatcher.cancel)
        return [item for item in items if item is not None]

    async def _serve(self) -> None:
        """The loop's thread: open the client, work until the caller closes, close the client."""
        config = self._config
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            client = AsyncOpenAI(
                api_key=self._keys[0],
                base_url=self._base_url,
                max_retries=0,
                timeout=config.timeout,
                http_client=DefaultAioHttpClient(timeout=config.timeout),
            )
            now = self._loop.time()
            self._dispatcher = Dispatcher(
                [Lane(key, client.with_options(api_key=key), config, now) for key in self._keys],
                self._path,
                config.concurrency,
                config.max_retries,
                Health(max(60.0, 2 * config.timeout), now),
                lambda position, made: self._arrived.put((position, made)),
                lambda: self._arrived.put(None),
            )
        except BaseException as error:
            self._is_open.put(error)
            return
        self._is_open.put(None)
        self._dispatcher.step(None, 0)
        await self._closing.wait()
        await self._dispatcher.close()
        await client.close()

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """The first Ctrl-C ends the sending and waits for what is in flight, the second does not wait."""
        usual = signal.getsignal(signal.SIGINT)
        if (
            threading.current_thread() is not threading.main_thread()
            or usual is not signal.default_int_handler
        ):
            yield
            return

        def end(_number: int, _frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, usual)
            self._interrupted = True
            self._loop.call_soon_threadsafe(self._dispatcher.stop, "interrupted")
            logger.warning("interrupted: waiting for what is on its way (Ctrl-C again to leave it)")

        signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _raise_what_failed(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        at = f"engine at {self._base_url}"
        if self._dispatcher.stopped:
            raise GenerationError(
                f"the {at} gives nothing more: {self._dispatcher.stopped}. What arrived is stored; mend it and "
                "run again to go on"
            )
        if failed := self._dispatcher.failed:
            raise GenerationError(
                f"{len(failed)} requests to the {at} failed after {self._config.max_retries} retries, the first with: "
                f"{failed[0].message}. All others are stored; run again to ask for these"
            )
