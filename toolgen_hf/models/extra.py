"""No secret in ``extra``: it is sent as it is, and saved with the result.

find_secret({"metadata": {"run": "a"}, "extra_body": {"x-api-key": "..."}})  ->  "extra_body.x-api-key"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

_NAMES = re.compile(
    # of a name in small letters without anything between its words: "x-api-key" and "apiKey" are of one kind
    r"apikey|(access|auth|private|secret|signing|subscription|client|master|account|shared|storage)key|headers?$|header|authoriz|authentic"
    r"|(access|api|auth|bearer|client|csrf|hf|id|jwt|oauth|refresh|security|session|sso|user|xsrf)tokens?$|^tokens?$|auth$"
    r"|bearer|secret|passw|passphrase|^pwd$|^jwt$|credential|cookie|extraquery"
)
_WORDS = re.compile(r"[^a-z0-9]")
_VALUES = (
    re.compile(r"^\s*(bearer|basic|digest|negotiate)\s+[\w.~+/=-]{6,}\s*$", re.IGNORECASE),
    re.compile(r"\b(bearer|token)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}", re.IGNORECASE),
    re.compile(r"://[^/\s:@]*:[^/\s@]+@"),  # a URL with a password
)
_PAIR = re.compile(r"""["']?([\w-]+)["']?\s*[:=]\s*["']?[^\s"']""")
"""A name and its value within a text: ``Authorization: Bearer x``, ``{"api_key": "x"}``, ``access_token=x``."""


class Scanner(Protocol):
    """What finds secrets by their form (`toolgen_hf.secrets.Scanner`)."""

    def secrets(self, text: str) -> Any:
        """What each secret in a text is, as an iterator."""


def find_secret(extra: Mapping[str, Any], scanner: Scanner) -> str | None:
    """Where the first secret is, by a name or by a value at any depth; never what it is. None: there is none."""
    return _in_value(extra, "", scanner)


def _in_value(value: Any, at: str, scanner: Scanner, is_schema: bool = False) -> str | None:
    """``is_schema``: names are those of a JSON schema's properties, which describe a field and hold no value."""
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode("utf-8", "replace")
        return at if _is_secret(text, scanner) else None
    if isinstance(value, Mapping):
        for name, one in value.items():
            place = f"{at}.{name}" if at else str(name)
            if _is_secret(str(name), scanner):
                return f"{at}.…" if at else "…"
            if is_secret_name(str(name)) and not (is_schema and isinstance(one, Mapping)):
                return place
            if found := _in_value(one, place, scanner, is_schema=name == "properties"):
                return found
        named = next(
            (value[key] for key in ("name", "key", "header") if isinstance(value.get(key), str)), None
        )
        return (at or "value") if named and value.get("value") is not None and is_secret_name(named) else None
    if isinstance(value, list | tuple | set | frozenset):
        return next(filter(None, (_in_value(one, f"{at}.{n}", scanner) for n, one in enumerate(value))), None)
    return None


def is_secret_name(name: str) -> bool:
    """Whether a name is that of a key, a header or the like, however its words are joined."""
    return _NAMES.search(_WORDS.sub("", name.lower())) is not None


def _is_secret(text: str, scanner: Scanner) -> bool:
    return (
        any(form.search(text) for form in _VALUES)
        or any(is_secret_name(found[1]) for found in _PAIR.finditer(text))
        or next(iter(scanner.secrets(text)), None) is not None
    )
