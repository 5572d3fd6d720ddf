"""Tables, and docstrings as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is kept apart from those between them."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def prose(docstring: str | None) -> str:
    """A docstring's text without its examples, sections and reStructuredText."""
    text = re.split(r"\n\s*\n(?:Raises|Args|Returns):", docstring or "")[0]
    paragraphs = [
        re.sub(r"\s+", " ", p).strip() for p in re.split(r"\n\s*\n", text) if not p.startswith("    ")
    ]
    return re.sub(r"``(.+?)``", r"`\1`", "\n\n".join(paragraphs))


def line(docstring: str | None) -> str:
    """A docstring as one line of a table."""
    return prose(docstring).replace("\n\n", " ")
