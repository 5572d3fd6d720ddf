"""Text in a card stays text: nothing in a name or a reason becomes markup.

plain("a | b <i>")        a \\| b \\<i>
code("x")                 `x`
table(["a", "b"], ...)    | a | b |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"[\\`*\[\]<&|~$#]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=[-+=:>]))")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_NUMBERS = re.compile(r"[\d,.%+ -]*")


def plain(text: object) -> str:
    """A text on one line, shown as it is."""
    return _START.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", _one_line(text)))


def code(text: object) -> str:
    """A text on one line as code, also within a table."""
    line = _one_line(text).replace("|", "\\|")
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def block(text: str, language: str = "") -> str:
    """Lines of code."""
    fence = "`" * max(3, _longest_run(text) + 1)
    ended = text if text.endswith("\n") else f"{text}\n"
    return f"{fence}{language}\n{ended}{fence}"


def details(summary: str, content: str) -> str:
    """Content that a click shows. ``summary`` is not escaped."""
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n\n</details>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown cells, "" if there are no rows. Columns of numbers are right-aligned."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    columns = zip(*cells, strict=True)
    rules = ["---:" if all(map(_NUMBERS.fullmatch, column)) else "---" for column in columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rules, *cells))


def bullets(items: Iterable[str]) -> str:
    """A list of Markdown lines, without the empty ones."""
    return "\n".join(f"- {item}" for item in items if item)


def link(text: str, address: str) -> str:
    """A link if the address is one of the web, otherwise only the text."""
    if not re.fullmatch(r"https?://[^\s<>()\[\]|`\"\\]+", address):
        return plain(text)
    return f"[{plain(text)}]({address})"


def _one_line(text: object) -> str:
    return " ".join(_UNSEEN.sub(" ", str(text)).split())


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
