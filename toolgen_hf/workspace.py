"""Where a run keeps what it made, and what it has done so far.

    {cache home}/store.sqlite       every generated text (generators/store.py)
    {cache home}/stages/*.arrow     every stage's output, by fingerprint (stages/base.py)
    {cache home}/adapters/          fine-tuned LoRA adapters, by what they were trained from

Deleting the folder costs time and money but loses no result that was written to an output directory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm.auto import tqdm

from toolgen_hf.generators.base import Generation, Generator, Prompt, Request
from toolgen_hf.generators.store import Store, generate
from toolgen_hf.paths import cache_home

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
    generated: int = 0  # texts that a model wrote
    reused: int = 0  # texts that the store already had
    tokens: int = 0  # of the texts that a model wrote

    def __str__(self) -> str:
        parts = [f"{self.stage}[{self.split}]: {self.rows_in} rows in, {self.rows_out} out"]
        parts += [f"{count} rejected ({reason})" for reason, count in self.rejected.items()]
        if self.generated or self.reused:
            parts.append(f"{self.generated} texts generated, {self.reused} from the store")
        parts.append("cached" if self.cached else f"{self.seconds:.1f} s")
        return ", ".join(parts)


@dataclass
class _TextCount:
    generated: int = 0
    reused: int = 0
    tokens: int = 0


class Workspace:
    """The cache, the store and the log of one run.

    Args:
        cache_dir: where to keep things; default ``$TOOLGEN_HF_HOME`` or ``toolgen_hf`` in the Hugging
            Face cache home.
        store_path: the text store's file; default ``store.sqlite`` in ``cache_dir``.
        progress: show progress bars.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        store_path: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        self.cache_dir = Path(cache_dir) if cache_dir is not None else cache_home()
        self.store_path = Path(store_path) if store_path is not None else self.cache_dir / "store.sqlite"
        self.progress = progress
        self.reports: list[StageReport] = []
        self._store: Store | None = None
        self._texts = _TextCount()

    @property
    def store(self) -> Store:
        """The text store, opened when first needed."""
        if self._store is None:
            self._store = Store(self.store_path)
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

    def generate(self, generator: Generator, prompts: Sequence[Prompt], label: str) -> list[Generation]:
        """One text for each prompt, through the store, under a progress bar.

        Raises:
            GenerationError: the generator failed; what it gave before is in the store.
        """
        bar = tqdm(total=len(prompts), desc=label, unit="text", disable=not self.progress, leave=False)
        tokens = 0

        def on_chunk(chunk: Sequence[Generation]) -> None:
            nonlocal tokens
            tokens += sum(made.completion_tokens for made in chunk)
            bar.set_postfix_str(
                f"{tokens / max(bar.format_dict['elapsed'], 0.1):.0f} tokens/s", refresh=False
            )
            bar.update(len(chunk))

        with bar:
            texts, generated = generate(generator, [Request(p) for p in prompts], self.store, on_chunk)
        self._texts.generated += generated
        self._texts.reused += len(prompts) - generated
        self._texts.tokens += tokens
        return texts

    def report(self, **facts: Any) -> StageReport:
        """Log and keep what a stage did; texts generated since the last report are counted to it."""
        counts, self._texts = self._texts, _TextCount()
        entry = StageReport(**facts, generated=counts.generated, reused=counts.reused, tokens=counts.tokens)
        logger.info("%s", entry)
        self.reports.append(entry)
        return entry
