"""The training itself: LoRA with PEFT and the Trainer of transformers. Importing this imports torch.

    Example("Add.", "1, 2", "3")  ->  input_ids  prompt  "3"  end of text  (padding)
                                      labels      -100   "3"  end of text   -100

Prompt and output are tokenized separately, so that the output begins at a token, as it does in generation. Loss and
logits are computed for the tokens of the output only, and rows of similar length are computed together. With SmolLM2,
8 rows of GSM8K then take 5.5 CPU seconds instead of 7.1, and 2.5 GB instead of 5.5; loss and gradients are the same
except for rounding.

The published training adapts ``q_proj`` and ``v_proj`` (github.com/zjunlp/TRICE, train/train_stage1.py:
``lora_target_modules``). A model without these layers gets PEFT's choice for its architecture (``c_attn`` for GPT-2,
``query_key_value`` for GPT-NeoX, Falcon and BLOOM), or else every linear layer in an attention module (``qkv_proj`` and
``o_proj`` for Phi-3).
"""

from __future__ import annotations

import json
import logging
import random
import re
import shutil
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median_low
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as _TABLE
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.pytorch_utils import Conv1D

from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError, DataError, GenerationError
from toolgen_hf.finetune.card import Trained, finish
from toolgen_hf.finetune.config import Example, FinetuneConfig, Lengths, Training
from toolgen_hf.models.format import PromptFormat
from toolgen_hf.models.gguf import quiet
from toolgen_hf.models.loading import open_base, unload
from toolgen_hf.models.local import resolve_compute_dtype, resolve_device, resolve_dtype
from toolgen_hf.models.weights import Weights

logger = logging.getLogger(__name__)
_IGNORED = -100
"""The label that PyTorch's cross-entropy leaves out."""

_Feature = dict[str, list[int]]
PUBLISHED = ("q_proj", "v_proj")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


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
    computed = resolve_compute_dtype(config.compute_dtype, dtype, device)
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
            args=_arguments(config, output, computed, device),
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
    precision = dtype if computed == dtype else f"{dtype}, computed in {computed}"
    trained = Trained(weights, config, training, examples, prompt, precision)
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
        learned = labels != _IGNORED
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
        fan_in_fan_out=_are_transposed(base, targets),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(base, lora)
    except ValueError as error:
        raise ConfigError(
            f"target_modules={targets!r} do not fit the model {config.model!r}: {error}"
        ) from error


def _arguments(config: FinetuneConfig, output: Path, computed: str, device: str) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=config.max_steps,
        per_device_train_batch_size=config.rows_at_once,
        gradient_accumulation_steps=config.batch_size // config.rows_at_once,
        learning_rate=config.learning_rate,
        bf16=computed == "bfloat16",
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


# Rows as tokens


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, config: FinetuneConfig
) -> tuple[list[_Feature], Lengths]:
    """Token ids and labels of each row whose prompt leaves room for an output, and the lengths of all rows.

    Raises:
        DataError: no row has room for an output.
    """
    format = PromptFormat(config.template, tokenizer)
    prompts = format.encode([Prompt(example.instruction, example.input) for example in examples])
    outputs = tokenizer([example.output for example in examples], add_special_tokens=False)["input_ids"]
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    features, whole = [], []
    for prompt, output in zip(prompts, outputs, strict=True):
        ids = [*prompt, *output, *end]
        labels = [_IGNORED] * len(prompt) + ids[len(prompt) :]
        whole.append(len(ids))
        if len(prompt) < config.cutoff_len:
            features.append({"input_ids": ids[: config.cutoff_len], "labels": labels[: config.cutoff_len]})
    left_out = len(whole) - len(features)
    if not features:
        raise DataError(
            f"no row has room for an output in cutoff_len={config.cutoff_len} tokens; the shortest has "
            f"{min(whole)}, the longest {max(whole)}: raise it"
        )
    cut = sum(length > config.cutoff_len for length in whole) - left_out
    return features, Lengths(median_low(whole), max(whole), cut, left_out)


