"""The cache, the store, the runner and the log of one run.

    {cache home}/store.sqlite       every generated text (store.py)
    {cache home}/stages/*.arrow     every stage's output, by fingerprint (cache.py)
    {cache home}/adapters/          fine-tuned LoRA adapters, by what they were trained from

Deleting the folder costs time and money. Results in output directories stay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolgen_hf._utils import cache_home
from toolgen_hf.models.base import Generator
from toolgen_hf.models.config import RayConfig
from toolgen_hf.runtime.budget import Meter, dollars
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.runner import MapRunner, Rehearsal, Runner
from toolgen_hf.runtime.store import Store
from toolgen_hf.runtime.stores import open_store
from toolgen_hf.runtime.texts import Texts, Usage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage did with one split."""

    stage: str
    split: str
    rows_in: int
    rows_out: int
    rejected: Mapping[str, int]  # reason -> rows, of the rows that this stage rejected
    cached: bool  # taken whole from the cache: no transform ran
    seconds: float
    generated: int = 0  # texts that a model or an engine wrote
    reused: int = 0  # texts that the store already had
    prompt_tokens: int = 0  # of the texts that were generated, as the next two
    completion_tokens: int = 0
    cost: float | None = 0.0  # US dollars; None where no price is known
    used: Usage = field(
        default_factory=Usage
    )  # what all texts in the output took, whenever they were generated

    def __str__(self) -> str:
        parts = [f"{self.stage}[{self.split}]: {self.rows_in} rows in, {self.rows_out} out"]
        parts += [f"{count} rejected ({reason})" for reason, count in self.rejected.items()]
        if self.generated or self.reused:
            parts.append(f"{self.generated} texts generated, {self.reused} from the store")
        if self.cost:
            parts.append(dollars(self.cost))
        parts.append("cached" if self.cached else f"{self.seconds:.1f} s")
        return ", ".join(parts)


class Workspace:
    """The cache, the store and the log of one run.

    Args:
        cache_dir: where to keep things; default ``$TOOLGEN_HF_HOME`` or ``toolgen_hf`` in the Hugging
            Face cache home.
        store_path: the text store's file, or the ``postgresql://`` URL of one for several machines; default
            ``store.sqlite`` in ``cache_dir``.
        progress: show progress bars.
        max_cost: US dollars that this run's requests may cost at most.
        runner: what runs the stages; default this process.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        store_path: str | Path | None = None,
        progress: bool = True,
        max_cost: float | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.cache_dir = Path(cache_dir) if cache_dir is not None else cache_home()
        self.store_path = store_path if store_path is not None else self.cache_dir / "store.sqlite"
        self.meter = Meter(progress, max_cost)
        self.reports: list[StageReport] = []
        self.runner: Runner = runner or MapRunner()
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The text store. It is opened when it is first needed."""
        if self._store is None:
            self._store = open_store(self.store_path)
        return self._store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; it opens again when it is next needed."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def plan(self) -> Plan | None:
        """What the dry run has found so far; None outside of a dry run."""
        return self.runner.plan if isinstance(self.runner, Rehearsal) else None

    @contextmanager
    def rehearsal(self) -> Iterator[Plan]:
        """A dry run: stages only count the texts that are missing, until the block ends."""
        runner = Rehearsal()
        with self.using(runner):
            yield runner.plan

    @contextmanager
    def using(self, runner: Runner) -> Iterator[None]:
        """Stages run on another runner, until the block ends."""
        usual, self.runner = self.runner, runner
        try:
            yield
        finally:
            self.runner = usual

    def texts(self, generator: Generator, label: str, attempts: int | None = 1) -> Texts:
        """The texts of ``generator`` for one stage. A row asks for ``attempts`` at most; None: for any number."""
        return Texts(generator, lambda: self.store, self.meter, label, attempts)

    def report(self, usage: Usage = Usage(), **facts: Any) -> StageReport:  # noqa: B008
        """Log and keep what a stage did."""
        entry = StageReport(
            **facts,
            generated=usage.texts,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost=usage.cost,
        )
        logger.info("%s", entry)
        self.reports.append(entry)
        return entry


def make_runner(config: RayConfig | None) -> Runner:
    """The runner that a recipe names; without a config this process."""
    if config is None:
        return MapRunner()
    from toolgen_hf.runtime.ray_runner import RayRunner

    return RayRunner(config)
