"""A request as the hub's functions see it, their answer, and what is kept of it for a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.hub.objects import RefusedError

Origin = Literal["hub", "storage"]


@dataclass
class HubRequest:
    """One request that came.

    ``index`` counts from 0; ``path`` is percent-encoded and without the query, as sent. ``status`` is what the
    hub answered, None where it did nothing with the request; with a ``fault`` such as ``reset`` the client did
    not hear it. ``origin`` is ``storage`` for the second one, where large files lie.
    """

    index: int
    method: str
    path: str
    query: str
    token: str
    origin: Origin = "hub"
    status: int | None = None
    fault: str | None = None

    @property
    def line(self) -> str:
        """``POST /api/datasets/ann/set/commit/main?create_pr=1``: what a fault's pattern is looked for in."""
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True)
class Call:
    """A request with its body. ``parts`` are the path's segments, decoded: a revision is one, ``refs/pr/1`` too."""

    method: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    token: str

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
        url = urlsplit(target)
        parts = tuple(unquote(part) for part in url.path.strip("/").split("/"))
        query = {key: values[-1] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        return cls(method, parts, query, headers, body, token_of(headers))

    def json(self) -> dict[str, Any]:
        """The body's object.

        Raises:
            RefusedError: 400.
        """
        try:
            data = json.loads(self.body or b"{}")
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise RefusedError(400, "The body is not a JSON object")
        return data

    def says(self, name: str) -> bool:
        """Whether a flag of the query is on."""
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def reply(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, json.dumps(data).encode(), {**kind, **(headers or {})})


def refuse(error: RefusedError) -> Answer:
    """A refusal as the Hub words it: in headers, and in the body."""
    headers = {"X-Error-Message": " ".join(error.message.split()), **error.headers}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    return reply({"error": error.message, **error.body}, error.status, headers)


def content(data: bytes, call: Call, headers: Mapping[str, str]) -> Answer:
    """A file, or the range of it that was asked for."""
    asked = call.headers.get("Range", "")
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    if not asked.startswith("bytes=") or "," in asked:
        return Answer(200, data, headers)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(len(data) - int(last), 0)
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
    return Answer(
        206, data[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"}
    )


def token_of(headers: Mapping[str, str]) -> str:
    return headers.get("Authorization", "").removeprefix("Bearer ").strip()