def in_order(features: Sequence[_Feature], config: FinetuneConfig) -> list[_Feature]:
    """The rows of all steps of the run, in order: ``max_steps * batch_size`` rows.

    Passes over the shuffled rows follow each other without a break, so that every step has ``batch_size`` rows. The
    seed alone decides the rows of a step. Within a step the longest rows come first, so that rows that are computed
    together need little padding.
    """
    draw, wanted = random.Random(config.seed), config.max_steps * config.batch_size
    drawn: list[_Feature] = []
    while len(drawn) < wanted:
        drawn += draw.sample(features, len(features))
    steps = [drawn[at : at + config.batch_size] for at in range(0, wanted, config.batch_size)]
    return [feature for step in steps for feature in sorted(step, key=lambda row: -len(row["input_ids"]))]


def collate(features: Sequence[_Feature]) -> dict[str, torch.Tensor]:
    """A batch (rows by tokens), padded on the right with 0, without attention and labels."""
    width = max(len(feature["input_ids"]) for feature in features)

    def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

    return {
        "input_ids": padded([feature["input_ids"] for feature in features], 0),
        "attention_mask": padded([[1] * len(feature["input_ids"]) for feature in features], 0),
        "labels": padded([feature["labels"] for feature in features], _IGNORED),
    }


# Layers with an adapter


def find_targets(model: Any, wanted: Sequence[str] | None, name: str) -> list[str]:
    """The names of the layers of ``model`` that get an adapter, sorted.

    Args:
        wanted: names of layers; a name means every layer whose dotted name ends in it. None chooses the layers.
        name: the name of the model in messages.

    Raises:
        ConfigError: the model has no layer of a wanted name, or no attention layers; the message lists its layers.
    """
    head = model.get_output_embeddings()
    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D)}
    layers = [layer for layer, part in linear.items() if wanted is not None or part is not head]
    names = sorted({layer.rpartition(".")[2] for layer in layers})
    has = f"its linear layers are {', '.join(names)}" if names else "it has no linear layers"
    if wanted is not None:
        unknown = [target for target in wanted if not fitting([target], layers)]
        if unknown or not wanted:
            raise ConfigError(
                f"target_modules={tuple(wanted)!r} do not fit the model {name!r}: "
                + (f"it has no linear layer {unknown[0]!r}; " if unknown else "there is none; ")
                + f"{has}, or leave target_modules out to have them found"
            )
        return sorted(set(wanted))
    listed = _TABLE.get(str(getattr(model.config, "model_type", "")))
    for known in (PUBLISHED, listed):
        if isinstance(known, list | tuple) and all(fitting([target], layers) for target in known):
            return sorted(known)
    # Every linear layer in attention, by the last part of its name, or the last two if a layer outside has the same.
    inside = [layer for layer in layers if _ATTENTION.search(layer.rpartition(".")[0])]
    outside = {layer.rpartition(".")[2] for layer in set(layers) - set(inside)}
    parts = [layer.split(".") for layer in inside]
    if parts:
        return sorted({".".join(part[-2:]) if part[-1] in outside else part[-1] for part in parts})
    raise ConfigError(
        f"no attention projections are found in the model {name!r} ({type(model).__name__}); {has}: "
        "give some of them as target_modules"
    )


def fitting(targets: Iterable[str], layers: Iterable[str]) -> list[str]:
    """The layers whose dotted name ends in one of ``targets``, as PEFT matches them."""
    endings = tuple(targets)
    return [layer for layer in layers if any(f".{layer}".endswith(f".{ending}") for ending in endings)]


def _are_transposed(model: Any, targets: Sequence[str]) -> bool:
    """Whether the weights of the layers are stored input by output (Conv1D in GPT-2). PEFT needs to know it."""
    layers = dict(model.named_modules())
    return any(isinstance(layers[layer], Conv1D) for layer in fitting(targets, layers))
