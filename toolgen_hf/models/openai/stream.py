"""A synchronous stream of requests and texts over an event loop on a thread of its own.

    caller's thread                        event loop
    requests ──(as there is room)──>  Dispatcher ──> engine
    texts    <──(as they arrive)────

The caller stores each chunk of texts before it asks for the next, and only then is there room for as many new requests.
So a crash loses what was in flight, ``concurrency`` requests at most.
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
"""Seconds after which a thread hands the interpreter over to another that waits for it."""
GRACE = 30.0
"""Seconds to wait for requests in flight after a run was ended."""
SAME_SIGNAL = 1.0
"""Two signals within so many seconds count as one: ``timeout`` and schedulers signal a process and its group."""
TAKING = 0.1
"""Seconds after which the requests found so far are sent. Most rows may need none, so finding more can take long."""
_DEFAULT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
_INTERRUPTED = "interrupted"

logger = logging.getLogger(__name__)

Arrival = tuple[int, Generation]


class RequestStream:
    """Sends requests to one engine. Used once.

    Args:
        parse: reads an answer; raises MalformedError if it is not one.
        shape: the changes that this engine asks for.
        has_answered: whether the engine has answered such requests before.
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
        self._arrived: SimpleQueue[Arrival | None] = SimpleQueue()  # None: the dispatcher has news
        self._is_open = threading.Event()
        self._died: BaseException | None = None  # what ended the loop's thread; nothing should
        self._loop: asyncio.AbstractEventLoop
        self._dispatcher: Dispatcher
        self._closing: asyncio.Event
        self._signal: int | None = None  # that arrived
        self._signalled_at = 0.0
        self._broken: Exception | None = None  # raised by the caller's requests

    def run(self, requests: Iterable[tuple[dict[str, Any], int]]) -> Iterator[list[Arrival]]:
        """Yields texts in chunks, each with its position in ``requests`` (body, tokens at most).

        Raises:
            RefusedError: every request was refused.
            GenerationError: it ended early, or requests failed.
            KeyboardInterrupt: after Ctrl-C, once the requests in flight are answered. (SIGTERM then ends the process.)
            Exception: raised by ``requests``, once the requests in flight are answered.
        """
        thread = threading.Thread(target=self._work, name="toolgen-hf", daemon=True)
        thread.start()
        try:
            with self._interrupts(), _switching_often():
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
        """Send requests and collect texts until all are answered or given up."""
        room, told = self._config.concurrency, False
        while self._died is None:
            dispatcher = self._dispatcher
            is_over = dispatcher.is_over  # read first: nothing is delivered after it is set
            arrivals = self._collect(block=not is_over)
            if arrivals:
                yield arrivals
            if is_over:
                return
            jobs: list[Job] | None = None
            if self._signal is not None and not told:
                told = True
                logger.warning("interrupted: waiting for what is on its way (again to leave it)")
                self._stop(_INTERRUPTED)  # the signal may have come before the loop was there
            elif dispatcher.is_hungry and self._signal is None and dispatcher.stopped is None:
                jobs = self._feed(stream, room)
            self._in_loop(partial(dispatcher.step, jobs, len(arrivals)))
        if rest := self._collect(block=False):
            yield rest

    def _feed(self, stream: Iterator[tuple[int, tuple[dict[str, Any], int]]], room: int) -> list[Job] | None:
        """The next jobs; None if the caller's requests raised. Requests in flight are paid for, so they are awaited."""
        try:
            return _take(stream, room)
        except Exception as error:
            self._broken = error
            logger.warning("no more requests (%s): waiting for what is on its way", type(error).__name__)
            self._stop("the requests broke off")
            return None

    def _collect(self, block: bool) -> list[Arrival]:
        """All texts that arrived; ``block`` waits for the first, for ``GRACE`` seconds once the run was ended."""
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
        """Run the loop on its thread, and tell the caller however it ends."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._died = error
        finally:
            self._is_open.set()
            self._arrived.put(None)

    async def _serve(self) -> None:
        """Open the client, work until the caller is done, close the client."""
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
                self._base_url + self._path,  # joined once, instead of by the client for each request
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
        """The first Ctrl-C or SIGTERM stops sending and waits for the requests in flight; a later one does not wait.

        Other handlers of these signals stay in place. So does everything if this is not the main thread.
        """
        usual: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            usual = {n: default for n, default in _DEFAULT.items() if signal.getsignal(n) is default}

        def end(number: int, _frame: FrameType | None) -> None:
            if self._signal is None:
                self._signal, self._signalled_at = number, time.monotonic()
                if self._is_open.is_set():
                    self._stop(_INTERRUPTED)
            elif time.monotonic() - self._signalled_at >= SAME_SIGNAL:
                restore()
                signal.raise_signal(number)

        def restore() -> None:
            for number, default in usual.items():
                signal.signal(number, default)

        for number in usual:
            signal.signal(number, end)
        try:
            yield
            if self._signal == signal.SIGINT:  # a second one must not interrupt what the caller still does
                time.sleep(max(0.0, self._signalled_at + SAME_SIGNAL - time.monotonic()))
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
def _switching_often() -> Iterator[None]:
    """Switch threads ten times as often as usual, so that the loop answers while the caller works on its rows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, SWITCH))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _take(stream: Iterator[tuple[int, tuple[dict[str, Any], int]]], room: int) -> list[Job]:
    """The next jobs, as many as there is room for and are found soon; none if there are no more."""
    until = time.monotonic() + TAKING
    jobs = []
    for position, (body, tokens) in stream:
        jobs.append(Job(position, body, tokens))
        if len(jobs) >= room or time.monotonic() > until:
            break
    return jobs
