"""Steps of arithmetic linked into one formula, with where each of its numbers comes from.

    48/2=24, 48+24=72        48 is the question's, 24 is what the first step gave, so        48+48/2

A number of a step comes from the question, from an earlier step, is a constant that the words call for, or comes from
nowhere. Where the question states a number that an earlier step gave too, all readings are scored: by the sign and the
noun beside the number, by the words of its sentence, and by which steps and numbers a reading leaves unused. The best
one counts as meant if it is better than the next by ``MARGIN``.
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
    units,
)
from toolgen_hf.tasks.math.steps import Step, is_right
from toolgen_hf.tools.expression import Expression

MAX_ITEMS: Final = 100
"""Numbers and operators of a formula; steps that use a result twice each would double it for ever."""
MAX_DEVIATIONS: Final = 2
MAX_FORMULAS: Final = 200
"""Tried for one step."""
MAX_READINGS: Final = 256
"""Readings that are compared."""
MARGIN: Final = 1.0
"""How much better than the next one a reading must be to count as the one that is meant."""

SAME_NOUN, OTHER_NOUN = 3.0, -0.3
SAME_SIGN, OTHER_SIGN, SIGN_OR_NOUN = 0.5, -2.0, -0.7
NEXT_STEP, LATEST, IN_SUM, IN_WORDS = 0.5, 0.25, 1.0, 0.7
ADDED_RATE, MULTIPLIED_RATE, CONSTANT, CALLED_FOR, NO_SOURCE = -1.0, 0.25, -0.5, 0.3, -3.0
UNUSED_STEP, UNUSED_NUMBER, USED_AGAIN, STATED_AGAIN, SAME_SOURCE = -3.0, -1.4, -0.8, -0.1, -2.5
CANCELLED, ALONE = -5.0, -2.5
CUT: Final = 4.0
"""Sources that fit worse than the best one by this are left out where there are too many readings."""
CONFLICT: Final = -1.5
"""A link that fits worse than this is doubtful, even if there is no other."""

_ONE, _HUNDRED = Fraction(1), Fraction(100)
_TIMES_HUNDRED: Final = [_HUNDRED, "*"]
_NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+")
_STATED = re.compile(r"\s*[$€£]?\s*([0-9][0-9,.]*[0-9]|[0-9])?")

Soundness: TypeAlias = Literal["explained", "ambiguous", "unexplained"]
Place: TypeAlias = tuple[int, int]
"""A number of a step: which step, and where in its expression."""
Links: TypeAlias = Mapping[Place, int | None]
"""The step that stands for the number, or None if the number stays."""
_Scores: TypeAlias = dict[int | None, float]


class Worked:
    """A question and its worked solution."""

    def __init__(self, question: str, solution: str) -> None:
        self.question, self.solution = Text(question), Text(solution)
        self._constants: dict[tuple[int, bool], frozenset[tuple[int, int]]] = {}
        self._content: dict[int, frozenset[str]] = {}
        self.counts: set[tuple[int, Fraction]] = set()
        """Numbers that count the terms of an average, with the place of their step."""

    def stays(self, value: Fraction, step: Step, adds: bool) -> bool:
        """Whether a number of a step may stand in a formula as it is: it is the question's, or a constant."""
        return any(self.mentions(value, step, adds)) or self.is_constant(value, step, adds)

    def explains(self, step: Step) -> bool:
        """Whether all numbers of a step may stand in a formula as they are."""
        added = _added(step)
        return all(
            self.stays(n, step, p in added) for p, n in enumerate(step.expression) if not isinstance(n, str)
        )

    def mentions(self, value: Fraction, step: Step, adds: bool) -> Iterator[Mention]:
        """The mentions of the question that a number of a step may be.

        Args:
            adds: it is added or subtracted, which twice and the 4 of 1/4 cannot be.
        """
        for mention in self.question.of_value(value):
            is_points = mention.is_percent and value == mention.points
            if not (adds and value in mention.factors) and not (is_points and not self.is_percent(step)):
                yield mention

    def is_constant(self, value: Fraction, step: Step, adds: bool, near: bool = False) -> bool:
        """Whether the words call for this constant; with ``near`` those of the step's own sentence."""
        if adds and value not in ADDED_CONSTANTS:
            return False
        start, end = self.solution.sentence(step.equals)
        if self.counts and (step.equals, value) in self.counts:
            return True
        if (start, near) not in self._constants:
            words = self.solution.stems_of(start, end)
            whole = words if near else self.question.stems | self.solution.stems
            self._constants[start, near] = constants(whole, words)
        return value.as_integer_ratio() in self._constants[start, near]

    @cached_property
    def says_average(self) -> bool:
        """Whether the question or the solution speaks of an average."""
        return bool({"averag", "mean"} & (self.question.stems | self.solution.stems))

    def content(self, step: Step) -> frozenset[str]:
        """What the sentence of a step is about."""
        start, end = self.solution.sentence(step.equals)
        if start not in self._content:
            self._content[start] = content(self.solution.text[start:end])
        return self._content[start]

    def overlap(self, left: frozenset[str], right: frozenset[str]) -> float:
        """How much two passages say that is rarely said elsewhere, from 0 to 2."""
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
        """Whether the sentence of a step says a number in words, perhaps as a share or a multiple."""
        start, end = self.solution.sentence(step.equals)
        mentions = self.solution.of_value(value)
        return any(start <= m.start < end and self.solution.text[m.start].isalpha() for m in mentions)


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
        self._is_cut = False  # a likely source was left out, so no reading counts as clear
        self._producers = self._find_producers()
        self._options = {p: self._scores(p, made) for p, made in self._producers.items() if made}

    def __iter__(self) -> Iterator[tuple[Expression, Soundness]]:
        """The best reading first, then those in which a number stays that comes from a step."""
        readings = sorted(self._readings(), key=lambda reading: -reading[0])
        made = [(score, links, self._expand(links)) for score, links in readings]
        rivals: dict[object, float] = {}
        for score, _, expression in made if len(made) > 1 else ():
            if expression is not None:
                rivals.setdefault(canonical(expression), score)
        scores = list(rivals.values())
        is_clear = not self._is_cut and (len(scores) < 2 or scores[0] - scores[1] >= MARGIN)
        for score, links, expression in made:
            if expression is not None:
                yield expression, self._soundness(links, is_clear and score == made[0][0])
        for links in islice(_unlinked(readings[0][1]), MAX_FORMULAS):
            expression = self._expand(links)
            if expression is not None:
                yield expression, self._soundness(links, False)

    def _find_producers(self) -> dict[Place, list[int]]:
        """For each number that ``last`` may rest on, the steps that gave it, latest first."""
        found: dict[Place, list[int]] = {}
        waiting = [self.last]
        for index in waiting:  # grows while it is walked
            expression = self.steps[index].expression
            stated = self._stated_fractions(index)
            for position, item in enumerate(expression):
                if not isinstance(item, str):
                    made = [
                        j
                        for j in reversed(self._giving.get(item.as_integer_ratio(), ()))
                        if j < index and not (self.steps[j].is_solved and self.steps[index].result == item)
                    ]  # an equation that is solved for what the step gives does not lead to it
                    found[index, position] = [] if position in stated else made
                    waiting += [j for j in found[index, position] if j not in waiting]
        return found

    def _stated_fractions(self, index: int) -> set[int]:
        """Where a step has both numbers of a fraction that the question states, such as 5/6."""
        expression = self.steps[index].expression
        return {
            at
            for position in range(len(expression) - 2)
            if _is_stated_fraction(self.worked, expression[position : position + 3])
            for at in (position, position + 1)
        }

    def _soundness(self, links: Links, is_clear: bool) -> Soundness:
        soundness: Soundness = "explained" if is_clear else "ambiguous"
        for index in self._reached(links):
            step = self.steps[index]
            if not step.is_said or not is_right(step):
                return "unexplained"
            for position, item in enumerate(step.expression):
                source = links.get((index, position))
                if isinstance(item, str):
                    continue
                if source is None and not self.worked.stays(item, step, position in _added(step)):
                    return "unexplained"
                is_alone = source is not None and len(self._options[index, position]) == 1
                if is_alone and self._fits_badly((index, position), source):
                    soundness = "ambiguous"
        return soundness

    def _fits_badly(self, place: Place, source: int | None) -> bool:
        return source is not None and _fit(self._beside(place), self._beside_result(source)) <= CONFLICT

    def _readings(self) -> Iterator[tuple[float, Links]]:
        """Every way to read the numbers that may come from several places, with how well it fits."""
        options = {p: sorted(s.items(), key=lambda item: -item[1]) for p, s in self._options.items()}
        while prod(map(len, options.values())) > MAX_READINGS:  # the least likely source of all goes first
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
        """What speaks against a reading as a whole: steps and numbers that it does not use, or uses twice.

        A last step that uses no other step is ``ALONE``.
        """
        left = [j for j in range(self.last) if j not in reached and j not in self._repeated]
        unused = sum(
            all(self.steps[j].result not in self.steps[k].expression for k in left if k > j) for j in left
        )
        used = Counter((source, p) for p, source in links.items() if source is not None and p[0] in reached)
        uses = Counter(source for source, _ in used)
        twice = Counter(
            (source, i, self.steps[i].expression[p])
            for source, (i, p) in used
            if len(self._options[i, p]) > 1
        )
        kept = Counter(
            (i, self.steps[i].expression[p])
            for i, p in self._options
            if i in reached and links.get((i, p)) is None
        )
        surplus = [n - len(self.worked.question.of_value(value)) for (_, value), n in kept.items()]  # type: ignore[arg-type]
        stated = Counter(
            item.as_integer_ratio()
            for i in reached
            for p, item in enumerate(self.steps[i].expression)
            if not isinstance(item, str) and links.get((i, p)) is None
        )
        missed = again = 0
        for value, mentions in self._mentioned.items():
            missed += not stated[value]
            again += max(0, stated[value] - mentions)
        return (
            ALONE * (len(reached) == 1)
            + UNUSED_STEP * unused
            + UNUSED_NUMBER * missed
            + USED_AGAIN * sum(count - 1 for count in uses.values())
            + STATED_AGAIN * again
            + SAME_SOURCE * sum(count - 1 for count in twice.values())
            + SAME_SOURCE
            * sum(max(0, min(n, more)) for n, more in zip(kept.values(), surplus, strict=True) if n > 1)
            + CANCELLED * self._cancelled(links, reached)
        )

    @cached_property
    def _mentioned(self) -> dict[tuple[int, int], int]:
        """The numbers that both a step gave and the question states, and how often it does."""
        values = [self.steps[i].expression[p] for i, p in self._options]
        found = {
            n.as_integer_ratio(): len(self.worked.question.of_value(n))
            for n in values
            if not isinstance(n, str)
        }
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
        found = set()
        for j, step in enumerate(self.steps[: self.last]):
            part = sorted(map(str, step.expression))
            for later in self.steps[j + 1 :]:
                whole = later.expression
                ends = range(len(part), len(whole) + 1)
                if any(sorted(map(str, whole[end - len(part) : end])) == part for end in ends):
                    found.add(j)
        return found

    def _scores(self, place: Place, made: list[int]) -> _Scores:
        """How well each source of a number fits: None is the question or a constant, else it is a step."""
        index, position = place
        step, worked = self.steps[index], self.worked
        value = step.expression[position]
        assert not isinstance(value, str)
        adds = position in _added(step)
        mentions = list(worked.mentions(value, step, adds))
        is_constant = worked.is_constant(value, step, adds)
        if len(made) == 1 and not mentions and not is_constant:
            return {made[0]: 0.0}
        context = self._beside(place)
        words, in_sum = worked.content(step), self._in_sum(place)
        scores: _Scores = {}
        for mention in mentions:
            score = _fit(context, worked.question.context(mention.start, mention.end))
            score += worked.overlap(words, content(worked.question.clause_of(mention.start)))
            score += worked.overlap(words, content(worked.question.sentence_of(mention.start))) / 2
            score += IN_WORDS * worked.said_in_words(value, step)
            if mention.is_rate:
                score += MULTIPLIED_RATE if in_sum is None else ADDED_RATE
            scores[None] = max(score, scores.get(None, score))
        if is_constant:
            score = CALLED_FOR if worked.is_constant(value, step, adds, near=True) else CONSTANT
            scores[None] = max(score, scores.get(None, score))
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
        """For each step, whether each of its numbers comes from somewhere."""
        found: list[bool] = []
        for index, step in enumerate(self.steps):
            found.append(
                step.is_said
                and all(
                    isinstance(item, str)
                    or self.worked.stays(item, step, position in _added(step))
                    or any(found[j] for j in self._giving.get(item.as_integer_ratio(), ()) if j < index)
                    for position, item in enumerate(step.expression)
                )
            )
        return found

    def _in_sum(self, place: Place) -> float | None:
        """In a sum, the share of the other numbers that earlier steps gave; None for a number in no sum."""
        index, position = place
        expression = self.steps[index].expression
        if not {item for item in expression if isinstance(item, str)} <= {"+", "-"}:
            return None
        value = expression[position]
        others = [p for p, item in enumerate(expression) if not isinstance(item, str) and item != value]
        return sum(bool(self._producers[index, p]) for p in others) / max(1, len(others))

    def _beside(self, place: Place) -> Context:
        """What stands beside a number of a step in the solution's prose; in a sum, at least what its result is."""
        index, position = place
        step, text = self.steps[index], self.worked.solution
        begin, _ = text.sentence(step.equals)
        begin = max([begin, *(s.end for s in self.steps[:index] if begin <= s.end <= step.equals)])
        found = [(number(m[0]), *m.span()) for m in _NUMBER.finditer(text.text, begin, step.equals)]
        at = len(found)
        for p in range(len(step.expression) - 1, position - 1, -1):
            item = step.expression[p]
            match = next((k for k in reversed(range(at)) if found[k][0] == item), None)
            if p == position:
                context = Context() if match is None else text.context(*found[match][1:])
                for value, *span in found[:match]:  # what the sentence said about it before
                    if value == item:
                        context = Context(context.symbol, context.nouns | text.context(*span).nouns)
                if not context.symbol and not context.nouns and self._in_sum(place) is not None:
                    return self._beside_result(index)
                return context
            at = at if match is None else match
        raise AssertionError(place)

    def _beside_result(self, index: int) -> Context:
        """What stands beside the result of a step."""
        if index not in self._contexts:
            step, text = self.steps[index], self.worked.solution
            match = _STATED.match(text.text, step.end)
            span = match.span(1) if match and match[1] else (step.end, step.end)
            context = text.context(*span)
            sign = text.text[max(0, step.equals - 2) : step.equals + 3]
            symbol = "$" if "$" in sign else context.symbol
            begin, _ = text.sentence(step.equals)
            for found in _NUMBER.finditer(text.text, begin, step.equals):
                if number(found[0]) == step.result:
                    other = text.context(*found.span())
                    symbol, context = symbol or other.symbol, Context("", context.nouns | other.nouns)
            self._contexts[index] = Context(symbol, context.nouns)
        return self._contexts[index]

    def _expand(self, links: Links) -> Expression | None:
        """The formula; None if it outgrows ``MAX_ITEMS``. Links only go back, so each is ready in time."""
        expanded: list[Expression] = []
        for index, step in enumerate(self.steps):
            items: list[Fraction | str] = []
            for position, item in enumerate(step.expression):
                source = links.get((index, position))
                if (
                    isinstance(item, str) and item == "percent" and items[-2:] == _TIMES_HUNDRED
                ):  # points to percent and back
                    del items[-2:]
                else:
                    items += (item,) if source is None else expanded[source]
            expanded.append(tuple(items[: MAX_ITEMS + 1]))
        made = expanded[self.last]
        return made if len(made) <= MAX_ITEMS and all(map(_is_decimal, made)) else None


