"""The training itself: LoRA with PEFT and transformers' Trainer. Importing this imports torch.

The loss is on the output alone. Prompt and output are tokenized apart and joined, so that the boundary
is where generation will begin; the end of text is learned; padding is on the right and has no label.
"""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError, safe_open
from tqdm.auto import tqdm
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from toolgen_hf.errors import ConfigError, DataError, GenerationError
from toolgen_hf.finetune import Example, FinetuneConfig, Training
from toolgen_hf.generators.base import Prompt
from toolgen_hf.generators.loading import open_base, quiet, unload
from toolgen_hf.generators.local import resolve_device, resolve_dtype
from toolgen_hf.generators.models import Weights
from toolgen_hf.prompts.format import PromptFormat

_IGNORED = -100  # the label that PyTorch's cross-entropy skips

Feature = dict[str, list[int]]


def train(examples: Sequence[Example], weights: Weights, config: FinetuneConfig, output: Path) -> Training:
    """Trains to ``config.max_steps``, from the last whole checkpoint in ``output`` if there is one."""
    started = time.perf_counter()
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    unload()  # or there would be two models in memory
    base, tokenizer = open_base(weights, dtype, device)
    features, truncated = encode(examples, tokenizer, config)
    set_seed(config.seed)
    with quiet():
        trainer = Trainer(
            model=_with_lora(base, config),
            args=_arguments(config, output, dtype, device),
            train_dataset=features,
            data_collator=collate,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Progress())
        last = last_whole_checkpoint(output)
        # Resumed at its very end, the Trainer would take one step more.
        if last is None or _step(last) < config.max_steps:
            with _out_of_memory(config):
                trainer.train(resume_from_checkpoint=str(last) if last else None)
    for checkpoint in _checkpoints(output):
        _tidy(checkpoint, weights)
    history = _json(_checkpoints(output)[-1] / "trainer_state.json")["log_history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    seconds = round(time.perf_counter() - started, 2)
    return Training(tuple(losses), len(features), truncated, seconds, resumed=last is not None)


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, config: FinetuneConfig
) -> tuple[list[Feature], int]:
    """Token ids and labels of each row, and how many rows were cut.

    Raises:
        DataError: the cut leaves no row with any output.
    """
    format = PromptFormat(config.template, tokenizer)
    prompts = format.encode([Prompt(example.instruction, example.input) for example in examples])
    outputs = tokenizer([example.output for example in examples], add_special_tokens=False)["input_ids"]
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    features, truncated = [], 0
    for prompt, output in zip(prompts, outputs, strict=True):
        ids = [*prompt, *output, *end]
        labels = [_IGNORED] * len(prompt) + ids[len(prompt) :]
        truncated += len(ids) > config.cutoff_len
        if len(prompt) < config.cutoff_len:
            features.append({"input_ids": ids[: config.cutoff_len], "labels": labels[: config.cutoff_len]})
    if not features:
        raise DataError(f"no row has room for an output in cutoff_len={config.cutoff_len} tokens; raise it")
    return features, truncated


def collate(features: Sequence[Feature]) -> dict[str, torch.Tensor]:
    """A batch, padded on the right; what the padding holds is neither attended to nor learned."""
    width = max(len(feature["input_ids"]) for feature in features)

    def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

    return {
        "input_ids": padded([feature["input_ids"] for feature in features], 0),
        "attention_mask": padded([[1] * len(feature["input_ids"]) for feature in features], 0),
        "labels": padded([feature["labels"] for feature in features], _IGNORED),
    }


def last_whole_checkpoint(output: Path) -> Path | None:
    """The latest checkpoint that was saved to its end; later ones, cut off by a kill, are deleted."""
    for checkpoint in reversed(_checkpoints(output)):
        if _is_whole(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _is_whole(checkpoint: Path) -> bool:
    """Nothing is unpickled to find out: a ``.pt`` file is a ZIP archive with checksums."""
    try:
        _json(checkpoint / "trainer_state.json")  # written last
        _json(checkpoint / "adapter_config.json")
        with safe_open(checkpoint / "adapter_model.safetensors", "pt"):
            pass
        archives = [checkpoint / name for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth")]
        return all(zipfile.ZipFile(archive).testzip() is None for archive in archives)
    except (OSError, ValueError, SafetensorError, zipfile.BadZipFile):
        return False


def _checkpoints(output: Path) -> list[Path]:
    return sorted(output.glob("checkpoint-*"), key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _with_lora(base: Any, config: FinetuneConfig) -> Any:
    lora = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.target_modules) if config.target_modules else None,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(base, lora)
    except ValueError as error:
        raise ConfigError(
            f"target_modules={config.target_modules!r} do not fit the model {config.model!r}: {error}"
        ) from error


def _arguments(config: FinetuneConfig, output: Path, dtype: str, device: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output),
        max_steps=config.max_steps,
        per_device_train_batch_size=config.rows_at_once,
        gradient_accumulation_steps=config.batch_size // config.rows_at_once,
        learning_rate=config.learning_rate,
        bf16=dtype == "bfloat16",
        seed=config.seed,
        save_steps=config.save_interval,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device != "cpu",
        remove_unused_columns=False,
        label_names=["labels"],
    )


@contextmanager
def _out_of_memory(config: FinetuneConfig) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch's own, out of memory included
        raise GenerationError(
            f"finetuning {config.model!r} failed: {error}; "
            f"a smaller micro_batch_size (now {config.rows_at_once}) needs less memory"
        ) from error


def _tidy(checkpoint: Path, weights: Weights) -> None:
    """Leaves no path of this machine in what may be published, and no pickle but the optimizer's."""
    for name in ("README.md", "training_args.bin"):
        (checkpoint / name).unlink(missing_ok=True)
    file = checkpoint / "adapter_config.json"
    public = weights.path is None or weights.name.startswith("pip:")
    config = _json(file)
    config["base_model_name_or_path"] = weights.name if public else Path(weights.name).name
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set, in the order of this process's hash seed
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


class _Progress(TrainerCallback):  # type: ignore[misc]
    """One bar instead of a line per step."""

    bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="finetune", unit="step")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()
