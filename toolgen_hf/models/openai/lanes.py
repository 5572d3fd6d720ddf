"""One lane a key: what it may send, what it has in flight, and whether it can still be used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAIError

from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.failures import Failure, exhausted_for
from toolgen_hf.models.openai.keys import mask
from toolgen_hf.models.openai.limits import Bucket, Window
from toolgen_hf.models.openai.messages import MalformedError

STORM = 8
"""So many failures in a row, and a key rests for as long as the engine says. Refusals come at once and texts take their
time: only a failure that no attempt begun before it may still contradict counts as the last of a row."""
PAUSE = 1.0
"""Seconds of that rest where it does not say."""
LONGEST_REST = 60.0
"""Seconds that a key rests for what a header says at most; then an attempt is made all the same."""
OVERLOADED = (503, 529)


class Lane:
    """A key, its client and its limits. All times are of the event loop's clock, in seconds."""

    def __init__(self, key: str, client: AsyncOpenAI, config: OpenAIConfig, now: float) -> None:
        self.key, self.client = key, client
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
        """Attempts that are not answered yet."""
        return len(self._in_flight)

    def wait(self, now: float) -> float:
        """Seconds until this lane is open; infinite while its window is full or its key is refused."""
        if self.refusal is not None or self.in_flight >= int(self.window.size):
            return float("inf")
        return max(self._rests_until - now, self._requests.wait(now), self._tokens.wait(now))

    async def post(self, url: str, body: Mapping[str, Any]) -> httpx2.Response:
        """One attempt; the answer is read as UTF-8, as JSON is.

        Raises:
            openai.OpenAIError: what the client makes of a failure.
            TimeoutError: there is no whole answer in time; the client's own timeout is for each read.
            MalformedError: what came is no HTTP that can be read.
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
        """An attempt is not waited for any more."""
        self._in_flight.pop(attempt, None)

    def succeeded(
        self, attempt: int, latency: float, over_estimate: int, headers: Mapping[str, str], now: float
    ) -> None:
        """An attempt came back, having needed so many tokens less than was thought."""
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


def choose(lanes: Sequence[Lane], now: float) -> Lane | float:
    """The open lane with the most room, of those the least used, or the seconds until one opens by itself
    (infinite: none will)."""
    waits = [lane.wait(now) for lane in lanes]
    open_now = [lane for lane, wait in zip(lanes, waits, strict=True) if wait <= 0]
    if not open_now:
        return min(waits)
    return min(open_now, key=lambda lane: (lane.in_flight / lane.window.size, lane.count))


def describe_refusals(lanes: Sequence[Lane]) -> str:
    """Why no key can be used: keys of one reason together, by their last characters; a hint where it is not the key."""
    reasons: dict[str, list[Lane]] = {}
    for lane in lanes:
        if lane.refusal is not None:
            reasons.setdefault(lane.refusal.message.rstrip("."), []).append(lane)
    said = "; ".join(f"{', '.join(mask(lane.key) for lane in some)} {why}" for why, some in reasons.items())
    if all(lane.refusal is not None and lane.refusal.status == 404 for lane in lanes):
        return f"the engine or the URL is not known there (a base_url usually ends in /v1): {said}"
    return f"no key can be used: {said}"
