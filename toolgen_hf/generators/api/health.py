"""Whether going on makes sense: the circuit breaker of a run."""

from __future__ import annotations

from toolgen_hf.generators.api.failures import Failure

ENOUGH = 10
"""Failures in a row, over all requests, before anything is concluded from them."""
FIRST_PATIENCE = 5.0
"""Seconds without any success at all, after which an engine counts as out of reach."""
LIMITED_PATIENCE = 600.0
"""Seconds of nothing but 429s."""


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
        """Whether the engine itself is in trouble: many requests failed, each at least once, and none succeeded."""
        return len(self._who) >= ENOUGH

    def succeeded(self, now: float) -> None:
        """A text arrived."""
        self.successes += 1
        self._since = now
        self._in_a_row = 0
        self._who.clear()
        self._has_warned = False

    def warning(self, failure: Failure, now: float) -> str | None:
        """What to tell a person who watches, once in an outage; None where there is nothing to tell."""
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
            oldest: when the oldest attempt that is still in flight began; ``now`` if there is none.
        """
        quiet = now - self._since
        if failure.kind == "limited":
            if quiet < max(LIMITED_PATIENCE, self.patience):
                return None
            return f"nothing but 'too many requests' for {quiet:.0f} s: {failure.message}"
        if failure.kind == "key" or (failure.is_about_the_text and self.successes):
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
