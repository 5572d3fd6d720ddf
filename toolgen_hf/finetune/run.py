"""Teach a model to answer and to call: a few LoRA steps on stage-1 rows, with checkpoints on the way.

    row in   {"instruction": "Given a math problem, ...", "input": "Jean has ...", "output": "calculator(3*19)"}
    out      output_dir/checkpoint-6, output_dir/checkpoint-12: LoRA adapters as safetensors, each with a card,
             ready for the Hub; output_dir/loss.png: the loss curve (with matplotlib)

The method stops midway, where the model both answers and calls; the middle checkpoint is the default.
A run that was killed goes on from its last whole checkpoint to the same weights; one that is done is
recognised by its configuration, its rows and its model, and costs nothing the second time.
Importing this module, and finding a run done, does not import torch.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from filelock import FileLock
from pydantic import Field, PositiveInt, model_validator

from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.generators.config import DEVICE, Config
from toolgen_hf.generators.local import require_torch, resolve_device, resolve_dtype
from toolgen_hf.generators.models import Weights, resolve_model
from toolgen_hf.hashing import digest
from toolgen_hf.prompts.format import template_identity

VERSION = 2
"""Part of a run's fingerprint; raised when the training itself changes."""

RECORD = "finetune.json"
"""In the output folder: which run it belongs to and, once that is done, how it went."""

IMAGE = "loss.png"
"""The loss curve, in the output folder and in every checkpoint's, where matplotlib is installed."""

logger = logging.getLogger(__name__)


