"""How a stage runs: one batch function under ``Dataset.map``, cached under a fingerprint of our own.

``map`` would hash the function by name only (a changed source is not seen), and would give up caching
when it meets a client or a model. So a stage's fingerprint is computed here, from what determines its
output and nothing else: the input's fingerprint, the stage's name and VERSION, its settings as plain
data, and the output features. It does not depend on the process, PYTHONHASHSEED, the working
directory or the script.

    stages/answer-1f0c....arrow     an output
    stages/answer-1f0c....json      its note: {"digest": "...", "texts": 48, "prompt_tokens": 5210, "cost": 0.07, ...}

An output is opened only if its digest is the one in its note, so a damaged one is made again, from the texts in
the store, and never read.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, Features
from datasets.fingerprint import Hasher

from toolgen_hf import schemas
from toolgen_hf._utils import canonical_json, file_xxh3, quiet_datasets, replacing
from toolgen_hf.errors import DataError
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.texts import Texts, Usage, looking_ahead
from toolgen_hf.runtime.workspace import Workspace

logger = logging.getLogger(__name__)

LOOK_AHEAD = 100
"""Rows a batch when looking ahead: few, so that the first request leaves soon."""

Batch = dict[str, list[Any]]
"""Rows as columns: what goes in and comes out of every stage's batch function."""


@dataclass(frozen=True)
class _Split:
    rows: Dataset
    fingerprint: str
    path: Path
    made: Dataset | None  # the output, if there is one already

    @property
    def note(self) -> Path:
        """The JSON note beside the output: its digest, and what its texts took if it has any."""
        return self.path.with_suffix(".json")


@dataclass(frozen=True)
class Stage:
    """What is fixed about a stage. ``version`` goes up whenever its output may change."""

    name: str
    version: int
    features: Features
    batch_size: int = 1000

    def fingerprint(self, dataset: Dataset, settings: Mapping[str, Any]) -> str:
        """The identity of this stage's output on ``dataset``."""
        parts = [dataset._fingerprint, self.name, self.version, settings, self.features.to_dict()]
        return str(Hasher.hash(canonical_json(parts)))

    def run(
        self,
        dataset: DatasetDict,
        function: Callable[[Batch], Batch],
        settings: Mapping[str, Any],
        workspace: Workspace,
        label: str | None = None,
        texts: Sequence[Texts] = (),
    ) -> DatasetDict:
        """Map ``function`` over every split, or take its output from the cache.

        Args:
            dataset: the previous stage's output.
            function: batch in, batch of exactly ``features``' columns out; may drop rows.
            settings: all that ``function`` depends on besides the rows, as plain JSON data.
            workspace: where the output is cached and reported.
            label: what reports call this run; default the stage's name.
            texts: whom ``function`` asks for texts, in the order in which a row comes to need them.

        Raises:
            GenerationError: a text could not be generated; those that arrived are in the store.
        """
        label = label or self.name
        started = time.monotonic()
        splits = {str(split): self._look_up(rows, settings, workspace) for split, rows in dataset.items()}
        todo = {name: split.rows for name, split in splits.items() if split.made is None}
        with looking_ahead(texts):
            if workspace.plan is not None:
                return self._rehearse(splits, function, workspace.plan, label, texts)
            for source in texts if todo else ():
                source.fill(lambda: self._ahead(todo, function, texts), sum(map(len, todo.values())))
        made = {}
        for name, split in splits.items():
            made[name] = self._finish(name, split, function, texts, workspace, label, started)
            started = time.monotonic()
        return DatasetDict(made)

    def _finish(
        self,
        name: str,
        split: _Split,
        function: Callable[[Batch], Batch],
        texts: Sequence[Texts],
        workspace: Workspace,
        label: str,
        started: float,
    ) -> Dataset:
        """One split's output, mapped if it is not there, and the report of it."""
        made = split.made if split.made is not None else self._map(split, function, texts)
        usage = Usage.total(part for source in texts for part in source.taken(name))
        used = self._used(split) if texts else Usage()
        before, after = self._rejected(split.rows), self._rejected(made)
        workspace.report(
            usage,
            stage=label,
            split=name,
            rows_in=len(split.rows) - before.total(),
            rows_out=len(made) - after.total(),
            rejected=dict(after - before),
            cached=split.made is not None,
            seconds=time.monotonic() - started,
            reused=0 if split.made is not None else max(0, used.texts - usage.texts),
            used=used,
        )
        return made

    def _used(self, split: _Split) -> Usage:
        """What all texts in a split's output took; without rows, nothing."""
        if not len(split.rows):
            return Usage()
        try:
            taken = {name: value for name, value in _read_note(split.note).items() if name != "digest"}
            return Usage(**taken) if taken else Usage(cost=None)
        except (OSError, ValueError, TypeError):
            return Usage(cost=None)

    def _look_up(self, rows: Dataset, settings: Mapping[str, Any], workspace: Workspace) -> _Split:
        fingerprint = self.fingerprint(rows, settings)
        path = workspace.cache_dir / "stages" / f"{self.name}-{fingerprint}.arrow"
        # Without rows there is nothing to run, and map would keep the input's columns.
        made = self._open(path, rows) if len(rows) else empty(self.features, rows)
        if made is not None:
            made._fingerprint = fingerprint
        return _Split(rows, fingerprint, path, made)

    def _ahead(
        self, todo: Mapping[str, Dataset], function: Callable[[Batch], Batch], texts: Sequence[Texts]
    ) -> Iterator[tuple[str, int]]:
        """Run ``function`` for what it asks for; its output, of texts that are there so far, is dropped."""
        for name, rows in todo.items():
            for batch in rows.with_format(None).iter(LOOK_AHEAD):
                for source in texts:
                    source.unwant()
                function(batch)
                yield name, len(next(iter(batch.values())))

    def _rehearse(
        self,
        splits: Mapping[str, _Split],
        function: Callable[[Batch], Batch],
        plan: Plan,
        label: str,
        texts: Sequence[Texts],
    ) -> DatasetDict:
        """Plan what is missing; the output is of the texts that are there, in memory and under no real fingerprint."""
        todo = {name: split.rows for name, split in splits.items() if split.made is None}
        for source in texts if todo else ():
            missing = source.missing(lambda: self._ahead(todo, function, texts))
            plan.add(label, source, (keyed.request.prompt for _, keyed in missing))
        made = {name: split.made for name, split in splits.items() if split.made is not None}
        for name, rows in todo.items():
            with quiet_datasets():
                made[name] = rows.with_format(None).map(
                    function,
                    **self._map_arguments(rows),
                    keep_in_memory=True,
                    new_fingerprint=f"{splits[name].fingerprint}-planned",
                )
        return DatasetDict({name: made[name] for name in splits})

    def _map(self, split: _Split, function: Callable[[Batch], Batch], texts: Sequence[Texts]) -> Dataset:
        """Map one split and write its output to its path, whole or not at all.

        The note comes first: an output is never there without it, and every attempt replaces an earlier one's. An
        output with requests that an engine refused has a fingerprint of its own, where the next run does not look:
        it asks again.
        """
        split.path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=split.path.parent) as scratch, quiet_datasets(), _disk_errors():
            file = Path(scratch) / split.path.name
            split.rows.with_format(None).map(
                function,
                **self._map_arguments(split.rows),
                new_fingerprint=split.fingerprint,
                cache_file_name=str(file),
                load_from_cache_file=False,
            )
            used = asdict(Usage.total(source.take_used() for source in texts)) if texts else {}
            _write_note(split.note, {"digest": file_xxh3(file), **used})
            path, fingerprint = split.path, split.fingerprint
            if refused := sorted(key for source in texts for key in source.take_refused()):
                fingerprint = str(Hasher.hash(canonical_json([fingerprint, refused])))
                path = path.with_name(f"{self.name}-{fingerprint}.arrow")
            file.replace(path)
        made = self._read(path, split.rows)
        made._fingerprint = fingerprint
        return made

    def _map_arguments(self, rows: Dataset) -> dict[str, Any]:
        return {
            "batched": True,
            "batch_size": self.batch_size,
            "features": self.features,
            "remove_columns": rows.column_names,
        }

    def _rejected(self, rows: Dataset) -> Counter[str]:
        """How many rows were rejected by this stage or one before it, by reason."""
        if "reason" not in self.features or "reason" not in rows.column_names:
            return Counter()
        return Counter(reason for reason in rows["reason"] if reason is not None)

    def _read(self, path: Path, rows: Dataset) -> Dataset:
        return Dataset.from_file(str(path), info=DatasetInfo(features=self.features), split=rows.split)

    def _open(self, path: Path, rows: Dataset) -> Dataset | None:
        """The cached output; None if there is none, or a damaged one, which is then deleted."""
        if not path.exists():
            return None
        note = path.with_suffix(".json")
        try:
            known = _read_note(note)
            if "digest" in known:
                if known["digest"] != file_xxh3(path):
                    raise pa.ArrowInvalid("its bytes are not those that were written")
                return self._read(path, rows)
            made = self._read(path, rows)  # by a version that noted no digest
            made.data.table.validate(full=True)
            with suppress(OSError):  # in a cache that can only be read
                _write_note(note, {"digest": file_xxh3(path), **known})
            return made
        except (pa.ArrowException, ValueError, OSError) as error:
            if getattr(error, "errno", None):  # the system's trouble, not the file's
                raise
            logger.warning(
                "%s: the cached output %s is damaged and is made again (%s)", self.name, path, error
            )
            path.unlink(missing_ok=True)
            return None


