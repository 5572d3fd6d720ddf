"""What an attempt that failed means: for its request, for its key, for the whole run.

retry     timeouts, broken connections, 408, 409, 5xx, answers that are none
limited   429: too many requests; wait as the engine says
key       401, 402, 403, 404, no quota: this key (or, if it is the only one, the URL) is of no use
request   400, 413, 422: the engine refuses what the request holds
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import openai

from toolgen_hf.generators.api.messages import MalformedError

Kind = Literal["retry", "limited", "key", "request"]

_KEY_STATUS = (401, 402, 403, 404)
_REQUEST_STATUS = (400, 413, 422)
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated")
_ABOUT_THE_TEXT = re.compile(
    r"context.?length|maximum context|too (?:long|large)|max_length|content.?(?:filter|policy|management)|safety|"
    r"invalid_prompt|moderation",
    re.IGNORECASE,
)


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
        return self.kind == "request" and bool(_ABOUT_THE_TEXT.search(f"{self.message} {self.error}"))


def classify(error: Exception) -> Failure:
    """What ``error``, of the client or of reading its answer, means.

    Raises:
        Exception: ``error`` itself, if it is none that a request can be expected to meet.
    """
    if isinstance(error, openai.APIStatusError):
        return _classify_status(error)
    if isinstance(error, openai.APIConnectionError):  # a timeout is one
        cause = str(error.__cause__ or error) or type(error.__cause__).__name__
        return Failure("retry", f"{error.message.rstrip('.')} ({cause})")
    if isinstance(error, MalformedError | openai.APIError):
        return Failure("retry", str(error))
    raise error


def _classify_status(error: openai.APIStatusError) -> Failure:
    status, headers, body = error.status_code, error.response.headers, error.body
    said = body.get("message") if isinstance(body, Mapping) else None
    message = f"{status}: {said or str(body or error.message)[:300]}"
    code = str(body.get("code") or body.get("type") or "") if isinstance(body, Mapping) else ""
    kind: Kind = "retry"
    if status in _KEY_STATUS or any(word in f"{code} {said}" for word in _NO_QUOTA):
        kind = "key"
    elif status == 429:
        kind = "limited"
    elif status in _REQUEST_STATUS:
        kind = "request"
    return Failure(kind, message, retry_after(headers), status, body)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date, RFC 9110)."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, (parsedate_to_datetime(value) - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError):
        return None


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def exhausted_for(headers: Mapping[str, str]) -> float:
    """Seconds until this key may send again, where ``x-ratelimit-remaining-*`` says that nothing is left; else 0."""
    waits = [0.0]
    for what in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
            reset = headers.get(f"x-ratelimit-reset-{what}", "")
            parts = re.findall(r"([\d.]+)(ms|s|m|h|d)", reset)  # "6m0s", "20ms"
            waits.append(sum(float(number) * _UNITS[unit] for number, unit in parts))
    return max(waits)
