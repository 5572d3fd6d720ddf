"""The pages of the documentation as blocks, and how a page is run: block by block, in a folder of its own.

A comment before a fence says what the block is:

    <!-- file: mine.yaml -->         the block is written to that file; a YAML file must be a valid recipe
    <!-- output -->                  what the block before it prints; a line "..." stands for any lines
    <!-- output, abridged -->        some of the printed lines, in their order
    <!-- exit: 2 -->                 the last command of the block ends with that exit code
    <!-- row: stage1 -->             a row of a config, which test_pages.py checks
    <!-- parsed -->                  examples from a command's help: they are parsed and not run
    <!-- not run: needs a GPU -->    not run, with the reason

Without a comment, ``bash`` runs in this process through the real command line, ``python`` blocks share one namespace,
and ``yaml`` must be a recipe or a part of one. A page with ``<!-- slow -->`` is left out of a quick test run.
"""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolgen_hf.cli import main, parser
from toolgen_hf.recipe import Recipe

ROOT = Path(__file__).parents[2]
MARKS = ("file", "output", "exit", "row", "parsed", "not run")
LANGUAGES = ("bash", "python", "yaml", "", "text", "json", "csv", "toml")
_FENCE = re.compile(
    r"^(?:<!-- *(?P<mark>[^\n]*?) *-->\n+)?(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_FINETUNE = "finetune:"
MODEL = {"kind": "local", "model": "org/name"}
WHOLE: dict[str, Any] = {
    "name": "whole",
    "answer": {"generator": MODEL},
    "sources": {"few-shot": {"prompt": "few_shot", "generator": MODEL}},
}
"""A recipe that a YAML block with some keys of a recipe is merged into."""


@dataclass(frozen=True)
class Block:
    """One fence of a page. ``where`` is ``README.md:35``."""

    where: str
    language: str
    text: str
    mark: str
    value: str


@dataclass(frozen=True)
class Page:
    name: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        return [self._block(found) for found in _FENCE.finditer(self.text)]

    def _block(self, found: re.Match[str]) -> Block:
        mark, _, value = (found["mark"] or "").partition(":")
        if mark.partition(",")[0] not in MARKS:
            mark = value = ""
        line = self.text.count("\n", 0, found.start("fence")) + 1
        return Block(f"{self.name}:{line}", found["language"], found["text"], mark, value.strip())


def pages() -> dict[str, Page]:
    """All pages by their path in the repository."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [Page(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files]
    return {page.name: page for page in found}


@dataclass
class Site:
    """The folder where a page runs, and what its last block printed."""

    folder: Path
    patch: pytest.MonkeyPatch
    urls: dict[str, str]  # URLs on the pages -> URLs of the scripted servers
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""

    def run(self, block: Block) -> None:
        """Run or check one block."""
        text = block.text
        for shown, real in self.urls.items():
            text = text.replace(shown, real)
        if block.mark == "not run":
            assert block.value, f"{block.where}: say why it is not run"
        elif block.mark == "parsed":
            for line in text.splitlines():
                parser().parse_args(shlex.split(line)[1:])
        elif block.mark.startswith("output"):
            check_output(block, text, self.printed)
        elif block.mark == "file":
            (self.folder / block.value).write_text(text, encoding="utf-8")
            if block.value.endswith(".yaml"):
                Recipe.load(self.folder / block.value)
        elif block.language == "bash":
            self._bash(block, text)
        elif block.language == "python":
            with redirect_stdout(StringIO()) as out:
                exec(compile(textwrap.dedent(text), block.where, "exec"), self.names)
            self.printed = out.getvalue()
        elif block.language == "yaml":
            check_recipe(yaml.safe_load(text))

    def _bash(self, block: Block, text: str) -> None:
        self.printed = ""
        commands = [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]
        for words in commands:
            with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
                code = self._command(words)
            due = int(block.value) if block.mark == "exit" and words is commands[-1] else 0
            self.printed += out.getvalue() + (err.getvalue() if due else "")
            assert code == due, f"{block.where}: {words} gave {code}\n{out.getvalue()}{err.getvalue()}"

    def _command(self, words: list[str]) -> int:
        """Run one command and return its exit code."""
        program, *rest = words
        if program == "export":
            name, _, value = rest[0].partition("=")
            self.patch.setenv(name, value)
            return 0
        if program == "cd":
            self.patch.chdir(rest[0])
            return 0
        if program == "toolgen-hf":
            return exit_code(lambda: main(rest))
        if program == "python" and rest[0].endswith(".py"):
            self.patch.setattr(sys, "argv", rest)
            return exit_code(lambda: runpy.run_path(rest[0], run_name="__main__"))
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        print(done.stdout + done.stderr)
        return done.returncode


def exit_code(program: Callable[[], Any]) -> int:
    """The exit code that a program returns or exits with."""
    try:
        code = program()
    except SystemExit as done:
        code = done.code
    return code if isinstance(code, int) else 0


def check_recipe(data: dict[str, Any]) -> None:
    """Validate a recipe, or some keys of one. An adapter that a source names is added to ``finetune``."""
    data = WHOLE | data
    adapters = [source["generator"].get("adapter", "") for source in data["sources"].values()]
    trained = [name.removeprefix(_FINETUNE) for name in adapters if name.startswith(_FINETUNE)]
    Recipe.parse({"finetune": {name: {"model": "org/name"} for name in trained}} | data)


def check_output(block: Block, text: str, printed: str) -> None:
    """Compare the output on the page with the printed one, without spaces at the ends of lines."""
    due = [line.rstrip() for line in text.strip().splitlines()]
    came = [line.rstrip() for line in printed.strip().splitlines()]
    if block.mark == "output" and "..." not in due:
        assert came == due, f"{block.where}: printed\n{printed}"
    rest = iter(came)
    for line in due:
        assert line in ("", "...") or line in rest, f"{block.where}: {line!r} is missing in\n{printed}"
