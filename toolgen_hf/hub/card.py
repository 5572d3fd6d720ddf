"""The card in a repository: the generated part stands between two marker lines, and people write outside of them.

    ---
    license: mit
    ---
    A word from the people who publish this.        <- stays

    <!-- toolgen_hf: generated from here; ... -->
    # sums                                           <- replaced by each push
    ...
    <!-- toolgen_hf: generated up to here -->

In the YAML header, the keys that this library writes are replaced, and the other keys stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher
from typing import Any

import yaml

from toolgen_hf.errors import HubError

BEGIN = "<!-- toolgen_hf: generated from here; a push replaces it, so write above or below it -->"
END = "<!-- toolgen_hf: generated up to here -->"
_BY_CONFIG = ("configs", "dataset_info")
"""Header keys with one entry for each config."""
YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises for text that it cannot read; values such as ``2024-13-45`` and ``!!int`` raise the later ones."""

_HEADER = re.compile(r"\A---\n(?P<yaml>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_MARKED = re.compile(rf"^{re.escape(BEGIN)}\n(?P<generated>.*?)^{re.escape(END)}$", re.DOTALL | re.MULTILINE)
_MARKER = re.compile(rf"^(?:{re.escape(BEGIN)}|{re.escape(END)})$", re.MULTILINE)


def split_card(card: str) -> tuple[dict[str, Any], str]:
    """The YAML header of a card as a dict (empty if there is none), and the text below it.

    Raises:
        YAML_ERRORS: the header is not a YAML mapping.
    """
    card = card.removeprefix("\ufeff").replace("\r\n", "\n")
    found = _HEADER.match(card)
    if found is None:
        return {}, card
    data = yaml.safe_load(found["yaml"])
    if not isinstance(data, dict | None):
        raise ValueError(f"it is {type(data).__name__}, not a mapping of keys to values")
    return data or {}, card[found.end() :]


def generated_part(card: str) -> str:
    """A card without the markers and without what people wrote outside of them."""
    found = _HEADER.match(card)
    header, body = (card[: found.end()], card[found.end() :]) if found else ("", card)
    marked = _MARKED.search(body)
    return header + (marked["generated"].strip("\n") + "\n" if marked else body)


def update_card(
    generated: str, there: str | None, unmarked: str | None = None, configs: Collection[str] = ()
) -> str:
    """The card to push: ``generated`` between markers, with what people wrote in the card that is there.

    A card without markers was pushed by an older version, or was written by hand. All of its text is kept above the
    generated part, except for the lines of ``unmarked``.

    Args:
        generated: the new card, without markers.
        there: the card in the repository.
        unmarked: what an older version generated for its last push; it wrote no markers.
        configs: the configs of the last version. Header entries of other configs were added by people.

    Raises:
        HubError: the header of ``there`` is not readable YAML.
    """
    header, body = split_card(generated)
    above = below = ""
    if there is not None and there.replace("\r\n", "\n") != unmarked:
        try:
            theirs, text = split_card(there)
        except YAML_ERRORS as error:
            raise HubError(
                f"the YAML header of README.md on the Hub cannot be read, so what people wrote there would be lost: "
                f"mend it on its page first ({' '.join(str(error).split())[:300]})"
            ) from error
        header = _update_header(header, theirs, configs)
        if marked := _MARKED.search(text):
            above, below = text[: marked.start()], text[marked.end() :]
        else:
            above = _added_lines(_HEADER.sub("", unmarked or ""), text)
    parts = [_MARKER.sub("", part).strip("\n") for part in (above, body, below)]
    text = "\n\n".join(part for part in (parts[0], f"{BEGIN}\n{parts[1]}\n{END}", parts[2]) if part)
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n{text}\n"


def _added_lines(old: str, new: str) -> str:
    """The lines of ``new`` that are not in ``old``, with an empty line where lines in between are left out."""
    before, after = old.splitlines(), new.splitlines()
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    added = ["\n".join(after[start:end]).strip("\n") for kind, _, _, start, end in changes if kind != "equal"]
    return "\n\n".join(part for part in added if part)


def _update_header(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], configs: Collection[str]
) -> dict[str, Any]:
    """Our keys win. Lists of words are joined. Configs that people added stay, and their licence if we know none."""
    kept = dict(theirs)
    if theirs.get("license") and ours.get("license", "unknown") == "unknown":
        ours = {key: value for key, value in ours.items() if key != "license"}
    else:
        kept = {key: value for key, value in theirs.items() if not str(key).startswith("license")}
    merged = {**ours, **{key: value for key, value in kept.items() if key not in ours}}
    for key in ours.keys() & kept.keys():
        new, old = ours[key], kept[key]
        if key in _BY_CONFIG:
            known = {*configs, *(_config(entry) for entry in _entries(new))}
            added = [entry for entry in _entries(old) if _config(entry) not in known]
            merged[key] = [*_entries(new), *added] if added else new
        elif _is_words(new) and _is_words(old):
            merged[key] = list(dict.fromkeys((*new, *old)))
    return merged


def _entries(value: Any) -> list[Mapping[str, Any]]:
    """The entries of ``configs`` or ``dataset_info``; the latter may be a single one that is not in a list."""
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, Mapping)]


def _config(entry: Mapping[str, Any]) -> str:
    return str(entry.get("config_name", "default"))


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
