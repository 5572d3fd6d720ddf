"""How a stage runs over a dataset.

    MapRunner   generates the missing texts of all splits, then maps each split and caches its output
    Rehearsal   only counts which texts are missing: the dry run

A stage does not know which runner drives it.

`Dataset.map` would hash a function by name only, so that a changed source is not seen, and it gives up caching when a
function refers to a client or a model. The fingerprint of a stage is therefore computed here, from all that determines
its output and nothing else: the input's fingerprint, the stage's name and version, its settings as plain data, and the
output features. It does not depend on the process, PYTHONHASHSEED, the working directory or the script.
"""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from datasets import Dataset, DatasetDict, Features
from datasets.fingerprint import Hasher

from toolgen_hf._utils import canonical_json, column, processes_for, quiet_datasets, rows_as_tuples
from toolgen_hf.ask import Prompt, RowRun
from toolgen_hf.models.base import GivenTexts
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.cache import open_output, used_by, write_in_parts, write_output
from toolgen_hf.runtime.door import AT_ONCE, Done, Generating, rehearse, replay
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.texts import Texts, Usage

Row: TypeAlias = dict[str, Any]
Batch: TypeAlias = dict[str, list[Any]]
"""Rows as columns."""
BatchFunction: TypeAlias = Callable[[Batch], Batch]
RowFunction: TypeAlias = Callable[[Row], RowRun[Row]]


@dataclass(frozen=True)
class Stage:
    """What is fixed about a stage.

    ``version`` goes up whenever the output may change. ``features`` are the columns of the output, ``reads`` those that
    the input needs, where a command reads it from a file.
    """

    name: str
    version: int
    features: Features
    reads: Features | None = None
    batch_size: int = 1000

    def fingerprint(self, dataset: Dataset, settings: Mapping[str, Any]) -> str:
        """The identity of this stage's output on ``dataset``."""
        parts = [dataset._fingerprint, self.name, self.version, settings, self.features.to_dict()]
        return str(Hasher.hash(canonical_json(parts)))

    def run(
        self,
        dataset: DatasetDict,
        function: BatchFunction | RowFunction,
        settings: Mapping[str, Any],
        workspace: Place,
        label: str | None = None,
        texts: Sequence[Texts] = (),
        in_one_process: bool = False,
    ) -> DatasetDict:
        """Apply ``function`` to every split, or take its output from the cache.

        Args:
            dataset: the previous stage's output.
            function: a function of a batch, which may drop rows, or a coroutine function of one row. Either gives
                exactly the columns of ``features``.
            settings: all that ``function`` depends on besides the rows, as plain JSON data.
            workspace: where the output is cached and reported, and whose runner does the work.
            label: the name in reports; default the stage's name.
            texts: the models that ``function`` asks, in call order.
            in_one_process: ``function`` holds too much to be copied to other processes.

        Raises:
            GenerationError: a text could not be generated; those that arrived are in the store.
        """
        given = [source.generator for source in texts if isinstance(source.generator, GivenTexts)]
        asked = [source for source in texts if not isinstance(source.generator, GivenTexts)]
        run = StageRun(self, dataset, function, settings, label or self.name, asked, given, in_one_process)
        return workspace.runner.run(run, workspace)


@dataclass(frozen=True)
class StageRun:
    """A stage and its input: what a runner runs. The fields are those of `Stage.run`.

    ``texts`` are the models that are asked, ``given`` the generators whose texts are there already.
    """

    stage: Stage
    dataset: DatasetDict
    function: BatchFunction | RowFunction
    settings: Mapping[str, Any]
    label: str
    texts: Sequence[Texts] = ()
    given: Sequence[GivenTexts] = ()
    in_one_process: bool = False

    @property
    def is_by_row(self) -> bool:
        """Whether the function is a coroutine function of one row."""
        return inspect.iscoroutinefunction(self.function)


class Place(Protocol):
    """Where a runner keeps outputs and reports what it did (`toolgen_hf.Workspace`)."""

    cache_dir: Path
    store_path: str | Path
    meter: Meter

    @property
    def runner(self) -> Runner:
        """What runs the stages."""
        ...

    def report(self, usage: Usage, **facts: Any) -> object:
        """Log and keep what a stage did with one split."""
        ...


