"""Questions that tell the same story with other numbers, names or units, one clause less, or another last question.

    find(["Ann had 3 red pens and 4 blue pens. She lost 2 red pens. How many red pens has she now?",
          "Bo had 9 red pens and 5 blue pens. He lost 8 red pens. How many blue pens has he now?"])
    -> Groups(groups=[0, 1], links={(0, 1): 0.86})

Numbers and pronouns are removed from a text, and every name becomes the same sign. Then three things are compared: the
word pairs of the whole text, the word pairs of the text before its last sentence, and the words that say what the text
is about. With many texts, MinHash LSH (datasketch, fixed seed) proposes pairs, and each pair is compared exactly. The
result does not depend on the order of the texts, the process or PYTHONHASHSEED. The word lists are English; texts in
other languages are compared by all of their words.

Measured on GSM8K (8,792 questions): 80 pairs are found; of 50 that were read, 48 tell the same story. It finds 99%
of the variants of GSM8K and SVAMP with other numbers, names or units, 94% of those with a clause less, and 98% of those
with another question.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf._utils import cache_home, column, digest, replacing, rows_as_tuples
from toolgen_hf.errors import DataError
from toolgen_hf.stages.base import empty

VERSION = 1
"""Must go up when other texts become near duplicates."""
NORMALISE_VERSION = 1
"""Must go up when other texts become equal."""

_BANDS = {"whole": (30, 3), "story": (10, 4)}
"""Bands and rows of MinHash LSH. Whole texts with a Jaccard index of 0.5 and stories with 0.75 are proposed with a
probability of 98%."""
_NEEDED = {0: 0.8, 1: 0.8, 2: 0.8, 3: 0.5, 4: 0.45}
"""The Jaccard index of word pairs that two texts need, by how many topic words and names they share. More need 0.4."""
_MANY = 100
"""From this number of texts on, LSH proposes pairs, and words that most of the texts have are ignored."""
_CACHED = 200
"""From this number of texts on, the result is cached."""
_FEW = 6
"""Fewer word pairs than this are few."""
_ENOUGH = 8
"""The fewest words, without numbers, of a text that is compared. ``What is 2 + 3?`` has too few."""
_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE = re.compile(r"(?<=[.?!])\s+|(?<=[。？！])")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts without spaces between words. Each counts as a word."""
_NAME = "@"
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"⁄": "/"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")
_MEANT = re.compile(r"(?<!\w)\.(?=\d)|(?<=\d)\.(?=\d)|-(?=\s*\d)|(?<=\d)!|[%*/^\\]")
"""Punctuation that belongs to a number or an operation."""


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
"""Words that many questions have. They do not show that two texts are alike."""


@dataclass(frozen=True, slots=True)
class _View:
    """What is compared of a text: its word pairs, topic words and names."""

    pairs: frozenset[tuple[str, ...]]
    topic: frozenset[str]
    """The words that say what it is about."""
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Text:
    """A question, prepared for comparison."""

    masked: tuple[str, ...]
    """Its words without numbers and pronouns, names as ``@``."""
    whole: _View
    story: _View
    """Without the last sentence, which usually asks the question. A single sentence is all story."""


@dataclass(frozen=True)
class Groups:
    """Which texts are near duplicates of each other."""

    groups: Sequence[int]
    """The group of each text. Texts of one group differ at most in numbers and names."""
    links: Mapping[tuple[int, int], float]
    """The similarity (0 to 1) of two groups that are near duplicates. The lower group number comes first."""

    def chains(self) -> list[int]:
        """A number for each text. Texts that a chain of near duplicates connects have the same one."""
        first = list(range(max(self.groups, default=-1) + 1))

        def root(at: int) -> int:
            while first[at] != at:
                first[at] = at = first[first[at]]
            return at

        for one, other in self.links:
            low, high = sorted((root(one), root(other)))
            first[high] = low
        return [root(group) for group in self.groups]

    def nearest(self, labels: Sequence[Hashable], allowed: Callable[[Any, Any], bool]) -> list[int | None]:
        """The place of each text's nearest near duplicate, or None.

        Args:
            labels: a label for each text, such as its split.
            allowed: whether a near duplicate with the second label counts for a text with the first.
        """
        members: dict[int, dict[Hashable, int]] = {}  # group -> label -> the first text
        for at, (group, label) in enumerate(zip(self.groups, labels, strict=True)):
            members.setdefault(group, {}).setdefault(label, at)
        near: dict[int, list[tuple[float, int]]] = {group: [(-2.0, group)] for group in members}
        for (one, other), alike in self.links.items():
            near[one].append((-alike, other))
            near[other].append((-alike, one))
        known: dict[tuple[int, Hashable], int | None] = {}
        for group, label in zip(self.groups, labels, strict=True):
            if (group, label) not in known:
                there = (pair for _, other in sorted(near[group]) for pair in members[other].items())
                known[group, label] = next((at for other, at in there if allowed(label, other)), None)
        return [known[pair] for pair in zip(self.groups, labels, strict=True)]


