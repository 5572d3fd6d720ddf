"""Given texts, in a file: the published responses files, or any file with a question and a response in each row.

    {kind: file, path: data/stage2/GSM8K/GSM8K_davinci_response.json}

As a source (stages/respond.py), a row belongs to the question with its id, unless it repeats another question.
Otherwise it belongs to the question with the same words, because files may have ids of their own. Rows that belong to
no question become ``schemas.REJECTED``. As the student or a teacher, a row belongs to the question with the same words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import xxhash

from toolgen_hf._utils import well_formed, words
from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.builders.columns import as_text, known, named, optional_text, pick, text
from toolgen_hf.builders.inputs import digest, from_files
from toolgen_hf.builders.rows import Row, fault, read_rows
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.models.config import FileConfig

STAGE = "respond"
"""The stage of these rows in ``rejected``."""
T = TypeVar("T")
_ROWS = 10_000
"""Rows that are read and written together."""
MISSING = "missing"
"""The ``finish_reason`` of a question without a given response."""


class FileGenerator:
    """Implements `toolgen_hf.models.base.GivenTexts`. A question that the file lacks gets no text.

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
        return {"kind": self.config.kind, "content": digest({"train": self.files})}

    def check(self) -> None:
        _ = self.files

    def describe(self) -> str:
        names = ", ".join(f"`{path.name}`" for path in self.files)
        return f"responses that were given, {names} ({self.identity()['content'][:12]})"

    def terms(self) -> str:
        return "not stated by its file"

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields the text of each question (the user part of the prompt)."""
        for at, request in enumerate(requests):
            yield [(at, self.look_up(request.prompt))]

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config}  # a worker on another machine has no copy of what was read

    def open(self) -> None:
        """Read the file now, so that forked processes share what was read."""
        _ = self._responses

    def look_up(self, prompt: Prompt) -> Generation:
        """The text of a question. It is not stored again: it is in the file."""
        return self._responses.get(prompt.user) or Generation("", MISSING)

    def call(self, question: str) -> Generation | None:
        """The tool call of a question; None if the file has none.

        Raises:
            DataError: a file is malformed, or a row has no column for a call.
        """
        return self._calls.get(question)

    @cached_property
    def _responses(self) -> TextsOnDisk:
        def text_of(row: Row, where: str) -> tuple[str | None, str | None]:
            value = pick(row, named(row, "response"), where)
            return None if value is None else as_text(value, "response", where), _end(row, where)

        return TextsOnDisk(self.rows(), text_of)

    @cached_property
    def _calls(self) -> TextsOnDisk:
        def call_of(row: Row, where: str) -> tuple[str | None, str | None]:
            name = named(row, "tool_call")
            if name not in row:
                raise fault(
                    where,
                    f"no column 'tool' or 'tool_call' to take a teacher's call from; there is {known(row)}",
                )
            return optional_text(row, name, where) or None, None

        return TextsOnDisk(self.rows(), call_of)

    def parse(self, raw: str) -> Generation:
        raise NotImplementedError("given responses have no raw answers")

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        return 0, 0

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        return 0.0


class TextsOnDisk:
    """The texts of a file by their question's words, in a temporary folder: a million of them take no memory.

    Of several rows of one question the first counts.

    Args:
        rows: each row with its place.
        text_of: the text of a row and its ``finish_reason``. A row without a text does not count.

    Raises:
        DataError: a row has no question, or ``text_of`` found a fault.
    """

    def __init__(
        self, rows: Iterable[tuple[str, Row]], text_of: Callable[[Row, str], tuple[str | None, str | None]]
    ) -> None:
        self._folder = TemporaryDirectory(prefix="toolgen_hf-")
        self.path = Path(self._folder.name, "texts.arrow")
        hashes: list[np.ndarray[Any, np.dtype[np.uint64]]] = []
        names = ("question", "text", "finish_reason")
        with pa.ipc.new_file(
            str(self.path), pa.schema([(name, pa.large_string()) for name in names])
        ) as file:
            for chunk in _chunks(rows, _ROWS):
                columns: list[tuple[str, str | None, str | None]] = []
                for where, row in chunk:
                    question = words(text(row, named(row, "question"), where))
                    found, end = text_of(row, where)
                    columns.append((well_formed(question), _well_formed(found), end))
                hashes.append(np.array([_hash(question) for question, _, _ in columns], np.uint64))
                arrays = [pa.array(values, pa.large_string()) for values in zip(*columns, strict=True)]
                file.write_batch(pa.record_batch(arrays, names=list(names)))
        whole = np.concatenate([np.zeros(0, np.uint64), *hashes])
        self.numbers = np.argsort(whole, kind="stable")
        self.hashes = whole[self.numbers]
        self._table: list[pa.RecordBatch] | None = None

    def get(self, question: str) -> Generation | None:
        """The text of a question; None if it has none."""
        wanted = well_formed(words(question))
        key = _hash(wanted)
        at = int(np.searchsorted(self.hashes, np.uint64(key)))
        while at < len(self.hashes) and self.hashes[at] == key:
            chunk, number = divmod(int(self.numbers[at]), _ROWS)
            asked, found, end = (column[number].as_py() for column in self._chunk(chunk).columns)
            if asked == wanted and found is not None:
                return Generation(found, end or "stop")
            at += 1
        return None

    def _chunk(self, number: int) -> pa.RecordBatch:
        if self._table is None:
            with pa.ipc.open_file(pa.memory_map(str(self.path))) as file:
                self._table = [file.get_batch(at) for at in range(file.num_record_batches)]
        return self._table[number]


def _hash(question: str) -> int:
    """Of a question's words. A million questions have two with one hash with a probability of 1 in 30 million."""
    return xxhash.xxh3_64_intdigest(question.encode("utf-8", "surrogatepass"))


