"""What an engine and each API key can take: requests in flight, requests and tokens a minute, and when to give up.

Every class here counts with the seconds that it is given, so that tests need no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from openai import AsyncOpenAI

from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.failures import Failure, exhausted_for

PAUSE_AFTER = 8
"""After this many failures in a row, a key pauses. Refusals arrive faster than texts, so a series of failures counts
only when all earlier attempts are finished."""
PAUSE = 1.0  # seconds of that pause, if the engine names none
LONGEST_PAUSE = 60.0  # the most seconds that a key pauses because of a header; then an attempt is made anyway
_OVERLOADED = (503, 529)
ENOUGH = 10  # failures in a row, over all requests, before they count as trouble of the engine
FIRST_PATIENCE = 5.0  # seconds from the start without a success, after which an engine counts as out of reach
LIMITED_PATIENCE = 600.0  # seconds with nothing but 429s, after which the run ends
_STARTUP = 600.0  # seconds to wait for an engine that says that it is starting, if the config sets no number
_LOG_AGAIN = 60.0  # seconds between two log lines about an engine that is still starting

logger = logging.getLogger(__name__)


class Window:
    """The most requests in flight: additive increase, multiplicative decrease, as in TCP (RFC 5681).

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
        """The engine answered 429."""
        if now - self._shrunk_at >= max(self.PERIOD, self._latency):
            self._shrunk_at = now
            self.size = max(1.0, self.size * self.FACTOR)


class Bucket:
    """A token bucket: ``per_minute`` units, refilled evenly, saved for up to one second.

    One withdrawal may overdraw it, so that a request larger than that can be sent.
    """

    def __init__(self, per_minute: float | None, now: float) -> None:
        self.rate = None if per_minute is None else per_minute / 60
        self._level = self._most = self.rate or 0.0
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
    """An API key, its client and its limits."""

    def __init__(self, key: str, client: AsyncOpenAI, config: OpenAIConfig, now: float) -> None:
        self.secret, self.client = key, client
        self.window = Window(config.concurrency)
        self.count = 0  # attempts so far
        self.has_worked = False
        self.refusal: Failure | None = None
        self.in_flight: dict[int, None] = {}  # attempts by their number, oldest first
        self._requests = Bucket(config.requests_per_minute, now)
        self._tokens = Bucket(config.tokens_per_minute, now)
        self._pauses_until = now
        self._failed_in_a_row = 0

    def wait(self, now: float) -> float:
        """Seconds until a request may be sent; infinite while the window is full or the key is refused."""
        if self.refusal is not None or len(self.in_flight) >= int(self.window.size):
            return float("inf")
        return max(self._pauses_until - now, self._requests.wait(now), self._tokens.wait(now))

    def started(self, tokens: int) -> int:
        """An attempt that may need ``tokens`` tokens begins; returns its number."""
        self.count += 1
        self.in_flight[self.count] = None
        self._requests.take(1)
        self._tokens.take(tokens)
        return self.count

    def left(self, attempt: int) -> None:
        """An attempt has ended or was cancelled."""
        self.in_flight.pop(attempt, None)

    def succeeded(
        self, attempt: int, latency: float, over_estimate: int, headers: Mapping[str, str], now: float
    ) -> None:
        """An attempt was answered; it took ``over_estimate`` tokens less than reserved."""
        self.left(attempt)
        self._failed_in_a_row = 0
        self.has_worked = True
        self._tokens.take(-over_estimate)
        self.window.grow(latency)
        self._pause(min(exhausted_for(headers), LONGEST_PAUSE), now)

    def is_oldest(self, attempt: int) -> bool:
        """Whether all attempts that began earlier are finished."""
        return attempt == next(iter(self.in_flight), None)

    def failed(self, attempt: int, failure: Failure, now: float) -> None:
        """An attempt failed."""
        is_oldest = self.is_oldest(attempt)
        self.left(attempt)
        if failure.kind == "key":
            self.refusal = failure
        elif failure.kind != "request":
            self._failed_in_a_row += 1
            if failure.kind == "limited" or (failure.kind == "retry" and failure.status in _OVERLOADED):
                self.window.shrink(now)
            if self._failed_in_a_row >= PAUSE_AFTER and is_oldest:
                self._pause(failure.wait or PAUSE, now)

    def _pause(self, seconds: float, now: float) -> None:
        self._pauses_until = max(self._pauses_until, now + seconds)


