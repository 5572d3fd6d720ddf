"""One page, from its first block to its last, in a folder of its own.

Commands run through the real console command, in this process; Python blocks share one namespace, as in a notebook;
YAML blocks are validated as recipes, whole ones and parts of one.
"""

from __future__ import annotations

import io
import json
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, Block
from tests.docs.row import check_row
from toolgen_hf.cli import main, parser
from toolgen_hf.recipe import Recipe

WHOLE: dict[str, Any] = {
    "name": "whole",
    "answer": {"generator": {"kind": "local", "model": "org/name"}},
    "sources": {"few-shot": {"prompt": "few_shot", "generator": {"kind": "local", "model": "org/name"}}},
}
"""What a block that is part of a recipe is put into."""

_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")
_CONTINUED = re.compile(r"\\\n\s*")


@dataclass
class Site:
    """Where a page is executed, and what it has printed."""

    folder: Path
    patch: pytest.MonkeyPatch
    urls: dict[str, str]  # as they stand on pages -> where the scripted servers are
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""
    code: int = 0

    def run(self, block: Block) -> None:
        """Do with a block what its comment or its language says."""
        text = block.text
        for shown, real in self.urls.items():
            text = text.replace(shown, real)
        if block.mark == "not run":
            check_not_run(block)
        elif block.mark == "parsed":
            for line in text.splitlines():
                parser().parse_args(shlex.split(line)[1:])
        elif block.mark.startswith("output"):
            check_output(block, text, self.printed)
        elif block.mark == "row":
            check_row(json.loads(text), block.value)
        elif block.mark == "file":
            self._write(block.value, text)
        elif block.language == "bash":
            self._bash(block, text)
        elif block.language == "python":
            self._python(block, text)
        elif block.language == "yaml":
            check_recipe(yaml.safe_load(text))
        elif block.language == "py":
            check_excerpt(block)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")
        if name.endswith(".yaml"):
            Recipe.load(self.folder / name)

    def _bash(self, block: Block, text: str) -> None:
        self.printed = ""
        lines = [
            words for line in _CONTINUED.sub(" ", text).splitlines() if (words := shlex.split(line, True))
        ]
        for at, words in enumerate(lines):
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                code = self._command(words)
            self.printed += out.getvalue()
            due = int(block.value) if block.mark == "exit" and at == len(lines) - 1 else 0
            if due:
                self.printed += err.getvalue()
            assert code == due, (
                f"{block.where}: {shlex.join(words)} gave {code}\n{out.getvalue()}{err.getvalue()}"
            )

    def _command(self, words: list[str]) -> int:
        """Run one command; returns its exit code."""
        while words and _ASSIGNMENT.match(words[0]):
            name, _, value = words.pop(0).partition("=")
            self.patch.setenv(name, value)
        if not words:
            return 0
        program, *rest = words
        if program == "export":
            return self._command(rest)
        if program == "cd":
            self.patch.chdir(rest[0])
            return 0
        if Path(program).name == "toolgen-hf":
            return ended(lambda: main(rest))
        if program == "python" and rest[0].endswith(".py"):
            self.patch.setattr(sys, "argv", rest)
            return ended(lambda: runpy.run_path(rest[0], run_name="__main__"))
        done = subprocess.run(
            [sys.executable, *rest] if program == "python" else ["bash", "-c", shlex.join(words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        print(done.stdout + done.stderr)
        return done.returncode

    def _python(self, block: Block, text: str) -> None:
        code = compile(textwrap.dedent(text), block.where, "exec")
        with redirect_stdout(out := io.StringIO()):
            exec(code, self.names)
        self.printed = out.getvalue()


def ended(program: Any) -> int:
    """The exit code of what returns one, or exits."""
    try:
        code = program()
    except SystemExit as done:
        code = done.code
    return code if isinstance(code, int) else 0


def check_recipe(data: dict[str, Any]) -> None:
    """A whole recipe is valid, and so is a part of one in the place where it belongs."""
    data = {**WHOLE, **data}
    trained = {s["generator"].get("adapter", "").removeprefix("finetune:") for s in data["sources"].values()}
    if "finetune" not in data and (trained := trained - {""}):
        data["finetune"] = {name: {"model": "org/name"} for name in trained}
    Recipe.parse(data)


def check_excerpt(block: Block) -> None:
    """What is marked ``py`` stands in a file of the examples."""
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "docs" / "examples").rglob("*.py")]
    assert any(block.text in source for source in sources), f"{block.where}: in no example"


def check_output(block: Block, text: str, printed: str) -> None:
    """What a page says is printed is what is printed, without blanks at the ends of lines."""
    due = [line.rstrip() for line in text.strip().splitlines()]
    came = [line.rstrip() for line in printed.strip().splitlines()]
    if block.mark == "output" and "..." not in due:
        assert came == due, f"{block.where}: printed\n{printed}"
        return
    rest = iter(came)
    for line in due:
        assert line in ("", "...") or line in rest, (
            f"{block.where}: {line!r} is not in its place in\n{printed}"
        )


def check_not_run(block: Block) -> None:
    """What is not executed is at least there: make's targets, pip's extras."""
    assert block.value, f"{block.where}: say why it is not run"
    makefile, setup = (ROOT / "Makefile").read_text(), (ROOT / "setup.cfg").read_text()
    for target in re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{block.where}: no target {target}"
    for extras in re.findall(r"\[([\w,]+)\]\"?", block.text) if "pip install" in block.text else ():
        for extra in extras.split(","):
            assert f"\n{extra} =" in setup, f"{block.where}: no extra {extra}"
