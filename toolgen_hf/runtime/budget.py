"""The progress bar of a stage while its rows wait for texts, and the budget of the whole run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from toolgen_hf.ask import Generation, Prompt
from toolgen_hf.errors import BudgetError, ConfigError
from toolgen_hf.models.base import Generator

AT_WORST = 4
"""A prompt may take this many times the expected tokens: one a byte instead of one for four bytes."""
ENOUGH = 0.1
"""Share of the rows that must be done before the time left is shown for a local model. It works on many rows at once,
the longest prompts first, so the first texts come late."""
WITHOUT_TIME_LEFT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


def dollars(amount: float) -> str:
    """US dollars for people: ``$12.34``, ``$0.0123``."""
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"


class Meter:
    """Shows how a stage goes on, and says whether the budget allows another request.

    Args:
        show: show progress bars.
        max_cost: US dollars that the run may cost at most. A request is sent only if the cost so far, the most that
            the requests in flight may cost, and the most that this one may cost stay below. An attempt that broke
            off and is billed all the same is not known here and not counted.

    Raises:
        ConfigError: ``max_cost`` is not an amount.
    """

    def __init__(self, show: bool = True, max_cost: float | None = None) -> None:
        if max_cost is not None and not 0 <= max_cost < float("inf"):
            raise ConfigError(f"max_cost is {max_cost!r}; give US dollars, 0 or more")
        self.show, self.max_cost = show, max_cost
        self.spent = 0.0
        self.is_cut = False
        """Whether the budget held a request back."""
        self._reserved = 0.0  # the most that the requests in flight may cost
        self._bar: tqdm[Any] | None = None
        self._texts = self._tokens = self._free = 0
        self._cost: float | None = 0.0
        self._painted = 0.0

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[None]:
        """Show a bar over ``total`` rows."""
        self.is_cut, self._reserved = False, 0.0
        self._texts = self._tokens = self._free = 0
        self._cost = 0.0
        self._bar = tqdm(total=total, desc=label, unit="row", disable=not self.show, leave=False)
        with self._bar:
            yield
        self._bar = None

    def admit(self, generator: Generator, prompt: Prompt) -> bool:
        """Whether the budget allows this request. The most that it may cost is reserved until its text arrives.

        Raises:
            ConfigError: there is a budget, and no price for this model.
        """
        if self.max_cost is None:
            return True
        self.check_price(generator)
        most = self._most(generator, prompt)
        self.is_cut = self.spent + self._reserved + most > self.max_cost
        if not self.is_cut:
            self._reserved += most
        return not self.is_cut

    def done(self, rows: int) -> None:
        """Count rows that need nothing more."""
        if not self._texts:
            self._free += rows
        if self._bar is not None and rows:
            if self._texts >= ENOUGH * ((self._bar.total or 0) - self._free):
                self._bar.bar_format = None
            self._bar.update(rows)

    def arrived(self, generator: Generator, prompt: Prompt, made: Generation) -> float | None:
        """Count a text. Returns its cost; where the engine does not report tokens, the most that it can be."""
        asked, answered = made.prompt_tokens, made.completion_tokens
        if made.finish_reason != "rejected" and not (asked and answered):
            most_asked, most_answered = generator.estimate(prompt)
            size = len(f"{made.text}{made.reasoning or ''}".encode("utf-8", "replace"))
            asked = asked or most_asked * AT_WORST
            answered = answered or max(
                most_answered, size // AT_WORST
            )  # an engine may have ignored the limit
        cost = generator.cost(asked, answered, made.cached_tokens)
        if self.max_cost is not None:
            self._reserved -= self._most(generator, prompt)
        self.spent += cost or 0.0
        self._texts += 1
        self._tokens += made.completion_tokens
        self._cost = None if cost is None or self._cost is None else self._cost + cost
        self.refresh(generator, after=0.2)
        return cost

    def release(self) -> None:
        """Nothing is in flight."""
        self._reserved = 0.0

    def refresh(self, generator: Generator, after: float = 1.0) -> None:
        """Show tokens a second and cost, if the last time was at least ``after`` seconds ago."""
        if not self.show or self._bar is None or time.monotonic() - self._painted <= after:
            return
        self._painted = time.monotonic()
        made = getattr(generator, "tokens_so_far", None)
        if made is not None and self._texts < ENOUGH * ((self._bar.total or 0) - self._free):
            self._bar.bar_format = WITHOUT_TIME_LEFT
        self._bar.set_postfix_str(self._postfix(self._bar, self._tokens if made is None else made))

    def check(self) -> None:
        """Check that the budget held nothing back.

        Raises:
            BudgetError: it did.
        """
        if self.is_cut:
            raise BudgetError(
                f"stopped at {dollars(self.spent)}: the next request might exceed the budget of ${self.max_cost:g}. "
                "What was paid for is in the store; run again with a larger budget to go on"
            )

    def check_price(self, generator: Generator) -> None:
        """Check that a budget can be kept.

        Raises:
            ConfigError: there is a budget, and no price for this model.
        """
        if self.max_cost is not None and generator.cost(0, 0) is None:
            raise ConfigError(
                f"a budget of ${self.max_cost:g} needs the price of {generator.describe()}, which is not known: add "
                "price: {input: ..., output: ...} to the generator, in US dollars a million tokens (0 if free)"
            )

    def _most(self, generator: Generator, prompt: Prompt) -> float:
        asked, answered = generator.estimate(prompt)
        return generator.cost(asked * AT_WORST, answered) or 0.0

    def _postfix(self, bar: tqdm[Any], tokens: int) -> str:
        """``1200 tokens/s, $0.1200 of about $0.4000``"""
        parts = [f"{tokens / max(bar.format_dict['elapsed'], 0.1):.0f} tokens/s"]
        if self._cost:
            left = (bar.total - bar.n) * self._cost / self._texts if bar.total else None
            of = "" if left is None else f" of about {dollars(self._cost + left)}"
            parts.append(f"{dollars(self._cost)}{of}")
        return ", ".join(parts)