def _with_sources(
    worked: Worked, earlier: Sequence[Step], results: Mapping[Fraction, Step], step: Step
) -> Step:
    """A step whose numbers without a source are written with numbers that have one, where there is one way to do so."""
    if (count := _averaged(worked, earlier, step.expression)) is not None:
        worked.counts.add((step.equals, count))
    items: list[Fraction | str] = []
    for item in step.expression:
        items.append(item)
        pair = items[-3:]
        if (
            isinstance(item, str)
            and item == "/"
            and len(pair) == 3
            and not isinstance(pair[0], str)
            and not isinstance(pair[1], str)
            and pair[1]
        ):
            value = pair[0] / pair[1]
            if not _is_stated_fraction(worked, pair) and not all(
                n in results or worked.stays(n, step, False) for n in pair[:2] if not isinstance(n, str)
            ):
                if value in results and value.denominator > 1:
                    items[-3:] = [value]
                elif (rest := _rest(worked, value)) is not None:
                    items[-3:] = rest
    added = _added(replace(step, expression=tuple(items)))
    for position in reversed(range(len(items))):
        item = items[position]
        if (
            not isinstance(item, str)
            and item not in results
            and not worked.stays(item, step, position in added)
        ):
            ways = list(dict.fromkeys(_ways(worked, results, step, item)))
            if len(ways) == 1:
                items[position : position + 1] = ways[0]
    return step if len(items) == len(step.expression) else replace(step, expression=tuple(items))


