"""Requests, the replies of a script, and the HTTP responses made from them.

Reply("2")                  -> {"object": "chat.completion", "choices": [{"message": {"content": "2", ...}}], ...}
Reply(status=429)           -> {"error": {"code": "rate_limit_exceeded", "message": "Rate limit reached ...", ...}}
Reply("2", fault="reset")   -> the connection is reset, without an answer
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Api = Literal["chat", "completions"]
Fault = Literal["reset", "reset_body", "truncate", "hang"]

JSON_TYPE = {"Content-Type": "application/json"}
_READ_TIME = 0.02  # seconds for the client to read half a body; a reset discards what is not read yet
_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
_ERRORS: Mapping[int, tuple[str, str | None, str]] = {  # type, code, message
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not supported here."),
    404: ("invalid_request_error", None, "The object does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
}


@dataclass(frozen=True)
class ApiRequest:
    """One generation request as it arrived.

    ``index``   its number in order of arrival, from 0
    ``seen``    the number of earlier requests with the same body
    ``at``      ``time.monotonic()`` of its arrival
    ``digest``  SHA-256 of the body, in hexadecimal
    ``batch``   id of the batch that holds the request; None if it was sent alone
    """

    index: int
    api: Api
    key: str
    body: dict[str, Any]
    seen: int
    at: float
    digest: str
    batch: str | None = None

    @property
    def prompt(self) -> str:
        """The prompt, or the contents of all messages, joined."""
        if self.api == "completions":
            return str(self.body["prompt"])
        return "".join(_text(message) for message in self.body["messages"])

    @property
    def user(self) -> str:
        """The content of the last user message, or the prompt."""
        if self.api == "completions":
            return self.prompt
        return next((_text(m) for m in reversed(self.body["messages"]) if m.get("role") == "user"), "")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@dataclass(frozen=True)
class Reply:
    """What the server answers: a text, an error, or a response that no working server would send.

    ``latency``  seconds until the answer is sent; None takes the server's
    ``model``    the model named in the answer; None takes the requested one
    ``error``    an error message, or the fields of OpenAI's error object; a status of 400 or more has a default
    ``body``     bytes sent instead of the JSON body
    ``fault``    ``reset``: reset the connection and send nothing; ``reset_body``: reset it after half of the
                 body; ``truncate``: close it normally after half of the body; ``hang``: never answer
    ``choices``  replaces the choices made from the text, for example ``[]``
    ``usage``    replaces the token counts made from the length of the texts; ``{}`` leaves them out
    """

    text: str | None = ""
    finish_reason: str | None = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency: float | None = None
    model: str | None = None
    error: Mapping[str, Any] | str | None = None
    body: bytes | None = None
    fault: Fault | None = None
    choices: Sequence[Mapping[str, Any]] | None = None
    usage: Mapping[str, Any] | None = None
    refusal: str | None = None

    @property
    def answers(self) -> bool:
        """Whether a real server would have charged for this reply."""
        return self.status == 200 and self.error is None and self.fault is None


Script = Callable[[ApiRequest], Reply | str] | Reply | str
"""A function of the request, or the one answer to every request."""


def ask(script: Script, request: ApiRequest) -> Reply:
    """The reply of ``script`` to ``request``.

    Raises:
        TypeError: the script returned neither a text nor a `Reply`.
    """
    reply = script(request) if callable(script) else script
    if isinstance(reply, str):
        return Reply(reply)
    if not isinstance(reply, Reply):
        raise TypeError(f"a script must return a Reply or a text, but it returned {reply!r}")
    return reply


def first(n: int, reply: Script, then: Script) -> Callable[[ApiRequest], Reply]:
    """Answer the first ``n`` requests with ``reply``: ``first(2, Reply(status=500), then="4")``."""
    return lambda request: ask(reply if request.index < n else then, request)


def per_body(*replies: Script) -> Callable[[ApiRequest], Reply]:
    """Answer equal bodies with one reply after the other, and then the last: ``per_body(Reply(status=500), "4")``."""
    if not replies:
        raise ValueError('per_body needs a reply, such as per_body("4")')
    return lambda request: ask(replies[min(request.seen, len(replies) - 1)], request)


def rate_limited(
    script: Script, times: int = 1, every: int = 10, count: int = 300, retry_after: float = 1.0
) -> Callable[[ApiRequest], Reply]:
    """Answer some bodies with status 429 and ``Retry-After``, ``times`` times each, before ``script`` answers.

    The SHA-256 of a body alone decides, so every run limits the same bodies: about one in ``every`` (1 limits all),
    and at most the first ``count``.
    """
    limited: set[str] = set()
    refusal = Reply(status=429, headers={"Retry-After": f"{retry_after:g}"}, latency=0)

    def limiting(request: ApiRequest) -> Reply:
        if request.seen < times and int(request.digest[:8], 16) % every == 0:
            if len(limited) < count:
                limited.add(request.digest)
            if request.digest in limited:
                return refusal
        return ask(script, request)

    return limiting


def body_of(reply: Reply, request: ApiRequest) -> bytes:
    """The body of the response."""
    if reply.body is not None:
        return reply.body
    if reply.error is not None or reply.status >= 400:
        return dumps(error(reply.status, reply.error))
    return dumps(_completion(reply, request))


def _completion(reply: Reply, request: ApiRequest) -> dict[str, Any]:
    is_chat, choices, usage = request.api == "chat", reply.choices, reply.usage
    if choices is None:
        content = None if reply.refusal is not None and not reply.text else reply.text
        message = {"role": "assistant", "content": content, "refusal": reply.refusal}
        made = {"message": message} if is_chat else {"text": reply.text}
        choice = {**made, "logprobs": None, "finish_reason": reply.finish_reason}
        choices = [{"index": index, **choice} for index in range(request.body.get("n") or 1)]
    if usage is None:
        prompt, text = len(request.prompt) // 4 + 1, len(reply.text or "") // 4 + 1
        usage = {"prompt_tokens": prompt, "completion_tokens": text, "total_tokens": prompt + text}
    return {
        "id": f"{'chatcmpl' if is_chat else 'cmpl'}-{request.index}",
        "object": "chat.completion" if is_chat else "text_completion",
        "created": int(time.time()),
        "model": request.body.get("model") if reply.model is None else reply.model,
        "choices": choices,
        **({"usage": usage} if usage else {}),
    }


def error(status: int, given: Mapping[str, Any] | str | None = None) -> dict[str, Any]:
    """``{"error": {"message", "type", "param", "code"}}``; the status gives what is not ``given``."""
    kind, code, message = _ERRORS.get(status, ("server_error", None, _SERVER_ERROR))
    fields = {"message": message, "type": kind, "param": None, "code": code}
    return {"error": fields | ({"message": given} if isinstance(given, str) else dict(given or {}))}


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def response_of(reply: Reply, request: ApiRequest) -> web.StreamResponse:
    """The HTTP response of a reply."""
    body = body_of(reply, request)
    headers = {**JSON_TYPE, "x-request-id": f"req_{request.index}", **reply.headers}
    if reply.fault is not None:
        return Broken(reply.fault, reply.status, headers, body)
    return web.Response(status=reply.status, body=body, headers=headers)


class Broken(web.StreamResponse):
    """Sends nothing, or half of the body that the headers promise, and ends the connection."""

    def __init__(self, fault: Fault, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__()
        head = {**headers, "Content-Length": str(len(body)), "Connection": "keep-alive"}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in head.items())]
        self._fault = fault
        self._half = "\r\n".join([*lines, "\r\n"]).encode() + body[: len(body) // 2]

    async def prepare(self, request: web.BaseRequest) -> Any:
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError("the client has closed the connection")
        if self._fault != "reset":
            transport.write(self._half)
        if self._fault == "truncate":
            transport.close()
        else:
            await asyncio.sleep(0 if self._fault == "reset" else _READ_TIME)
            linger = struct.pack("ii", 1, 0)  # close with RST instead of FIN
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        raise ConnectionResetError(
            "the script ended the connection"
        )  # aiohttp then leaves the response alone
