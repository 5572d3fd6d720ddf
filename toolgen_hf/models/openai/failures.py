"""What a failed attempt means for its request, its key, and the whole run.

retry     timeouts, broken connections, 408, 409, 5xx, unreadable answers; 429 for one request that is too large
limited   429: too many requests; wait as the engine says
key       401, 402, 403, 404, no quota, 429 for a day: this key (or, if it is the only one, the URL) cannot be used
request   400, 413, 422: the engine refuses the content of the request
starting  503 and the like, with words that say that the model is still being loaded
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal

import openai

from toolgen_hf._utils import MAX_BACKOFF, number_in, seconds_asked
from toolgen_hf.ask import Generation
from toolgen_hf.models.openai.messages import EngineError, MalformedError, refused, shallow
from toolgen_hf.secrets import redact

Kind = Literal["retry", "limited", "key", "request", "starting"]

_KEY_STATUS = (401, 402, 403, 404)
_REQUEST_STATUS = (400, 413, 422)
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated")
_TOO_LARGE = re.compile(r"\brequest too large", re.IGNORECASE)  # for the tokens a minute: it never fits
_TOO_LONG = re.compile(
    r"context.?(?:length|size|window)|maximum (?:context|model length)|max_model_len|above_max_length|"
    r"(?:prompt|input|text|string|message|request|entity)s?\b[^.]{0,60}too (?:long|large)",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content.?(?:filter|policy|management)|usage policy|safety system|invalid_prompt|moderation",
    re.IGNORECASE,
)
_GATEWAY_STATUS = (502, 503, 504)
_STARTING = re.compile(
    r"\bloading\b|\b(?:is|are|still) (?:being )?(?:starting|initiali[sz]ing|booting|warming|deployed|scaling)\b|"
    r"(?:starting|warming|booting) up|cold start|not (?:yet )?(?:ready|loaded|initiali[sz]ed|started)\b",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"\b(?:fail(?:ed|ure)?|unable|cannot|could not|error loading)\b", re.IGNORECASE)
_NOT_LISTENING = re.compile(
    r"connect call failed|connection refused|connection reset|server disconnected", re.IGNORECASE
)  # the last two where a container's port is open already
LONGEST_QUOTE = 600  # characters of an engine's own words in a message
_DEEPEST = 20  # levels of an error object that are kept
LONGEST_WAIT = 600.0
"""Seconds. An engine that asks for a longer pause (a day's quota is used up) gives nothing more in this run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed. ``wait``: the seconds that the engine asks to wait; ``error``: the error object of its
    answer."""

    kind: Kind
    message: str
    wait: float | None = None
    status: int | None = None
    error: Any = None

    @property
    def is_about_the_text(self) -> bool:
        """Whether only this request is refused, for its own text."""
        return self.is_too_long or (self.kind == "request" and bool(_FILTERED.search(self.text)))

    @property
    def is_too_long(self) -> bool:
        """Whether the request is refused for its length."""
        return self.kind == "request" and bool(_TOO_LONG.search(self.text))

    @property
    def text(self) -> str:
        """The engine's words, and the code and the parameter that it names, on a line of their own."""
        error = self.error if isinstance(self.error, Mapping) else {}
        return f"{self.message}\n{_text(error.get('code'))} {_text(error.get('param'))}"

    def as_refused(self) -> Generation:
        """The text of a request that the engine refuses for its own content."""
        return refused(self.status or 0, self.error or self.message)

    @property
    def may_be_a_start(self) -> bool:
        """Whether the server may be starting: nothing listens yet, or only a gateway in front of it."""
        if self.status is None:
            return bool(_NOT_LISTENING.search(self.message))
        return self.status in _GATEWAY_STATUS


def classify(error: Exception) -> Failure:
    """The failure for an error of the client or of reading an answer.

    Raises:
        Exception: ``error`` itself, if it is a defect.
    """
    if isinstance(error, EngineError) and error.status is not None:
        wait = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:f}"}
        return of_status(error.status, error.error, {**error.headers, **wait})
    if isinstance(error, openai.APIStatusError):
        return of_status(error.status_code, error.body, error.response.headers, error.message)
    if isinstance(error, openai.APIConnectionError):  # a timeout is one
        return Failure("retry", str(error.__cause__ or "") or error.message.rstrip("."))
    if isinstance(error, MalformedError | openai.APIError | TimeoutError):
        return Failure("retry", str(error))
    raise error


