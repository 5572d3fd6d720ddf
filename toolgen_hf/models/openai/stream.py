"""A synchronous stream of requests and texts over an event loop on a thread of its own.

    caller's thread                        event loop
    requests ──(as there is room)──>  Sender ──> engine
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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient

from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai.adaptations import Endpoint, refused_error
from toolgen_hf.models.openai.sender import Arrival, Job, Sender
from toolgen_hf.secrets import redact

_SWITCH = 0.0005  # seconds after which a thread lets another thread run, a tenth of the usual
GRACE = 30.0  # seconds to wait for requests in flight after a run was ended
_SAME_SIGNAL = 1.0
"""Two signals within this many seconds count as one: ``timeout`` and schedulers signal a process and its group."""
_TAKING = 0.1
"""Seconds after which the requests found so far are sent. Most rows may need none, so finding more can take long."""
_DEFAULT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

logger = logging.getLogger(__name__)

_Numbered = Iterator[tuple[int, tuple[dict[str, Any], int]]]


class RequestStream:
    """Sends requests to one engine. Used once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._arrived: SimpleQueue[Arrival | None] = SimpleQueue()  # None: the sender's state has changed
        self._is_open = threading.Event()
        self._died: BaseException | None = None  # what ended the loop's thread; nothing should
        self._loop: asyncio.AbstractEventLoop
        self._sender: Sender
        self._closing: asyncio.Event
        self._signal: int | None = None  # that arrived
        self._signalled_at = 0.0
        self._broken: Exception | None = None  # raised by the caller's requests

    def run(self, requests: Iterable[tuple[dict[str, Any], int]]) -> Iterator[list[Arrival]]:
        """Yields texts in chunks, each with its position in ``requests`` (body, most tokens).

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

    def _exchange(self, stream: _Numbered) -> Iterator[list[Arrival]]:
        """Send requests and collect texts until all are answered or given up."""
        has_stopped = False
        while self._died is None:
            sender = self._sender
            is_over = sender.is_over  # read first: nothing is delivered after it is set
            arrivals = self._collect(block=not is_over)
            if arrivals:
                yield arrivals
            if is_over:
                return
            jobs: list[Job] | None = None
            if self._signal is not None and not has_stopped:
                has_stopped = True
                logger.warning("interrupted: waiting for the requests in flight (again to leave them)")
                self._stop("interrupted")  # the signal may have come before the loop was there
            elif sender.wants_jobs and self._signal is None and sender.stopped is None:
                jobs = self._take(stream)
            self._in_loop(partial(sender.step, jobs, len(arrivals)))
        if rest := self._collect(block=False):
            yield rest

    def _take(self, stream: _Numbered) -> list[Job] | None:
        """The next jobs, as many as there is room for and are found soon; none if there are no more.

        None if the caller's requests raised. Requests in flight are paid for, so they are awaited.
        """
        until, jobs = time.monotonic() + _TAKING, []
        try:
            for position, (body, tokens) in stream:
                jobs.append(Job(position, body, tokens))
                if len(jobs) >= self._endpoint.config.concurrency or time.monotonic() > until:
                    break
        except Exception as error:
            self._broken = error
            logger.warning("no more requests (%s): waiting for those in flight", type(error).__name__)
            self._stop("the requests broke off")
            return None
        return jobs

    def _collect(self, block: bool) -> list[Arrival]:
        """All texts that arrived; ``block`` waits for the first, for ``GRACE`` seconds once the run was ended."""
        items: list[Arrival | None] = []
        try:
            if block:
                items.append(self._arrived.get(timeout=GRACE if self._sender.stopped else None))
            while True:
                items.append(self._arrived.get_nowait())
        except Empty:
            if block and not items:
                self._in_loop(self._sender.cancel)
        return [item for item in items if item is not None]

    def _work(self) -> None:
        """Run the loop on its thread, and wake the caller however it ends."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._died = error
        finally:
            self._is_open.set()
            self._arrived.put(None)

    async def _serve(self) -> None:
        """Open the client, work until the caller is done, close the client."""
        endpoint, timeout = self._endpoint, self._endpoint.config.timeout
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        hooks = {"response": [_bounded(endpoint.config.max_answer_bytes)]}
        async with AsyncOpenAI(
            api_key=endpoint.keys[0],
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout,
            http_client=DefaultAioHttpClient(timeout=timeout, event_hooks=hooks),
        ) as client:
            self._sender = Sender(endpoint, client, self._arrived)
            self._sender.step(None, 0)
            self._is_open.set()
            await self._closing.wait()
            await self._sender.close()

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
                    self._stop("interrupted")
            elif time.monotonic() - self._signalled_at >= _SAME_SIGNAL:
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
                time.sleep(max(0.0, self._signalled_at + _SAME_SIGNAL - time.monotonic()))
        finally:
            restore()

    def _stop(self, reason: str) -> None:
        if self._died is None:
            self._in_loop(partial(self._sender.stop, reason))

    def _raise_what_failed(self) -> None:
        endpoint = self._endpoint
        if self._signal is not None:
            if self._signal != signal.SIGINT:
                signal.raise_signal(self._signal)
            raise KeyboardInterrupt from self._broken
        if self._broken is not None:
            raise self._broken
        at = f"engine at {endpoint.base_url}"
        if self._died is not None:
            reason = redact(f"{type(self._died).__name__}: {self._died}", endpoint.keys)
            raise GenerationError(f"the client of the {at} failed: {reason}. The texts so far are stored")
        stopped, refused, failed = self._sender.stopped, self._sender.refused, self._sender.failed
        if stopped and self._sender.is_refused:
            raise refused_error(endpoint, stopped, [*refused, *failed])
        if stopped:
            raise GenerationError(
                f"the {at} gives nothing more: {stopped.rstrip('.')}. The texts so far are stored; "
                "correct this and run again to go on"
            )
        if refused:
            logger.warning(
                "engine %r refused %d request%s for what they hold, the first with: %s",
                endpoint.config.engine,
                len(refused),
                "s" * (len(refused) > 1),
                refused[0].message,
            )
        if failed:
            raise GenerationError(
                f"{len(failed)} request{'s' * (len(failed) > 1)} to the {at} failed after "
                f"{endpoint.config.max_retries} retries, the first with: {failed[0].message}. All others are stored; "
                "run again to ask for what is missing"
            )


@contextmanager
def _switching_often() -> Iterator[None]:
    """Switch threads ten times as often as usual, so that the loop answers while the caller works on its rows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, _SWITCH))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _bounded(limit: int) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A hook for the client's responses: reading more than ``limit`` bytes, uncompressed, raises an error.

    The client turns that into its own APIConnectionError. The answer is read as UTF-8, as JSON is, whatever encoding
    its headers name.
    """

    async def hook(response: httpx2.Response) -> None:
        sent = httpx2.Response(
            response.status_code, headers=response.headers, stream=response.stream, request=response.request
        )
        response.headers.pop("content-encoding", None)
        response.stream = _Uncompressed(sent, limit)
        response.encoding = "utf-8"

    return hook


class _Uncompressed(httpx2.AsyncByteStream):
    """The content of a response, uncompressed piece by piece and left where it grows too large."""

    def __init__(self, sent: httpx2.Response, limit: int) -> None:
        self._sent, self._limit = sent, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._sent.aiter_bytes():
            size += len(part)
            if size > self._limit:
                raise httpx2.DecodingError(
                    f"the answer has more than {self._limit} bytes; if that is as it should be, set a larger "
                    "max_answer_bytes"
                )
            yield part

    async def aclose(self) -> None:
        await self._sent.aclose()
