"""The fake server. It runs in its own thread and event loop, which also calls the script: its state needs no lock."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self, TextIO

from aiohttp import web

from toolgen_hf.testing.replies import (
    JSON_TYPE,
    Api,
    ApiRequest,
    Reply,
    Script,
    ask,
    body_of,
    dumps,
    error,
    response_of,
)

_LINGER = 0.05  # seconds that open requests have to end when the server stops
_APIS: Final[dict[str, Api]] = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_PROMPTS: Final[dict[Api, tuple[str, type]]] = {"chat": ("messages", list), "completions": ("prompt", str)}
_FINAL: Final = ("completed", "expired", "cancelled", "failed")
_MOST_LINES: Final = 50_000  # OpenAI's limit for a batch
_STARTS, _ENDS = 0.25, 0.75  # a batch is in progress between these parts of its time
_NOT_RUN = {
    "expired": "This request could not be executed before the completion window expired.",
    "cancelled": "The batch was cancelled before this request was executed.",
}


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file (``purpose`` is ``batch``), or one that a batch wrote (``batch_output``)."""

    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int

    def to_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in ("id", "filename", "purpose", "created_at")}
        return {**shown, "object": "file", "bytes": len(self.content), "status": "processed"}


@dataclass
class _Batch:
    fields: dict[str, Any]
    """The batch object of the API."""
    key: str
    lines: list[dict[str, Any]]
    stops_after: int
    began: float = field(default_factory=time.monotonic)
    answered: int = 0
    output: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    def enter(self, status: str) -> None:
        self.fields |= {"status": status, f"{status}_at": int(time.time())}

    def add(self, line: Mapping[str, Any], name: str, response: Any, problem: Any) -> None:
        is_done = response is not None and response["status_code"] == 200
        row = {"id": name, "custom_id": line["custom_id"], "response": response, "error": problem}
        (self.output if is_done else self.errors).append(row)


class _RefusedError(Exception):
    """A request that is answered with a status and an error object."""

    def __init__(self, status: int, given: Mapping[str, Any] | str) -> None:
        self.status, self.given = status, given


