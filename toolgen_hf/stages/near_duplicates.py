"""Questions that tell one story: they differ in numbers, names, a unit, a clause, or in what is asked.

    find(["Ann had 3 red pens and 4 blue pens. She lost 2 red pens. How many red pens has she now?",
          "Bo had 9 red pens and 5 blue pens. He lost 8 red pens. How many blue pens has he now?"])
    -> Twins(groups=[0, 1], links={(0, 1): 0.86})

Numbers and pronouns are left out of a text, and a name is the same as any other name. What is left is compared: word
pairs of the whole text, or of the text before its last sentence, and the words that say what the text is about.
Of many texts MinHash LSH (hashes by datasketch, with a fixed seed) proposes pairs; each is then compared exactly. What
is found does not depend on the order of the texts, on the process or on PYTHONHASHSEED. Word lists are English; texts
in other languages are compared by all of their words.

Measured on GSM8K (8,792 questions): 80 pairs, 48 of 50 drawn ones are the same story. Of twins made from GSM8K and
SVAMP by other numbers, names or units it finds 99%, by a dropped clause 94%, by another question 98%.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf._utils import cache_home, digest, replacing
from toolgen_hf.errors import DataError
from toolgen_hf.stages.base import empty
from toolgen_hf.stages.duplicates import normalise, protected_first

VERSION = 1
"""Goes up whenever two texts may come to be near duplicates, or no longer."""

_WHOLE_BANDS, _STORY_BANDS = (30, 3), (10, 4)
"""Bands and rows of MinHash LSH: whole texts with a Jaccard index of 0.5 are proposed with 98%, stories with one of
0.75 with 98%."""
_NEEDED = {3: 0.5, 4: 0.45, 0: 0.8, 1: 0.8, 2: 0.8}
"""By the number of shared words of the topic and names, the Jaccard index of two texts' word pairs; 0.4 of more."""
_MANY = 100
"""Texts of which something may be said of all."""
_CACHED = 200
"""Texts from which on the result is kept: it takes longer than to read it."""
_FEW = 6
"""Word pairs, below which there are few."""
_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE = re.compile(r"(?<=[.?!])\s+|(?<=[。？！])")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts without blanks between words: each is taken for a word."""
_NAME = "@"
_ENOUGH = 8
"""Words without numbers that a text must have: of ``What is 2 + 3?`` too little is left to compare."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBERS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen "
    "half third quarter twice once double triple"
)
_PRONOUNS = _words("he she his her him hers they them their theirs it its himself herself")
_FUNCTION = _words(
    "a an the in on at of to for from by with and or but if when while as each every all there this that these those "
    "some many after before during since then how what which who where why because so now today yesterday tomorrow "
    "last next my our my your we you i is are was were do does did has have had suppose given"
)
_RELATION = _words(
    "time more less few fewer than much old older young younger year age ago total number amount left over same only "
    "also just both other another together altogether combined rest remaining be been being will would can could "
    "should may not no per into out up off down about between get got go take make made give gave buy bought need want "
    "end start first second whole day week month hour minute doe"
)
"""Words of nearly every question: that two texts share them says little."""


@dataclass(frozen=True, slots=True)
class _View:
    """What is compared of a text, or of a part of it."""

    pairs: frozenset[tuple[str, ...]]
    topic: frozenset[str]
    """The words that say what it is about."""
    names: frozenset[str]

    def without(self, pairs: frozenset[tuple[str, ...]], topic: frozenset[str]) -> _View:
        """Less what nearly all texts have."""
        return _View(self.pairs - pairs, self.topic - topic, self.names)


@dataclass(frozen=True, slots=True)
class _Text:
    """A question as it is compared."""

    masked: tuple[str, ...]
    whole: _View
    story: _View
    """Without its last sentence, which mostly asks the question; the whole of a single sentence."""