class Health:
    """Decides when a run gives up: it counts successes and failures in a row, over all requests and keys.

    Args:
        patience: the longest time without a success, in seconds, once there was one.
        now: the start, in seconds of a monotonic clock.
        wait_for_engine: seconds to wait for an engine that is starting (loading a model takes minutes). None:
            ``_STARTUP`` if the engine says that it is starting, no wait if nothing answers.
    """

    def __init__(self, patience: float, now: float, wait_for_engine: float | None = None) -> None:
        self.patience = patience
        self.successes = 0
        self.wait = _STARTUP if wait_for_engine is None else wait_for_engine
        self._waits_for_any = wait_for_engine is not None and wait_for_engine > 0
        self._since = now  # the last success, or the start
        self._in_a_row = 0
        self._positions: set[int] = set()  # of the requests that failed since
        self._has_warned = False
        self._starting_since: float | None = None  # the first failure of this kind, without a success since
        self._logged_at = 0.0

    @property
    def is_out(self) -> bool:
        """Whether the engine itself fails: many different requests failed since the last success."""
        return len(self._positions) >= ENOUGH

    def succeeded(self, now: float) -> None:
        """A text arrived."""
        self.successes += 1
        self._begin_again(now)
        if self._starting_since is not None:
            logger.info("the engine is ready after %.0f s", now - self._starting_since)
            self._starting_since = None

    def _begin_again(self, now: float) -> None:
        self._since = now
        self._in_a_row = 0
        self._positions.clear()
        self._has_warned = False

    def warning(self, failure: Failure, now: float) -> str | None:
        """A warning for the user, once in an outage; else None."""
        quiet = now - self._since
        if self._has_warned or quiet < FIRST_PATIENCE or not (self.is_out or failure.kind == "limited"):
            return None
        self._has_warned = True
        limit = max(LIMITED_PATIENCE, self.patience) if failure.kind == "limited" else self.patience
        return (
            f"nothing has succeeded for {quiet:.0f} s, trying again for up to {limit:.0f} s "
            f"(Ctrl-C keeps what arrived): {failure.message}"
        )

    def judged(self, failure: Failure) -> Failure:
        """``failure``, as one of a starting engine if it may be one."""
        if failure.kind == "starting" and not self.wait:
            return replace(failure, kind="retry")
        is_awaited = self._starting_since is not None or (not self.successes and self._waits_for_any)
        if failure.kind == "retry" and is_awaited and failure.may_be_a_start:
            return replace(failure, kind="starting")
        return failure

    def failed(self, position: int, failure: Failure, now: float, oldest: float) -> str | None:
        """Why to stop after this failure of one request; None to go on.

        Args:
            oldest: the start of the oldest attempt in flight; ``now`` if there is none.
        """
        if failure.kind == "starting":
            self._begin_again(now)
            return self._failed_to_start(failure, now)
        quiet = now - self._since
        if failure.kind == "limited":
            if quiet < max(LIMITED_PATIENCE, self.patience):
                return None
            return f"nothing but 'too many requests' for {quiet:.0f} s: {failure.message}"
        if failure.kind == "key" or failure.is_about_the_text:
            return None
        self._in_a_row += 1
        if failure.kind == "retry" and not self.is_out:
            self._positions.add(position)
        if self._in_a_row < ENOUGH:
            return None
        if failure.kind == "request" and not self.successes:
            return f"every request was refused: {failure.message}"
        if quiet < (self.patience if self.successes else FIRST_PATIENCE):
            return None
        if not self.successes and now - oldest > FIRST_PATIENCE / 2:  # it may yet be answered
            return None
        since = f"for {quiet:.0f} s" if self.successes else "at all"
        return f"nothing succeeded {since}; the last of {self._in_a_row} failures in a row: {failure.message}"

    def _failed_to_start(self, failure: Failure, now: float) -> str | None:
        if self._starting_since is None:
            self._starting_since = self._logged_at = now
            logger.warning(
                "the engine is not ready yet, waiting for it for up to %.0f s (wait_for_engine; Ctrl-C ends it): %s",
                self.wait,
                failure.message,
            )
        waited = now - self._starting_since
        if waited >= self.wait:
            return f"it is still not ready after {waited:.0f} s (wait_for_engine): {failure.message}"
        if now - self._logged_at >= _LOG_AGAIN:
            self._logged_at = now
            logger.info("still waiting for the engine after %.0f s: %s", waited, failure.message)
        return None
