"""When to give up: the circuit breaker of a run, and the wait for an engine that starts."""

from __future__ import annotations

import logging
from dataclasses import replace

from toolgen_hf.models.openai.failures import Failure

ENOUGH = 10
"""Failures in a row, over all requests, before they count as trouble of the engine."""
FIRST_PATIENCE = 5.0
"""Seconds from the start without any success, after which an engine counts as out of reach."""
LIMITED_PATIENCE = 600.0
"""Seconds of nothing but 429s."""
STARTUP = 600.0
"""Seconds to wait for an engine that says that it is starting, unless the config says how long."""
TOLD_AGAIN = 60.0
"""Seconds between two log lines about an engine that is still starting."""

logger = logging.getLogger(__name__)


class Health:
    """Counts successes and failures in a row, over all requests and keys.

    Args:
        patience: seconds without a success, after there were some, until a run of failures ends it.
        now: seconds of a monotonic clock.
    """

    def __init__(self, patience: float, now: float) -> None:
        self.patience = patience
        self.successes = 0
        self._since = now  # the last success, or the start
        self._in_a_row = 0
        self._who: set[int] = set()  # positions of the requests that failed since
        self._has_warned = False

    @property
    def is_out(self) -> bool:
        """Whether the engine itself fails: many different requests failed since the last success."""
        return len(self._who) >= ENOUGH

    def succeeded(self, now: float) -> None:
        """A text arrived."""
        self.successes += 1
        self.begin_again(now)

    def begin_again(self, now: float) -> None:
        """Forget the failures so far."""
        self._since = now
        self._in_a_row = 0
        self._who.clear()
        self._has_warned = False

    def warning(self, failure: Failure, now: float) -> str | None:
        """A warning for people, once in an outage; None if there is nothing to tell."""
        quiet = now - self._since
        if self._has_warned or quiet < FIRST_PATIENCE or not (self.is_out or failure.kind == "limited"):
            return None
        self._has_warned = True
        limit = max(LIMITED_PATIENCE, self.patience) if failure.kind == "limited" else self.patience
        return (
            f"nothing has succeeded for {quiet:.0f} s, trying again for up to {limit:.0f} s "
            f"(Ctrl-C keeps what arrived): {failure.message}"
        )

    def failed(self, position: int, failure: Failure, now: float, oldest: float) -> str | None:
        """Why to stop after this failure of one request; None to go on.

        Args:
            oldest: the start of the oldest attempt in flight; ``now`` if there is none.
        """
        quiet = now - self._since
        if failure.kind == "limited":
            if quiet < max(LIMITED_PATIENCE, self.patience):
                return None
            return f"nothing but 'too many requests' for {quiet:.0f} s: {failure.message}"
        if failure.kind == "key" or failure.is_about_the_text:
            return None
        self._in_a_row += 1
        if failure.kind == "retry" and not self.is_out:
            self._who.add(position)
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


class Startup:
    """The wait for an engine that starts: loading a model takes minutes.

    Args:
        wait: seconds. None: ``STARTUP`` if the engine says that it is starting, no wait if nothing answers.
    """

    def __init__(self, wait: float | None) -> None:
        self.wait = STARTUP if wait is None else wait
        self._is_asked_for = wait is not None
        self._since: float | None = None  # the first failure of this kind, without a success since
        self._told = 0.0

    def judge(self, failure: Failure, is_new: bool) -> Failure:
        """``failure``, as one of a starting engine if it may be. ``is_new``: the engine has never answered."""
        if failure.kind == "starting" and not self.wait:
            return replace(failure, kind="retry")
        is_awaited = self._since is not None or (is_new and self._is_asked_for and self.wait > 0)
        if failure.kind == "retry" and is_awaited and failure.may_be_a_start:
            return replace(failure, kind="starting")
        return failure

    def failed(self, failure: Failure, now: float) -> str | None:
        """Why to stop waiting; None to wait."""
        if self._since is None:
            self._since = self._told = now
            logger.warning(
                "the engine is not ready yet, waiting for it for up to %.0f s (wait_for_engine; Ctrl-C ends it): %s",
                self.wait,
                failure.message,
            )
        waited = now - self._since
        if waited >= self.wait:
            return f"it is still not ready after {waited:.0f} s (wait_for_engine): {failure.message}"
        if now - self._told >= TOLD_AGAIN:
            self._told = now
            logger.info("still waiting for the engine after %.0f s: %s", waited, failure.message)
        return None

    def succeeded(self, now: float) -> None:
        """A text arrived: the engine has started."""
        if self._since is not None:
            logger.info("the engine is ready after %.0f s", now - self._since)
            self._since = None
