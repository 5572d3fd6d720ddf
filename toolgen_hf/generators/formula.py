"""Steps of arithmetic linked into one formula.

    48/2=24, 48+24=72        24 is what the first step gave, so        48+48/2

A number that an earlier step produced stands for that step and is replaced by its expression, backwards
from the step that gives the answer. Links are by value, so they can be ambiguous, and a rounded result
can spoil the sum: ``formulas`` yields the most substituted formula first, then those that leave one
such number as it stands or take it from another step, then two, and so on within bounds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, islice, product
from typing import Final, TypeAlias

from toolgen_hf.tools.expression import Expression

MAX_ITEMS: Final = 100
"""Numbers and operators of a formula; steps that use a result twice each would double it for ever."""
MAX_DEVIATIONS: Final = 2
MAX_FORMULAS: Final = 200
"""Tried for one step."""

_TIMES_HUNDRED: Final = [Fraction(100), "*"]


@dataclass(frozen=True, slots=True)
class Step:
    """``48/2=24`` as ``Step((48, 2, "/"), 24)``."""

    expression: Expression
    result: Fraction


Place: TypeAlias = tuple[int, int]
"""A number of a step: which step, and where in its expression."""
Links: TypeAlias = Mapping[Place, int | None]
"""The step that stands for the number, or None if the number stays."""


def formulas(
    steps: Sequence[Step], last: int, given: Collection[Fraction]
) -> Iterator[tuple[Expression, bool]]:
    """The formulas that end in ``steps[last]``, most substituted first.

    Each comes with whether it is complete: no number is left that an earlier step produced, unless
    it is ``given``. Among equal numbers of one step, ``2*2`` say, a given one is taken to be the result
    of a step once only.
    """
    choices = _choices(steps, last, given)
    best = {place: options[0] for place, options in choices.items()}
    for links in islice(_variants(best, choices), MAX_FORMULAS):
        expression = _expand(steps, last, links)
        if expression is not None:
            yield expression, all(links[place] is not None or best[place] is None for place in best)


def _choices(steps: Sequence[Step], last: int, given: Collection[Fraction]) -> dict[Place, list[int | None]]:
    """For each number that ``last`` may rest on, the steps that produced it, latest first, and None."""
    choices: dict[Place, list[int | None]] = {}
    waiting = [last]
    for index in waiting:  # grows while it is walked
        linked = set()
        for position, item in enumerate(steps[index].expression):
            producers = [j for j in reversed(range(index)) if steps[j].result == item]
            if producers:
                stays_first = item in given and item in linked
                choices[index, position] = [None, *producers] if stays_first else [*producers, None]
                linked.add(item)
                waiting += [j for j in producers if j not in waiting]
    return choices


def _variants(best: Links, choices: Mapping[Place, Sequence[int | None]]) -> Iterator[Links]:
    """``best``, all that deviate from it in one place, then in two, and at last no link at all."""
    for count in range(MAX_DEVIATIONS + 1):
        for places in combinations(choices, count):
            for others in product(*(choices[place][1:] for place in places)):
                yield {**best, **dict(zip(places, others, strict=True))}
    yield dict.fromkeys(best)


def _expand(steps: Sequence[Step], last: int, links: Links) -> Expression | None:
    """The formula; None if it outgrows ``MAX_ITEMS``. Links only go back, so each is ready in time."""
    expanded: list[Expression] = []
    for index, step in enumerate(steps[: last + 1]):
        items: list[Fraction | str] = []
        for position, item in enumerate(step.expression):
            source = links.get((index, position))
            if item == "percent" and items[-2:] == _TIMES_HUNDRED:  # points to percent and back
                del items[-2:]
            else:
                items += (item,) if source is None else expanded[source]
        expanded.append(tuple(items[: MAX_ITEMS + 1]))
    return expanded[last] if len(expanded[last]) <= MAX_ITEMS else None
