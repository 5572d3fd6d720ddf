"""The Files API: what was uploaded, and what batches wrote."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from toolgen_hf.testing.bodies import error, json_response, page


@dataclass(frozen=True)
class StoredFile:
    """A file as the server keeps it; ``purpose`` is ``batch`` or ``batch_output``."""

    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """Files by id, in the order in which they came."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.stored: dict[str, StoredFile] = {}
        self._made = 0

    def add(self, filename: str, purpose: str, content: bytes) -> StoredFile:
        self._made += 1
        stored = StoredFile(f"file-{self._made:06d}", filename, purpose, content, int(time.time()))
        self.stored[stored.id] = stored
        return stored

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """``/v1/files``, ``/v1/files/ID`` and ``/v1/files/ID/content``."""
        match request.method, request.path.split("/")[3:]:
            case "POST", []:
                return await self._create(request)
            case "GET", []:
                return json_response(*self._list(request))
            case method, [name, *rest] if name in self.stored:
                return self._one(method, self.stored[name], rest)
            case _, [name, *_]:
                return json_response(
                    404, error(404, {"message": f"No such File object: {name}", "param": "id"})
                )
        return json_response(404, error(404, f"Invalid URL ({request.method} {request.path})"))

    def _one(self, method: str, stored: StoredFile, rest: list[str]) -> web.Response:
        match method, rest:
            case "GET", []:
                return json_response(200, stored.to_json())
            case "GET", ["content"]:
                return web.Response(body=stored.content, content_type="application/octet-stream")
            case "DELETE", []:
                del self.stored[stored.id]
                return json_response(200, {"id": stored.id, "object": "file", "deleted": True})
        return json_response(404, error(404, f"Invalid URL ({method} {stored.id} {rest})"))

    async def _create(self, request: web.BaseRequest) -> web.Response:
        form = await request.post()
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, web.FileField) or not isinstance(purpose, str):
            return json_response(400, error(400, "'file' and 'purpose' are required"))
        with file.file:
            content = file.file.read()
        return json_response(200, self.add(file.filename, purpose, content).to_json())

    def _list(self, request: web.BaseRequest) -> tuple[int, dict[str, Any]]:
        purpose = request.query.get("purpose")
        found = [f.to_json() for f in self.stored.values() if purpose in (None, f.purpose)]
        return page(found if request.query.get("order") == "asc" else found[::-1], request.query, 10_000)
