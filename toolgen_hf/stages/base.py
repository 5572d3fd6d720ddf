"""How a stage runs: one batch function under ``Dataset.map``, cached under a fingerprint of our own.

``map`` would hash the function by name only (a changed source is not seen), and would give up caching
when it meets a client or a model. So a stage's fingerprint is computed here, from what determines its
output and nothing else: the input's fingerprint, the stage's name and VERSION, its settings as plain
data, and the output features. It does not depend on the process, PYTHONHASHSEED, the working
directory or the script.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, Features
from datasets.fingerprint import Hasher

from toolgen_hf.errors import DataError
from toolgen_hf.hashing import canonical_json
from toolgen_hf.progress import quiet_datasets
from toolgen_hf.workspace import Workspace

Batch = dict[str, list[Any]]
"""Rows as columns: what goes in and comes out of every stage's batch function."""


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
    ) -> DatasetDict:
        """Map ``function`` over every split, or take its output from the cache.

        Args:
            dataset: the previous stage's output.
            function: batch in, batch of exactly ``features``' columns out; may drop rows.
            settings: all that ``function`` depends on besides the rows, as plain JSON data.
            workspace: where the output is cached and reported.
            label: what reports call this run; default the stage's name.
        """
        return DatasetDict(
            {
                split: self._run_split(str(split), rows, function, settings, workspace, label or self.name)
                for split, rows in dataset.items()
            }
        )

    def _run_split(
        self,
        split: str,
        rows: Dataset,
        function: Callable[[Batch], Batch],
        settings: Mapping[str, Any],
        workspace: Workspace,
        label: str,
    ) -> Dataset:
        started = time.monotonic()
        fingerprint = self.fingerprint(rows, settings)
        path = workspace.cache_dir / "stages" / f"{self.name}-{fingerprint}.arrow"
        # Without rows there is nothing to run, and map would keep the input's columns.
        made = self._open(path, rows) if len(rows) else empty(self.features, rows)
        cached = made is not None
        if made is None:
            self._map(rows, function, fingerprint, path)
            made = self._read(path, rows)
        made._fingerprint = fingerprint
        before, after = (
            _reasons(table) if "reason" in self.features else Counter() for table in (rows, made)
        )
        workspace.report(
            stage=label,
            split=split,
            rows_in=len(rows) - before.total(),
            rows_out=len(made) - after.total(),
            rejected=dict(after - before),
            cached=cached,
            seconds=time.monotonic() - started,
        )
        return made

    def _map(self, rows: Dataset, function: Callable[[Batch], Batch], fingerprint: str, path: Path) -> None:
        """Write the output to ``path``, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as scratch, quiet_datasets(), _disk_errors():
            file = Path(scratch) / path.name
            rows.map(
                function,
                batched=True,
                batch_size=self.batch_size,
                features=self.features,
                remove_columns=rows.column_names,
                new_fingerprint=fingerprint,
                cache_file_name=str(file),
                load_from_cache_file=False,
            )
            file.replace(path)

    def _read(self, path: Path, rows: Dataset) -> Dataset:
        return Dataset.from_file(str(path), info=DatasetInfo(features=self.features), split=rows.split)

    def _open(self, path: Path, rows: Dataset) -> Dataset | None:
        """The cached output; None if there is none, or a damaged one, which is then deleted."""
        if not path.exists():
            return None
        try:
            return self._read(path, rows)
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None):  # the system's trouble, not the file's
                raise
            path.unlink(missing_ok=True)
            return None


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
        missing = [name for name in columns if name not in rows.column_names]
        if missing:
            raise DataError(
                f"{what} needs the columns {missing} in split {str(split)!r}, which has only "
                f"{rows.column_names}; run the stage before it, or rename the columns"
            )


def _reasons(rows: Dataset) -> Counter[str]:
    """How many rows were rejected by this stage or one before it, by reason."""
    if "reason" not in rows.column_names:
        return Counter()
    return Counter(reason for reason in rows["reason"] if reason is not None)
