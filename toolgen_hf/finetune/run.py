"""A training run: LoRA steps on stage-1 rows, with checkpoints.

    row in   {"instruction": "Given a math problem, ...", "input": "Jean has ...", "output": "calculator(3*19)"}
    out      output_dir/checkpoint-6, output_dir/checkpoint-12: LoRA adapters as safetensors, each with a card,
             ready for the Hub; output_dir/loss.png: the loss curve (with matplotlib)

The method stops midway, when the model both answers and calls tools: the default is the middle checkpoint.
A killed run continues from its last complete checkpoint and reaches the same weights. A finished run is recognized by
its settings, rows and model, and is not trained again. Importing this module, and finding a run done, needs no torch.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from filelock import FileLock

from toolgen_hf._utils import digest, file_xxh3, replacing
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune.config import IMAGE, RECORD, Example, FinetuneConfig, Lengths, Training
from toolgen_hf.models.format import template_identity
from toolgen_hf.models.local import require_torch, resolve_compute_dtype, resolve_device, resolve_dtype
from toolgen_hf.models.weights import ADAPTER, Weights, resolve_model

VERSION = 2
"""Part of a run's fingerprint; raise it when the training itself changes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinetuneResult(Training):
    """A finished run: the adapter to use, all checkpoints in order, and how the training went."""

    adapter: Path
    checkpoints: tuple[Path, ...]
    cached: bool
    """Whether the run was done before, so that this call trained nothing."""


def finetune(
    rows: Iterable[Mapping[str, Any]],
    config: FinetuneConfig,
    output_dir: str | Path,
    name: str = "",
    progress: bool = True,
) -> FinetuneResult:
    """Train a LoRA adapter on the outputs of ``rows`` (a `datasets.Dataset` or other stage-1 rows).

    Checkpoints of another run in ``output_dir`` (other settings, model or rows) are replaced.

    Args:
        name: the name of the adapter in the progress bar and the log.
        progress: show the progress bar.

    Raises:
        ConfigError: the model, the template, the target layers or the folder cannot be used.
        DataError: there is no row to train on, or a row does not belong to stage 1.
        GenerationError: the training failed, for example without enough memory.
    """
    examples = _examples(rows)
    require_torch()
    model, output = resolve_model(config.model, config.revision), Path(output_dir)
    if output.is_file():
        raise ConfigError(f"the output {str(output)!r} is a file: give a folder, for the checkpoints")
    fingerprint = _fingerprint(examples, config, model)
    output.parent.mkdir(parents=True, exist_ok=True)
    checkpoints = tuple(output / f"checkpoint-{step}" for step in config.saved_steps)
    with FileLock(output.parent / f".{output.name}.lock"):  # a second process waits, then finds the run done
        training = done = _finished(output, fingerprint, checkpoints)
        if training is None:
            from toolgen_hf.finetune.lora import train

            _write(output, {"fingerprint": fingerprint, "training": None})
            training = train(examples, model, config, output, name, progress)
            record = {"training": asdict(training), "digests": _digests(checkpoints)}
            _write(output, {"fingerprint": fingerprint, **record})
    _log(training, config, name, is_cached=done is not None)
    adapter = output / f"checkpoint-{config.chosen_step}"
    if (adapter / IMAGE).is_file():  # each checkpoint's image marks that checkpoint
        shutil.copyfile(adapter / IMAGE, output / IMAGE)
    facts = {field.name: getattr(training, field.name) for field in fields_of(training)}
    return FinetuneResult(**facts, adapter=adapter, checkpoints=checkpoints, cached=done is not None)


def training_key(rows: Iterable[Mapping[str, Any]], config: FinetuneConfig) -> str:
    """The identity (hex) of a training run: its rows, the content of its model, its settings.

    The device and the chosen checkpoint do not change it. Raises as `finetune` does.
    """
    return _fingerprint(_examples(rows), config, resolve_model(config.model, config.revision))


def _examples(rows: Iterable[Mapping[str, Any]]) -> list[Example]:
    examples = []
    for at, row in enumerate(rows):
        fields = row if isinstance(row, Mapping) else {}
        name = fields.get("id", at)
        texts = {"input": "", **{key: fields[key] for key in Example._fields if fields.get(key) is not None}}
        if not all(isinstance(texts.get(key), str) for key in Example._fields):
            raise DataError(
                f"row {name!r} is not of stage 1: it needs the texts instruction, output and, if there is one, "
                f"input; got {row!r}"
            )
        example = Example(**texts)
        if not example.output.strip():
            raise DataError(f"row {name!r} has an empty output, from which nothing is learned: drop the row")
        examples.append(example)
    if not examples:
        raise DataError("no rows to finetune on: stage 1 is empty, so the stages before it kept nothing")
    return examples


def _fingerprint(examples: list[Example], config: FinetuneConfig, model: Weights) -> str:
    """A digest of everything that decides the content of the checkpoints."""
    settings = config.model_dump(
        mode="json",
        exclude={
            "model", "revision", "template", "checkpoint", "device", "dtype", "compute_dtype", "micro_batch_size",
        },
    )  # fmt: skip
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    computed = resolve_compute_dtype(config.compute_dtype, dtype, device)
    parts = [
        VERSION,
        model.identity,
        template_identity(config.template),
        dtype,
        settings,
        config.rows_at_once,
    ]
    return digest([*parts, examples, *([computed] if computed != dtype else [])])


def _finished(output: Path, fingerprint: str, checkpoints: tuple[Path, ...]) -> Training | None:
    """The same run if it is done. Otherwise None, and the folder has checkpoints of this run or none at all."""
    record = _read(output / RECORD)
    done, is_same = record.get("training"), record.get("fingerprint") == fingerprint
    if is_same and not done:
        return None
    if is_same and done and all((folder / ADAPTER.weights).exists() for folder in checkpoints):
        found = _digests(checkpoints)
        if record.get("digests", found) == found:  # records of earlier versions have no digests
            losses, targets = tuple(done["losses"]), tuple(done["target_modules"])
            lengths = Lengths(**done["lengths"])
            return Training(**{**done, "losses": losses, "target_modules": targets, "lengths": lengths})
    stale = sorted(output.glob("checkpoint-*"))
    if stale and not record:
        raise ConfigError(f"{str(output)!r} holds checkpoints of something else; give another folder")
    for checkpoint in stale:
        shutil.rmtree(checkpoint)
    if stale:
        what = "because some were damaged or missing" if is_same else "of another run"
        logger.warning("finetune: replaced %d checkpoints %s in %s", len(stale), what, output)
    return None


def _digests(checkpoints: Iterable[Path]) -> dict[str, str]:
    """Digests of the adapters' files, by ``folder/file``."""
    files = (folder / name for folder in checkpoints for name in (ADAPTER.weights, ADAPTER.config))
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


def _write(output: Path, record: Mapping[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / RECORD) as scratch:
        scratch.write_text(json.dumps(record, indent=2), encoding="utf-8")


def _log(training: Training, config: FinetuneConfig, name: str, is_cached: bool) -> None:
    lengths = training.lengths
    logger.info(
        f"finetune {name}".rstrip()
        + f": {'done before: ' * is_cached}{training.rows} rows of up to {lengths.longest} tokens "
        f"(median {lengths.median}), {lengths.cut} cut, {lengths.left_out} left out; "
        f"LoRA on {', '.join(training.target_modules)}; {config.max_steps} steps of {config.batch_size} rows, "
        f"loss {training.losses[0]:.3f} to {training.losses[-1]:.3f}, "
        + (f"took {training.seconds:.1f} s then" if is_cached else f"{training.seconds:.1f} s")
    )
