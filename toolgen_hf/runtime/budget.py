"""What generating costs while it goes on: the progress bar, and the budget that ends it in time."""

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
"""Times the tokens that a prompt is thought to need: one a byte, where four bytes are usual."""
MEANT = 0.1
"""Of the texts that are asked for, how many are there before the time left can be told: a local model works on many at
once, the longest prompts first, so the first texts come late."""
WITHOUT_TIME_LEFT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


def dollars(amount: float) -> str:
    """US dollars for people: ``$12.34``, ``$0.0123``."""
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"


class Meter:
    """The progress bar of the stage that is being filled, and the budget of the whole run.

    Args:
        show: show progress bars.
        max_cost: US dollars that the run may cost at most. A request is sent only if what has been spent, what
            is on its way and what it may itself cost at most stay below. An attempt that broke off and that the
            engine bills all the same is not known here, and so not counted.

    Raises:
        ConfigError: ``max_cost`` is no amount.
    """

    def __init__(self, show: bool = True, max_cost: float | None = None) -> None:
        if max_cost is not None and not 0 <= max_cost < float("inf"):
            raise ConfigError(f"max_cost is {max_cost!r}; give US dollars, 0 or more")
        self.show, self.max_cost = show, max_cost
        self.spent = 0.0
        self.is_cut = False
        self._held = 0.0  # what the requests on their way may cost at most
        self._generator: Generator | None = None
        self._bar: tqdm[Any] | None = None
        self._texts = self._tokens = self._found = 0
        self._cost: float | None = 0.0
        self._painted = 0.0

    @contextmanager
    def progress(self, label: str, total: int | None, generator: Generator) -> Iterator[None]:
        """A bar over ``total`` texts of one generator."""
        self._generator, self.is_cut, self._held = generator, False, 0.0
        self._texts = self._tokens = self._found = 0
        self._cost = 0.0
        is_local = hasattr(generator, "tokens_so_far")
        shape = WITHOUT_TIME_LEFT if is_local and total else None
        self._bar = tqdm(
            total=total, desc=label, unit="text", disable=not self.show, leave=False, bar_format=shape
        )
        with self._bar:
            yield
        self._bar = None

    def admit(self, prompt: Prompt) -> bool:
        """Whether the budget allows this request; what it may cost at most is set aside.

        Raises:
            ConfigError: there is a budget, and no price for this generator.
        """
        if self.max_cost is None:
            return True
        assert self._generator is not None
        self.check_price(self._generator)
        worst = self._worst(prompt)
        if self.spent + self._held + worst > self.max_cost:
            self.is_cut = True
            return False
        self._held += worst
        return True

    def found(self, count: int) -> None:
        """So many rows need no request."""
        self._found += count
        if self._bar is not None and count:
            self._bar.update(count)

    def arrived(self, prompt: Prompt, made: Generation) -> float | None:
        """Count a text; what it cost, and at worst where the engine does not say what it took."""
        assert self._generator is not None
        asked, answered = made.prompt_tokens, made.completion_tokens
        if made.finish_reason != "rejected" and not (asked and answered):
            most_asked, most_answered = self._generator.estimate(prompt)
            size = len(f"{made.text}{made.reasoning or ''}".encode("utf-8", "replace"))
            asked = asked or most_asked * AT_WORST
            answered = answered or max(most_answered, size // AT_WORST)  # it may have ignored the limit
        cost = self._generator.cost(asked, answered, made.cached_tokens)
        if self.max_cost is not None:
            self._held -= self._worst(prompt)
        self.spent += cost or 0.0
        self._texts += 1
        self._tokens += made.completion_tokens
        self._cost = None if cost is None or self._cost is None else self._cost + cost
        if self.show and self._bar is not None:
            if self._bar.total and self._texts >= MEANT * (self._bar.total - self._found):
                self._bar.bar_format = None
            if (now := time.monotonic()) - self._painted > 0.2:  # spelling it out costs more than counting
                self._painted = now
                self._bar.set_postfix_str(self._postfix(self._bar), refresh=False)
            self._bar.update(1)
        return cost

    def refresh(self) -> None:
        """Show that work goes on, though no text may be finished."""
        if self.show and self._bar is not None and time.monotonic() - self._painted > 1.0:
            self._painted = time.monotonic()
            self._bar.set_postfix_str(self._postfix(self._bar))

    def check(self) -> None:
        """Whether all was sent.

        Raises:
            BudgetError: requests were held back.
        """
        if self.is_cut:
            raise BudgetError(
                f"stopped at {dollars(self.spent)}: the next request might exceed the budget of ${self.max_cost:g}. "
                "What was paid for is in the store; run again with a larger budget to go on"
            )

    def check_price(self, generator: Generator) -> None:
        """Whether the budget can be kept to.

        Raises:
            ConfigError: there is one, and no price for this generator.
        """
        if self.max_cost is not None and generator.cost(0, 0) is None:
            raise ConfigError(
                f"a budget of ${self.max_cost:g} needs the price of {generator.describe()}, which is not known: add "
                "price: {input: ..., output: ...} to the generator, in US dollars a million tokens (0 if free)"
            )

    def _worst(self, prompt: Prompt) -> float:
        assert self._generator is not None
        asked, answered = self._generator.estimate(prompt)
        return self._generator.cost(asked * AT_WORST, answered) or 0.0

    def _postfix(self, bar: tqdm[Any]) -> str:
        """``1200 tokens/s, $0.1200 of about $0.4000``"""
        seconds = max(bar.format_dict["elapsed"], 0.1)
        tokens = getattr(self._generator, "tokens_so_far", self._tokens)
        parts = [f"{tokens / seconds:.0f} tokens/s"]
        if self._cost:
            left = (bar.total - bar.n - 1) * self._cost / self._texts if bar.total else None
            of = "" if left is None else f" of about {dollars(self._cost + left)}"
            parts.append(f"{dollars(self._cost)}{of}")
        return ", ".join(parts)