def _averaged(worked: Worked, earlier: Sequence[Step], expression: Expression) -> Fraction | None:
    """The number of terms, where an expression divides their sum by it and the text speaks of an average."""
    if not worked.says_average or len(expression) < 3 or expression[-1] != "/":
        return None
    sums = (
        [expression[:-2]]
        if len(expression) > 3
        else [s.expression for s in earlier if s.result == expression[0]]
    )
    count = expression[-2]
    for terms in sums:
        if (
            not isinstance(count, str)
            and {i for i in terms if isinstance(i, str)} == {"+"}
            and len(terms) == 2 * count - 1
        ):
            return count
    return None


def _ways(
    worked: Worked, results: Mapping[Fraction, Step], step: Step, value: Fraction
) -> Iterator[Expression]:
    """How a number that is not stated may follow from one that is: as percent, as the rest, in another unit."""
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
                        yield (_HUNDRED, points, sign, *("percent",) * bool(end))
        context = worked.question.context(mention.start, mention.end)
        for factor in units(context.nouns):
            if value == mention.values[0] * factor:
                yield mention.values[0], factor, "*"


def _rest(worked: Worked, share: Fraction) -> Expression | None:
    """``1-1/4`` for 3/4 where the question states 1/4."""
    for mention in worked.question.mentions:
        if mention.points is not None and _ONE - mention.points / 100 == share:
            rest = mention.points / 100
            return _ONE, Fraction(rest.numerator), Fraction(rest.denominator), "/", "-"
    return None


