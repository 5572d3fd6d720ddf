"""The pages that people read, as blocks: what stands in a fence, and the comment before it that says what it is.

    <!-- file: mine.yaml -->         the block is written to that file; one in YAML is also validated as a recipe
    <!-- output -->                  what the block before it prints; a line "..." stands for any lines
    <!-- output, abridged -->        lines of it, in their order
    <!-- exit: 2 -->                 the last command of the block ends with that code
    <!-- row: stage1 -->             a row of a config, which row.py checks
    <!-- parsed -->                  examples of a command's help: the command line takes them, and nothing runs
    <!-- not run: needs a GPU -->    not executed; the reason is for readers of the source and for test_pages.py

A page with ``<!-- slow -->`` is one that a quick run of the tests leaves out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXECUTED = ("bash", "python", "py", "yaml")
SHOWN = ("", "text", "json", "csv", "bibtex", "toml")
"""What nothing runs, unless a comment says so."""
MARKS = ("file", "output", "exit", "row", "parsed", "not run")

_BLOCK = re.compile(
    r"^(?:<!-- *(?P<mark>[^\n]*?) *-->\n+)?(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fence of a page."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    value: str = ""

    @property
    def where(self) -> str:
        """``README.md:35``, for messages."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One file of Markdown."""

    name: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        """Its fences, in their order."""
        return [_block(self, found) for found in _BLOCK.finditer(self.text)]

    @property
    def is_slow(self) -> bool:
        return "<!-- slow -->" in self.text


def _block(page: Page, found: re.Match[str]) -> Block:
    mark, _, value = (found["mark"] or "").partition(":")
    known = mark.partition(",")[0] in MARKS
    line = page.text.count("\n", 0, found.start("fence")) + 1
    return Block(
        page.name,
        line,
        found["language"],
        found["text"],
        mark if known else "",
        value.strip() if known else "",
    )


def pages() -> dict[str, Page]:
    """Every page, by its path in the repository."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [file.relative_to(ROOT).as_posix() for file in files]
    return {
        name: Page(name, file.read_text(encoding="utf-8")) for name, file in zip(names, files, strict=True)
    }
