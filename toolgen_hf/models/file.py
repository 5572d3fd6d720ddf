"""Given texts, in a file: the published responses files, or any file with a question and a response in each row.

    {kind: file, path: data/stage2/GSM8K/GSM8K_davinci_response.json}

As a source (stages/respond.py), rows are matched by id or by the question's words; as the student, by the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from toolgen_hf._utils import words
from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.builders.columns import known, named, optional_text, text
from toolgen_hf.builders.inputs import digest, from_files
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.models.config import FileConfig
from toolgen_hf.models.given import MISSING, Given, match


class FileGenerator:
    """Implements `toolgen_hf.models.base.Generator`. A question that the file lacks gets no text.

    Raises:
        ConfigError: there is no such file.
    """

    is_batch = False

    def __init__(self, config: FileConfig) -> None:
        self.config = config

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files, in order."""
        paths = [self.config.path] if isinstance(self.config.path, str) else list(self.config.path)
        try:
            return tuple(path for found in from_files(paths, "train").values() for path in found)
        except DataError as error:
            raise ConfigError(str(error)) from error

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Every row with its place.

        Raises:
            DataError: a file is malformed.
        """
        return (found for path in self.files for found in read_rows(path))

    def identity(self) -> dict[str, Any]:
        """The content of the files."""
        return {"kind": self.config.kind, "content": digest({"train": self.files})}

    def check(self) -> None:
        """Find the files."""
        _ = self.files

    def describe(self) -> str:
        """The files by name, without their folders."""
        names = ", ".join(f"`{path.name}`" for path in self.files)
        return f"responses that were given, {names} ({self.identity()['content'][:12]})"

    def terms(self) -> str:
        """A file does not state its terms."""
        return "not stated by its file"

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields the text of each question (the user part of the prompt)."""
        given = self._given
        for at, request in enumerate(requests):
            key = words(request.prompt.user)
            found, end = given.responses.get(key), given.ends.get(key)
            made = Generation("", MISSING) if found is None else Generation(found, end or "stop")
            yield [(at, made)]

    @cached_property
    def _given(self) -> Given:
        """The texts by the question's words; of several for one question the first."""
        rows = list(self.rows())
        asked = {words(text(row, named(row, "question"), where)): "" for where, row in rows}
        return match(rows, {question: question for question in asked}, self.config.name)

    @cached_property
    def calls(self) -> dict[str, str]:
        """The tool calls by the question's words; of several for one question the first.

        Raises:
            DataError: a file is malformed, or a row has no column for a call.
        """
        found: dict[str, str] = {}
        for where, row in self.rows():
            name = named(row, "tool_call")
            if name not in row:
                raise fault(
                    where,
                    f"no column 'tool' or 'tool_call' to take a teacher's call from; there is {known(row)}",
                )
            if call := optional_text(row, name, where):
                found.setdefault(words(text(row, named(row, "question"), where)), call)
        return found

    def parse(self, raw: str) -> Generation:
        """A file has no raw answers."""
        raise NotImplementedError("given responses have no raw answers")

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        """Nothing is sent."""
        return 0, 0

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Nothing."""
        return 0.0
