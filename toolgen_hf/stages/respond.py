"""Responses: one source answers every question, free to call the tool or not.

    in   {"id": "GSM8K-train-0", "question": "Natalia sold ...", "answer": ["72"], ...}
    out  {"id": "GSM8K-train-0", "question": ..., "answer": ["72"], "source": "vicuna",
          "response": "calculator(48+48/2)"}

A source is asked either by instruction (a fine-tuned model) or by a few worked examples (an API model).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from datasets import DatasetDict
from pydantic import Field

from toolgen_hf import schemas
from toolgen_hf.generators import build
from toolgen_hf.generators.base import Prompt
from toolgen_hf.generators.config import Config, GeneratorConfig
from toolgen_hf.prompts.fewshot import PromptSet, load_prompts, respond_prompt
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.tasks import get_task
from toolgen_hf.workspace import Workspace

STAGE = Stage("respond", version=1, features=schemas.RESPONSES)


class SourceConfig(Config):
    """One source of responses: which model, and how it is asked."""

    generator: GeneratorConfig
    prompt: Literal["instruction", "few_shot"] = "instruction"
    examples: int = Field(4, ge=0)
    """How many worked examples a few-shot prompt shows."""


def respond_batch(
    batch: Batch,
    source: str,
    ask: Callable[[str], Prompt],
    write: Callable[[Sequence[Prompt]], list[str]],
) -> Batch:
    """Ask every question once."""
    return {
        "id": batch["id"],
        "question": batch["question"],
        "answer": batch["answer"],
        "source": [source] * len(batch["id"]),
        "response": write([ask(question) for question in batch["question"]]),
    }


def respond(
    raw: DatasetDict, source: str, config: SourceConfig, workspace: Workspace, task: str = "math"
) -> DatasetDict:
    """Let one source answer every question (columns ``schemas.RAW`` -> ``RESPONSES``).

    Raises:
        DataError: a column is missing.
        GenerationError: the model failed; texts written before are in the store.
    """
    require_columns(raw, schemas.RAW, "respond")
    grader = get_task(task)
    prompts = load_prompts(grader.name, "respond")
    if config.prompt == "instruction":
        prompts = PromptSet(grader.instruction)
    generator = build(config.generator)
    label = f"{STAGE.name} {source}"
    settings = {
        "source": source,
        "prompt": [config.prompt, config.examples],
        "prompts": prompts.settings(),
        "generator": generator.identity(),
    }

    def ask(question: str) -> Prompt:
        if config.prompt == "instruction":
            return Prompt(prompts.system, question)
        return respond_prompt(prompts, question, config.examples)

    def write(asked: Sequence[Prompt]) -> list[str]:
        return [made.text for made in workspace.generate(generator, asked, label)]

    return STAGE.run(raw, lambda batch: respond_batch(batch, source, ask, write), settings, workspace, label)