def normalise(question: str) -> str:
    """The words, numbers and symbols of a question.

    Case, spaces, punctuation and different Unicode spellings (NFKC) are removed. Numbers keep their value: ``1,000``
    becomes ``1000``, but ``3.5`` does not become ``35``, nor ``-5`` ``5``, nor ``5²`` ``52``. Symbols such as ``+`` and
    ``$`` stay. A text of punctuation alone stays as it is.
    """
    apart = "".join(f" {sign} " if unicodedata.category(sign) == "No" else sign for sign in question)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", apart).casefold())
    text = _APOSTROPHES.sub("", _THOUSANDS.sub("", text.translate(_DASHES)))
    meant = {at for found in _MEANT.finditer(text) for at in range(*found.span())}
    signs = (_sign(sign, at in meant) for at, sign in enumerate(text))
    return " ".join("".join(signs).split()) or " ".join(question.split())


def _sign(sign: str, is_meant: bool) -> str:
    kind = unicodedata.category(sign)
    if is_meant:
        return sign if sign == "." else f" {sign} "
    if kind == "Sk" or kind[0] in "PZC":
        return " "
    return f" {sign} " if kind[0] == "S" else sign


def protected_first(splits: Sequence[str]) -> list[str]:
    """The names of the splits, each once, the furthest from training first: test, others, train."""
    rank = {"test": 0, "train": 2}
    return sorted(dict.fromkeys(splits), key=lambda split: rank.get(split, 1))


def find(questions: Sequence[str]) -> Groups:
    """The near duplicates among texts, equal texts included. The result for many texts is cached."""
    if len(questions) < _CACHED:
        return _find(questions)
    path = cache_home() / "near-duplicates" / f"{digest([VERSION, list(questions)])}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        saved = json.loads(path.read_text(encoding="utf-8"))
        return Groups(saved["groups"], {(one, other): alike for one, other, alike in saved["links"]})
    found = _find(questions)
    links = [[*pair, alike] for pair, alike in found.links.items()]
    with suppress(OSError), replacing(path) as scratch:
        scratch.write_text(json.dumps({"groups": found.groups, "links": links}), encoding="utf-8")
    return found


class Near(NamedTuple):
    """The nearest near duplicate of a question."""

    split: str
    id: str


NearBySplit = Mapping[str, Mapping[str, Near]]
"""Split -> id -> the nearest near duplicate in another split. Questions without one are left out."""


class NearDuplicates:
    """The near duplicates in a dataset, found once.

    Args:
        questions: splits with the columns ``id`` and ``question``.
    """

    def __init__(self, questions: DatasetDict) -> None:
        self.splits = [str(split) for split in questions]
        self._rows = [
            (str(split), key, question)
            for split, table in (questions.items() if len(questions) > 1 else ())
            for key, question in rows_as_tuples(table, "id", "question")
        ]
        self._groups = find([question for _, _, question in self._rows])

    def between_splits(self, rejected: Collection[str] = ()) -> NearBySplit:
        """The near duplicates in other splits. The ids of ``rejected`` questions do not count as near duplicates."""
        return self._nearest(lambda one, other: one[0] != other[0] and other[1], rejected)

    def leaks(self) -> dict[str, str]:
        """The questions to reject because a split further from training has a near duplicate: id -> reason.

        Raises:
            DataError: such an id is used in several splits.
        """
        order = protected_first(self.splits)
        found = self._nearest(lambda one, other: order.index(other[0]) < order.index(one[0]))
        ids = Counter(key for _, key, _ in self._rows)
        if shared := [key for near in found.values() for key in near if ids[key] > 1]:
            raise DataError(
                f"near_duplicates: 'drop' rejects questions by their ids, and {shared[0]!r} is an id in several "
                "splits: give every question an id of its own, or leave 'id' out of dataset.columns"
            )
        return {
            key: f"kept out of {split}: the {near.split} split has a near duplicate"
            for split, there in found.items()
            for key, near in there.items()
        }

    def _nearest(
        self, allowed: Callable[[Any, Any], bool], rejected: Collection[str] = ()
    ) -> dict[str, dict[str, Near]]:
        """Labels are ``(split, is not rejected)``."""
        made: dict[str, dict[str, Near]] = {split: {} for split in self.splits}
        labels = [(split, key not in rejected) for split, key, _ in self._rows]
        for (split, key, _), at in zip(self._rows, self._groups.nearest(labels, allowed), strict=True):
            if at is not None:
                made[split][key] = Near(*self._rows[at][:2])
        return made