@dataclass(frozen=True)
class Twins:
    """Which texts are near duplicates of which.

    ``groups``: for each text the number of its group; texts of one group differ in numbers and names alone, or not at
    all. ``links``: between near duplicates of different groups, the lower number first, how alike they are (0 to 1).
    """

    groups: Sequence[int]
    links: Mapping[tuple[int, int], float]

    def families(self) -> list[int]:
        """For each text the number of its family: all that near duplicates lead to from one to another."""
        first = list(range(max(self.groups, default=-1) + 1))

        def root(at: int) -> int:
            while first[at] != at:
                first[at] = first[first[at]]
                at = first[at]
            return at

        for one, other in self.links:
            low, high = sorted((root(one), root(other)))
            first[high] = low
        return [root(group) for group in self.groups]

    def nearest(self, labels: Sequence[Hashable], allowed: Callable[[Any, Any], bool]) -> list[int | None]:
        """For each text the place of its nearest near duplicate, None without one.

        Args:
            labels: for each text, such as its split; one with None is left out.
            allowed: whether a text with the first label may have a near duplicate with the second.
        """
        members: dict[int, dict[Hashable, int]] = {}
        for at, (group, label) in enumerate(zip(self.groups, labels, strict=True)):
            if label is not None:
                members.setdefault(group, {}).setdefault(label, at)
        linked: dict[int, list[tuple[float, int]]] = {}
        for (one, other), alike in self.links.items():
            linked.setdefault(one, []).append((-alike, other))
            linked.setdefault(other, []).append((-alike, one))
        near = {group: [group, *(other for _, other in sorted(found))] for group, found in linked.items()}
        known: dict[tuple[int, Hashable], int | None] = {}
        for group, label in zip(self.groups, labels, strict=True):
            if label is not None and (group, label) not in known:
                there = (
                    pair for other in near.get(group, [group]) for pair in members.get(other, {}).items()
                )
                known[group, label] = next((at for other, at in there if allowed(label, other)), None)
        return [
            None if label is None else known[group, label]
            for group, label in zip(self.groups, labels, strict=True)
        ]


def likeness(one: str, other: str) -> float | None:
    """How alike two questions are, from 0 to 1, if they are near duplicates; else None."""
    found = _find([one, other])
    return 1.0 if found.groups[0] == found.groups[1] else found.links.get((0, 1))


def find(questions: Sequence[str]) -> Twins:
    """The near duplicates among texts; equal texts are among them. What was found once for many texts is cached."""
    if len(questions) < _CACHED:
        return _find(questions)
    path = cache_home() / "near-duplicates" / f"{digest([VERSION, list(questions)])}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads(path.read_text(encoding="utf-8"))
        return Twins(told["groups"], {(one, other): alike for one, other, alike in told["links"]})
    found = _find(questions)
    links = [[one, other, alike] for (one, other), alike in found.links.items()]
    with suppress(OSError), replacing(path) as scratch:
        scratch.write_text(json.dumps({"groups": found.groups, "links": links}), encoding="utf-8")
    return found


class Mark(NamedTuple):
    """Where a question's near duplicate is."""

    split: str
    id: str


Marks = Mapping[str, Mapping[str, Mark]]
"""By split and id, the nearest near duplicate in another split; nothing of a question without one."""


def marks(questions: DatasetDict, without: Mapping[str, str] | None = None) -> Marks:
    """The near duplicates over splits (columns ``id`` and ``question``).

    Args:
        without: the ids of questions that fell out, which are no question's near duplicate.
    """
    fallen = without or {}
    return _nearest(questions, lambda one, other: one[0] != other[0] and other[1], fallen)


def leaks(questions: DatasetDict) -> dict[str, str]:
    """By id why a question has to fall out: it has a near duplicate in a split further from training.

    Raises:
        DataError: a question that has to, and one of another split, have one id.
    """
    order = protected_first([str(split) for split in questions])
    found = _nearest(questions, lambda one, other: order.index(other[0]) < order.index(one[0]), {})
    ids = Counter(key for rows in questions.values() for key in rows["id"])
    if shared := [key for near in found.values() for key in near if ids[key] > 1]:
        raise DataError(
            f"near_duplicates: 'drop' rejects questions by their ids, and {shared[0]!r} is an id in several splits: "
            "give every question an id of its own, or leave 'id' out of dataset.columns"
        )
    return {
        key: f"kept out of {split}: the {near.split} split has a near duplicate"
        for split, there in found.items()
        for key, near in there.items()
    }


def _nearest(
    questions: DatasetDict, allowed: Callable[[Any, Any], bool], fallen: Mapping[str, str]
) -> dict[str, dict[str, Mark]]:
    rows = [
        (str(split), key, question)
        for split, table in questions.items()
        for key, question in zip(table["id"], table["question"], strict=True)
    ]
    made: dict[str, dict[str, Mark]] = {str(split): {} for split in questions}
    if len(questions) > 1:
        labels = [(split, key not in fallen) for split, key, _ in rows]
        nearest = find([question for _, _, question in rows]).nearest(labels, allowed)
        for (split, key, _), at in zip(rows, nearest, strict=True):
            if at is not None:
                made[split][key] = Mark(*rows[at][:2])
    return made


def read_marks(table: DatasetDict) -> Marks:
    """The near duplicates over splits, from a table's columns ``id`` and ``near_duplicate_of``."""
    split_of = {key: str(split) for split, rows in table.items() for key in rows["id"]}
    return {
        str(split): {
            key: Mark(split_of[of], of)
            for key, of in zip(rows["id"], rows[schemas.NEAR], strict=True)
            if of is not None
        }
        for split, rows in table.items()
    }