def _is_stated_fraction(worked: Worked, part: Sequence[Fraction | str]) -> bool:
    if part[2] != "/" or isinstance(part[0], str) or isinstance(part[1], str) or not part[1]:
        return False
    return any(
        {part[0], part[1]} <= {*mention.values} and mention.points is not None
        for mention in worked.question.of_value(part[0] / part[1])
    )


def _fit(left: Context, right: Context) -> float:
    """How well what stands beside two numbers agrees."""
    score = 0.0
    if left.symbol and right.symbol:
        score += SAME_SIGN if left.symbol == right.symbol else OTHER_SIGN
    elif (left.symbol and right.nouns) or (right.symbol and left.nouns):
        score += SIGN_OR_NOUN
    if left.nouns and right.nouns:
        score += SAME_NOUN if left.nouns & right.nouns else OTHER_NOUN
    return score


def _added(step: Step) -> set[int]:
    """Where the numbers stand that are added or subtracted as they are; the coefficients of an equation multiply."""
    added: set[int] = set()
    expression = () if step.is_solved else step.expression
    stack: list[int | None] = []
    for position, item in enumerate(expression):
        if not isinstance(item, str):
            stack.append(position)
        elif item not in ("neg", "percent"):
            sides = stack.pop(), stack.pop()
            added |= {side for side in sides if side is not None} if item in ("+", "-") else set()
            stack.append(None)
    return added


def canonical(expression: Expression) -> object:
    """Equal for formulas that differ only in the order of what they add, subtract, multiply and divide by."""
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


def _is_decimal(item: Fraction | str) -> bool:
    """Whether a number can be written without rounding."""
    return isinstance(item, str) or 10**30 % item.denominator == 0


def _unlinked(links: Links) -> Iterator[Links]:
    """The links without one, without two, and at last without any."""
    linked = [place for place, source in links.items() if source is not None]
    for count in range(1, MAX_DEVIATIONS + 1):
        for places in combinations(linked, count):
            yield {**links, **dict.fromkeys(places)}
    yield dict.fromkeys(links)
