"""What is recorded of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

RECORD = "finetune.json"
"""In the output folder: which run it belongs to and, once that is done, how it went and the adapters' digests."""


IMAGE = "loss.png"
"""The loss curve, in the output folder and in every checkpoint's, where matplotlib is installed."""


class Example(NamedTuple):
    instruction: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the rows are, in tokens of prompt, output and end, and what ``cutoff_len`` did to them."""

    median: int
    longest: int
    """The ``cutoff_len`` that holds every row."""
    cut: int
    """Rows that lost a part of their output."""
    left_out: int
    """Rows whose prompt alone fills ``cutoff_len``: nothing is learned from them."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training run went."""

    losses: tuple[float, ...]
    """One a step, those before an interruption included."""
    rows: int
    """Rows that could be trained on, those that were cut included and those left out not."""
    lengths: Lengths
    target_modules: tuple[str, ...]
    """The layers that have an adapter, as they were found or given."""
    seconds: float
    """Of this run, without what ran before an interruption."""
    resumed: bool
    """Whether it went on from a checkpoint of a run that was interrupted."""
