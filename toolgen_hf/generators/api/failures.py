"""What an attempt that failed means: for its request, for its key, for the whole run.

retry     timeouts, broken connections, 408, 409, 5xx, answers that are none; 429 for one request too large to go
limited   429: too many requests; wait as the engine says
key       401, 402, 403, 404, no quota, 429 for a day: this key (or, if it is the only one, the URL) is of no use
request   400, 413, 422: the engine refuses what the request holds
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx2
import openai

from toolgen_hf.generators.api.messages import EngineError, MalformedError, shallow

Kind = Literal["retry", "limited", "key", "request"]

_KEY_STATUS = (401, 402, 403, 404)
_REQUEST_STATUS = (400, 413, 422)
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated")
_TOO_LARGE = re.compile(r"\brequest too large", re.IGNORECASE)  # for the tokens a minute: it never fits
_ABOUT_THE_TEXT = re.compile(
    r"context.?(?:length|size|window)|maximum (?:context|model length)|max_model_len|above_max_length|"
    r"(?:prompt|input|text|string|message|request|entity)s?\b[^.]{0,60}too (?:long|large)|"
    r"content.?(?:filter|policy|management)|usage policy|safety system|invalid_prompt|moderation",
    re.IGNORECASE,
)
LONGEST_WAIT = 600.0
"""Seconds. An engine that asks for a longer pause (a day's quota is used up) gives nothing more in this run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed. ``wait`` is what the engine asks for, in seconds."""

    kind: Kind
    message: str
    wait: float | None = None
    status: int | None = None
    error: Any = None
    """The engine's own words (the error object of its answer)."""

    @property
    def is_about_the_text(self) -> bool:
        """Whether this one request is refused for its own text, rather than every request like it."""
        code = self.error.get("code") if isinstance(self.error, Mapping) else None
        return self.kind == "request" and bool(_ABOUT_THE_TEXT.search(f"{self.message} {code}"))


def classify(error: Exception) -> Failure:
    """What ``error``, of the client or of reading its answer, means.

    Raises:
        Exception: ``error`` itself, if it is none that a request can be expected to meet.
    """
    if isinstance(error, EngineError) and error.status is not None:
        wait = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:g}"}
        error = status_error(error.status, error.error, {**error.headers, **wait})
    if isinstance(error, openai.APIStatusError):
        return _classify_status(error)
    if isinstance(error, openai.APIConnectionError):  # a timeout is one
        return Failure("retry", str(error.__cause__ or "") or error.message.rstrip("."))
    if isinstance(error, MalformedError | openai.APIError | TimeoutError):
        return Failure("retry", str(error))
    raise error


def status_error(status: int, error: Any, headers: Mapping[str, str] | None = None) -> openai.APIStatusError:
    """The error that the client raises for an answer with this status and this error object in its body."""
    request = httpx2.Request("POST", "https://engine")
    response = httpx2.Response(status, headers=dict(headers or {}), request=request)
    return openai.APIStatusError(f"status {status}", response=response, body=error)


def _classify_status(error: openai.APIStatusError) -> Failure:
    status, headers, body = error.status_code, error.response.headers, shallow(error.body)
    said = body.get("message") if isinstance(body, Mapping) else None
    message = f"{status}: {said or str(body or error.message)[:300]}"
    code = str(body.get("code") or body.get("type") or "") if isinstance(body, Mapping) else ""
    wait = retry_after(headers)
    kind: Kind = "retry"
    if status in _KEY_STATUS or any(word in f"{code} {said}" for word in _NO_QUOTA):
        kind = "key"
    elif status == 429 and wait is not None and wait > LONGEST_WAIT:
        kind, message = "key", f"{message} (the engine asks to wait {wait:.0f} s)"
    elif status == 429 and not _TOO_LARGE.search(message):
        kind = "limited"
    elif status in _REQUEST_STATUS:
        kind = "request"
    return Failure(kind, message, None if wait is None else min(wait, LONGEST_WAIT), status, body)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date, RFC 9110)."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: str) -> float | None:
    """A number of at least 0; of less counts as 0, of what is none or without end as None."""
    try:
        number = float(value)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def exhausted_for(headers: Mapping[str, str]) -> float:
    """Seconds until this key may send again, where ``x-ratelimit-remaining-*`` says that nothing is left; else 0."""
    waits = [0.0]
    for what in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
            reset = headers.get(f"x-ratelimit-reset-{what}", "")
            parts = re.findall(
                r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", reset
            )  # "6m0s", "20ms"; some say plain seconds
            waits.append(_number(reset) or sum(float(number) * _UNITS[unit] for number, unit in parts))
    return max(waits)
