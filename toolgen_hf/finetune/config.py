"""The settings of a fine-tuning run: frozen plain data, light to import."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from toolgen_hf.models.config import DEVICE, Config, Reach


class FinetuneConfig(Config):
    """How an adapter is trained. The LoRA shape is the published one; steps and rate are for a few rows."""

    model: Annotated[str, Reach.MODEL]
    """As in `LocalConfig`: a folder, a ``.gguf`` file, ``pip:NAME`` or a Hub id."""
    revision: str | None = None
    """The Hub's commit, branch or tag; a commit pins it."""
    template: Annotated[str, Reach.TEMPLATE] = "alpaca"
    """The prompt's form, which must be the same when the adapter is used."""
    max_steps: int = Field(default=12, ge=1)
    """Steps to train."""
    batch_size: int = Field(default=8, ge=1)
    """Rows per step."""
    micro_batch_size: PositiveInt | None = None
    """Rows at once, which decides memory and speed; must divide ``batch_size`` if smaller. If not given, it is 4, or
    the largest number below that divides ``batch_size``."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """At the first step; falls to zero linearly."""
    lora_r: int = Field(default=8, ge=1)
    """LoRA's rank."""
    lora_alpha: int = Field(default=16, ge=1)
    """LoRA's scale."""
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout within the adapter."""
    target_modules: tuple[str, ...] | None = None
    """Names of the layers that get an adapter. None finds the attention projections: ``q_proj`` and ``v_proj``, as
    published, where the model has them (targets.py says what else)."""
    cutoff_len: int = Field(default=512, ge=2)
    """Tokens a row may have, prompt, output and end; what is beyond is cut off."""
    save_every: PositiveInt | None = None
    """Steps between checkpoints; half of ``max_steps`` if not given. The last step is always saved."""
    checkpoint: Literal["middle", "last"] | PositiveInt = "middle"
    """Which one is used: the one nearest to half of ``max_steps``, the last, or that of a given step."""
    seed: int = 0
    """Order of the rows, dropout, and the adapter's first weights."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the weights while computing; ``auto`` is float32 on a CPU and bfloat16 on a CUDA GPU."""
    device: str = Field(default="auto", pattern=DEVICE)
    """``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; ``auto`` takes a GPU where there is one."""

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
        """Rows in memory together."""
        if self.micro_batch_size is not None:
            return min(self.micro_batch_size, self.batch_size)
        return max(rows for rows in range(1, 5) if self.batch_size % rows == 0)

    @property
    def save_interval(self) -> int:
        return self.save_every or max(1, self.max_steps // 2)

    @property
    def saved_steps(self) -> list[int]:
        """The steps after which a checkpoint is saved."""
        interval = self.save_interval
        return sorted({*range(interval, self.max_steps + 1, interval), self.max_steps})

    @property
    def chosen_step(self) -> int:
        """The step of the checkpoint that is used."""
        if isinstance(self.checkpoint, int):
            return self.checkpoint
        if self.checkpoint == "last":
            return self.max_steps
        return min(self.saved_steps, key=lambda step: abs(2 * step - self.max_steps))
