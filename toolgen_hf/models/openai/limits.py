"""How much one key may send: requests in flight (adaptive), requests and tokens a minute (as set)."""

from __future__ import annotations

import random

MAX_BACKOFF = 60.0


class Window:
    """Requests in flight at most: additive increase, multiplicative decrease, as TCP does (RFC 5681).

    Grows by one for each window's worth of successes, up to ``ceiling``; shrinks to ``FACTOR`` of itself when
    the engine says 429, at most once a ``PERIOD`` or round trip, since what is in flight tells of the old size.
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
    """An allowance that refills evenly: ``per_minute`` units, saved for up to ``burst`` seconds.

    It may be overdrawn by one withdrawal, so that a request larger than the burst can go at all.
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


def backoff(attempt: int, base: float = 0.5) -> float:
    """Seconds before attempt ``attempt`` (1 is the second try): exponential, jittered by half."""
    return min(MAX_BACKOFF, base * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)
