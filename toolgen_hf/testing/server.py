"""The scripted server in a thread of its own, for a test to start and stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from toolgen_hf.testing.files import StoredFile
from toolgen_hf.testing.messages import ApiRequest, Script
from toolgen_hf.testing.service import Service

_LINGER = 0.05  # seconds for requests in flight to end when the server stops


class ApiServer:
    """An OpenAI-compatible server on 127.0.0.1 that answers by a script.

    ``script``        a function of the request, called once for each generation request in the server's
                      event loop, so it must not block; or the one answer to everything
    ``latency``       seconds until an answer goes out, where the reply says nothing else
    ``keys``          the API keys that are accepted; None: any
    ``models``        the models that there are; None: any
    ``record``        whether to keep requests, or only to count them
    ``port``          0: a free one, kept when the server is stopped and started again
    ``log``           a file to which the SHA-256 of each answered request body is appended
    ``batch_seconds`` from the creation of a batch to its end
    ``expire_after``  batches stop after so many lines, as expired
    ``batch_errors``  batches fail their validation with these errors (``code``, ``message``)

    What a script raises is answered as a status of 500 and raised again at the end of the ``with`` block.

        with ApiServer("calculator(1+1)") as server:
            client = OpenAI(base_url=server.base_url, api_key="sk-any")
    """

    def __init__(
        self,
        script: Script = "",
        *,
        latency: float = 0.0,
        keys: Collection[str] | None = None,
        models: Collection[str] | None = None,
        record: bool = True,
        port: int = 0,
        log: str | os.PathLike[str] | None = None,
        batch_seconds: float = 0.0,
        expire_after: int | None = None,
        batch_errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.port = port
        self._log = log
        self._service = Service(script, latency, keys, models, record)
        self._service.batches.seconds = batch_seconds
        self._service.batches.expire_after = expire_after
        self._service.batches.problems = batch_errors
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT/v1``.

        Raises:
            RuntimeError: The server was never started.
        """
        if not self.port:
            raise RuntimeError("the server has no port yet: use it as `with ApiServer(...) as server:`")
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[ApiRequest]:
        """The generation requests so far, in order of arrival, with those that were refused."""
        return list(self._service.requests)

    @property
    def count(self) -> int:
        """How many generation requests have come so far."""
        return self._service.count

    @property
    def in_flight_max(self) -> int:
        """The most generation requests that were being served at the same time."""
        return self._service.in_flight_max

    @property
    def files(self) -> dict[str, StoredFile]:
        """The files there are now, by id."""
        return dict(self._service.files.stored)

    @property
    def batches(self) -> dict[str, dict[str, Any]]:
        """The batches by id, in the API's JSON, as clients last saw them."""
        return self._service.batches.shown()

    def configure(
        self,
        *,
        script: Script | None = None,
        expire_after: int | None = None,
        batch_errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """From now on another script, and other fates for new batches: a service that got well again."""

        def change() -> None:
            self._service.script = self._service.script if script is None else script
            self._service.batches.expire_after = expire_after
            self._service.batches.problems = batch_errors

        self._in_loop(change)

    def reset(self) -> None:
        """Forgets all requests, counts, files and batches."""
        self._in_loop(self._service.reset)

    def start(self) -> Self:
        """Serve until :meth:`stop`.

        Raises:
            OSError: The port is taken.
        """
        ready: Future[int] = Future()
        self._thread = Thread(target=self._run, args=(ready,), name="scripted-api", daemon=True)
        self._thread.start()
        self.port = ready.result()
        return self

    def stop(self) -> None:
        """Close every connection and the port; starting it again goes on with the same counts."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None and self._service.script_error is not None:
            raise self._service.script_error

    def _in_loop(self, change: Callable[[], None]) -> None:
        """Changes the service between two of its steps, not in the middle of one."""

        async def changing() -> None:
            change()

        if self._thread is None:
            change()
        else:
            asyncio.run_coroutine_threadsafe(changing(), self._loop).result()

    def _run(self, ready: Future[int]) -> None:
        try:
            with Path(self._log).open("a", buffering=1) if self._log else nullcontext() as self._service.log:
                asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[int]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(
            self._service.handle, request_factory=_large, handler_cancellation=True, access_log=None
        )
        runner = web.ServerRunner(server, shutdown_timeout=_LINGER)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024).start()
            ready.set_result(runner.addresses[0][1])
            await self._stop.wait()
        finally:
            await runner.cleanup()


def _large(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request without a limit to its size: input files of batches are large."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=0)
