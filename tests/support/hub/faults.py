"""What goes wrong, and when.

hub.fault = Fault(503).at(4)                             # the 4th request from now on
hub.fault = Fault(429, retry_after=1).on("PUT", times=2)
hub.fault = Fault("reset", applied=True).on("POST .*/commit/")   # it happened, and the answer is lost
hub.fault = Fault(503)                                   # every request
hub.fault = lambda request: os.kill(...) if request.index == 7 else None
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from aiohttp import web

from tests.support.hub.messages import Answer, HubRequest
from tests.support.hub.objects import RefusedError
from toolgen_hf.testing.replies import Broken


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    ``what``     a status to answer; ``reset``: no answer, the connection is reset; ``cut``: the same, in the
                 middle of the request's body; ``truncate``: half of the answer's body; ``hang``: no answer
                 until the client has gone
    ``applied``  whether the request takes effect all the same, and only its answer is lost; of ``truncate``
                 it always does, of ``cut`` never
    ``body``     of a status: what is answered, in place of an error as the Hub writes it; with ``headers``
    ``then``     called when the request has taken effect, or when it is known that it will not, before the answer
    """

    what: int | Literal["reset", "cut", "truncate", "hang"]
    retry_after: int | str | None = None
    applied: bool = False
    then: Callable[[], None] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def at(self, number: int, times: int = 1) -> Plan:
        """At the ``number``-th request from now on, 1 for the next, and those right after it."""
        return Plan(self, "", times, number - 1)

    def on(self, pattern: str, times: int | None = 1, skip: int = 0) -> Plan:
        """At requests with the pattern in ``METHOD /path?query``, but for the first ``skip``; times=None: all."""
        return Plan(self, pattern, times, skip)


@dataclass
class Plan:
    """A fault for some of the requests. ``hits`` counts them."""

    fault: Fault
    pattern: str
    times: int | None
    skip: int
    hits: int = 0
    _seen: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __call__(self, request: HubRequest) -> Fault | None:
        if re.search(self.pattern, request.line) is None:
            return None
        with self._lock:
            self._seen += 1
            if self._seen <= self.skip or (self.times is not None and self.hits >= self.times):
                return None
            self.hits += 1
            return self.fault


Script = Callable[[HubRequest], Fault | None]


def asked(script: Fault | Script | None, request: HubRequest) -> Fault | None:
    """What the script says of a request."""
    return script(request) if callable(script) else script


async def fail(fault: Fault, answer: Answer) -> web.StreamResponse:
    """The response of a request that fails; ``answer`` is what it would have been."""
    if isinstance(fault.what, int):
        headers = dict(fault.headers)
        headers |= {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.body is not None:
            return web.Response(status=fault.what, body=fault.body, headers=headers)
        return web.json_response({"error": "as scripted"}, status=fault.what, headers=headers)
    if fault.what == "hang":
        await asyncio.get_running_loop().create_future()
    how: Literal["truncate", "reset"] = "truncate" if fault.what == "truncate" else "reset"
    return Broken(how, answer.status, dict(answer.headers), answer.body)


async def cut(request: web.BaseRequest) -> None:
    """Reads half of the body.

    Raises:
        RefusedError: There is no body to cut: the test is wrong.
    """
    if not request.content_length:
        raise RefusedError(500, f"nothing to cut in {request.method} {request.path}")
    await request.content.readexactly(request.content_length // 2)