def near_column(table: DatasetDict) -> NearBySplit:
    """The near duplicates that a table already has, from its columns ``id`` and ``near_duplicate_of``."""
    split_of = {key: str(split) for split, rows in table.items() for key in column(rows, "id")}
    return {
        str(split): {
            key: Near(split_of[of], of)
            for key, of in rows_as_tuples(rows, "id", schemas.NEAR)
            if of is not None
        }
        for split, rows in table.items()
    }


def with_near_column(table: DatasetDict, found: NearBySplit) -> DatasetDict:
    """The rows of a config with the column ``near_duplicate_of``."""
    made = {}
    for split, rows in table.items():
        there = found.get(str(split), {})
        of: list[str | None] = [None] * len(rows)
        if there:
            of = [there[key].id if key in there else None for key in column(rows, "id")]
        plain = rows.remove_columns(schemas.NEAR) if schemas.NEAR in rows.column_names else rows
        features = schemas.with_near(plain.features)
        if len(rows):
            widened = plain.add_column(schemas.NEAR, of, feature=features[schemas.NEAR])
            made[split] = widened.select_columns(list(features))
        else:  # add_column fails on a table with no selected row
            made[split] = empty(features, rows)
        made[split]._fingerprint = digest([rows._fingerprint, of])[:32]
    return DatasetDict(made)