def marked(table: DatasetDict, found: Marks) -> DatasetDict:
    """A config's rows with the column ``near_duplicate_of``."""
    made = {}
    for split, rows in table.items():
        there = found.get(str(split), {})
        of = [there[key].id if key in there else None for key in rows["id"]]
        plain = rows.remove_columns(schemas.NEAR) if schemas.NEAR in rows.column_names else rows
        features = schemas.marked(plain.features)
        if len(rows):
            widened = plain.add_column(schemas.NEAR, of, feature=features[schemas.NEAR])
            made[split] = widened.select_columns(list(features))
        else:  # add_column fails on a table of which no row is selected
            made[split] = empty(features, rows)
        made[split]._fingerprint = digest([rows._fingerprint, of])[:32]
    return DatasetDict(made)


def facts(questions: DatasetDict, found: Marks) -> list[dict[str, Any]]:
    """What `marks` found, as plain data: for each pair of splits, the one further from training first.

    ``{"split": "test", "of_split": "train", "count": 12, "rows": 300, "example": ["A-test-3", "A-train-7"]}``: 12 of
    the 300 questions of test have their nearest near duplicate in train.
    """
    order = protected_first([str(split) for split in questions])
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for split in order:
        for key, near in found.get(split, {}).items():
            if order.index(split) < order.index(near.split):
                first = {"split": split, "of_split": near.split, "count": 0, "rows": len(questions[split])}
                made.setdefault((split, near.split), {**first, "example": [key, near.id]})["count"] += 1
    return list(made.values())


def in_words(found: Mapping[str, Any]) -> str:
    """One entry of `facts`, for people."""
    one, of = found["example"]
    return (
        f"{found['count']:,} of {found['rows']:,} questions of {found['split']} have a near duplicate in "
        f"{found['of_split']} (the same story with other numbers or names), such as {one} of {of}"
    )


def _find(questions: Sequence[str]) -> Twins:
    known: dict[Any, Any] = {}
    texts = [_read(question, known) for question in questions]
    plain = [normalise(question) for question in questions]
    keys = [
        text.masked if len(text.masked) >= _ENOUGH else (same,)
        for text, same in zip(texts, plain, strict=True)
    ]
    # Texts that are equal but for case have one key, though capitals tell names from other words.
    first = {same: key for key, same in sorted(zip(keys, plain, strict=True), reverse=True)}
    keys = [first[same] for same in plain]
    numbers = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    members: dict[int, list[_Text]] = {}
    for key, text in zip(keys, texts, strict=True):
        members.setdefault(numbers[key], []).append(text)
    groups = {
        number: _together(found) for number, found in members.items() if len(found[0].masked) >= _ENOUGH
    }
    groups = _without_frame(groups)
    links = {}
    for one, other in sorted(_proposed(groups)):
        alike = _compare(groups[one], groups[other])
        if alike is not None:
            links[one, other] = alike
    return Twins([numbers[key] for key in keys], links)


def _together(texts: Sequence[_Text]) -> _Text:
    """Texts with the same words, as one: with the names of all."""
    first = min(texts, key=lambda text: (sorted(text.whole.names), sorted(text.story.pairs)))
    whole, story = (
        frozenset().union(*(getattr(text, part).names for text in texts)) for part in ("whole", "story")
    )
    return replace(first, whole=replace(first.whole, names=whole), story=replace(first.story, names=story))


def _without_frame(groups: Mapping[int, _Text]) -> dict[int, _Text]:
    """Without what more than half of many texts have: an instruction before each, or ``how many``."""
    if len(groups) < _MANY:
        return dict(groups)
    pairs = Counter(pair for text in groups.values() for pair in text.whole.pairs)
    words = Counter(word for text in groups.values() for word in text.whole.topic)
    common = frozenset(pair for pair, count in pairs.items() if count > len(groups) / 2)
    topic = frozenset(word for word, count in words.items() if count > len(groups) / 2)
    return {
        number: replace(
            text, whole=text.whole.without(common, topic), story=text.story.without(common, topic)
        )
        for number, text in groups.items()
    }


