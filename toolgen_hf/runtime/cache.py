"""Outputs of stages on disk, by fingerprint.

    stages/answer-1f0c....arrow     an output
    stages/answer-1f0c....json      its note: {"digest": "...", "texts": 48, "prompt_tokens": 5210, "cost": 0.07, ...}

An output is opened only if its digest is the one in its note. A damaged output is deleted and made again, from the
texts in the store.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features
from datasets.arrow_writer import ArrowWriter

from toolgen_hf._utils import file_xxh3, quiet_datasets, replacing
from toolgen_hf.runtime.texts import Usage

logger = logging.getLogger(__name__)


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
    batches: Callable[[], Iterator[Mapping[str, list[Any]]]],
    features: Features,
    like: Dataset,
    fingerprint: str,
    path: Path | None,
) -> Dataset:
    """A dataset from batches of columns, of the split of ``like``: at ``path`` in the cache, or in memory without one.

    Args:
        batches: gives the batches, if they are not in the cache.
    """
    made = None if path is None else open_output(path, features, like)
    if made is None and path is not None:

        def transform(file: Path) -> tuple[Path, Mapping[str, Any]]:
            with ArrowWriter(path=str(file), features=features) as writer:
                for batch in batches():
                    writer.write_batch(dict(batch))
                writer.finalize()
            return path, {}

        made = write_output(path, like, features, transform)
    if made is None:
        columns: dict[str, list[Any]] = {name: [] for name in features}
        for batch in batches():
            for name, values in batch.items():
                columns[name] += values
        made = Dataset.from_dict(columns, features=features, split=like.split)
    made._fingerprint = fingerprint
    return made


def join_outputs(parts: Sequence[Path], whole: Path) -> None:
    """Write the Arrow files ``parts`` as one, batch by batch, and delete them."""
    with ExitStack() as stack:
        writer: pa.RecordBatchStreamWriter | None = None
        for part in parts:
            with pa.OSFile(str(part)) as source, pa.ipc.open_stream(source) as reader:
                writer = writer or stack.enter_context(pa.ipc.new_stream(str(whole), reader.schema))
                for batch in reader:
                    writer.write_batch(batch)
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