class Runner(Protocol):
    """Runs a stage over a dataset."""

    def run(self, run: StageRun, workspace: Place) -> DatasetDict:
        """The stage's output, split by split; see `Stage.run`."""
        ...


@dataclass(frozen=True)
class Split:
    """One split: its rows, and where their output is or goes. ``made`` is the output if it is there."""

    rows: Dataset
    fingerprint: str
    path: Path
    made: Dataset | None


def look_up(run: StageRun, cache: Path) -> dict[str, Split]:
    """The splits of a stage's input, with the outputs that the cache has."""
    stage, splits = run.stage, {}
    for name, rows in run.dataset.items():
        fingerprint = stage.fingerprint(rows, run.settings)
        path = cache / "stages" / f"{stage.name}-{fingerprint}.arrow"
        # Without rows there is nothing to run, and map would keep the input's columns.
        made = open_output(path, stage.features, rows) if len(rows) else empty(stage.features, rows)
        if made is not None:
            made._fingerprint = fingerprint
        splits[str(name)] = Split(rows, fingerprint, path, made)
    return splits


class MapRunner:
    """Runs stages on this machine, with `Dataset.map`.

    Args:
        processes: how many processes share a split where no model is asked; default one for each CPU if the split has
            enough rows. They are forked, so on Linux alone are there several.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes

    def _processes(self, run: StageRun, rows: Dataset) -> int:
        if run.texts or run.in_one_process:
            return 1
        return processes_for(len(rows)) if self.processes is None else self.processes

    def run(self, run: StageRun, workspace: Place) -> DatasetDict:
        """See `Stage.run`."""
        return self.run_splits(run, workspace, look_up(run, workspace.cache_dir))

    def run_splits(self, run: StageRun, workspace: Place, splits: Mapping[str, Split]) -> DatasetDict:
        """The same, with splits that were looked up already."""
        done: dict[tuple[str, int], Done] = {}

        def generate(todo: Mapping[str, Dataset]) -> None:
            if run.texts:
                live = Generating(
                    _runs(todo, run.function), run.texts, run.label, sum(map(len, todo.values()))
                )
                live.run()
                done.update(live.done)

        def write(name: str, file: Path) -> None:
            rows, step = splits[name].rows.with_format(None), run.function

            def write_part(start: int, stop: int, file: Path) -> None:
                part = rows if stop - start == len(rows) else rows.select(range(start, stop))
                part.map(
                    _replayed(step, run.stage.features, name, done) if run.is_by_row else step,
                    with_indices=run.is_by_row,
                    **_map_arguments(run.stage, rows),
                    new_fingerprint=splits[name].fingerprint,
                    cache_file_name=str(file),
                    load_from_cache_file=False,
                )

            if (count := self._processes(run, rows)) > 1:
                for texts in run.given:
                    texts.open()
            write_in_parts(file, len(rows), run.stage.batch_size, count, write_part)

        return make_outputs(run, workspace, splits, generate, write)


def make_outputs(
    run: StageRun,
    workspace: Place,
    splits: Mapping[str, Split],
    prepare: Callable[[Mapping[str, Dataset]], None],
    write: Callable[[str, Path], None],
) -> DatasetDict:
    """Take outputs from the cache, make the others, and report each split.

    Args:
        prepare: gets the rows of all splits whose output is missing, if there are any.
        write: writes the output of one split as an Arrow file.
    """
    started = time.monotonic()
    if todo := {name: split.rows for name, split in splits.items() if split.made is None}:
        prepare(todo)
    outputs = {}
    for name, split in splits.items():
        made = split.made if split.made is not None else _cache(run, split, partial(write, name))
        outputs[name] = made
        generated = Usage.total(source.take_generated(name) for source in run.texts)
        used = used_by(split.path) if run.texts and len(split.rows) else Usage()
        before, after = _rejected(run.stage, split.rows), _rejected(run.stage, made)
        workspace.report(
            generated,
            stage=run.label,
            split=name,
            rows_in=len(split.rows) - before.total(),
            rows_out=len(made) - after.total(),
            rejected=dict(after - before),
            cached=split.made is not None,
            seconds=time.monotonic() - started,
            reused=0 if split.made is not None else max(0, used.texts - generated.texts),
            used=used,
        )
        started = time.monotonic()
    return DatasetDict(outputs)


class Rehearsal:
    """Runs stages as far as the store has their texts, and plans what is missing. Nothing is asked or written."""

    def __init__(self) -> None:
        self.plan = Plan()

    def run(self, run: StageRun, workspace: Place) -> DatasetDict:
        """The output so far, in memory. A row that lacks a text keeps its columns; the new ones are null."""
        stage, function = run.stage, run.function
        splits = look_up(run, workspace.cache_dir)
        missing: dict[str, tuple[Texts, Prompt]] = {}

        def rehearsed(batch: Batch) -> Batch:
            rows = rows_of_batch(batch)
            done = rehearse([function(row) for row in rows], missing)  # type: ignore[misc]
            made = [row if end is None else end for row, end in zip(rows, done, strict=True)]
            return {name: [row.get(name) for row in made] for name in stage.features}

        outputs = {}
        for name, split in splits.items():
            if split.made is not None:
                outputs[name] = split.made
                continue
            step = rehearsed if run.is_by_row else function
            with quiet_datasets():
                outputs[name] = split.rows.with_format(None).map(
                    step,
                    **_map_arguments(stage, split.rows),
                    keep_in_memory=True,
                    new_fingerprint=f"{split.fingerprint}-planned",
                )
        if any(split.made is None for split in splits.values()):
            for source in run.texts:
                self.plan.add(run.label, source, (prompt for of, prompt in missing.values() if of is source))
        return DatasetDict(outputs)


def _cache(run: StageRun, split: Split, write: Callable[[Path], None]) -> Dataset:
    """Write the output of one split to the cache.

    An output with requests that the engine refused gets a fingerprint of its own. The next run does not find it and
    asks these requests again.
    """
    final = split.fingerprint

    def transform(file: Path) -> tuple[Path, Mapping[str, Any]]:
        nonlocal final
        write(file)
        if refused := sorted(key for source in run.texts for key in source.take_refused()):
            final = str(Hasher.hash(canonical_json([split.fingerprint, refused])))
        used = asdict(Usage.total(source.take_used() for source in run.texts)) if run.texts else {}
        return split.path.with_name(f"{run.stage.name}-{final}.arrow"), used

    made = write_output(split.path, split.rows, run.stage.features, transform)
    made._fingerprint = final
    return made


def _map_arguments(stage: Stage, rows: Dataset) -> dict[str, Any]:
    return {
        "batched": True,
        "batch_size": stage.batch_size,
        "features": stage.features,
        "remove_columns": rows.column_names,
    }


def _replayed(
    function: Any, features: Features, split: str, done: dict[tuple[str, int], Done]
) -> Callable[[Batch, list[int]], Batch]:
    """A function of one row as a function of a batch, with the texts of the store; rows that are done are not run."""

    def batch_function(batch: Batch, numbers: list[int]) -> Batch:
        known = [done.pop((split, number), None) for number in numbers]
        rows = rows_of_batch(batch)
        others = iter(replay([function(row) for row, one in zip(rows, known, strict=True) if one is None]))
        return _columns([next(others) if one is None else one.take() for one in known], features)

    return batch_function


def _runs(splits: Mapping[str, Dataset], function: Any) -> Iterator[tuple[str, RowRun[Row]]]:
    for name, rows in splits.items():
        for batch in rows.with_format(None).iter(AT_ONCE):
            for row in rows_of_batch(batch):
                yield name, function(row)


def rows_of_batch(batch: Batch) -> list[Row]:
    """The rows of a batch."""
    return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


def rows_as_dicts(rows: Dataset) -> Iterator[Row]:
    """The rows as dictionaries, read in batches."""
    for values in rows_as_tuples(rows, *rows.column_names):
        yield dict(zip(rows.column_names, values, strict=True))


def _columns(rows: Sequence[Row], features: Features) -> Batch:
    return {name: [row[name] for row in rows] for name in features}


def _rejected(stage: Stage, rows: Dataset) -> Counter[str]:
    """How many rows were rejected by this stage or one before it, by reason."""
    if "reason" not in stage.features or "reason" not in rows.column_names:
        return Counter()
    return Counter(reason for reason in column(rows, "reason") if reason is not None)


def empty(features: Features, like: Dataset) -> Dataset:
    """A dataset with these columns and no row, of the split of ``like``."""
    return Dataset.from_dict({name: [] for name in features}, features=features, split=like.split)
