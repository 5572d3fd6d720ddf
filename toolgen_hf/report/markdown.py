"""Text into a card so that it stays text: nothing that a name or a reason holds becomes markup.

plain("a | b <i>")        a \\| b \\<i>
code("x")                 `x`
table(["a", "b"], ...)    | a | b |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"[\\`*\[\]<&|~$#]|(?<![^\W_])_|_(?![^\W_])")
_START = re.compile(r"^([-+=:>]|\d{1,9}(?=[.)](?:\s|$)))")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: object) -> str:
    """A text on one line, as it reads."""
    line = " ".join(_UNSEEN.sub(" ", str(text)).split())
    escaped = _MARKUP.sub(lambda sign: f"\\{sign.group()}", line)
    return _START.sub(lambda sign: sign[1] + "\\" if sign[1].isdigit() else f"\\{sign[1]}", escaped)


def code(text: object) -> str:
    """A text on one line as code; also within a table."""
    line = " ".join(_UNSEEN.sub(" ", str(text)).split()).replace("|", "\\|")
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def block(text: str, language: str = "") -> str:
    """Lines of code, whatever they hold."""
    fence = "`" * max(3, _longest_run(text) + 1)
    ended = text if text.endswith("\n") else f"{text}\n"
    return f"{fence}{language}\n{ended}{fence}"


def details(summary: str, content: str) -> str:
    """Content that is shown when it is asked for. ``summary`` is ours: it is put in as it is."""
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n\n</details>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], numbers: range = range(0)) -> str:
    """A table of cells that are Markdown already, "" without any row. The columns ``numbers`` are right-aligned."""
    lines = [" | ".join(str(cell) for cell in row) for row in rows]
    if not lines:
        return ""
    rules = ["---:" if at in numbers else "---" for at in range(len(header))]
    return "\n".join(f"| {line} |" for line in (" | ".join(header), " | ".join(rules), *lines))


def bullets(items: Iterable[str]) -> str:
    """A list of Markdown lines; those that are empty are left out."""
    return "\n".join(f"- {item}" for item in items if item)


def link(text: str, address: str) -> str:
    """A link, where the address is one of the web; else the text alone."""
    if not re.fullmatch(r"https?://[^\s<>()\[\]|`\"\\]+", address):
        return plain(text)
    return f"[{plain(text)}]({address})"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
