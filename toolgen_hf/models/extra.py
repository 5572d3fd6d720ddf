"""Finds secrets in ``extra``, which is sent as it is and saved with the result.

find_secret({"metadata": {"run": "a"}, "extra_body": {"x-api-key": "..."}}, scanner)  ->  "extra_body.x-api-key"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolgen_hf.secrets import Scanner

_NAMES = re.compile(
    # matched against a name in small letters without separators: "x-api-key" and "apiKey" both have "apikey"
    r"apikey|(access|auth|private|secret|signing|subscription|client|master|account|shared|storage)key|headers?$|header|authoriz|authentic"
    r"|(access|api|auth|bearer|client|csrf|hf|id|jwt|oauth|refresh|security|session|sso|user|xsrf)tokens?$|^tokens?$|auth$"
    r"|bearer|secret|passw|passphrase|^pwd$|^jwt$|credential|cookie|extraquery"
)
_VALUES = (
    re.compile(r"^\s*(bearer|basic|digest|negotiate)\s+[\w.~+/=-]{6,}\s*$", re.IGNORECASE),
    re.compile(r"\b(bearer|token)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}", re.IGNORECASE),
    re.compile(r"://[^/\s:@]*:[^/\s@]+@"),  # a URL with a password
)
_PAIR = re.compile(r"""["']?([\w-]+)["']?\s*[:=]\s*["']?[^\s"']""")
"""A name and its value within a text: ``Authorization: Bearer x``, ``{"api_key": "x"}``, ``access_token=x``."""


def find_secret(extra: Mapping[str, Any], scanner: Scanner) -> str | None:
    """The dotted path of the first secret, by its name or its value, at any depth; None if there is none."""
    return _in_value(extra, "", scanner)


def _in_value(value: Any, at: str, scanner: Scanner, is_schema: bool = False) -> str | None:
    """``is_schema``: the names are those of properties in a JSON schema, which describe a field and hold no value."""
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode("utf-8", "replace")
        return at if _is_secret(text, scanner) else None
    if isinstance(value, Mapping):
        for name, item in value.items():
            place = f"{at}.{name}" if at else str(name)
            if _is_secret(str(name), scanner):
                return f"{at}.…" if at else "…"
            if _is_secret_name(str(name)) and not (is_schema and isinstance(item, Mapping)):
                return place
            if found := _in_value(item, place, scanner, is_schema=name == "properties"):
                return found
        named = [value[key] for key in ("name", "key", "header") if isinstance(value.get(key), str)][:1]
        is_pair = value.get("value") is not None and any(map(_is_secret_name, named))
        return (at or "value") if is_pair else None
    if isinstance(value, list | tuple | set | frozenset):
        found_in = (_in_value(item, f"{at}.{n}", scanner) for n, item in enumerate(value))
        return next(filter(None, found_in), None)
    return None


def _is_secret_name(name: str) -> bool:
    return _NAMES.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def _is_secret(text: str, scanner: Scanner) -> bool:
    return (
        any(form.search(text) for form in _VALUES)
        or any(_is_secret_name(found[1]) for found in _PAIR.finditer(text))
        or next(iter(scanner.secrets(text)), None) is not None
    )
