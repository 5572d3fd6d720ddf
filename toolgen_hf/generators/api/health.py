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

    def succeeded(self, now: float) -> None:
        """A text arrived."""
        self.successes += 1
        self._since = now
        self._in_a_row = 0

    def failed(self, failure: Failure, now: float) -> str | None:
        """Why to stop after this failure; None to go on."""
        quiet = now - self._since
        if failure.kind == "limited":
            if quiet < LIMITED_PATIENCE:
                return None
            return f"nothing but 'too many requests' for {quiet:.0f} s: {failure.message}"
        if failure.kind == "key" or failure.is_about_the_text:
            return None
        self._in_a_row += 1
        if self._in_a_row < ENOUGH:
            return None
        if failure.kind == "request" and not self.successes:
            return f"every request was refused: {failure.message}"
        if quiet < (self.patience if self.successes else FIRST_PATIENCE):
            return None
        since = f"for {quiet:.0f} s" if self.successes else "at all"
        return f"nothing succeeded {since}; the last of {self._in_a_row} failures in a row: {failure.message}"
