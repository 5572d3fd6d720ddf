"""Rows as token ids and labels, their order, and batches. Importing this imports torch.

    Example("Add.", "1, 2", "3")  ->  input_ids  prompt  "3"  end of text  (padding)
                                      labels      -100   "3"  end of text   -100

Prompt and output are tokenized separately, so that the output begins at a token, as it does in generation.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import median_low

import torch
from transformers import PreTrainedTokenizerBase

from toolgen_hf.ask import Prompt
from toolgen_hf.errors import DataError
from toolgen_hf.finetune.config import Example, FinetuneConfig, Lengths
from toolgen_hf.models.format import PromptFormat

IGNORED = -100
"""The label that PyTorch's cross-entropy leaves out."""

Feature = dict[str, list[int]]


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, config: FinetuneConfig
) -> tuple[list[Feature], Lengths]:
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
        labels = [IGNORED] * len(prompt) + ids[len(prompt) :]
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


def in_order(features: Sequence[Feature], config: FinetuneConfig) -> list[Feature]:
    """The rows of all steps of the run, in order: ``max_steps * batch_size`` rows.

    Passes over the shuffled rows follow each other without a break, so that every step has ``batch_size`` rows. The
    seed alone decides the rows of a step. Within a step the longest rows come first, so that rows that are computed
    together need little padding.
    """
    draw, wanted = random.Random(config.seed), config.max_steps * config.batch_size
    drawn: list[Feature] = []
    while len(drawn) < wanted:
        drawn += draw.sample(features, len(features))
    steps = [drawn[at : at + config.batch_size] for at in range(0, wanted, config.batch_size)]
    return [feature for step in steps for feature in sorted(step, key=lambda row: -len(row["input_ids"]))]


def collate(features: Sequence[Feature]) -> dict[str, torch.Tensor]:
    """A batch (rows by tokens), padded on the right with 0, without attention and labels."""
    width = max(len(feature["input_ids"]) for feature in features)

    def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

    return {
        "input_ids": padded([feature["input_ids"] for feature in features], 0),
        "attention_mask": padded([[1] * len(feature["input_ids"]) for feature in features], 0),
        "labels": padded([feature["labels"] for feature in features], IGNORED),
    }