class ApiServer:
    """An OpenAI-compatible server on 127.0.0.1 that answers from a script.

        with ApiServer("calculator(1+1)") as server:
            client = OpenAI(base_url=server.base_url, api_key="sk-any")

    ``script``        a function of the request, or the one answer to every request. The server calls it once for
                      each generation request, in its event loop: it must not block
    ``latency``       seconds until an answer is sent, unless the reply has its own
    ``keys``          the API keys that the server accepts; None accepts any
    ``models``        the models that exist; None accepts any name
    ``record``        whether to keep the requests, or only count them
    ``port``          0 takes a free port; a restart keeps it
    ``log``           a file; the server appends the SHA-256 of each answered request body
    ``batch_seconds`` seconds from the creation of a batch to its end
    ``expire_after``  batches expire after this many lines
    ``batch_errors``  batches fail their validation with these errors, such as
                      ``[{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]``

    If the script raises an exception, the client gets status 500 and the end of the ``with`` block raises it again.
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
        self._script, self._latency, self._keys, self._models = script, latency, keys, models
        self._record, self._log_path = record, log
        self._batch_seconds, self._expire_after = batch_seconds, expire_after
        self._batch_errors = batch_errors
        self._log: TextIO | None = None
        self._script_error: Exception | None = None
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.reset()

    def reset(self) -> None:
        """Forget all requests, counts, files and batches."""
        self._requests: list[ApiRequest] = []
        self._seen: dict[str, int] = {}
        self._files: dict[str, StoredFile] = {}
        self._batches: dict[str, _Batch] = {}
        self._files_made = 0
        self.count = 0
        """Generation requests so far."""
        self.in_flight = 0
        """Generation requests that the server is answering now."""
        self.in_flight_max = 0
        """The most generation requests at the same time."""

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT/v1``.

        Raises:
            RuntimeError: the server was never started.
        """
        if not self.port:
            raise RuntimeError("the server has no port yet: use it as `with ApiServer(...) as server:`")
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[ApiRequest]:
        """The generation requests so far in order of arrival, refused ones included."""
        return list(self._requests)

    @property
    def files(self) -> dict[str, StoredFile]:
        """The current files, by id."""
        return dict(self._files)

    @property
    def batches(self) -> dict[str, dict[str, Any]]:
        """The batch objects by id, as clients last saw them."""
        return {name: dict(batch.fields) for name, batch in list(self._batches.items())}

    def configure(
        self,
        *,
        script: Script | None = None,
        expire_after: int | None = None,
        batch_errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Change the script (None keeps it) and what happens to new batches (nothing, unless it is given here)."""
        self._script = self._script if script is None else script
        self._expire_after, self._batch_errors = expire_after, batch_errors

    def start(self) -> Self:
        """Serve until `stop`.

        Raises:
            OSError: the port is taken.
        """
        ready: Future[int] = Future()
        self._log = Path(self._log_path).open("a", buffering=1) if self._log_path else None  # noqa: SIM115
        serve = self._serve(ready)
        self._thread = Thread(target=asyncio.run, args=(serve,), name="scripted-api", daemon=True)
        self._thread.start()
        self.port = ready.result()
        return self

    def stop(self) -> None:
        """Close every connection and the port. `start` continues with the same counts."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None and self._script_error is not None:
            raise self._script_error

    async def _serve(self, ready: Future[int]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=0)  # no limit: batch files are large
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_LINGER)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024).start()
            ready.set_result(runner.addresses[0][1])
            await self._stop.wait()
        except OSError as error:
            ready.set_exception(error)
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            answer = await self._answer(request)
        except _RefusedError as refused:
            return _json(error(refused.status, refused.given), refused.status)
        return answer if isinstance(answer, web.StreamResponse) else _json(answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse | Mapping[str, Any]:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        method, path = request.method, request.path
        if method == "POST" and path in _APIS:
            return await self._generate(request, key)
        if path.startswith("/v1/") and (refused := self._refused_key(key)):
            raise _RefusedError(refused.status, refused.error or "")
        match method, *path.split("/")[1:]:
            case "GET", "stats":
                return {"count": self.count, "in_flight_max": self.in_flight_max}
            case "POST", "reset":
                self.reset()
                return {}
            case "GET", "v1", "models":
                names = sorted(self._models or ["scripted"])
                model = {"object": "model", "created": 0, "owned_by": "toolgen_hf"}
                return {"object": "list", "data": [{"id": name, **model} for name in names]}
            case "POST", "v1", "files":
                return await self._upload(request)
            case "GET", "v1", "files":
                purpose = request.query.get("purpose")
                files = [file.to_json() for file in self._files.values() if purpose in (None, file.purpose)]
                return _page(files if request.query.get("order") == "asc" else files[::-1], request, 10_000)
            case "GET", "v1", "files", name if name in self._files:
                return self._files[name].to_json()
            case "GET", "v1", "files", name, "content" if name in self._files:
                return web.Response(body=self._files[name].content, content_type="application/octet-stream")
            case "DELETE", "v1", "files", name if name in self._files:
                del self._files[name]
                return {"id": name, "object": "file", "deleted": True}
            case "POST", "v1", "batches":
                return self._create_batch(await request.json(), key)
            case "GET", "v1", "batches":
                return _page(
                    [self._advance(batch) for batch in reversed(self._batches.values())], request, 20
                )
            case "GET", "v1", "batches", name if name in self._batches:
                return self._advance(self._batches[name])
            case "POST", "v1", "batches", name, "cancel" if name in self._batches:
                return self._cancel(self._batches[name])
            case _, "v1", "files", name, *_ if name not in self._files:
                raise _RefusedError(404, {"message": f"No such File object: {name}", "param": "id"})
            case _, "v1", "batches", name, *_ if name not in self._batches:
                raise _RefusedError(404, f"No batch found with id '{name}'.")
        raise _RefusedError(404, f"Invalid URL ({method} {path})")

    async def _generate(self, request: web.Request, key: str) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise _RefusedError(400, "the body is not a JSON object")
        arrived = self._arrived(raw, body, _APIS[request.path], key, None)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            reply = self._reply(arrived)
            wait = self._latency if reply.latency is None else reply.latency
            if wait > 0:
                await asyncio.sleep(wait)
            if reply.fault == "hang":
                await asyncio.get_running_loop().create_future()
        finally:
            self.in_flight -= 1
        self._note(arrived, reply)
        return response_of(reply, arrived)

    def _arrived(self, raw: bytes, body: dict[str, Any], api: Api, key: str, batch: str | None) -> ApiRequest:
        digest = sha256(raw).hexdigest()
        seen = self._seen.get(digest, 0)
        self._seen[digest] = seen + 1
        arrived = ApiRequest(self.count, api, key, body, seen, time.monotonic(), digest, batch)
        self.count += 1
        if self._record:
            self._requests.append(arrived)
        return arrived

    def _reply(self, request: ApiRequest) -> Reply:
        model, (name, kind) = request.body.get("model"), _PROMPTS[request.api]
        if refused := self._refused_key(request.key):
            return refused
        if not isinstance(model, str):
            return Reply(status=400, error="you must provide a model parameter", latency=0)
        if not isinstance(request.body.get(name), kind):
            return Reply(status=400, error=f"'{name}' is required, as a {kind.__name__}", latency=0)
        if request.body.get("stream"):
            return Reply(status=400, error="this server does not stream", latency=0)
        if self._models is not None and model not in self._models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            return Reply(status=404, error={"message": message, "code": "model_not_found"}, latency=0)
        try:
            return ask(self._script, request)
        except Exception as error:  # `__exit__` raises it again, in the thread of the test
            self._script_error = error
            return Reply(status=500, error=f"the script failed: {error!r}")

    def _refused_key(self, key: str) -> Reply | None:
        """The error for an unknown key. It repeats the key, as some servers do, to test that no client logs it."""
        if self._keys is None or key in self._keys:
            return None
        where = "You can find your API key at https://platform.openai.com/account/api-keys."
        return Reply(status=401, error=f"Incorrect API key provided: {key}. {where}", latency=0)

    def _note(self, request: ApiRequest, reply: Reply) -> None:
        if self._log is not None and reply.answers:
            self._log.write(request.digest + "\n")

    def _store(self, filename: str, purpose: str, content: bytes) -> StoredFile:
        self._files_made += 1
        stored = StoredFile(f"file-{self._files_made:06d}", filename, purpose, content, int(time.time()))
        self._files[stored.id] = stored
        return stored

    async def _upload(self, request: web.Request) -> dict[str, Any]:
        form = await request.post()
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, web.FileField) or not isinstance(purpose, str):
            raise _RefusedError(400, "'file' and 'purpose' are required")
        with file.file:
            return self._store(file.filename, purpose, file.file.read()).to_json()

    # A batch goes from validating to in_progress, finalizing and completed; or it ends as expired, cancelled or failed.
    # It moves on only when a client asks for it.

    def _create_batch(self, asked: dict[str, Any], key: str) -> dict[str, Any]:
        stored, endpoint = self._files.get(asked.get("input_file_id", "")), asked.get("endpoint")
        if stored is None or stored.purpose != "batch":
            raise _RefusedError(400, {"message": "Invalid input_file_id.", "param": "input_file_id"})
        if not isinstance(endpoint, str) or endpoint not in _APIS:
            raise _RefusedError(400, f"Invalid endpoint: {endpoint!r}.")
        if asked.get("completion_window") != "24h":
            raise _RefusedError(400, "The completion_window must be '24h'.")
        lines, problems = _read(stored.content, endpoint)
        problems += [{"line": None, "param": None, **problem} for problem in self._batch_errors]
        name, now = f"batch_{len(self._batches) + 1:06d}", int(time.time())
        fields = {
            "id": name,
            "object": "batch",
            "endpoint": endpoint,
            "errors": {"object": "list", "data": problems} if problems else None,
            "input_file_id": stored.id,
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now,
            "expires_at": now + 24 * 3600,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        stops_after = len(lines) if self._expire_after is None else min(self._expire_after, len(lines))
        self._batches[name] = _Batch(fields, key, lines, stops_after)
        return fields

    def _cancel(self, batch: _Batch) -> dict[str, Any]:
        status = self._advance(batch)["status"]
        if status in _FINAL:
            raise _RefusedError(
                409, {"message": f"Cannot cancel a batch that is {status}.", "type": "invalid"}
            )
        if status != "cancelling":
            batch.enter("cancelling")
        return dict(batch.fields)

    def _advance(self, batch: _Batch) -> dict[str, Any]:
        """The batch object, after the work for the time that has passed."""
        passed = (time.monotonic() - batch.began) / self._batch_seconds if self._batch_seconds > 0 else 1.0
        if batch.fields["status"] == "cancelling":
            self._end(batch, "cancelled")
        elif batch.fields["status"] in _FINAL or passed < _STARTS:
            pass
        elif batch.fields["errors"]:
            batch.enter("failed")
        else:
            if batch.fields["status"] == "validating":
                batch.enter("in_progress")
            self._work(batch, min((passed - _STARTS) / (_ENDS - _STARTS), 1.0))
            if passed >= _ENDS and batch.fields["status"] == "in_progress":
                batch.enter("finalizing")
            if passed >= 1:
                self._end(batch, "completed" if batch.stops_after == len(batch.lines) else "expired")
        return dict(batch.fields)

    def _work(self, batch: _Batch, share: float) -> None:
        """Answer lines until this share of them is done."""
        for line in batch.lines[batch.answered : int(batch.stops_after * share)]:
            batch.answered += 1
            body, api = line["body"], _APIS[line["url"]]
            arrived = self._arrived(dumps(body), body, api, batch.key, batch.fields["id"])
            reply = self._reply(arrived)
            self._note(arrived, reply)
            response, problem = None, None
            if reply.fault is not None:
                problem = {"code": "request_timeout", "message": "The request timed out."}
            else:
                raw = body_of(reply, arrived)
                try:
                    content = json.loads(raw)
                except ValueError:
                    content = raw.decode(errors="replace")
                response = {
                    "status_code": reply.status,
                    "request_id": f"req_{arrived.index}",
                    "body": content,
                }
            batch.add(line, f"batch_req_{arrived.index}", response, problem)
        counts = {"total": len(batch.lines), "completed": len(batch.output), "failed": len(batch.errors)}
        batch.fields["request_counts"] = counts

    def _end(self, batch: _Batch, status: str) -> None:
        name = batch.fields["id"]
        for line in batch.lines[batch.answered :]:
            problem = {"code": f"batch_{status}", "message": _NOT_RUN[status]}
            batch.add(line, f"batch_req_{name}_{len(batch.errors)}", None, problem)
        for kind, lines in (("output", batch.output), ("error", batch.errors)):
            random.Random(name).shuffle(lines)  # the real API promises no order
            if lines:
                content = b"".join(dumps(line) + b"\n" for line in lines)
                stored = self._store(f"{name}_{kind}.jsonl", "batch_output", content)
                batch.fields[f"{kind}_file_id"] = stored.id
        batch.enter(status)


def _read(content: bytes, endpoint: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of a batch's input file, and the errors in it."""
    lines: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    names: set[str] = set()

    def wrong(code: str, message: str, number: int | None = None) -> None:
        problems.append({"code": code, "message": message, "line": number, "param": None})

    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            line = json.loads(raw)
            name, url, body = line["custom_id"], line["url"], line["body"]
        except (ValueError, TypeError, KeyError):
            line, name, url, body = {}, "", endpoint, None
        if not isinstance(name, str) or not isinstance(body, dict) or line.get("method") != "POST":
            wrong("invalid_json_line", "This line is not a valid batch request.", number)
        elif name in names:
            wrong("duplicate_custom_id", f"The custom_id {name!r} is used twice.", number)
        elif url != endpoint:
            wrong("mismatched_url", f"The url {url!r} is not the endpoint of the batch.", number)
        else:
            names.add(name)
            lines.append(line)
    if not lines and not problems:
        wrong("empty_file", "The file is empty.")
    if len(lines) > _MOST_LINES:
        wrong("too_many_tasks", f"{len(lines)} requests are more than {_MOST_LINES}.")
    return lines, problems


def _page(items: Sequence[Mapping[str, Any]], request: web.Request, limit: int) -> dict[str, Any]:
    """One page of a list: the items after ``after``, at most ``limit``."""
    ids, after = [item["id"] for item in items], request.query.get("after")
    if after is not None and after not in ids:
        raise _RefusedError(400, f"No such object: {after}")
    start = 0 if after is None else ids.index(after) + 1
    data = items[start : start + int(request.query.get("limit", limit))]
    return {"object": "list", "data": data, "has_more": start + len(data) < len(items)}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(value), headers=JSON_TYPE)
