"""The hub itself: two origins on 127.0.0.1, in a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.support.hub import faults, files
from tests.support.hub.api import Api
from tests.support.hub.files import Incoming, incoming
from tests.support.hub.messages import Answer, Call, HubRequest, Origin, refuse, token_of
from tests.support.hub.objects import Blob, Commit, Kind, RefusedError, Repo, Store
from tests.support.hub.process import run_python

_LINGER = 0.05  # seconds for requests in flight to end when the server stops
_GONE = (ConnectionError, EOFError, web.RequestPayloadError)  # the client, in the middle of its request
_UNCOUNTED = "/api/agent-harnesses"  # the client asks it once a day, whatever it does: no part of any flow


class LocalHub:
    """A Hugging Face Hub in memory, over real HTTP, with no other patch than the client's endpoint.

    ``users``      user by token
    ``orgs``       members by organization
    ``read_only``  the tokens that may not write

    ``requests``       what came, in order, from both origins
    ``fault``          what goes wrong from now on (tests/support/hub/faults.py)
    ``before_commit``  called, in a thread of its own, with each commit that is sent and not yet applied; it may
                       :meth:`commit` something else first. It stays until it is set to None.

        with LocalHub(users={"hf_ann": "ann"}) as hub:
            HfApi(endpoint=hub.endpoint, token="hf_ann").create_repo("ann/set", repo_type="dataset")

    What ``fault`` or ``before_commit`` raises, or the hub itself, is answered as a status of 500 and raised again
    at the end of the ``with`` block.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        orgs: Mapping[str, Collection[str]] | None = None,
        read_only: Collection[str] = (),
    ) -> None:
        self.requests: list[HubRequest] = []
        self.fault: faults.Fault | faults.Script | None = None
        self.before_commit: Callable[[Incoming], object] | None = None
        self._store = Store(users, orgs or {}, read_only)
        self._api = Api(self._store)
        self._ports: dict[Origin, int] = {"hub": 0, "storage": 0}
        self._error: Exception | None = None
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:PORT``, for ``HF_ENDPOINT``."""
        return self._api.endpoint

    @property
    def lines(self) -> list[str]:
        """The requests as ``METHOD /path?query``."""
        return [request.line for request in self.requests]

    def repo(self, name: str, kind: Kind = "dataset") -> Repo:
        """A repository, for a look at it."""
        return self._store.repos[kind, name]

    def create(self, name: str, kind: Kind = "dataset", private: bool = False) -> None:
        """A repository that somebody made before."""
        with self._store.lock:
            self._store.repos[kind, name] = Repo(kind, name, name.partition("/")[0], private)

    def snapshot(self, name: str, revision: str = "main", kind: Kind = "dataset") -> dict[str, bytes]:
        """Every file of a revision."""
        with self._store.lock:
            tree = self.repo(name, kind).find(revision).tree
            return {path: blob.content for path, blob in sorted(tree.items())}

    def commit(
        self,
        name: str,
        changes: Mapping[str, bytes | None],
        *,
        message: str = "Another person's change",
        revision: str = "main",
        user: str = "another",
        kind: Kind = "dataset",
    ) -> str:
        """Commits files, or with None deletes them, as another person; gives the commit's id."""
        with self._store.lock:
            repo = self.repo(name, kind)
            head = repo.find(revision)
            tree = dict(head.tree)
            for path, content in changes.items():
                if content is None:
                    del tree[path]
                else:
                    lfs = repo.uses_lfs(path, len(content), content[:512], tree)
                    tree[path] = Blob(content, lfs)
                    if lfs:
                        repo.uploaded[tree[path].sha256] = content
            return repo.add(repo.ref(revision) or "", Commit(head.oid, tree, message, "", user)).oid

    def refs(self, name: str, kind: Kind = "dataset") -> dict[str, str]:
        """Commit ids by full ref: ``refs/heads/main``, ``refs/tags/v1``, ``refs/pr/1``."""
        return dict(self.repo(name, kind).refs)

    def commits(self, name: str, revision: str = "main", kind: Kind = "dataset") -> list[Commit]:
        """The history of a revision, the newest first."""
        with self._store.lock:
            repo = self.repo(name, kind)
            return list(repo.history(repo.find(revision)))

    @contextmanager
    def busy(self, name: str, kind: Kind = "dataset") -> Iterator[None]:
        """Within it, another commit is in progress: 409 to every commit of a client."""
        self._store.busy.add((kind, name))
        try:
            yield
        finally:
            self._store.busy.discard((kind, name))

    def python(self, code: str, cache: Path | None = None, token: str | None = None) -> str:
        """Runs code in a fresh process that has this hub for its Hub, and gives what it printed.

        ``cache`` is its ``HF_HOME``, to be given again for a warm one; None: an empty one.

        Raises:
            AssertionError: The code failed.
        """
        return run_python(self.endpoint, code, cache, token)

    def start(self) -> Self:
        """Serve until :meth:`stop`, with all that was there before and at the same ports."""
        ready: Future[None] = Future()
        self._thread = Thread(target=self._run, args=(ready,), name="local-hub", daemon=True)
        self._thread.start()
        ready.result()
        return self

    def stop(self) -> None:
        """Close every connection and both ports: from now on the hub cannot be reached."""
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
        if error is None and self._error is not None:
            raise self._error

    def _run(self, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runners = []
        try:
            for origin, port in self._ports.items():
                handler = partial(self._handle, origin=origin)
                server = web.Server(
                    handler, request_factory=_large, handler_cancellation=True, access_log=None
                )
                runners.append(web.ServerRunner(server, shutdown_timeout=_LINGER))
                await runners[-1].setup()
                await web.TCPSite(runners[-1], "127.0.0.1", port).start()
                self._ports[origin] = runners[-1].addresses[0][1]
            self._api.endpoint = f"http://127.0.0.1:{self._ports['hub']}"
            self._api.storage = f"http://127.0.0.1:{self._ports['storage']}"
            ready.set_result(None)
            await self._stop.wait()
        finally:
            for runner in runners:
                await runner.cleanup()

    async def _handle(self, request: web.BaseRequest, origin: Origin) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path == _UNCOUNTED:
            return web.json_response({"error": "Not found"}, status=404)
        index, token = len(self.requests), token_of(request.headers)
        record = HubRequest(index, request.method, path, query, token, origin)
        self.requests.append(record)
        fault, answer = None, Answer(500)
        try:
            if self.fault is not None:
                fault = await asyncio.to_thread(faults.asked, self.fault, record)
            if fault is not None:
                record.fault = str(fault.what)
                if fault.what == "cut":
                    await faults.cut(request)
                    return await faults.fail(fault, answer)
            body = await request.read()
            if fault is None or fault.applied or fault.what == "truncate":
                call = Call.of(request.method, request.raw_path, request.headers, body)
                answer = await self._answer(call, origin)
                record.status = answer.status
            if fault is not None and fault.then is not None:
                await asyncio.to_thread(fault.then)
        except _GONE:
            raise
        except Exception as error:  # raised again where the hub ends, in the test's own thread
            self._error = error
            return web.json_response({"error": f"the hub failed: {error!r}"}, status=500)
        if fault is not None:
            return await faults.fail(fault, answer)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _answer(self, call: Call, origin: Origin) -> Answer:
        try:
            match call.parts:
                case ("api", kind, namespace, name, "commit", revision) if self.before_commit is not None:
                    sent = incoming(
                        "model" if kind == "models" else "dataset", f"{namespace}/{name}", revision, call.body
                    )
                    await asyncio.to_thread(self.before_commit, sent)
            with self._store.lock:
                return files.storage(self._store, call) if origin == "storage" else self._api.answer(call)
        except RefusedError as error:
            return refuse(error)


def _large(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request without a limit to its size."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=0)
