"""The settings of a training run, and what is recorded about it: plain data, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, PositiveInt, model_validator

from toolgen_hf.models.config import DEVICE, Config, Reach

RECORD = "finetune.json"
"""In the output folder: the run's fingerprint and, when it is done, its `Training` and the digests of its adapters."""
IMAGE = "loss.png"
"""The loss curve, in the output folder and in each checkpoint, if matplotlib is installed."""


class FinetuneConfig(Config):
    """How an adapter is trained. Rank, scale, dropout and layers are the published ones; steps and learning rate suit a
    few rows."""

    model: Annotated[str, Reach.MODEL]
    """A folder, a ``.gguf`` file, ``pip:NAME`` or a Hub id, as in `LocalConfig`."""
    revision: str | None = None
    """Commit, branch or tag on the Hub; a commit pins the model."""
    template: Annotated[str, Reach.TEMPLATE] = "alpaca"
    """The prompt template. Use the same one when you generate with the adapter."""
    max_steps: int = Field(default=12, ge=1)
    """Number of optimizer steps."""
    batch_size: int = Field(default=8, ge=1)
    """Rows per optimizer step."""
    micro_batch_size: PositiveInt | None = None
    """Rows computed together; changes memory and speed. Must divide ``batch_size``, or be larger. The default is 4, or
    the next smaller number that divides ``batch_size``."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Learning rate of the first step; it falls linearly to zero."""
    lora_r: int = Field(default=8, ge=1)
    """Rank of the LoRA matrices."""
    lora_alpha: int = Field(default=16, ge=1)
    """Scale of the adapter: its output is multiplied by ``lora_alpha / lora_r``."""
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout in the adapter."""
    target_modules: tuple[str, ...] | None = None
    """Names of the layers that get an adapter. None takes attention projections: ``q_proj`` and ``v_proj``, as
    published, or what the model has instead (see lora.py)."""
    cutoff_len: int = Field(default=512, ge=2)
    """The most tokens in a row (prompt, output and end of text); the rest is cut off."""
    save_every: PositiveInt | None = None
    """Steps between checkpoints; default half of ``max_steps``. The last step is always saved."""
    checkpoint: Literal["middle", "last"] | PositiveInt = "middle"
    """Which checkpoint to use: the one nearest to half of ``max_steps``, the last one, or the one of this step."""
    seed: int = 0
    """Seed for the order of the rows, dropout, and the adapter's initial weights."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the weights; ``auto`` is float32 on a CPU and bfloat16 on a CUDA GPU."""
    compute_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type in which matrices are multiplied, where the weights are float32. ``auto`` is bfloat16 on a CPU that has
    instructions for it, which is faster, and float32 elsewhere. It changes the adapter slightly."""
    device: str = Field(default="auto", pattern=DEVICE)
    """``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; ``auto`` takes a GPU if there is one."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.batch_size % self.rows_at_once:
            raise ValueError(
                f"micro_batch_size={self.micro_batch_size} must divide batch_size={self.batch_size}"
            )
        if isinstance(self.checkpoint, int) and self.checkpoint not in self.saved_steps:
            raise ValueError(f"checkpoint={self.checkpoint} is not saved; these are: {self.saved_steps}")
        return self

    @property
    def rows_at_once(self) -> int:
        """Rows computed together."""
        if self.micro_batch_size is not None:
            return min(self.micro_batch_size, self.batch_size)
        return max(rows for rows in range(1, 5) if self.batch_size % rows == 0)

    @property
    def save_interval(self) -> int:
        """Steps between checkpoints."""
        return self.save_every or max(1, self.max_steps // 2)

    @property
    def saved_steps(self) -> list[int]:
        """The steps with a checkpoint."""
        return sorted({*range(self.save_interval, self.max_steps + 1, self.save_interval), self.max_steps})

    @property
    def chosen_step(self) -> int:
        """The step of the checkpoint to use."""
        if isinstance(self.checkpoint, int):
            return self.checkpoint
        if self.checkpoint == "last":
            return self.max_steps
        return min(self.saved_steps, key=lambda step: abs(2 * step - self.max_steps))


class Example(NamedTuple):
    """One row to train on."""

    instruction: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of the rows in tokens (prompt, output and end of text), and the effect of ``cutoff_len``."""

    median: int
    longest: int
    """A ``cutoff_len`` of this size holds every row."""
    cut: int
    """Rows that lost a part of their output."""
    left_out: int
    """Rows left out because the prompt alone fills ``cutoff_len``."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training run went."""

    losses: tuple[float, ...]
    """Loss of each step, in order, including steps before an interruption."""
    rows: int
    """Rows in the training, cut ones included, left-out ones not."""
    lengths: Lengths
    target_modules: tuple[str, ...]
    """The layers that have an adapter."""
    seconds: float
    """Duration, without the time before an interruption."""
    resumed: bool
    """Whether it continued from a checkpoint of an interrupted run."""
