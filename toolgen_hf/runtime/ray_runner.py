"""Runs stages on Ray Data: on the processes of one machine, or on many machines.

    run("recipe.yaml", runner=RayRunner(RayConfig(address="auto", workers=16)))

    driver ── blocks of rows as Parquet ──> workers, each with the stage's function ── blocks of output ──> cache
                                               │ texts
                                            PostgreSQL, or the driver's SQLite store behind the coordinator

The output is the same as that of `MapRunner`, and so is its fingerprint: either takes the other's cache. A small stage
runs in the driver.

The coordinator is one actor beside the driver. It holds what is of the whole run: the budget, the texts that are being
asked for, the counts for the progress bar, and the store if that is an SQLite file.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, Features
from datasets.arrow_writer import ArrowWriter
from fsspec.core import url_to_fs
from tqdm.auto import tqdm

from toolgen_hf import errors
from toolgen_hf.ask import Generation, Prompt
from toolgen_hf.errors import ConfigError, GenerationError, ToolgenError
from toolgen_hf.models.base import Generator
from toolgen_hf.models.config import OpenAIConfig, RayConfig
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.door import Generating, replay
from toolgen_hf.runtime.runner import MapRunner, Place, StageRun, look_up, make_outputs, rows_of_batch
from toolgen_hf.runtime.store import Claims, Row, Store
from toolgen_hf.runtime.stores import is_shared, open_store
from toolgen_hf.runtime.texts import Usage

BEAT = 1.0
"""Seconds between two signs of life of a worker."""
SILENCE = 20.0
"""Seconds without one, after which a worker is dead and its claims are free."""
FREE_BLOCKS = 20
"""Blocks from which a stage that asks no model runs on workers. Fewer are done before workers have started."""

logger = logging.getLogger(__name__)


class RayRunner:
    """Runs stages on Ray Data."""

    def __init__(self, config: RayConfig | None = None) -> None:
        self.config = config or RayConfig()

    def run(self, run: StageRun, workspace: Place) -> DatasetDict:
        """See `Stage.run`."""
        splits = look_up(run, workspace.cache_dir)
        todo = {name: split for name, split in splits.items() if split.made is None}
        least = self.config.block_size * (1 if run.texts else FREE_BLOCKS)
        is_small = sum(len(split.rows) for split in todo.values()) < least
        if not todo or run.in_one_process or (is_small and not self._gpus(run)):
            return MapRunner().run_splits(run, workspace, splits)
        self._check(run, workspace)
        root = self.config.folder or str(workspace.cache_dir / "ray")
        blocks = _Blocks(f"{root}/{run.stage.name}-{next(iter(todo.values())).fingerprint}")
        names = list(todo)
        facts: dict[str, list[dict[str, Any]]] = {}

        def work(rows: Mapping[str, Dataset]) -> None:
            blocks.clear()
            blocks.write([rows[name] for name in names], self.config.block_size)
            facts.update(
                self._work(run, workspace, blocks, {name: at for at, name in enumerate(names)}, rows)
            )

        def write(name: str, file: Path) -> None:
            for source, fact in zip(run.texts, facts.get(name, []), strict=bool(run.texts)):
                source.add(name, **fact)
            blocks.collect(
                names.index(name), file, run.stage.features, len(todo[name].rows) if run.is_by_row else None
            )

        try:
            return make_outputs(run, workspace, splits, work, write)
        finally:
            blocks.clear()

    def _gpus(self, run: StageRun) -> float:
        """GPUs of a worker of this stage."""
        return self.config.gpus if any(hasattr(one.generator, "uses_gpu") for one in run.texts) else 0.0

    def _check(self, run: StageRun, workspace: Place) -> None:
        """Check that the machines of a cluster can reach the rows and the store.

        Raises:
            ConfigError: they cannot.
        """
        if (self.config.address or "").startswith("ray://"):
            if self.config.folder is None:
                raise ConfigError(
                    "runner.folder: with a ray:// address the cluster is another machine: give a path or URL that "
                    "both it and this machine reach"
                )
            if run.texts and not is_shared(workspace.store_path):
                raise ConfigError(
                    f"the store {str(workspace.store_path)!r} is a file of this machine, and with a ray:// address the "
                    "cluster is another one: give --store postgresql://..., or run on the cluster's head with "
                    "address: auto"
                )

    def _work(
        self,
        run: StageRun,
        workspace: Place,
        blocks: _Blocks,
        numbers: Mapping[str, int],
        rows: Mapping[str, Dataset],
    ) -> dict[str, list[dict[str, Any]]]:
        """Run the stage's function over the blocks; what was asked, by split and model."""
        ray = _ray(self.config.address)
        meter = workspace.meter
        place = str(workspace.store_path) if run.texts else None
        shared = place if place is not None and is_shared(place) else None
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        models = {one.digest: one.label for one in run.texts}
        coordinator = (
            ray.remote(Coordinator)
            .options(num_cpus=0, scheduling_strategy=here, max_concurrency=1)
            .remote(None if shared else place, models, meter.max_cost, meter.spent)
        )
        workers = self.config.workers or _room(ray, self.config.cpus, self._gpus(run))
        payload = _dumps(
            replace(run, dataset=DatasetDict()), {name: part.features for name, part in rows.items()}, numbers
        )
        options = {
            "payload": payload,
            "blocks": blocks,
            "coordinator": coordinator,
            "store": shared,
            "workers": workers,
            "max_cost": meter.max_cost,
        }
        total = sum(map(len, rows.values()))

        def settle() -> None:
            """Take over what was spent, and raise the error of a worker."""
            meter.spent = ray.get(coordinator.total.remote())
            _raise_failure(ray.get(coordinator.failure_of.remote()))

        try:
            with (
                _quiet_ray_data(ray),
                _progress(coordinator, run.label, total, meter),
                _interrupts(coordinator),
            ):
                names = blocks.names()
                data = ray.data.from_items(names, override_num_blocks=len(names)).map_batches(
                    Worker,
                    batch_size=1,
                    batch_format="pyarrow",
                    compute=ray.data.ActorPoolStrategy(size=workers),
                    num_cpus=self.config.cpus,
                    num_gpus=self._gpus(run) or None,
                    fn_constructor_kwargs=options,
                )
                for _ in data.iter_batches(batch_size=None, prefetch_batches=0):
                    pass
            settle()
            return dict(ray.get(coordinator.facts_of.remote(list(numbers))))
        except ray.exceptions.RayError as error:
            with suppress(ray.exceptions.RayError):
                settle()
            raise GenerationError(
                f"{run.label}: Ray failed: {error}. Texts that arrived are stored; run again"
            ) from error
        finally:
            ray.kill(coordinator)


