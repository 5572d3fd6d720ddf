"""What each API key may send: requests in flight (adaptive), requests and tokens a minute (as set), and rests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAIError

from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.failures import Failure, exhausted_for
from toolgen_hf.models.openai.keys import mask
from toolgen_hf.models.openai.messages import MalformedError

STORM = 8
"""After so many failures in a row, a key pauses for as long as the engine says. Refusals come faster than texts, so a
row ends only with a failure before which no attempt is still in flight."""
PAUSE = 1.0
"""Seconds of that pause, if the engine does not say."""
LONGEST_REST = 60.0
"""Seconds that a key pauses at most because of a header. Then an attempt is made anyway."""
OVERLOADED = (503, 529)


class Window:
    """Requests in flight at most: additive increase, multiplicative decrease, as TCP does (RFC 5681).

    It grows by one for each window of successes, up to ``ceiling``. It shrinks to ``FACTOR`` of its size on a 429, at
    most once a ``PERIOD`` or round trip, because the requests in flight were sent with the old size.
    """

    FACTOR = 0.7
    PERIOD = 1.0

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.size = float(ceiling)
        self._latency = 0.0
        self._shrunk_at = float("-inf")

    def grow(self, latency: float) -> None:
        """A request succeeded after ``latency`` seconds."""
        self._latency += 0.1 * (latency - self._latency)
        self.size = min(float(self.ceiling), self.size + 1 / self.size)

    def shrink(self, now: float) -> None:
        """The engine said 429 at ``now`` (seconds of a monotonic clock)."""
        if now - self._shrunk_at >= max(self.PERIOD, self._latency):
            self._shrunk_at = now
            self.size = max(1.0, self.size * self.FACTOR)


class Bucket:
    """A token bucket: ``per_minute`` units, refilled evenly, saved for up to ``burst`` seconds.

    One withdrawal may overdraw it, so that a request larger than the burst can be sent.
    """

    def __init__(self, per_minute: float | None, now: float, burst: float = 1.0) -> None:
        self.rate = None if per_minute is None else per_minute / 60
        self._level = (self.rate or 0.0) * burst
        self._most = self._level
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until something may be taken; 0 if now."""
        if self.rate is None:
            return 0.0
        self._level = min(self._most, self._level + (now - self._at) * self.rate)
        self._at = now
        return 0.0 if self._level > 0 else max(0.001, -self._level / self.rate)

    def take(self, amount: float) -> None:
        """Withdraw; a negative amount is given back."""
        self._level -= amount


class ApiKey:
    """An API key, its client and its limits. Times are seconds of the event loop's clock."""

    def __init__(self, key: str, client: AsyncOpenAI, config: OpenAIConfig, now: float) -> None:
        self.secret, self.client = key, client
        self.window = Window(config.concurrency)
        self.count = 0  # attempts so far
        self.has_worked = False
        self.refusal: Failure | None = None
        self._requests = Bucket(config.requests_per_minute, now)
        self._tokens = Bucket(config.tokens_per_minute, now)
        self._rests_until = now
        self._failed_in_a_row = 0
        self._in_flight: dict[int, None] = {}  # attempts by their number, oldest first
        self._timeout = config.timeout

    @property
    def in_flight(self) -> int:
        """Attempts without an answer so far."""
        return len(self._in_flight)

    def wait(self, now: float) -> float:
        """Seconds until a request may be sent; infinite while the window is full or the key is refused."""
        if self.refusal is not None or self.in_flight >= int(self.window.size):
            return float("inf")
        return max(self._rests_until - now, self._requests.wait(now), self._tokens.wait(now))

    async def post(self, url: str, body: Mapping[str, Any]) -> httpx2.Response:
        """One attempt. The answer is read as UTF-8, like all JSON.

        Raises:
            openai.OpenAIError: the client's error.
            TimeoutError: no complete answer in time. (The client's own timeout is for each read.)
            MalformedError: the answer is not HTTP that can be read.
        """
        try:
            async with asyncio.timeout(self._timeout):
                response = await self.client.post(url, cast_to=httpx2.Response, body=body)
                response.encoding = "utf-8"
                return response
        except TimeoutError:
            raise TimeoutError(f"no whole answer within {self._timeout:g} s") from None
        except OpenAIError:
            raise
        except Exception as error:  # of the libraries under the client, which it does not translate
            raise MalformedError(
                f"the answer is no HTTP that can be read: {type(error).__name__}: {error}"
            ) from error

    def started(self, tokens: int) -> int:
        """An attempt that may need ``tokens`` tokens is in flight; its number."""
        self.count += 1
        self._in_flight[self.count] = None
        self._requests.take(1)
        self._tokens.take(tokens)
        return self.count

    def left(self, attempt: int) -> None:
        """An attempt was cancelled or has ended."""
        self._in_flight.pop(attempt, None)

    def succeeded(
        self, attempt: int, latency: float, over_estimate: int, headers: Mapping[str, str], now: float
    ) -> None:
        """An attempt was answered; it took ``over_estimate`` tokens less than reserved."""
        self.left(attempt)
        self._failed_in_a_row = 0
        self.has_worked = True
        self._tokens.take(-over_estimate)
        self.window.grow(latency)
        self._rest(min(exhausted_for(headers), LONGEST_REST), now)

    def is_oldest(self, attempt: int) -> bool:
        """Whether no attempt that began before it is still in flight."""
        return attempt == next(iter(self._in_flight), None)

    def failed(self, attempt: int, failure: Failure, now: float) -> None:
        """An attempt failed."""
        is_oldest = self.is_oldest(attempt)
        self.left(attempt)
        if failure.kind == "key":
            self.refusal = failure
        elif failure.kind != "request":
            self._failed_in_a_row += 1
            is_overloaded = failure.kind == "retry" and failure.status in OVERLOADED
            if failure.kind == "limited" or is_overloaded:
                self.window.shrink(now)
            if self._failed_in_a_row >= STORM and is_oldest:
                self._rest(failure.wait or PAUSE, now)

    def _rest(self, seconds: float, now: float) -> None:
        self._rests_until = max(self._rests_until, now + seconds)


def choose(api_keys: Sequence[ApiKey], now: float) -> ApiKey | float:
    """The key with the most room, of equals the least used. If none may send now, the seconds until one may (infinite:
    none will before an answer arrives)."""
    waits = [api_key.wait(now) for api_key in api_keys]
    open_now = [api_key for api_key, wait in zip(api_keys, waits, strict=True) if wait <= 0]
    if not open_now:
        return min(waits)
    return min(open_now, key=lambda api_key: (api_key.in_flight / api_key.window.size, api_key.count))


def describe_refusals(api_keys: Sequence[ApiKey]) -> str:
    """Why no key can be used: the keys of each reason, by their last characters, and a hint if the URL is wrong."""
    reasons: dict[str, list[ApiKey]] = {}
    for api_key in api_keys:
        if api_key.refusal is not None:
            reasons.setdefault(api_key.refusal.message.rstrip("."), []).append(api_key)
    said = "; ".join(
        f"{', '.join(mask(api_key.secret) for api_key in some)} {why}" for why, some in reasons.items()
    )
    if all(api_key.refusal is not None and api_key.refusal.status == 404 for api_key in api_keys):
        return f"the engine or the URL is not known there (a base_url usually ends in /v1): {said}"
    return f"no key can be used: {said}"