def near_counts(questions: DatasetDict, found: NearBySplit) -> list[dict[str, Any]]:
    """The number of near duplicates for each pair of splits, the one further from training first.

    ``{"split": "test", "of_split": "train", "count": 12, "rows": 300, "example": ["A-test-3", "A-train-7"]}``: for 12
    of the 300 questions of test, the nearest near duplicate is in train.
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
    """One entry of `near_counts` as a sentence."""
    one, of = found["example"]
    return (
        f"{found['count']:,} of {found['rows']:,} questions of {found['split']} have a near duplicate in "
        f"{found['of_split']} (the same story with other numbers or names), such as {one} of {of}"
    )


def _find(questions: Sequence[str]) -> Groups:
    known: dict[Any, Any] = {}
    texts = [_read(question, known) for question in questions]
    plain = [normalise(question) for question in questions]
    keys = [
        text.masked if len(text.masked) >= _ENOUGH else (same,)
        for text, same in zip(texts, plain, strict=True)
    ]
    # Texts that are equal but for case get one key, although capitals decide which words are names.
    first = {same: key for key, same in sorted(zip(keys, plain, strict=True), reverse=True)}
    keys = [first[same] for same in plain]
    numbers = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    members: dict[int, list[_Text]] = {}
    for key, text in zip(keys, texts, strict=True):
        members.setdefault(numbers[key], []).append(text)
    groups = {at: _together(found) for at, found in members.items() if len(found[0].masked) >= _ENOUGH}
    if len(groups) >= _MANY:
        groups = _without_frame(groups)
    links = {}
    for one, other in sorted(_proposed(groups)):
        alike = _compare(groups[one], groups[other])
        if alike is not None:
            links[one, other] = alike
    return Groups([numbers[key] for key in keys], links)


def _together(texts: Sequence[_Text]) -> _Text:
    """Texts with the same words as one text with the names of all."""
    first = min(texts, key=lambda text: (sorted(text.whole.names), sorted(text.story.pairs)))
    whole = replace(first.whole, names=frozenset().union(*(text.whole.names for text in texts)))
    story = replace(first.story, names=frozenset().union(*(text.story.names for text in texts)))
    return replace(first, whole=whole, story=story)


def _without_frame(groups: Mapping[int, _Text]) -> dict[int, _Text]:
    """Remove what more than half of the texts have, such as an instruction before each question."""
    pairs = Counter(pair for text in groups.values() for pair in text.whole.pairs)
    words = Counter(word for text in groups.values() for word in text.whole.topic)
    common = {pair for pair, count in pairs.items() if count > len(groups) / 2}
    topic = {word for word, count in words.items() if count > len(groups) / 2}

    def without(view: _View) -> _View:
        return _View(view.pairs - common, view.topic - topic, view.names)

    return {
        at: replace(text, whole=without(text.whole), story=without(text.story)) for at, text in groups.items()
    }


def _proposed(groups: Mapping[int, _Text]) -> set[tuple[int, int]]:
    """Pairs of groups that may be near duplicates: all pairs of a few groups, and otherwise what LSH proposes."""
    if len(groups) < _MANY:
        return set(combinations(groups, 2))
    from datasketch import MinHash, MinHashLSH  # imports scipy, which takes half a second

    made: set[tuple[int, int]] = set()
    for part, (bands, rows) in _BANDS.items():
        sets = {at: signed for at, text in groups.items() if (signed := _signed(getattr(text, part)))}
        lsh = MinHashLSH(num_perm=bands * rows, params=(bands, rows))
        hashes = MinHash.generator(sets.values(), num_perm=bands * rows, seed=1)
        for at, minhash in zip(sets, hashes, strict=True):
            made.update((other, at) for other in lsh.query(minhash))
            lsh.insert(at, minhash, check_duplication=False)
    return made


def _signed(view: _View) -> list[bytes]:
    """The word pairs for LSH: those with a topic word, or all if there are few of them."""
    of_topic = [pair for pair in view.pairs if not view.topic.isdisjoint(pair)]
    return [" ".join(pair).encode() for pair in (of_topic if len(of_topic) >= _FEW else view.pairs)]


def _compare(one: _Text, other: _Text) -> float | None:
    """The similarity of two texts, or None if they are not near duplicates.

    Texts that share few topic words and names need more word pairs in common, because many questions share a frame
    such as ``How many ... does she have left?``.
    """
    whole, about = _jaccard(one.whole.pairs, other.whole.pairs), _shared(one.whole, other.whole)
    if whole >= _NEEDED.get(about, 0.4) and _jaccard(one.whole.topic, other.whole.topic) >= 0.5:
        return whole
    if whole >= 0.3 and about >= 3:  # a clause less: nearly all of the shorter text is in the longer one
        parts = ((one.whole.pairs, other.whole.pairs), (one.whole.topic, other.whole.topic))
        if all(len(a & b) >= 0.8 * min(len(a), len(b)) for a, b in parts):
            return whole
    story = _jaccard(one.story.pairs, other.story.pairs)  # the same story with another question
    length = min(len(one.story.pairs), len(other.story.pairs))
    is_same = story >= 0.75 if length >= _FEW else story == 1 and length >= 4
    is_about = _jaccard(one.story.topic, other.story.topic) >= 0.5 and _shared(one.story, other.story) >= 2
    return story if is_same and is_about else None


def _shared(one: _View, other: _View) -> int:
    """How many topic words and names both have."""
    return len(one.topic & other.topic) + len(one.names & other.names)


def _jaccard(one: frozenset[Any], other: frozenset[Any]) -> float:
    """The size of the intersection divided by that of the union; 1 for two empty sets."""
    return len(one & other) / len(one | other) if one or other else 1.0


def _read(question: str, known: dict[Any, Any]) -> _Text:
    """Prepare a question; ``known`` holds each word and word pair once for all texts, to save memory."""
    text = unicodedata.normalize("NFKC", question)
    sentences = [part for part in _SENTENCE.split(text) if part.strip()]
    words = [word for sentence in sentences for word in _WORD.findall(sentence) if word[0].isalpha()]
    if 3 * sum(word[0].isupper() for word in words) > len(words) + 3:  # too many capitals to tell names by
        sentences = [sentence.casefold() for sentence in sentences]
    parts = [_masked(sentence, known) for sentence in sentences]
    masked = tuple(word for part, _ in parts for word in part)
    return _Text(masked, _view(parts, known), _view(parts[:-1] if len(parts) > 1 else parts, known))


def _view(parts: Sequence[tuple[list[str], set[str]]], known: dict[Any, Any]) -> _View:
    words = [word for part, _ in parts for word in part]
    pairs = frozenset(known.setdefault(pair, pair) for pair in pairwise(words))
    topic = frozenset(words) - _FUNCTION - _RELATION - {_NAME}
    return _View(pairs, topic, frozenset(name for _, names in parts for name in names))


def _masked(sentence: str, known: dict[Any, Any]) -> tuple[list[str], set[str]]:
    """The words of a sentence without numbers and pronouns, names as ``@``; and its names."""
    words: list[str] = []
    names: set[str] = set()
    for found in _WORD.findall(sentence):
        if _UNSPACED.search(found):
            words += found
            continue
        word = found.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
        if word[0].isdigit() or word in _NUMBERS or word in _PRONOUNS:
            continue
        if found[0].isupper() and word not in _FUNCTION and word not in _RELATION:
            words.append(_NAME)
            names.add(word)
        else:
            is_plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
            word = word[:-1] if is_plural else word
            words.append(known.setdefault(word, word))
    return words, names