def _read_note(path: Path) -> dict[str, Any]:
    """A note; empty if there is none. Raises `ValueError` for a damaged one."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(note, dict):
        raise ValueError(f"the note {path.name} holds no object")
    return note


def _write_note(path: Path, note: Mapping[str, Any]) -> None:
    with replacing(path) as scratch:
        scratch.write_text(json.dumps(note), encoding="utf-8")


@contextmanager
def _disk_errors() -> Iterator[None]:
    """A full disk as itself: within map, closing the broken file raises another error on top of it."""
    try:
        yield
    except ValueError as error:
        beneath: BaseException | None = error
        while beneath is not None:
            if isinstance(beneath, OSError):
                raise beneath from error
            beneath = beneath.__cause__ or beneath.__context__
        raise


def empty(features: Features, like: Dataset) -> Dataset:
    """A dataset with these columns and no row, of the split of ``like``."""
    return Dataset.from_dict({name: [] for name in features}, features=features, split=like.split)


def require_columns(dataset: DatasetDict, columns: Features, what: str) -> None:
    """Check that every split has these columns.

    Raises:
        DataError: names the missing columns, those that are there, and the split; or this is no DatasetDict.
    """
    if not isinstance(dataset, DatasetDict):
        raise DataError(
            f"{what} needs a DatasetDict, not a {type(dataset).__name__}: wrap it, DatasetDict(train=dataset)"
        )
    for split, rows in dataset.items():
        needed = [name for name in columns if name not in schemas.LATER]
        missing = [name for name in needed if name not in rows.column_names]
        if missing:
            raise DataError(
                f"{what} needs the columns {missing} in split {str(split)!r}, which has only "
                f"{rows.column_names}; run the stage before it, or rename the columns"
            )
