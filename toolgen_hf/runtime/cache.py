"""Outputs of stages on disk, by fingerprint.

    stages/answer-1f0c....arrow     an output
    stages/answer-1f0c....json      its note: {"digest": "...", "texts": 48, "prompt_tokens": 5210, "cost": 0.07, ...}

An output is opened only if its digest is the one in its note. A damaged output is deleted and made again, from the
texts in the store.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features
from datasets.arrow_writer import ArrowWriter

from toolgen_hf._utils import file_xxh3, processes_for, quiet_datasets, replacing, run_jobs
from toolgen_hf.runtime.texts import Usage

logger = logging.getLogger(__name__)

_JOINED = 10
"""Batches of a part that are joined to one."""


def open_output(path: Path, features: Features, like: Dataset) -> Dataset | None:
    """The output at ``path``, of the split of ``like``; None if there is none, or a damaged one."""
    if not path.exists():
        return None
    try:
        note = read_note(path)
        if "digest" in note:
            if note["digest"] != file_xxh3(path):
                raise pa.ArrowInvalid("its bytes are not those that were written")
            return _read(path, features, like)
        made = _read(path, features, like)  # an earlier version noted no digest
        made.data.table.validate(full=True)
        with suppress(OSError):  # the cache may be read-only
            write_note(path, {"digest": file_xxh3(path), **note})
        return made
    except (pa.ArrowException, ValueError, OSError) as error:
        if getattr(error, "errno", None):  # trouble of the system, not of the file
            raise
        logger.warning("the cached output %s is damaged and is made again (%s)", path, error)
        path.unlink(missing_ok=True)
        return None


def write_output(
    path: Path, rows: Dataset, features: Features, transform: Callable[[Path], tuple[Path, Mapping[str, Any]]]
) -> Dataset:
    """Let ``transform`` write an Arrow file, then move it to its place, whole or not at all.

    Args:
        path: the file's place.
        transform: writes to the path that it is given. Returns the final place and what the note records.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as scratch, quiet_datasets(), _disk_errors():
        file = Path(scratch) / path.name
        place, facts = transform(file)
        write_note(path, {"digest": file_xxh3(file), **facts})  # first: no output is without a note
        file.replace(place)
    return _read(place, features, rows)


def kept_batches(
    batches: Callable[[int, int], Iterator[Mapping[str, list[Any]]]],
    count: int,
    features: Features,
    like: Dataset,
    fingerprint: str,
    path: Path | None,
) -> Dataset:
    """A dataset from batches of columns, of the split of ``like``: at ``path`` in the cache, or in memory without one.

    Args:
        batches: gives what is made of the rows from one number to another, if the whole is not in the cache.
        count: the number of rows.
    """
    made = None if path is None else open_output(path, features, like)
    if made is None and path is not None:

        def write_part(start: int, stop: int, file: Path) -> None:
            with ArrowWriter(path=str(file), features=features) as writer:
                for batch in batches(start, stop):
                    writer.write_batch(dict(batch))
                writer.finalize()

        def transform(file: Path) -> tuple[Path, Mapping[str, Any]]:
            write_in_parts(file, count, 1000, processes_for(count), write_part)
            return path, {}

        made = write_output(path, like, features, transform)
    if made is None:
        columns: dict[str, list[Any]] = {name: [] for name in features}
        for batch in batches(0, count):
            for name, values in batch.items():
                columns[name] += values
        made = Dataset.from_dict(columns, features=features, split=like.split)
    made._fingerprint = fingerprint
    return made


def write_in_parts(
    file: Path, count: int, batch_size: int, processes: int, write_part: Callable[[int, int, Path], None]
) -> None:
    """Write an Arrow file in several processes, each a part of whole batches, which are then joined.

    Args:
        count: the number of rows.
        write_part: writes what is made of the rows from one number to another.
    """
    size = math.ceil(math.ceil(count / batch_size) / processes) * batch_size
    if size >= count:
        write_part(0, count, file)
        return
    parts = {file.with_name(f"{start:012}.arrow"): start for start in range(0, count, size)}
    jobs = [partial(write_part, start, min(start + size, count), part) for part, start in parts.items()]
    run_jobs(jobs, processes)
    _join(list(parts), file)


def _join(parts: Sequence[Path], whole: Path) -> None:
    """Write the Arrow files ``parts`` as one, in larger batches, and delete them.

    Opening a file reads the head of each batch, and with it 64 KiB of the file into memory.
    """
    with ExitStack() as stack:
        writer: pa.RecordBatchStreamWriter | None = None
        for part in parts:
            with pa.OSFile(str(part)) as source, pa.ipc.open_stream(source) as reader:
                writer = writer or stack.enter_context(pa.ipc.new_stream(str(whole), reader.schema))
                while batches := list(islice(reader, _JOINED)):
                    writer.write_table(pa.Table.from_batches(batches).combine_chunks())
            part.unlink()


def read_note(path: Path) -> dict[str, Any]:
    """The note of the output at ``path``; empty if there is none. Raises `ValueError` for a damaged one."""
    file = path.with_suffix(".json")
    try:
        note = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(note, dict):
        raise ValueError(f"the note {file.name} holds no object")
    return note


def write_note(path: Path, note: Mapping[str, Any]) -> None:
    """Write the note of the output at ``path``."""
    with replacing(path.with_suffix(".json")) as scratch:
        scratch.write_text(json.dumps(note), encoding="utf-8")


def used_by(path: Path) -> Usage:
    """The usage of all texts in the output at ``path``, as its note has it; the cost is None where it has none."""
    try:
        usage = {name: value for name, value in read_note(path).items() if name != "digest"}
        return Usage(**usage) if usage else Usage(cost=None)
    except (OSError, ValueError, TypeError):
        return Usage(cost=None)


def _read(path: Path, features: Features, like: Dataset) -> Dataset:
    return Dataset.from_file(str(path), info=DatasetInfo(features=features), split=like.split)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise a full disk as itself: closing the broken file within map raises another error on top of it."""
    try:
        yield
    except ValueError as error:
        beneath: BaseException | None = error
        while beneath is not None:
            if isinstance(beneath, OSError):
                raise beneath from error
            beneath = beneath.__cause__ or beneath.__context__
        raise