class Worker:
    """A stage's function in a process of its own."""

    def __init__(
        self,
        payload: bytes,
        blocks: _Blocks,
        coordinator: Any,
        store: str | None,
        workers: int,
        max_cost: float | None,
    ) -> None:
        logging.getLogger("toolgen_hf").setLevel(logging.WARNING)
        self.run, self.features, numbers = pickle.loads(payload)  # our own, from the driver
        self.names = {number: name for name, number in numbers.items()}
        self.blocks, self.coordinator = blocks, coordinator
        self.meter = _Meter(coordinator, max_cost)
        self.store = open_store(store) if store is not None else RemoteStore(coordinator, self.meter.worker)
        for texts in self.run.texts:
            _share_limits(texts.generator, workers)
            texts.open(lambda: self.store, self.meter)
        threading.Thread(target=self.meter.beat, daemon=True).start()

    def __call__(self, names: pa.Table) -> pa.Table:
        """Make the output of blocks. After an error nothing more is asked, and all workers store what is in flight."""
        for name in names["item"].to_pylist():
            try:
                if not self.meter.is_stopped:
                    self._work(name)
            except KeyboardInterrupt:
                _ask(self.coordinator.fail.remote("KeyboardInterrupt", ""))
            except ToolgenError as error:
                _ask(self.coordinator.fail.remote(type(error).__name__, str(error)))
            except OSError as error:
                message = (
                    f"{self.run.label}: a worker failed: {error}. Texts that arrived are stored; run again"
                )
                _ask(self.coordinator.fail.remote("GenerationError", message))
        return names

    def _work(self, block: str) -> None:
        """Make the output of a block."""
        run, name = self.run, self.names[self.blocks.split_of(block)]
        table = self.blocks.read(block)
        batch = Dataset(table.cast(self.features[name].arrow_schema)).with_format(None)[:]
        if run.is_by_row:
            rows = rows_of_batch(batch)
            made: list[Any] = (
                self._generate(name, rows) if run.texts else replay([run.function(row) for row in rows])
            )
            columns = {column: [row[column] for row in made] for column in run.stage.features}
        else:
            columns = run.function(batch)
        facts = [one.take(name) for one in run.texts]
        self.blocks.put(block, Dataset.from_dict(columns, features=run.stage.features).data.table)
        _ask(self.coordinator.finished.remote(block, name, len(table), facts))

    def _generate(self, name: str, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """The results of rows that ask models."""
        live = Generating(
            ((name, self.run.function(row)) for row in rows), self.run.texts, self.run.label, len(rows)
        )
        live.run()
        if self.meter.is_stopped:
            raise KeyboardInterrupt
        return [live.done[name, at].take() for at in range(len(rows))]


class Coordinator:
    """What is of a whole run, as an actor beside the driver.

    Args:
        store: the path of an SQLite store; None if workers reach a store by themselves.
        models: labels by the digest of the identity.
        max_cost: US dollars.
        spent: US dollars before this stage.
    """

    def __init__(
        self, store: str | None, models: Mapping[str, str], max_cost: float | None, spent: float
    ) -> None:
        self._store = None if store is None else open_store(store)
        self._claims = None if self._store is None else self._store.claims(models)
        self._max_cost, self._spent = max_cost, spent
        self._reserved: defaultdict[str, float] = defaultdict(float)
        self._seen: dict[str, float] = {}
        self._claimed: dict[str, str] = {}  # key -> worker
        self._blocks: dict[str, tuple[str, int, list[dict[str, Any]]]] = {}
        self._failure: tuple[str, str] | None = None
        self._is_stopped = False
        self._texts = 0

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the store."""
        return getattr(self._store, method)(*arguments)

    def write(self, worker: str, generator: str, identity: Any, rows: Sequence[Row], instead: Any) -> None:
        """Commit texts."""
        assert self._store is not None
        self._store._write(generator, identity, rows, instead)
        for row in rows:
            self._claimed.pop(row.key, None)

    def take(self, worker: str, model: str, keys: Collection[str]) -> list[str]:
        """Claim texts that no living worker has claimed."""
        if self._claims is not None:
            self._claims.take(model, keys)  # of other runs over this store
        now = time.monotonic()
        self._seen[worker] = now
        mine = []
        for key in keys:
            owner = self._claimed.get(key, worker)
            if owner == worker or now - self._seen.get(owner, 0.0) > SILENCE:
                self._claimed[key] = worker
                mine.append(key)
        return mine

    def release(self, worker: str) -> None:
        """Give the claims of a worker back."""
        self._claimed = {key: owner for key, owner in self._claimed.items() if owner != worker}

    def admit(self, worker: str, most: float) -> bool:
        """Whether the budget allows a request that may cost ``most`` US dollars."""
        now = time.monotonic()
        dead = [one for one in self._reserved if now - self._seen.get(one, now) > SILENCE]
        for one in dead:  # what it had in flight may have been billed
            self._spent += self._reserved.pop(one)
        is_admitted = (
            self._max_cost is None or self._spent + sum(self._reserved.values()) + most <= self._max_cost
        )
        if is_admitted:
            self._reserved[worker] += most
        return is_admitted

    def paid(self, worker: str, texts: int, reserved: float, cost: float) -> None:
        """Texts arrived."""
        self._texts += texts
        self._reserved[worker] -= reserved
        self._spent += cost

    def unreserve(self, worker: str) -> None:
        """Nothing of a worker is in flight."""
        self._reserved.pop(worker, None)

    def beat(self, worker: str) -> bool:
        """A sign of life. Returns whether to stop sending."""
        self._seen[worker] = time.monotonic()
        return self._is_stopped

    def finished(self, block: str, split: str, rows: int, facts: list[dict[str, Any]]) -> None:
        """A block is done. One that is done again, because its worker died, counts once."""
        self._blocks.setdefault(block, (split, rows, facts))

    def fail(self, name: str, message: str) -> None:
        """A worker raised this error."""
        self._failure = self._failure or (name, message)
        self._is_stopped = True

    def stop(self) -> None:
        """Workers send nothing more, and wait for what is in flight."""
        self._is_stopped = True

    def progress(self) -> tuple[int, int, float]:
        """Rows that are done, texts, US dollars."""
        return sum(rows for _, rows, _ in self._blocks.values()), self._texts, self._spent

    def total(self) -> float:
        """US dollars that were spent."""
        return self._spent

    def failure_of(self) -> tuple[str, str] | None:
        """The first error of a worker: its class and message."""
        return self._failure

    def facts_of(self, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """What was asked, by split and model."""
        by_split: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in names}
        for split, _, facts in self._blocks.values():
            by_split[split].append(facts)
        return {
            name: [_sum(of_model) for of_model in zip(*parts, strict=True)]
            for name, parts in by_split.items()
        }


class RemoteStore(Store):
    """The coordinator's store, from a worker."""

    def __init__(self, coordinator: Any, worker: str) -> None:
        self._coordinator, self._worker = coordinator, worker
        self.name = "the store of the driver"

    def get(self, keys: Sequence[str]) -> dict[str, Generation]:
        """The stored texts by key. Of an engine's answer only ``raw`` is filled."""
        return dict(_ask(self._coordinator.call.remote("get", list(keys)))) if keys else {}

    def _write(
        self, generator: str, identity: Mapping[str, Any], rows: Sequence[Row], instead: Mapping[str, str]
    ) -> None:
        _ask(
            self._coordinator.write.remote(self._worker, generator, dict(identity), list(rows), dict(instead))
        )

    def mean_tokens(self, generator: str) -> float | None:
        """Mean tokens of the texts of one model (digest of its identity), as far as its engine reported them."""
        mean: float | None = _ask(self._coordinator.call.remote("mean_tokens", generator))
        return mean

    def claims(self, models: Mapping[str, str]) -> Claims:
        """Claims for single texts."""
        return _RemoteClaims(self._coordinator, self._worker)

    def __len__(self) -> int:
        return int(_ask(self._coordinator.call.remote("__len__")))

    def close(self) -> None:
        """Nothing is open here."""


class _RemoteClaims(Claims):
    def __init__(self, coordinator: Any, worker: str) -> None:
        self._coordinator, self._worker = coordinator, worker

    def take(self, model: str, keys: Collection[str]) -> tuple[Collection[str], bool]:
        """Claim texts that no living worker has claimed."""
        return set(_ask(self._coordinator.take.remote(self._worker, model, list(keys)))), True

    def close(self) -> None:
        """Give all claims back."""
        _ask(self._coordinator.release.remote(self._worker))


class _Meter(Meter):
    """The meter of a worker: the budget is the coordinator's."""

    def __init__(self, coordinator: Any, max_cost: float | None) -> None:
        super().__init__(show=False, max_cost=max_cost)
        self.worker = uuid.uuid4().hex
        self.is_stopped = False
        self._coordinator, self._told = coordinator, time.monotonic()
        self._texts, self._reserved, self._paid = 0, 0.0, 0.0  # not told yet

    def beat(self) -> None:
        """Tell the coordinator now and then that this worker lives; learn whether to stop."""
        while True:
            with suppress(Exception):  # the coordinator is gone when all is done
                self.is_stopped = bool(_ask(self._coordinator.beat.remote(self.worker)))
            time.sleep(BEAT)

    def _tell(self) -> None:
        """Tell the coordinator what arrived."""
        if self._texts:
            self._coordinator.paid.remote(self.worker, self._texts, self._reserved, self._paid)
            self._texts, self._reserved, self._paid, self._told = 0, 0.0, 0.0, time.monotonic()

    def admit(self, generator: Generator, prompt: Prompt) -> bool:
        """Whether the budget allows this request, and the run was not interrupted."""
        if self.is_stopped:
            self.is_cut = True
            return False
        if self.max_cost is None:
            return True
        self.check_price(generator)
        self._tell()
        self.is_cut = not _ask(self._coordinator.admit.remote(self.worker, self._most(generator, prompt)))
        return not self.is_cut

    def arrived(self, generator: Generator, prompt: Prompt, made: Generation) -> float | None:
        """Count a text, here and at the coordinator."""
        cost = super().arrived(generator, prompt, made)
        self._texts += 1
        self._reserved += 0.0 if self.max_cost is None else self._most(generator, prompt)
        self._paid += cost or 0.0
        if time.monotonic() - self._told > BEAT / 4:
            self._tell()
        return cost

    def release(self) -> None:
        """Nothing is in flight."""
        super().release()
        self._tell()
        if self.max_cost is not None:
            self._coordinator.unreserve.remote(self.worker)

    def check(self) -> None:
        """Check that the budget held nothing back, and that the run was not interrupted."""
        if self.is_stopped and self.is_cut:
            raise KeyboardInterrupt
        self.spent = float(_ask(self._coordinator.total.remote())) if self.is_cut else self.spent
        super().check()


class _Blocks:
    """The input and the output of one stage in a folder: a Parquet file for each block of rows, named by its place."""

    def __init__(self, folder: str) -> None:
        self._filesystem, path = url_to_fs(folder)
        self._of_this_machine = f"{path}-{socket.gethostname()}-"
        self._folder = (
            f"{self._of_this_machine}{os.getpid()}"  # another driver may run the same stage at once
        )

    def clear(self) -> None:
        """Delete the folder, and those that drivers of this machine left when they were killed."""
        for folder in self._filesystem.glob(f"{self._of_this_machine}*"):
            pid = folder.rpartition("-")[2]
            if pid == str(os.getpid()) or (pid.isdecimal() and not psutil.pid_exists(int(pid))):
                self._filesystem.rm(folder, recursive=True)

    def write(self, splits: Sequence[Dataset], block_size: int) -> None:
        """Write the input."""
        for part in ("in", "out"):
            self._filesystem.makedirs(f"{self._folder}/{part}", exist_ok=True)
        for split, rows in enumerate(splits):
            for at, table in enumerate(rows.with_format("arrow").iter(block_size)):
                with self._filesystem.open(f"{self._folder}/in/{split:03d}-{at:09d}.parquet", "wb") as file:
                    pq.write_table(table, file)

    def names(self) -> list[str]:
        """The names of the blocks of the input, in order."""
        return [
            path.rpartition("/")[2] for path in sorted(self._filesystem.glob(f"{self._folder}/in/*.parquet"))
        ]

    def split_of(self, name: str) -> int:
        """The number of the split that a block belongs to."""
        return int(name.partition("-")[0])

    def read(self, name: str) -> pa.Table:
        """A block of the input."""
        with self._filesystem.open(f"{self._folder}/in/{name}", "rb") as file:
            return pq.read_table(file)

    def put(self, name: str, table: pa.Table) -> None:
        """Write a block of the output, whole or not at all. If it is done twice, both are the same."""
        scratch = f"{self._folder}/out/{uuid.uuid4().hex}"
        with self._filesystem.open(scratch, "wb") as file:
            pq.write_table(table, file)
        self._filesystem.mv(scratch, f"{self._folder}/out/{name}")

    def collect(self, split: int, file: Path, features: Features, count: int | None) -> None:
        """Write the output of one split as one Arrow file, in the order of the input. One block is in memory.

        Args:
            count: the rows that there must be; None if the stage may drop rows.
        """
        with ArrowWriter(features=features, path=str(file)) as writer:
            for path in sorted(self._filesystem.glob(f"{self._folder}/out/{split:03d}-*.parquet")):
                with self._filesystem.open(path, "rb") as block:
                    writer.write_table(
                        pq.read_table(block).select(list(features)).cast(features.arrow_schema)
                    )
            written, _ = writer.finalize()
        if count is not None and written != count:
            raise GenerationError(f"Ray gave {written} of {count} rows; run again")


def _sum(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several blocks asked of one model."""
    return {
        "generated": Usage.total(part["generated"] for part in parts),
        "used": Usage.total(part["used"] for part in parts),
        "refused": [key for part in parts for key in part["refused"]],
    }


def _share_limits(generator: Generator, workers: int) -> None:
    """Requests and tokens a minute are of a key. Each worker gets an equal part."""
    config = getattr(generator, "config", None)
    if isinstance(config, OpenAIConfig):
        limits = {
            name: limit / workers
            for name in ("requests_per_minute", "tokens_per_minute")
            if (limit := getattr(config, name)) is not None
        }
        generator.config = config.model_copy(update=limits)  # type: ignore[attr-defined]


def _raise_failure(failure: tuple[str, str] | None) -> None:
    """Raise the error of a worker as if it had been raised here."""
    if failure is None:
        return
    name, message = failure
    if name == "KeyboardInterrupt":
        raise KeyboardInterrupt
    kind = getattr(errors, name, GenerationError)
    raise kind(message) if issubclass(kind, ToolgenError) else GenerationError(message)


def _ask(reference: Any) -> Any:
    import ray

    return ray.get(reference)


def _ray(address: str | None) -> Any:
    """Ray, connected.

    Raises:
        ConfigError: it is not installed, or there is no cluster at ``address``.
    """
    try:
        import ray
        import ray.data
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise ConfigError("the ray runner needs Ray: pip install 'toolgen_hf[ray]'") from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray.init(
                address=address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except ConnectionError as error:
            raise ConfigError(f"runner.address: there is no Ray cluster at {address!r}: {error}") from error
    return ray


def _room(ray: Any, cpus: float, gpus: float) -> int:
    """How many workers the cluster holds now, at least 1."""
    has = ray.cluster_resources()
    room = int(has.get("CPU", 1) / (cpus or 1))
    return max(1, min(room, int(has.get("GPU", 0) / gpus)) if gpus else room)


@contextmanager
def _quiet_ray_data(ray: Any) -> Iterator[None]:
    """Ray Data without its own bars and log lines; ours show the same."""
    context = ray.data.DataContext.get_current()
    usual = context.enable_progress_bars
    context.enable_progress_bars = False
    level = logging.getLogger("ray.data").level
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = usual
        logging.getLogger("ray.data").setLevel(level)


@contextmanager
def _progress(coordinator: Any, label: str, total: int, meter: Meter) -> Iterator[None]:
    """A bar over all workers."""
    is_over = threading.Event()

    def show() -> None:
        with tqdm(total=total, desc=label, unit="row", disable=not meter.show, leave=False) as bar:
            while not is_over.wait(1.0):
                with suppress(Exception):  # Ray ends first when it fails
                    rows, texts, dollars = _ask(coordinator.progress.remote())
                    bar.update(rows - bar.n)
                    bar.set_postfix_str(f"{texts} texts, ${dollars:.2f}" if texts else "")

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _interrupts(coordinator: Any) -> Iterator[None]:
    """The first Ctrl-C lets workers wait for what is in flight; the next one does not."""
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        logger.warning("interrupted: workers wait for what is on its way (again to leave it)")
        coordinator.stop.remote()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _dumps(*values: Any) -> bytes:
    """Values for a worker, with the functions in them."""
    from ray import cloudpickle

    data: bytes = cloudpickle.dumps(values)
    return data