class FinetuneConfig(Config):
    """How an adapter is trained. The LoRA shape is the published one; steps and rate are for a few rows."""

    model: str
    """As in `LocalConfig`: a folder, a ``.gguf`` file, ``pip:NAME`` or a Hub id."""
    revision: str | None = None
    template: str = "alpaca"
    """The prompt's form, which must be the same when the adapter is used."""
    max_steps: int = Field(default=12, ge=1)
    batch_size: int = Field(default=8, ge=1)
    """Rows per step."""
    micro_batch_size: PositiveInt | None = None
    """Rows at once, which decides memory and speed; must divide ``batch_size`` if smaller. If not given, it is 4, or
    the largest number below that divides ``batch_size``."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """At the first step; falls to zero linearly."""
    lora_r: int = Field(default=8, ge=1)
    lora_alpha: int = Field(default=16, ge=1)
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
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
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = Field(default="auto", pattern=DEVICE)

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


@dataclass(frozen=True, slots=True)
class FinetuneResult(Training):
    """A finished run: the adapter to use, every checkpoint in order, and how it went."""

    adapter: Path
    checkpoints: tuple[Path, ...]
    cached: bool
    """Whether it had been done before, so that nothing was trained now."""


def finetune(
    rows: Iterable[Mapping[str, Any]], config: FinetuneConfig, output_dir: str | Path
) -> FinetuneResult:
    """Trains a LoRA adapter on the outputs of ``rows`` (a `datasets.Dataset` or any rows of stage 1).

    ``output_dir`` belongs to the run: checkpoints of another configuration, model or set of rows that
    an earlier run left there are replaced.

    Raises:
        ConfigError: the model, the template, the target layers or the folder cannot be used.
        DataError: there is no row to learn from, or one that is not of stage 1.
        GenerationError: the training failed, for want of memory for example.
    """
    examples = _examples(rows)
    require_torch()
    model, output = resolve_model(config.model, config.revision), Path(output_dir)
    fingerprint = _fingerprint(examples, config, model)
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.parent / f".{output.name}.lock"):  # a second process waits, then finds it done
        training = _prepare(output, fingerprint, config)
        if training:
            _log(training, config, "done before: ")
            return _result(training, config, output, cached=True)
        from toolgen_hf.finetune.lora import train

        _write(output, fingerprint, None)
        training = train(examples, model, config, output)
        _write(output, fingerprint, training)
    _log(training, config)
    return _result(training, config, output, cached=False)


def _log(training: Training, config: FinetuneConfig, before: str = "") -> None:
    lengths = training.lengths
    logger.info(
        "finetune: %s%d rows of up to %d tokens (median %d), %d cut, %d left out; LoRA on %s; "
        "%d steps of %d rows, loss %.3f to %.3f, %.1f s",
        *(before, training.rows, lengths.longest, lengths.median, lengths.cut, lengths.left_out),
        *(", ".join(training.target_modules), config.max_steps, config.batch_size),
        *(training.losses[0], training.losses[-1], training.seconds),
    )


def training_key(rows: Iterable[Mapping[str, Any]], config: FinetuneConfig) -> str:
    """The identity (hex) of a training run: its rows, its model's content, its settings.

    Which of its checkpoints is used, and where it runs, is no part of it. Raises as `finetune` does.
    """
    return _fingerprint(_examples(rows), config, resolve_model(config.model, config.revision))


def _examples(rows: Iterable[Mapping[str, Any]]) -> list[Example]:
    examples = []
    for at, row in enumerate(rows):
        values = [row.get(key) for key in Example._fields] if isinstance(row, Mapping) else [None]
        if not all(isinstance(value, str) for value in values):
            name = row.get("id", at) if isinstance(row, Mapping) else at
            raise DataError(
                f"row {name!r} is not of stage 1: it needs the texts {', '.join(Example._fields)}, got {row!r}"
            )
        examples.append(Example(*map(str, values)))
    if not examples:
        raise DataError("no rows to finetune on: stage 1 is empty, so the stages before it kept nothing")
    return examples


def _fingerprint(examples: list[Example], config: FinetuneConfig, model: Weights) -> str:
    """What decides the checkpoints; which of them is used, and where it runs, does not."""
    settings = config.model_dump(
        mode="json",
        exclude={"model", "revision", "template", "checkpoint", "device", "dtype", "micro_batch_size"},
    )
    dtype = resolve_dtype(config.dtype, resolve_device(config.device))
    parts = [VERSION, model.identity, template_identity(config.template), dtype, settings]
    return digest([*parts, config.rows_at_once, examples])


def _prepare(output: Path, fingerprint: str, config: FinetuneConfig) -> Training | None:
    """The same run if it is done; else the folder holds checkpoints of this run or none."""
    record = _read(output / RECORD)
    done = record.get("training")
    if record.get("fingerprint") == fingerprint:
        if not done:
            return None
        if all((folder / "adapter_model.safetensors").exists() for folder in _checkpoints(config, output)):
            return _from_record(done)
    stale = sorted(output.glob("checkpoint-*"))
    if stale and not record:
        raise ConfigError(f"{str(output)!r} holds checkpoints of something else; give another folder")
    for checkpoint in stale:
        shutil.rmtree(checkpoint)
    if stale:
        logger.warning(
            "finetune: replaced %d checkpoints that were not of this run in %s", len(stale), output
        )
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {str(file)!r}: {error}; delete its folder to begin anew") from error
    return dict(record)


def _from_record(done: Mapping[str, Any]) -> Training:
    losses, targets = tuple(done["losses"]), tuple(done["target_modules"])
    return Training(
        **{**done, "losses": losses, "target_modules": targets, "lengths": Lengths(**done["lengths"])}
    )


def _write(output: Path, fingerprint: str, training: Training | None) -> None:
    output.mkdir(parents=True, exist_ok=True)
    record = {"fingerprint": fingerprint, "training": training and asdict(training)}
    scratch = output / f"{RECORD}.{os.getpid()}"
    scratch.write_text(json.dumps(record, indent=2), encoding="utf-8")
    scratch.replace(output / RECORD)


def _checkpoints(config: FinetuneConfig, output: Path) -> tuple[Path, ...]:
    return tuple(output / f"checkpoint-{step}" for step in config.saved_steps)


def _result(training: Training, config: FinetuneConfig, output: Path, *, cached: bool) -> FinetuneResult:
    adapter = output / f"checkpoint-{config.chosen_step}"
    checkpoints = _checkpoints(config, output)
    facts = {field.name: getattr(training, field.name) for field in fields(training)}
    if (adapter / IMAGE).is_file():  # in each, its own checkpoint is pointed out
        shutil.copyfile(adapter / IMAGE, output / IMAGE)
    return FinetuneResult(**facts, adapter=adapter, checkpoints=checkpoints, cached=cached)