def _proposed(groups: Mapping[int, _Text]) -> set[tuple[int, int]]:
    """Pairs of groups that may be near duplicates: of few groups all, of many those that MinHash LSH proposes."""
    if len(groups) < _MANY:
        return set(combinations(groups, 2))
    from datasketch import MinHash  # brings scipy: half a second

    made: set[tuple[int, int]] = set()
    for part, (bands, rows) in (("whole", _WHOLE_BANDS), ("story", _STORY_BANDS)):
        sets = {number: _signed(getattr(text, part)) for number, text in groups.items()}
        sets = {number: found for number, found in sets.items() if found}
        hashes = MinHash.generator(sets.values(), num_perm=bands * rows, seed=1)
        buckets: dict[tuple[int, bytes], list[int]] = {}
        for number, minhash in zip(sets, hashes, strict=True):
            values = minhash.hashvalues
            for band in range(bands):
                alike = buckets.setdefault((band, values[band * rows : (band + 1) * rows].tobytes()), [])
                made.update((other, number) for other in alike)
                alike.append(number)
    return made


def _signed(view: _View) -> list[bytes]:
    """The word pairs that a text is found by: those with a word of its topic, unless there are few."""
    of_topic = [pair for pair in view.pairs if not view.topic.isdisjoint(pair)]
    chosen = of_topic if len(of_topic) >= _FEW else view.pairs
    return [" ".join(pair).encode() for pair in chosen]


def _compare(one: _Text, other: _Text) -> float | None:
    """How alike two texts are, if they are near duplicates.

    The fewer words of their topics and names they share, the more of their word pairs must be the same: the frame of
    ``How many ... does she have left?`` makes no near duplicate.
    """
    whole = _jaccard(one.whole.pairs, other.whole.pairs)
    shared = len(one.whole.topic & other.whole.topic) + len(one.whole.names & other.whole.names)
    needed = _NEEDED.get(shared, 0.4)
    if whole >= needed and _jaccard(one.whole.topic, other.whole.topic) >= 0.5:
        return whole
    if whole >= 0.3 and shared >= 3:  # a clause less: nearly all of the shorter one is in the longer
        parts = ((one.whole.pairs, other.whole.pairs), (one.whole.topic, other.whole.topic))
        if all(len(a & b) >= 0.8 * min(len(a), len(b)) for a, b in parts):
            return whole
    story = _jaccard(one.story.pairs, other.story.pairs)
    told = min(len(one.story.pairs), len(other.story.pairs))
    is_same = story >= 0.75 if told >= _FEW else story == 1 and told >= 4
    if is_same and _jaccard(one.story.topic, other.story.topic) >= 0.5:  # asked otherwise
        shared = len(one.story.topic & other.story.topic) + len(one.story.names & other.story.names)
        return story if shared >= 2 else None
    return None


def _jaccard(one: frozenset[Any], other: frozenset[Any]) -> float:
    """The share of what either has that both have; 1 of nothing."""
    return len(one & other) / len(one | other) if one or other else 1.0


def _read(question: str, known: dict[Any, Any]) -> _Text:
    """A question as it is compared; ``known`` keeps each word and word pair once, for all texts."""
    text = unicodedata.normalize("NFKC", question)
    sentences = [part for part in _SENTENCE.split(text) if part.strip()]
    words = [_masked(sentence, known) for sentence in _cased(sentences)]
    story = words[:-1] if len(words) > 1 else words
    masked = tuple(word for part, _ in words for word in part)
    return _Text(masked, _view(words, known), _view(story, known))


def _view(parts: Sequence[tuple[list[str], set[str]]], known: dict[Any, Any]) -> _View:
    words = [word for part, _ in parts for word in part]
    pairs = frozenset(known.setdefault(pair, pair) for pair in pairwise(words))
    topic = frozenset(words) - _FUNCTION - _RELATION - {_NAME}
    return _View(pairs, topic, frozenset(name for _, names in parts for name in names))


def _cased(sentences: Sequence[str]) -> list[str]:
    """Without capitals where they tell no name: in a text of which a third of the words or more has one."""
    words = [word for sentence in sentences for word in _WORD.findall(sentence) if word[0].isalpha()]
    capitals = sum(word[0].isupper() for word in words)
    return [s.casefold() for s in sentences] if 3 * capitals > len(words) + 3 else list(sentences)


def _masked(sentence: str, known: dict[Any, Any]) -> tuple[list[str], set[str]]:
    """A sentence's words, every name as ``@`` and no number or pronoun; and the names."""
    words: list[str] = []
    names: set[str] = set()
    for found in _WORD.findall(sentence):
        if _UNSPACED.search(found):
            words += found
            continue
        word = found.casefold().replace("’", "'")
        word = word.removesuffix("'s").replace("'", "")
        if word[0].isdigit() or word in _NUMBERS or word in _PRONOUNS:
            continue
        if found[0].isupper() and word not in _FUNCTION and word not in _RELATION:
            words.append(_NAME)
            names.add(word)
        else:
            singular = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
            word = word[:-1] if singular else word
            words.append(known.setdefault(word, word))
    return words, names
