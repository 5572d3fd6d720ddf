"""One lane a key: what it may send, what it has in flight, and whether it can still be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from openai import AsyncOpenAI

from toolgen_hf.generators.api.failures import Failure, exhausted_for
from toolgen_hf.generators.api.keys import mask
from toolgen_hf.generators.api.limits import Bucket, Window
from toolgen_hf.generators.config import OpenAIConfig

STORM = 8
"""So many 429s in a row, without a success between them, and a key rests for as long as the engine says."""


class Lane:
    """A key, its client and its limits. All times are of the event loop's clock, in seconds."""

    def __init__(self, key: str, client: AsyncOpenAI, config: OpenAIConfig, now: float) -> None:
        self.key, self.client = key, client
        self.window = Window(config.concurrency)
        self.in_flight = 0
        self.refusal: Failure | None = None
        self._requests = Bucket(config.requests_per_minute, now)
        self._tokens = Bucket(config.tokens_per_minute, now)
        self._rests_until = now
        self._limited_in_a_row = 0

    def wait(self, now: float) -> float:
        """Seconds until this lane is open; infinite while its window is full or its key is refused."""
        if self.refusal is not None or self.in_flight >= int(self.window.size):
            return float("inf")
        return max(self._rests_until - now, self._requests.wait(now), self._tokens.wait(now))

    async def post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """One attempt. Raises what the client raises."""
        return await self.client.post(path, cast_to=httpx2.Response, body=body)

    def started(self, tokens: int) -> None:
        """An attempt that may need ``tokens`` tokens is in flight."""
        self.in_flight += 1
        self._requests.take(1)
        self._tokens.take(tokens)

    def succeeded(self, latency: float, over_estimate: int, headers: Mapping[str, str], now: float) -> None:
        """An attempt came back, having needed so many tokens less than was thought."""
        self.in_flight -= 1
        self._limited_in_a_row = 0
        self._tokens.take(-over_estimate)
        self.window.grow(latency)
        self._rests_until = max(self._rests_until, now + exhausted_for(headers))

    def failed(self, failure: Failure, now: float) -> None:
        """An attempt failed."""
        self.in_flight -= 1
        if failure.kind == "key":
            self.refusal = failure
        elif failure.kind == "limited":
            self._limited_in_a_row += 1
            self.window.shrink(now)
            if self._limited_in_a_row >= STORM:
                self._rests_until = max(self._rests_until, now + (failure.wait or 1.0))


def choose(lanes: Sequence[Lane], now: float) -> Lane | float:
    """The open lane with the most room, or the seconds until one opens by itself (infinite: none will)."""
    waits = [(lane.wait(now), lane.in_flight / lane.window.size, at) for at, lane in enumerate(lanes)]
    wait = min(waits)[0]
    open_now = [entry for entry in waits if entry[0] <= 0]
    return lanes[min(open_now, key=lambda entry: entry[1])[2]] if open_now else wait


def describe_refusals(lanes: Sequence[Lane]) -> str:
    """Each refused key by its last characters, and why."""
    return "; ".join(f"{mask(lane.key)} {lane.refusal.message}" for lane in lanes if lane.refusal is not None)