def _well_formed(text: str | None) -> str | None:
    return text if text is None else well_formed(text)


def _chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(rows)
    while chunk := list(islice(left, size)):
        yield chunk


def _end(row: Row, where: str) -> str | None:
    return optional_text(row, "finish_reason", where) if "finish_reason" in row else None


@dataclass
class Given:
    """The responses of one source and their ``finish_reason``, by the question's id; and the rejected rows.

    A response without a text (None, or blanks) counts as a response and scores 0.
    """

    source: str
    responses: dict[str, str | None] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    rejected: list[dict[str, str]] = field(default_factory=list)

    def empty(self) -> str | None:
        """A note on responses without a text; None if every response has one."""
        count = sum(not (text or "").strip() for text in self.responses.values())
        return f"{self.source}: {count} without a text, scored as no answer" if count else None

    def end(self, key: str) -> str | None:
        """The ``finish_reason`` of a question's response; `MISSING` if it has none."""
        return self.ends.get(key) if key in self.responses else MISSING


def rejected(key: str, stage: str, reason: str, detail: Mapping[str, Any]) -> dict[str, str]:
    """A row of ``schemas.REJECTED``."""
    found = json.dumps({"id": key, **detail}, ensure_ascii=False, default=str)
    return {"id": key, "stage": stage, "reason": reason, "detail": found}


def unanswered(source: str, key: str, question: str) -> dict[str, str]:
    """A question without a response in a source's file, as a row of ``schemas.REJECTED``."""
    return rejected(key, STAGE, f"{source}: no response to this question", {"question": question})


def match(
    rows: Iterable[tuple[str, Row]],
    questions: Iterable[tuple[str, str]],
    source: str,
    unknown: str = "no such question",
) -> Given:
    """The responses in ``rows`` (each with its place) to ``questions`` (each with its id).

    Args:
        unknown: the reason of a row with another question.

    Raises:
        DataError: a row has no response, or it is not a text; names file and line.
    """
    asked_by: dict[str, int] = {}  # id -> hash of the words
    by_words: dict[int, str | list[str]] = {}  # one id, or several where questions repeat
    for one, question in questions:
        key = asked_by[one] = _hash(words(question))
        same = by_words.setdefault(key, one)
        if same is not one:
            by_words[key] = [*([same] if isinstance(same, str) else same), one]
    found = Given(source)
    for where, row in rows:
        own, asked = (_own(row, column, where) for column in ("id", "question"))
        value = pick(row, named(row, "response"), where)
        response = None if value is None else as_text(value, "response", where)
        said = None if asked is None else _hash(words(asked))
        of: str | None = None
        if own in asked_by and (said is None or said == asked_by[str(own)]):
            of = own
        if of is None and said is not None:
            same = by_words.get(said, [])
            repeats = [same] if isinstance(same, str) else same
            of = next((new for new in repeats if new not in found.responses), next(iter(repeats), None))
        if of is None:
            why = "another question under this id" if own in asked_by else unknown
            found.rejected.append(rejected(own or where, STAGE, f"{source}: {why}", row))
        elif of in found.responses:
            found.rejected.append(rejected(of, STAGE, f"{source}: a second response to this question", row))
        else:
            found.responses[of] = response
            if end := _end(row, where):
                found.ends[of] = end
    return found


def _own(row: Row, column: str, where: str) -> str | None:
    name = named(row, column)
    return optional_text(row, name, where) if name in row else None
