"""The training itself: LoRA with PEFT and the Trainer of transformers. Importing this imports torch.

Loss and logits are computed for the tokens of the output only, and rows of similar length are computed together. With
SmolLM2, 8 rows of GSM8K then take 5.5 CPU seconds instead of 7.1, and 2.5 GB instead of 5.5; loss and gradients are the
same except for rounding.
"""

from __future__ import annotations

import json
import logging
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
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError, GenerationError
from toolgen_hf.finetune.card import Trained, finish
from toolgen_hf.finetune.config import Example, FinetuneConfig, Training
from toolgen_hf.finetune.targets import are_transposed, find_targets
from toolgen_hf.finetune.tokens import IGNORED, collate, encode, in_order
from toolgen_hf.models.format import PromptFormat
from toolgen_hf.models.gguf import quiet
from toolgen_hf.models.loading import open_base, unload
from toolgen_hf.models.local import resolve_device, resolve_dtype
from toolgen_hf.models.weights import Weights

logger = logging.getLogger(__name__)


def train(
    examples: Sequence[Example],
    weights: Weights,
    config: FinetuneConfig,
    output: Path,
    name: str = "",
    progress: bool = True,
) -> Training:
    """Train to ``config.max_steps``, from the last complete checkpoint in ``output`` if there is one."""
    started = time.perf_counter()
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    unload()  # otherwise two models are in memory
    base, tokenizer = open_base(weights, dtype, device)
    features, lengths = encode(examples, tokenizer, config)
    if lengths.cut or lengths.left_out:
        logger.warning(
            f"finetune: of {len(examples)} rows, {lengths.cut} lost a part of their output and {lengths.left_out} were "
            f"left out, at cutoff_len={config.cutoff_len}; cutoff_len={lengths.longest} would hold them all "
            f"(median {lengths.median} tokens)"
        )
    targets = find_targets(base, config.target_modules, config.model)
    set_seed(config.seed)
    with quiet():
        trainer = _OutputTrainer(
            model=_with_lora(base, targets, config),
            args=_arguments(config, output, dtype, device),
            train_dataset=in_order(features, config),
            data_collator=collate,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Progress(config.batch_size, name, progress))
        last = last_whole_checkpoint(output)
        # The Trainer takes one step too many if it resumes after the last step.
        if last is None or _step(last) < config.max_steps:
            try:
                trainer.train(resume_from_checkpoint=str(last) if last else None)
            except RuntimeError as error:  # torch raises it, also when memory runs out
                raise GenerationError(
                    f"finetuning {config.model!r} failed: {error}; "
                    f"a smaller micro_batch_size (now {config.rows_at_once}) needs less memory"
                ) from error
    history = _json(_checkpoints(output)[-1] / "trainer_state.json")["log_history"]
    losses = tuple(entry["loss"] for entry in history if "loss" in entry)
    seconds = round(time.perf_counter() - started, 2)
    training = Training(losses, len(features), lengths, tuple(targets), seconds, resumed=last is not None)
    prompt = PromptFormat(config.template, tokenizer).render(
        Prompt(examples[0].instruction, examples[0].input)
    )
    trained = Trained(weights, config, training, examples, prompt)
    finish({_step(folder): folder for folder in _checkpoints(output)}, trained)
    return training


class Progress(TrainerCallback):  # type: ignore[misc]
    """The progress bar: steps, time left, rows per second, loss. A resumed run shows its own speed."""

    bar: Any = None

    def __init__(self, batch_size: int, name: str = "", show: bool = True) -> None:
        self.batch_size, self.title, self.show = batch_size, f"finetune {name}".rstrip(), show
        self.started, self.first = 0.0, 0
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started, self.first = time.perf_counter(), state.global_step
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.title,
            unit="step",
            disable=not self.show,
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        rows = (state.global_step - self.first) * self.batch_size
        self.shown["rows/s"] = f"{rows / (time.perf_counter() - self.started):.2f}"
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.shown["loss"] = f"{float(logs['loss']):.3f}"
            self.bar.set_postfix(self.shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()


class _OutputTrainer(Trainer):  # type: ignore[misc]
    """Computes logits only for the positions that have a label; the loss is the same.

    The output layer gets the hidden states of these positions as one row. This is right for every architecture,
    because what some do with the logits afterwards (scale, soft cap) works on each position separately.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.model_accepts_loss_kwargs = True  # counts labels over all accumulated batches

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The sum of the cross-entropies, divided by the count of labels in the whole step."""
        labels = inputs.pop("labels")[:, 1:]
        learned = labels != IGNORED
        head = self.model.get_base_model().get_output_embeddings()
        with _only_at(learned, head):
            outputs = model(**inputs)
        count = int(learned.sum())
        logits = outputs.logits
        logits = logits[0] if logits.shape[:2] == (1, count) else logits[:, :-1][learned]
        loss = cross_entropy(logits.float(), labels[learned], reduction="sum")
        loss = loss / (count if num_items_in_batch is None else num_items_in_batch)
        return (loss, outputs) if return_outputs else loss


@contextmanager
def _only_at(positions: torch.Tensor, head: Any) -> Iterator[None]:
    """Give ``head`` only the hidden states that predict these positions (rows by tokens, without the first token)."""
    if head is None:
        yield
        return

    def select(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        rows, tokens = positions.shape
        if not given or given[0].shape[:2] != (rows, tokens + 1):
            return None
        return (given[0][:, :-1][positions].unsqueeze(0), *given[1:])

    hook = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def last_whole_checkpoint(output: Path) -> Path | None:
    """The latest complete checkpoint. Later ones, which a kill interrupted, are deleted."""
    for checkpoint in reversed(_checkpoints(output)):
        if _is_whole(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _is_whole(checkpoint: Path) -> bool:
    """Checks the files without unpickling: a ``.pt`` file is a ZIP archive with checksums."""
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


def _with_lora(base: Any, targets: list[str], config: FinetuneConfig) -> Any:
    lora = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=are_transposed(base, targets),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(base, lora)
    except ValueError as error:
        raise ConfigError(
            f"target_modules={targets!r} do not fit the model {config.model!r}: {error}"
        ) from error


def _arguments(config: FinetuneConfig, output: Path, dtype: str, device: str) -> TrainingArguments:
    arguments = TrainingArguments(
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
        train_sampling_strategy="sequential",  # the rows are in the order of the steps
    )
    # One GPU, even if there are more: otherwise batch_size has another meaning, and the hook above misses copies.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
