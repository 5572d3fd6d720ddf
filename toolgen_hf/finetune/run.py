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
from typing import Any

from filelock import FileLock

from toolgen_hf._utils import digest, file_xxh3
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune.config import FinetuneConfig
from toolgen_hf.finetune.record import IMAGE, RECORD, Example, Lengths, Training
from toolgen_hf.models.format import template_identity
from toolgen_hf.models.local import require_torch, resolve_device, resolve_dtype
from toolgen_hf.models.weights import Weights, resolve_model

VERSION = 2
"""Part of a run's fingerprint; raised when the training itself changes."""


_WEIGHTS = "adapter_model.safetensors"


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinetuneResult(Training):
    """A finished run: the adapter to use, every checkpoint in order, and how it went."""

    adapter: Path
    checkpoints: tuple[Path, ...]
    cached: bool
    """Whether it had been done before, so that nothing was trained now."""


def finetune(
    rows: Iterable[Mapping[str, Any]], config: FinetuneConfig, output_dir: str | Path, name: str = ""
) -> FinetuneResult:
    """Trains a LoRA adapter on the outputs of ``rows`` (a `datasets.Dataset` or any rows of stage 1).

    ``output_dir`` belongs to the run: checkpoints of another configuration, model or set of rows that
    an earlier run left there are replaced. ``name`` is what the progress bar and the log call the adapter.

    Raises:
        ConfigError: the model, the template, the target layers or the folder cannot be used.
        DataError: there is no row to learn from, or one that is not of stage 1.
        GenerationError: the training failed, for want of memory for example.
    """
    examples = _examples(rows)
    require_torch()
    model, output = resolve_model(config.model, config.revision), Path(output_dir)
    if output.is_file():
        raise ConfigError(f"the output {str(output)!r} is a file: give a folder, for the checkpoints")
    fingerprint = _fingerprint(examples, config, model)
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.parent / f".{output.name}.lock"):  # a second process waits, then finds it done
        training = _prepare(output, fingerprint, config)
        if training:
            _log(training, config, name, is_cached=True)
            return _result(training, config, output, cached=True)
        from toolgen_hf.finetune.lora import train

        _write(output, {"fingerprint": fingerprint, "training": None})
        training = train(examples, model, config, output, name)
        digests = _digests(_checkpoints(config, output))
        _write(output, {"fingerprint": fingerprint, "training": asdict(training), "digests": digests})
    _log(training, config, name)
    return _result(training, config, output, cached=False)


def _log(training: Training, config: FinetuneConfig, name: str, is_cached: bool = False) -> None:
    lengths, before = training.lengths, "done before: " if is_cached else ""
    logger.info(
        "%s: %s%d rows of up to %d tokens (median %d), %d cut, %d left out; LoRA on %s; "
        "%d steps of %d rows, loss %.3f to %.3f, %s",
        *(
            f"finetune {name}".rstrip(),
            before,
            training.rows,
            lengths.longest,
            lengths.median,
            lengths.cut,
            lengths.left_out,
        ),
        *(", ".join(training.target_modules), config.max_steps, config.batch_size),
        *(training.losses[0], training.losses[-1]),
        f"took {training.seconds:.1f} s then" if is_cached else f"{training.seconds:.1f} s",
    )


def training_key(rows: Iterable[Mapping[str, Any]], config: FinetuneConfig) -> str:
    """The identity (hex) of a training run: its rows, its model's content, its settings.

    Which of its checkpoints is used, and where it runs, is no part of it. Raises as `finetune` does.
    """
    return _fingerprint(_examples(rows), config, resolve_model(config.model, config.revision))


def _examples(rows: Iterable[Mapping[str, Any]]) -> list[Example]:
    examples = []
    for at, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise _unlearnable(at, row)
        instruction, asked, output = (row.get(key) for key in Example._fields)
        asked = "" if asked is None else asked  # as in rows of Alpaca's form that are all instruction
        if not all(isinstance(value, str) for value in (instruction, asked, output)):
            raise _unlearnable(row.get("id", at), row)
        if not str(output).strip():
            name = row.get("id", at)
            raise DataError(f"row {name!r} has an empty output, from which nothing is learned: drop the row")
        examples.append(Example(str(instruction), str(asked), str(output)))
    if not examples:
        raise DataError("no rows to finetune on: stage 1 is empty, so the stages before it kept nothing")
    return examples


def _unlearnable(name: object, row: object) -> DataError:
    return DataError(
        f"row {name!r} is not of stage 1: it needs the texts instruction, output and, if there is one, input; "
        f"got {row!r}"
    )


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
    done, folders = record.get("training"), _checkpoints(config, output)
    is_same = record.get("fingerprint") == fingerprint
    if is_same and not done:
        return None
    if is_same and done and all((folder / _WEIGHTS).exists() for folder in folders):
        found = _digests(folders)
        if record.get("digests", found) == found:  # an earlier version noted none
            return _from_record(done)
    stale = sorted(output.glob("checkpoint-*"))
    if stale and not record:
        raise ConfigError(f"{str(output)!r} holds checkpoints of something else; give another folder")
    for checkpoint in stale:
        shutil.rmtree(checkpoint)
    if stale:
        what = "of which some were damaged or gone" if is_same else "that were not of this run"
        logger.warning("finetune: replaced %d checkpoints %s in %s", len(stale), what, output)
    return None


def _digests(folders: Iterable[Path]) -> dict[str, str]:
    """The digests of the adapters in the folders that are there, by folder and file."""
    files = (folder / name for folder in folders for name in (_WEIGHTS, "adapter_config.json"))
    return {f"{file.parent.name}/{file.name}": file_xxh3(file) for file in files if file.exists()}


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {str(file)!r}: {error}; delete its folder to begin anew") from error
    if not isinstance(record, dict):
        raise ConfigError(f"cannot read {str(file)!r}: it holds no object; delete its folder to begin anew")
    return record


def _from_record(done: Mapping[str, Any]) -> Training:
    losses, targets = tuple(done["losses"]), tuple(done["target_modules"])
    return Training(
        **{**done, "losses": losses, "target_modules": targets, "lengths": Lengths(**done["lengths"])}
    )


def _write(output: Path, record: Mapping[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
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
