"""Links the steps of a solution into one formula, and finds where each of its numbers comes from.

    48/2=24, 48+24=72        48 is the question's, 24 is the result of the first step, so        48+48/2

A number of a step comes from the question or from an earlier step, is a constant that the words call for, or has no
source. If the question states a number that is also the result of an earlier step, all readings are scored: by the sign
and the noun beside the number, by the words of its sentence, and by the steps and numbers that a reading leaves unused.
The best reading counts as the meant one if its score is better than the next by ``_MARGIN``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from itertools import combinations, islice, product
from math import prod
from typing import Final, Literal, TypeAlias

from toolgen_hf.tasks.math.mentions import (
    ADDED_CONSTANTS,
    Context,
    Mention,
    Text,
    constants,
    content,
    number,
    stems,
    units,
)
from toolgen_hf.tasks.math.steps import Step
from toolgen_hf.tools.expression import Expression

MAX_ITEMS: Final = 100
"""Numbers and operators of a formula. Steps that use a result twice each would double it without end."""
_MAX_DEVIATIONS: Final = 2
_MAX_FORMULAS: Final = 200
"""Formulas that are tried for one step."""
_MAX_READINGS: Final = 256
"""Readings that are compared."""
_MARGIN: Final = 1.0
"""How much better than the next one a reading must be to count as the meant one."""

SAME_NOUN, OTHER_NOUN = 3.0, -0.3
SAME_SIGN, OTHER_SIGN, SIGN_OR_NOUN = 0.5, -2.0, -0.7
NEXT_STEP, LATEST, IN_SUM, IN_WORDS = 0.5, 0.25, 1.0, 0.7
ADDED_RATE, MULTIPLIED_RATE, CONSTANT, CALLED_FOR, NO_SOURCE = -1.0, 0.25, -0.5, 0.3, -3.0
UNUSED_STEP, UNUSED_NUMBER, USED_AGAIN, STATED_AGAIN, SAME_SOURCE = -3.0, -1.4, -0.8, -0.1, -2.5
CANCELLED, ALONE = -5.0, -2.5
CUT: Final = 4.0
"""Sources that fit worse than the best one by this are dropped if there are too many readings."""
_CONFLICT: Final = -1.5
"""A link that fits worse than this is doubtful, even if there is no other."""

_ONE, _HUNDRED = Fraction(1), Fraction(100)
_TIMES_HUNDRED: Final = [_HUNDRED, "*"]
_NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+")
_STATED = re.compile(r"\s*[$€£]?\s*([0-9][0-9,.]*[0-9]|[0-9])?")

Soundness: TypeAlias = Literal["explained", "ambiguous", "unexplained"]
Place: TypeAlias = tuple[int, int]
"""A number of a step: the index of the step, and the position in its expression."""
Links: TypeAlias = Mapping[Place, int | None]
"""For each place the step whose expression replaces the number, or None if the number stays."""
_Items: TypeAlias = list[Fraction | str]


class Worked:
    """A question and its worked solution."""

    def __init__(self, question: str, solution: str) -> None:
        self.question, self.solution = Text(question), Text(solution)
        self.counts: set[tuple[int, Fraction]] = set()
        """Numbers that count the terms of an average, each with the place of its step."""

    def stays(self, value: Fraction, step: Step, adds: bool) -> bool:
        """Whether a number of a step may be in a formula as it is: it is the question's, or a constant."""
        return any(self.mentions(value, step, adds)) or self.is_constant(value, step, adds)

    def explains(self, step: Step) -> bool:
        """Whether all numbers of a step may be in a formula as they are."""
        return all(self.stays(value, step, at in step.added) for at, value in step.numbers)

    def mentions(self, value: Fraction, step: Step, adds: bool) -> Iterator[Mention]:
        """The mentions of the question that a number of a step may be.

        Args:
            adds: it is added or subtracted. The number of "twice" and the 4 of 1/4 never are.
        """
        for mention in self.question.of_value(value):
            is_points = mention.is_percent and value == mention.points
            if not (adds and value in mention.factors) and not (is_points and not self.is_percent(step)):
                yield mention

    def is_constant(self, value: Fraction, step: Step, adds: bool, near: bool = False) -> bool:
        """Whether the words call for this constant; with ``near`` only those of the step's own sentence."""
        if adds and value not in ADDED_CONSTANTS:
            return False
        if self.counts and (step.equals, value) in self.counts:
            return True
        words = stems(self.solution.sentence_of(step.equals))
        return value.as_integer_ratio() in constants(words if near else self.stems, words)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of all words of both texts."""
        return self.question.stems | self.solution.stems

    def content(self, step: Step) -> frozenset[str]:
        """What the sentence of a step is about."""
        return content(self.solution.sentence_of(step.equals))

    def overlap(self, left: frozenset[str], right: frozenset[str]) -> float:
        """How many words two passages share, from 0 to 2. A word that is frequent elsewhere counts less."""
        return min(2.0, sum(sorted(3 / max(3, self._frequency[word]) for word in left & right)))

    @cached_property
    def _frequency(self) -> Counter[str]:
        count: Counter[str] = Counter()
        for text in (self.question, self.solution):
            for start, end in zip(text.sentences, [*text.sentences[1:], None], strict=True):
                count.update(content(text.text[start:end]))
        return count

    def is_percent(self, step: Step) -> bool:
        """Whether a step calculates with percent points."""
        begin, _ = self.solution.sentence(step.equals)
        said = self.solution.text[begin : step.end + 12].lower()
        return "%" in said or "percent" in said or bool({_HUNDRED, Fraction(1, 100)} & {*step.expression})

    def said_in_words(self, value: Fraction, step: Step) -> bool:
        """Whether the sentence of a step says a number in words, maybe as a share or a multiple."""
        start, end = self.solution.sentence(step.equals)
        mentions = self.solution.of_value(value)
        return any(start <= m.start < end and self.solution.text[m.start].isalpha() for m in mentions)

    def states_fraction(self, part: Sequence[Fraction | str]) -> bool:
        """Whether ``part`` is a fraction such as ``5, 6, "/"`` that the question states."""
        if part[2] != "/" or isinstance(part[0], str) or isinstance(part[1], str) or not part[1]:
            return False
        mentions = self.question.of_value(part[0] / part[1])
        return any(
            {part[0], part[1]} <= {*mention.values} and mention.points is not None for mention in mentions
        )


class Formulas:
    """The formulas that end in the ``last`` of some steps."""

    def __init__(self, worked: Worked, steps: Sequence[Step], last: int) -> None:
        self.worked, self.last = worked, last
        self.steps: list[Step] = []
        results: dict[Fraction, Step] = {}
        for step in steps[: last + 1]:
            self.steps.append(_with_sources(worked, self.steps, results, step))
            results[step.result] = self.steps[-1]
        self._contexts: dict[int, Context] = {}
        self._giving: dict[tuple[int, int], list[int]] = {}
        for index, step in enumerate(self.steps):
            self._giving.setdefault(step.result.as_integer_ratio(), []).append(index)
        self._is_cut = False  # a likely source was dropped, so no reading counts as clear
        self._producers = self._find_producers()
        self._options = {place: self._scores(place, made) for place, made in self._producers.items() if made}

    def __iter__(self) -> Iterator[tuple[Expression, Soundness]]:
        """The best reading first, then readings in which a number stays that is also the result of a step."""
        readings = sorted(self._readings(), key=lambda reading: -reading[0])
        made = [(score, links, self._expand(links)) for score, links in readings]
        rivals: dict[str, float] = {}
        for score, _, expression in made if len(made) > 1 else ():
            if expression is not None:
                rivals.setdefault(canonical(expression), score)
        scores = list(rivals.values())
        is_clear = not self._is_cut and (len(scores) < 2 or scores[0] - scores[1] >= _MARGIN)
        for score, links, expression in made:
            if expression is not None:
                yield expression, self._soundness(links, is_clear and score == made[0][0])
        for links in islice(_unlinked(readings[0][1]), _MAX_FORMULAS):
            if (expression := self._expand(links)) is not None:
                yield expression, self._soundness(links, False)

    def _find_producers(self) -> dict[Place, list[int]]:
        """For each number that ``last`` may rest on, the steps with that result, latest first."""
        found: dict[Place, list[int]] = {}
        waiting = [self.last]
        for index in waiting:  # it grows while the loop runs
            step = self.steps[index]
            stated = {  # both numbers of a fraction that the question states, such as 5/6, stay
                at
                for start in range(len(step.expression) - 2)
                if self.worked.states_fraction(step.expression[start : start + 3])
                for at in (start, start + 1)
            }
            for position, value in step.numbers:
                made = [
                    j
                    for j in reversed(self._giving.get(value.as_integer_ratio(), ()))
                    if j < index and not (self.steps[j].is_solved and step.result == value)
                ]  # an equation that is solved for the result of a step does not lead to the step
                found[index, position] = [] if position in stated else made
                waiting += [j for j in found[index, position] if j not in waiting]
        return found

    def _soundness(self, links: Links, is_clear: bool) -> Soundness:
        soundness: Soundness = "explained" if is_clear else "ambiguous"
        for index in self._reached(links):
            step = self.steps[index]
            if not step.is_said or not step.is_right:
                return "unexplained"
            for position, value in step.numbers:
                place = index, position
                source = links.get(place)
                if source is None:
                    if not self.worked.stays(value, step, position in step.added):
                        return "unexplained"
                elif len(self._options[place]) == 1 and (
                    _fit(self._beside(place), self._beside_result(source)) <= _CONFLICT
                ):
                    soundness = "ambiguous"
        return soundness

    def _readings(self) -> Iterator[tuple[float, Links]]:
        """All ways to choose the sources of the numbers, each with its score."""
        options = {p: sorted(s.items(), key=lambda item: -item[1]) for p, s in self._options.items()}
        while prod(map(len, options.values())) > _MAX_READINGS:  # drops the least likely source of all
            least = max(options.values(), key=lambda scores: (len(scores) > 1, scores[0][1] - scores[-1][1]))
            self._is_cut |= least[0][1] - least.pop()[1] < CUT
        if all(len(scores) == 1 for scores in options.values()):
            yield 0.0, {place: scores[0][0] for place, scores in options.items()}
            return
        for chosen in product(*options.values()):
            links = {place: source for place, (source, _) in zip(options, chosen, strict=True)}
            reached = self._reached(links)
            regrets = [
                score - options[place][0][1]
                for place, (_, score) in zip(options, chosen, strict=True)
                if place[0] in reached
            ]
            yield round(sum(regrets) + self._waste(links, reached), 4), links

    def _reached(self, links: Links) -> set[int]:
        """The steps that the formula is made of."""
        reached = {self.last}
        for (index, _), source in sorted(links.items(), reverse=True):
            if index in reached and source is not None:
                reached.add(source)
        return reached

    def _waste(self, links: Links, reached: set[int]) -> float:
        """The penalty of a reading as a whole: for steps and numbers that it leaves unused or uses twice.

        A last step that uses no other step is ``ALONE``.
        """
        steps, question = self.steps, self.worked.question
        left = [j for j in range(self.last) if j not in reached and j not in self._repeated]
        unused = sum(all(steps[j].result not in steps[k].expression for k in left if k > j) for j in left)
        used = [
            (source, place) for place, source in links.items() if source is not None and place[0] in reached
        ]
        uses = Counter(source for source, _ in used)
        twice = Counter((s, i, steps[i].expression[p]) for s, (i, p) in used if len(self._options[i, p]) > 1)
        kept: Counter[tuple[int, Fraction]] = Counter()
        stated: Counter[tuple[int, int]] = Counter()
        for i in reached:
            for p, value in steps[i].numbers:
                if links.get((i, p)) is None:
                    stated[value.as_integer_ratio()] += 1
                    kept[i, value] += (i, p) in self._options
        same = sum(max(0, n - len(question.of_value(value))) for (_, value), n in kept.items() if n > 1)
        same += sum(count - 1 for count in twice.values())
        return (
            ALONE * (len(reached) == 1)
            + UNUSED_STEP * unused
            + UNUSED_NUMBER * sum(not stated[value] for value in self._mentioned)
            + USED_AGAIN * sum(count - 1 for count in uses.values())
            + STATED_AGAIN * sum(max(0, stated[value] - count) for value, count in self._mentioned.items())
            + SAME_SOURCE * same
            + CANCELLED * self._cancelled(links, reached)
        )

    @cached_property
    def _mentioned(self) -> dict[tuple[int, int], int]:
        """The numbers that the question states and a step gave, each with how often the question states it."""
        values = [
            value for i, step in enumerate(self.steps) for p, value in step.numbers if (i, p) in self._options
        ]
        found = {value.as_integer_ratio(): len(self.worked.question.of_value(value)) for value in values}
        return {value: count for value, count in found.items() if count}

    def _cancelled(self, links: Links, reached: set[int]) -> int:
        """How often a step divides a result by itself, or subtracts it from itself."""
        pairs = [
            (links.get((i, p)), links.get((i, p + 1)))
            for i in reached
            for p, symbol in enumerate(self.steps[i].expression[2:])
            if isinstance(symbol, str) and symbol in "-/"
        ]
        return sum(left is not None and left == right for left, right in pairs)

    @cached_property
    def _repeated(self) -> set[int]:
        """The steps whose expression is part of a later one."""
        written = [[str(item) for item in step.expression] for step in self.steps]
        return {
            j
            for j, part in enumerate(written[: self.last])
            for whole in written[j + 1 :]
            for end in range(len(part), len(whole) + 1)
            if sorted(whole[end - len(part) : end]) == sorted(part)
        }

    def _scores(self, place: Place, made: list[int]) -> dict[int | None, float]:
        """How well each source of a number fits: a step, or None for the question and the constants."""
        index, position = place
        step, worked = self.steps[index], self.worked
        value = step.expression[position]
        assert not isinstance(value, str)
        adds = position in step.added
        mentions = list(worked.mentions(value, step, adds))
        is_constant = worked.is_constant(value, step, adds)
        if len(made) == 1 and not mentions and not is_constant:
            return {made[0]: 0.0}
        context = self._beside(place)
        words, in_sum = worked.content(step), self._in_sum(place)
        stays: list[float] = []
        for mention in mentions:
            score = _fit(context, worked.question.context(mention.start, mention.end))
            score += worked.overlap(words, content(worked.question.clause_of(mention.start)))
            score += worked.overlap(words, content(worked.question.sentence_of(mention.start))) / 2
            score += IN_WORDS * worked.said_in_words(value, step)
            if mention.is_rate:
                score += MULTIPLIED_RATE if in_sum is None else ADDED_RATE
            stays.append(score)
        if is_constant:
            stays.append(CALLED_FOR if worked.is_constant(value, step, adds, near=True) else CONSTANT)
        scores: dict[int | None, float] = {None: max(stays)} if stays else {}
        for j in made:
            scores[j] = (
                _fit(context, self._beside_result(j))
                + worked.overlap(words, worked.content(self.steps[j]))
                + NEXT_STEP * (j == index - 1)
                + LATEST * (j == made[0] and len(made) > 1)
                + IN_SUM * (in_sum or 0)
                + NO_SOURCE * (not self._has_sources[j])
            )
        return scores

    @cached_property
    def _has_sources(self) -> list[bool]:
        """For each step, whether each of its numbers has a source."""
        found: list[bool] = []
        for index, step in enumerate(self.steps):
            has = step.is_said and all(
                self.worked.stays(value, step, at in step.added)
                or any(found[j] for j in self._giving.get(value.as_integer_ratio(), ()) if j < index)
                for at, value in step.numbers
            )
            found.append(has)
        return found

    def _in_sum(self, place: Place) -> float | None:
        """The share of the other numbers of a sum that earlier steps gave; None for a number outside of a sum."""
        index, position = place
        step = self.steps[index]
        if not {item for item in step.expression if isinstance(item, str)} <= {"+", "-"}:
            return None
        others = [at for at, item in step.numbers if item != step.expression[position]]
        return sum(bool(self._producers[index, at]) for at in others) / max(1, len(others))

    def _beside(self, place: Place) -> Context:
        """What the solution writes beside a number of a step; in a sum at least what it writes beside the result."""
        index, position = place
        step, text = self.steps[index], self.worked.solution
        begin, _ = text.sentence(step.equals)
        begin = max([begin, *(s.end for s in self.steps[:index] if begin <= s.end <= step.equals)])
        found = [(number(m[0]), *m.span()) for m in _NUMBER.finditer(text.text, begin, step.equals)]
        at, match = len(found), None
        for item in reversed(step.expression[position:]):
            match = next((k for k in reversed(range(at)) if found[k][0] == item), None)
            at = at if match is None else match
        context = Context() if match is None else text.context(*found[match][1:])
        for value, *span in found[:match]:  # what the sentence said about it before
            if value == step.expression[position]:
                context = Context(context.symbol, context.nouns | text.context(*span).nouns)
        if not context.symbol and not context.nouns and self._in_sum(place) is not None:
            return self._beside_result(index)
        return context

    def _beside_result(self, index: int) -> Context:
        """What the solution writes beside the result of a step."""
        if index not in self._contexts:
            step, text = self.steps[index], self.worked.solution
            match = _STATED.match(text.text, step.end)
            symbol, nouns = text.context(*(match.span(1) if match and match[1] else (step.end, step.end)))
            if "$" in text.text[max(0, step.equals - 2) : step.equals + 3]:
                symbol = "$"
            begin, _ = text.sentence(step.equals)
            for found in _NUMBER.finditer(text.text, begin, step.equals):
                if number(found[0]) == step.result:
                    other = text.context(*found.span())
                    symbol, nouns = symbol or other.symbol, nouns | other.nouns
            self._contexts[index] = Context(symbol, nouns)
        return self._contexts[index]

    def _expand(self, links: Links) -> Expression | None:
        """The formula; None if it has more than ``MAX_ITEMS``. A link always points to an earlier step."""
        expanded: list[Expression] = []
        for index, step in enumerate(self.steps):
            items: _Items = []
            for position, item in enumerate(step.expression):
                source = links.get((index, position))
                if item == "percent" and items[-2:] == _TIMES_HUNDRED:  # points to percent and back
                    del items[-2:]
                else:
                    items += (item,) if source is None else expanded[source]
            expanded.append(tuple(items[: MAX_ITEMS + 1]))
        made = expanded[self.last]
        is_decimal = all(isinstance(item, str) or 10**30 % item.denominator == 0 for item in made)
        return made if len(made) <= MAX_ITEMS and is_decimal else None


def _with_sources(
    worked: Worked, earlier: Sequence[Step], results: Mapping[Fraction, Step], step: Step
) -> Step:
    """The step with each number that has no source written as numbers that have one, if there is one way to do so."""
    if (count := _averaged(worked, earlier, step.expression)) is not None:
        worked.counts.add((step.equals, count))
    items: _Items = []
    for item in step.expression:
        items.append(item)
        if item != "/" or len(items) < 3 or worked.states_fraction(items[-3:]):
            continue
        left, right = items[-3:-1]
        if isinstance(left, str) or isinstance(right, str) or not right:
            continue
        if not all(n in results or worked.stays(n, step, False) for n in (left, right)):
            value = left / right
            if value in results and value.denominator > 1:
                items[-3:] = [value]
            elif (rest := _rest(worked, value)) is not None:
                items[-3:] = rest
    changed = replace(step, expression=tuple(items))
    for position, value in reversed(changed.numbers):
        if value not in results and not worked.stays(value, step, position in changed.added):
            ways = list(dict.fromkeys(_ways(worked, results, value)))
            if len(ways) == 1:
                items[position : position + 1] = ways[0]
    return step if len(items) == len(step.expression) else replace(step, expression=tuple(items))


def _averaged(worked: Worked, earlier: Sequence[Step], expression: Expression) -> Fraction | None:
    """The number of terms, if an expression divides their sum by it and the text speaks of an average."""
    if not {"averag", "mean"} & worked.stems or len(expression) < 3 or expression[-1] != "/":
        return None
    count = expression[-2]
    is_whole = len(expression) > 3
    sums = [expression[:-2]] if is_whole else [s.expression for s in earlier if s.result == expression[0]]
    for terms in sums:
        is_sum = {item for item in terms if isinstance(item, str)} == {"+"}
        if not isinstance(count, str) and is_sum and len(terms) == 2 * count - 1:
            return count
    return None


def _ways(worked: Worked, results: Mapping[Fraction, Step], value: Fraction) -> Iterator[Expression]:
    """How a number that is not stated may follow from a stated one: as percent, as the rest, in another unit."""
    before = results.get(value * 100)
    if before is not None and worked.is_percent(before):
        yield value * 100, "percent"
        return
    for mention in worked.question.mentions:
        points = mention.points
        if points is not None:
            for whole, end in ((_HUNDRED, ()), (_ONE, ("percent",))):
                for sign, changed in (("-", _HUNDRED - points), ("+", _HUNDRED + points)):
                    if value == changed * whole / 100:
                        yield (_HUNDRED, points, sign, *end)
        for factor in units(worked.question.context(mention.start, mention.end).nouns):
            if value == mention.values[0] * factor:
                yield mention.values[0], factor, "*"


def _rest(worked: Worked, share: Fraction) -> Expression | None:
    """``1-1/4`` for 3/4 if the question states 1/4."""
    for mention in worked.question.mentions:
        if mention.points is not None and _ONE - mention.points / 100 == share:
            rest = mention.points / 100
            return _ONE, Fraction(rest.numerator), Fraction(rest.denominator), "/", "-"
    return None


def _fit(left: Context, right: Context) -> float:
    """How well the texts beside two numbers agree."""
    score = 0.0
    if left.symbol and right.symbol:
        score += SAME_SIGN if left.symbol == right.symbol else OTHER_SIGN
    elif (left.symbol and right.nouns) or (right.symbol and left.nouns):
        score += SIGN_OR_NOUN
    if left.nouns and right.nouns:
        score += SAME_NOUN if left.nouns & right.nouns else OTHER_NOUN
    return score


def canonical(expression: Expression) -> str:
    """A text that is equal for formulas that differ only in the order of terms and factors."""
    stack: list[tuple[str, object]] = []
    for item in expression:
        if not isinstance(item, str):
            stack.append(("", str(item)))
        elif item in ("neg", "percent"):
            stack.append((item, stack.pop()))
        else:
            right, left = stack.pop(), stack.pop()
            kind = {"-": "+", "/": "*"}.get(item, item)
            if kind not in ("+", "*"):
                stack.append((item, (left, right)))
                continue
            parts = [
                *_parts(left, kind),
                *((sign != (item != kind), part) for sign, part in _parts(right, kind)),
            ]
            stack.append((kind, sorted(parts, key=repr)))
    return repr(stack)


def _parts(side: tuple[str, object], kind: str) -> list[tuple[bool, object]]:
    """The terms of a sum or the factors of a product, each with whether it is subtracted or divided by."""
    return side[1] if side[0] == kind and isinstance(side[1], list) else [(False, side)]


def _unlinked(links: Links) -> Iterator[Links]:
    """The links without one, without two, and at last without any."""
    linked = [place for place, source in links.items() if source is not None]
    for count in range(1, _MAX_DEVIATIONS + 1):
        for places in combinations(linked, count):
            yield {**links, **dict.fromkeys(places)}
    yield dict.fromkeys(links)