def of_status(
    status: int, body: Any, headers: Mapping[str, str] = MappingProxyType({}), message: str | None = None
) -> Failure:
    """The failure for an answer with an HTTP status other than 200. ``body``: its error object."""
    body, wait = shallow(body), retry_after(headers)
    kind: Kind = "retry"
    reason = words(body) or message or f"status {status}"
    message = f"{status}: {reason}"
    code = _text(body.get("code") or body.get("type") or "") if isinstance(body, Mapping) else ""
    if status in _KEY_STATUS or any(word in f"{code} {reason}" for word in _NO_QUOTA):
        kind = "key"
    elif status == 429 and wait is not None and wait > LONGEST_WAIT:
        kind, message = "key", f"{status}: the engine asks to wait {wait:.0f} s: {reason}"
    elif status == 429 and not _TOO_LARGE.search(message):
        kind = "limited"
    elif status in _REQUEST_STATUS:
        kind = "request"
    elif status in _GATEWAY_STATUS and _STARTING.search(reason) and not _BROKEN.search(reason):
        kind = "starting"
    longest = LONGEST_WAIT if status == 429 else MAX_BACKOFF
    return Failure(kind, message, None if wait is None else min(wait, longest), status, body)


def words(body: Any, depth: int = 0) -> str:
    """The message in an error body, which may have any shape."""
    if depth < _DEEPEST and isinstance(body, Mapping):
        for name in ("message", "error", "detail", "msg"):
            if body.get(name):
                return words(body[name], depth + 1)
    if depth < _DEEPEST and isinstance(body, list) and len(body) == 1:
        is_located = isinstance(body[0], Mapping) and "loc" in body[0]  # pydantic's: worth quoting whole
        return _text(body) if is_located else words(body[0], depth + 1)
    return _text("" if body is None else body)


def _text(value: Any) -> str:
    try:
        return str(value)
    except (RecursionError, ValueError):  # too deep, or an integer of too many digits
        return type(value).__name__


def redacted(failure: Failure, *keys: str) -> Failure:
    """``failure`` without the keys that it may repeat, and no longer than can be read and kept."""

    def clean(value: Any, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise RecursionError
        if isinstance(value, str):
            return redact(value, keys)
        if isinstance(value, dict):
            return {redact(str(name), keys): clean(part, depth + 1) for name, part in value.items()}
        return [clean(part, depth + 1) for part in value] if isinstance(value, list) else value

    try:
        is_short = len(json.dumps(failure.error)) <= 4 * LONGEST_QUOTE
        error = clean(failure.error) if is_short else None
    except (RecursionError, ValueError, TypeError):
        error = None
    return replace(failure, message=_shortened(redact(failure.message, keys)), error=error)


def _shortened(text: str) -> str:
    """``text`` on one line, cut after ``LONGEST_QUOTE`` printable characters."""
    text = " ".join(text[: 4 * LONGEST_QUOTE].encode("utf-8", "replace").decode().split())
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After``; None if neither is a finite number or a date."""
    milliseconds = number_in(headers.get("retry-after-ms", ""))
    if milliseconds is not None and isfinite(milliseconds):
        return milliseconds / 1000
    seconds = seconds_asked(headers.get("retry-after", ""), now)
    return None if seconds is None or not isfinite(seconds) else seconds


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def exhausted_for(headers: Mapping[str, str]) -> float:
    """Seconds until this key may send again, if ``x-ratelimit-remaining-*`` is 0; else 0."""
    waits = [0.0]
    for what in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
            reset = headers.get(f"x-ratelimit-reset-{what}", "")
            parts = re.findall(
                r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", reset
            )  # "6m0s", "20ms"; some send plain seconds
            waits.append(number_in(reset) or sum(float(number) * _UNITS[unit] for number, unit in parts))
    return max(waits)
