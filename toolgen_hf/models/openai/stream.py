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
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from openai import AsyncOpenAI, DefaultAioHttpClient

from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.adaptations import Shape, refused_error
from toolgen_hf.models.openai.bounds import bounded
from toolgen_hf.models.openai.dispatch import Dispatcher, Job
from toolgen_hf.models.openai.health import Health, Startup
from toolgen_hf.models.openai.keys import redact
from toolgen_hf.models.openai.rate_limits import ApiKey

SWITCH = 0.0005
"""Seconds that a thread keeps the interpreter while another wants it."""
GRACE = 30.0
"""Seconds that what is in flight is waited for once a run has been ended."""
ONE_WISH = 1.0
"""Seconds after a signal in which another is the same wish: ``timeout`` and schedulers send it to a process and its
group."""
TAKING = 0.1
"""Seconds after which requests that were found are sent, rather than more looked for: most may be in the store."""
_DEFAULT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
_INTERRUPTED = "interrupted"

logger = logging.getLogger(__name__)

Arrival = tuple[int, Generation]


class RequestStream:
    """One stream of requests through one engine. Used once.

    Args:
        parse: reads an answer; raises MalformedError where it is none.
        shape: how requests to this engine are shaped.
        has_answered: whether the engine is known to answer such requests, from before.
    """

    def __init__(
        self,
        config: OpenAIConfig,
        base_url: str,
        keys: Sequence[str],
        path: str,
        parse: Callable[[str], Generation],
        shape: Shape,
        has_answered: bool = False,
    ) -> None:
        self._config, self._base_url, self._keys, self._path = config, base_url, keys, path
        self._parse, self._shape, self._has_answered = parse, shape, has_answered
        self._arrived: SimpleQueue[Arrival | None] = SimpleQueue()  # None: see what the dispatcher wants
        self._is_open = threading.Event()
        self._died: BaseException | None = None  # of what the loop's thread ended, which it never should
        self._loop: asyncio.AbstractEventLoop
        self._dispatcher: Dispatcher
        self._closing: asyncio.Event
        self._signal: int | None = None  # that came meanwhile
        self._signalled_at = 0.0
        self._broken: Exception | None = None  # by what the stream of requests ended

    def run(self, requests: Iterable[tuple[dict[str, Any], int]]) -> Iterator[list[Arrival]]:
        """Yields texts in chunks, by their position in ``requests`` (body, tokens at most).

        Raises:
            RefusedError: every request was refused.
            GenerationError: why it ended early, or how many requests failed.
            KeyboardInterrupt: after what was in flight had arrived. (SIGTERM ends the process then.)
            Exception: what ``requests`` raised, likewise.
        """
        thread = threading.Thread(target=self._work, name="toolgen-hf", daemon=True)
        thread.start()
        try:
            with self._interrupts(), _taking_short_turns():
                self._is_open.wait()
                yield from self._exchange(enumerate(requests))
            self._raise_what_failed()
        finally:
            self._is_open.wait()
            self._in_loop(lambda: self._closing.set())
            thread.join()

    def _in_loop(self, change: Callable[[], object]) -> None:
        if self._died is None:
            with suppress(RuntimeError):  # the loop was closed just now
                self._loop.call_soon_threadsafe(change)

    def _exchange(self, stream: Iterator[tuple[int, tuple[dict[str, Any], int]]]) -> Iterator[list[Arrival]]:
        """Feed and collect until all is answered or given up."""
        room, told = self._config.concurrency, False
        while self._died is None:
            dispatcher = self._dispatcher
            is_over = dispatcher.is_over  # before the queue is emptied: nothing is delivered after it is set
            arrivals = self._collect(block=not is_over)
            if arrivals:
                yield arrivals
            if is_over:
                return
            jobs: list[Job] | None = None
            if self._signal is not None and not told:
                told = True
                logger.warning("interrupted: waiting for what is on its way (again to leave it)")
                self._stop(_INTERRUPTED)  # it may have come before there was anything to stop
            elif dispatcher.is_hungry and self._signal is None and dispatcher.stopped is None:
                jobs = self._feed(stream, room)
            self._in_loop(partial(dispatcher.step, jobs, len(arrivals)))
        if rest := self._collect(block=False):
            yield rest

    def _feed(self, stream: Iterator[tuple[int, tuple[dict[str, Any], int]]], room: int) -> list[Job] | None:
        """The next jobs; None where they cannot be made: what is on its way is paid, and so waited for."""
        try:
            return _take(stream, room)
        except Exception as error:
            self._broken = error
            logger.warning("no more requests (%s): waiting for what is on its way", type(error).__name__)
            self._stop("the requests broke off")
            return None

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
                self._in_loop(self._dispatcher.cancel)
        return [item for item in items if item is not None]

    def _work(self) -> None:
        """The loop's thread. However it ends, the caller learns of it."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._died = error
        finally:
            self._is_open.set()
            self._arrived.put(None)

    async def _serve(self) -> None:
        """Open the client, work until the caller closes, close the client."""
        config = self._config
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncOpenAI(
            api_key=self._keys[0],
            base_url=self._base_url,
            max_retries=0,
            timeout=config.timeout,
            http_client=DefaultAioHttpClient(
                timeout=config.timeout, event_hooks={"response": [bounded(config.max_answer_bytes)]}
            ),
        ) as client:
            now = self._loop.time()
            self._dispatcher = Dispatcher(
                [ApiKey(key, client.with_options(api_key=key), config, now) for key in self._keys],
                self._base_url + self._path,  # whole: the client need not join it anew for each request
                config.concurrency,
                config.max_retries,
                Health(max(60.0, 2 * config.timeout), now),
                Startup(config.wait_for_engine),
                self._shape,
                self._has_answered,
                self._parse,
                lambda position, made: self._arrived.put((position, made)),
                lambda: self._arrived.put(None),
            )
            self._dispatcher.step(None, 0)
            self._is_open.set()
            await self._closing.wait()
            await self._dispatcher.close()

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM ends the sending and waits for what is in flight, a later one does not wait.

        Two within ``ONE_WISH`` are one. Where something else handles them, or in a thread of the caller's, all stays
        as it is.
        """
        usual: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            usual = {n: default for n, default in _DEFAULT.items() if signal.getsignal(n) is default}

        def end(number: int, _frame: FrameType | None) -> None:
            if self._signal is None:
                self._signal, self._signalled_at = number, time.monotonic()
                if self._is_open.is_set():
                    self._stop(_INTERRUPTED)
            elif time.monotonic() - self._signalled_at >= ONE_WISH:
                restore()
                signal.raise_signal(number)

        def restore() -> None:
            for number, default in usual.items():
                signal.signal(number, default)

        for number in usual:
            signal.signal(number, end)
        try:
            yield
            if self._signal == signal.SIGINT:  # its twin must not break into what the caller does last
                time.sleep(max(0.0, self._signalled_at + ONE_WISH - time.monotonic()))
        finally:
            restore()

    def _stop(self, reason: str) -> None:
        if self._died is None:
            self._in_loop(partial(self._dispatcher.stop, reason))

    def _raise_what_failed(self) -> None:
        if self._signal is not None:
            if self._signal != signal.SIGINT:
                signal.raise_signal(self._signal)
            raise KeyboardInterrupt from self._broken
        if self._broken is not None:
            raise self._broken
        at = f"engine at {self._base_url}"
        if self._died is not None:
            reason = redact(f"{type(self._died).__name__}: {self._died}", self._keys)
            raise GenerationError(f"the client of the {at} failed: {reason}. What arrived is stored")
        stopped, refused = self._dispatcher.stopped, self._dispatcher.refused
        if stopped and self._dispatcher.is_refused:
            failures = [*refused, *self._dispatcher.failed]
            raise refused_error(self._base_url, stopped, failures, self._config)
        if stopped:
            raise GenerationError(
                f"the {at} gives nothing more: {stopped.rstrip('.')}. What arrived is stored; mend "
                "it and run again to go on"
            )
        if refused:
            logger.warning(
                "engine %r refused %d request%s for what they hold, the first with: %s",
                self._config.engine,
                len(refused),
                "s" * (len(refused) > 1),
                refused[0].message,
            )
        if failed := self._dispatcher.failed:
            many = f"{len(failed)} request{'s' * (len(failed) > 1)}"
            raise GenerationError(
                f"{many} to the {at} failed after {self._config.max_retries} retries, the first with: "
                f"{failed[0].message}. All others are stored; run again to ask for what is missing"
            )


@contextmanager
def _taking_short_turns() -> Iterator[None]:
    """Threads hand over ten times as often as usual: the loop answers while the caller works through its rows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, SWITCH))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _take(stream: Iterator[tuple[int, tuple[dict[str, Any], int]]], room: int) -> list[Job]:
    """The next jobs, as many as there is room for and as are soon found; none if there are no more."""
    until = time.monotonic() + TAKING
    jobs = []
    for position, (body, tokens) in stream:
        jobs.append(Job(position, body, tokens))
        if len(jobs) >= room or time.monotonic() > until:
            break
    return jobs
