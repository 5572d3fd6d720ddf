"""The API itself: every request of the scripted server comes through :meth:`Service.handle`.

It runs in one event loop, and so does the script: whatever it keeps needs no lock.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection
from hashlib import sha256
from typing import Any, Final, TextIO

from aiohttp import web

from toolgen_hf.testing import bodies
from toolgen_hf.testing.batches import Batches
from toolgen_hf.testing.faults import Broken
from toolgen_hf.testing.files import Files
from toolgen_hf.testing.messages import Api, ApiRequest, Reply, Script, ask

ENDPOINTS: Final[dict[str, Api]] = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}


class Service:
    """Counts and records what is asked, and answers by the script."""

    def __init__(
        self,
        script: Script,
        latency: float,
        keys: Collection[str] | None,
        models: Collection[str] | None,
        record: bool,
    ) -> None:
        self.script = script
        self.latency = latency
        self.keys = keys
        self.models = models
        self.record = record
        self.script_error: Exception | None = None
        self.files = Files()
        self.batches = Batches(self.files, ENDPOINTS, self.line)
        self.log: TextIO | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets all requests, files and batches."""
        self.requests: list[ApiRequest] = []
        self.count = 0
        self.in_flight = 0
        self.in_flight_max = 0
        self._seen: dict[str, int] = {}
        self.files.clear()
        self.batches.clear()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        api = ENDPOINTS.get(path)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if api is not None and method == "POST":
            return await self._generate(request, api, key)
        if path.startswith("/v1/") and not self._knows(key):
            return bodies.json_response(401, bodies.error(401, bodies.refused_key(key).error))
        if path.startswith("/v1/files"):
            return await self.files.handle(request)
        if path.startswith("/v1/batches"):
            return await self.batches.handle(request, key)
        return bodies.json_response(*self._other(method, path))

    def _other(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        if (method, path) == ("GET", "/v1/models"):
            names = sorted(self.models or ["scripted"])
            return 200, {"object": "list", "data": [_model(name) for name in names]}
        if (method, path) == ("GET", "/stats"):
            return 200, {"count": self.count, "in_flight_max": self.in_flight_max}
        if (method, path) == ("POST", "/reset"):
            self.reset()
            return 200, {}
        return 404, bodies.error(404, f"Invalid URL ({method} {path})")

    async def _generate(self, request: web.BaseRequest, api: Api, key: str) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return bodies.json_response(400, bodies.error(400, "the body is not a JSON object"))
        asked = self._arrived(raw, body, api, key, None)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            reply = self._reply(asked)
            wait = self.latency if reply.latency is None else reply.latency
            if wait > 0:
                await asyncio.sleep(wait)
            if reply.fault == "hang":
                await asyncio.get_running_loop().create_future()
        finally:
            self.in_flight -= 1
        self._answered(asked, reply)
        return _response(reply, asked)

    def line(self, api: Api, body: dict[str, Any], key: str, batch: str) -> tuple[ApiRequest, Reply]:
        """One line of a batch, answered by the same script."""
        asked = self._arrived(bodies.dumps(body), body, api, key, batch)
        reply = self._reply(asked)
        self._answered(asked, reply)
        return asked, reply

    def _arrived(self, raw: bytes, body: dict[str, Any], api: Api, key: str, batch: str | None) -> ApiRequest:
        digest = sha256(raw).hexdigest()
        seen = self._seen.get(digest, 0)
        self._seen[digest] = seen + 1
        asked = ApiRequest(self.count, api, key, body, seen, time.monotonic(), digest, batch)
        self.count += 1
        if self.record:
            self.requests.append(asked)
        return asked

    def _reply(self, asked: ApiRequest) -> Reply:
        if not self._knows(asked.key):
            return bodies.refused_key(asked.key)
        refused = bodies.refused_body(asked.api, asked.body)
        if refused is not None:
            return refused
        if self.models is not None and asked.body["model"] not in self.models:
            return bodies.refused_model(asked.body["model"])
        try:
            return ask(self.script, asked)
        except Exception as error:  # raised again where the server ends, in the test's own thread
            self.script_error = error
            return Reply(status=500, error=f"the script failed: {error!r}")

    def _answered(self, asked: ApiRequest, reply: Reply) -> None:
        if self.log is not None and reply.answers:
            self.log.write(asked.digest + "\n")

    def _knows(self, key: str) -> bool:
        return self.keys is None or key in self.keys


def _response(reply: Reply, asked: ApiRequest) -> web.StreamResponse:
    body = bodies.body_of(reply, asked)
    headers = {**bodies.JSON_TYPE, "x-request-id": f"req_{asked.index}", **reply.headers}
    if reply.fault is not None:
        return Broken(reply.fault, reply.status, headers, body)
    return web.Response(status=reply.status, body=body, headers=headers)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "toolgen_hf"}
