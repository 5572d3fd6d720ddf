"""Responses: one source answers every question, free to call the tool or not.

    in   {"id": "GSM8K-train-0", "question": "Natalia sold ...", "answer": ["72"], ...}
    out  {"id": "GSM8K-train-0", "question": ..., "answer": ["72"], "source": "vicuna",
          "response": "calculator(48+48/2)", "finish_reason": "stop"}

A source is asked with an instruction (a fine-tuned model) or with a few worked examples (an API model).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal

from datasets import DatasetDict
from pydantic import Field

from toolgen_hf import schemas
from toolgen_hf._utils import digest, rows_as_tuples
from toolgen_hf.ask import Ask, Prompt
from toolgen_hf.models import build
from toolgen_hf.models.config import Config, FileConfig, GeneratorConfig
from toolgen_hf.models.file import FileGenerator, Given, match
from toolgen_hf.runtime.cache import kept_batches
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Row, Stage, require_columns
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.prompts import PromptSet, load_prompts, respond_prompt

STAGE = Stage("respond", version=3, features=schemas.RESPONSES, reads=schemas.RAW)

logger = logging.getLogger(__name__)


class SourceConfig(Config):
    """A source of responses: the model, and how it is asked."""

    generator: GeneratorConfig
    """The model, engine or file that responds."""
    prompt: Literal["instruction", "few_shot"] = "instruction"
    """``instruction``: the task's instruction, for a fine-tuned model; ``few_shot``: worked examples."""
    examples: int = Field(4, ge=0)
    """The number of worked examples in a few-shot prompt."""
    example_seed: int | None = None
    """Shuffles the examples; null leaves them in the published order."""


async def respond_row(row: Row, ask: Ask, source: str, texts: Texts, prompt: Callable[[str], Prompt]) -> Row:
    """Ask the question once. If the engine gives no text, the response is null, and ``finish_reason`` says why."""
    made = await ask.text(texts, prompt(row["question"]))
    return {
        **{name: row[name] for name in ("id", "question", "answer")},
        "source": source,
        "response": made.text,
        "finish_reason": made.finish_reason,
    }


def respond(
    raw: DatasetDict,
    source: str,
    config: SourceConfig,
    workspace: Workspace,
    task: str | Task = "math",
    examples: PromptSet | None = None,
) -> DatasetDict:
    """Let one source answer every question (columns ``schemas.RAW`` -> ``RESPONSES``).

    Args:
        examples: the examples of a few-shot prompt; the default is the task's own.

    Raises:
        ConfigError: a file of responses does not exist.
        DataError: a column is missing, or a file of responses is malformed.
        GenerationError: the model failed; texts written before are in the store.
    """
    require_columns(raw, schemas.RAW, "respond")
    if isinstance(config.generator, FileConfig):
        return respond_from_file(raw, source, config.generator, workspace)[0]
    grader = get_task(task)
    prompts = (examples or load_prompts(grader, "respond")).ordered(config.example_seed)
    if config.prompt == "instruction":
        prompts = PromptSet(grader.instruction)
    label = f"{STAGE.name} {source}"
    texts = workspace.texts(build(config.generator), label)
    settings = {
        "source": source,
        "prompt": [config.prompt, config.examples],
        "prompts": prompts.settings(),
        "generator": texts.settings,
    }

    def prompt(question: str) -> Prompt:
        if config.prompt == "instruction":
            return Prompt(prompts.system, question)
        return respond_prompt(prompts, question, config.examples)

    async def function(row: Row) -> Row:
        return await respond_row(row, Ask(), source, texts, prompt)

    return STAGE.run(raw, function, settings, workspace, label, [texts])


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """Let the source ``name`` of a `toolgen_hf.Recipe` respond."""
    return respond(rows, str(name), recipe.sources[name], workspace, recipe.task)


def respond_from_file(
    raw: DatasetDict, source: str, config: FileConfig, workspace: Workspace
) -> tuple[DatasetDict, list[dict[str, str]]]:
    """As ``respond``, and the rows of the file that answer no question (``schemas.REJECTED``).

    A question without a response in the file has the ``finish_reason`` ``missing``. The file is not read again if both
    are in the cache.

    Raises:
        ConfigError: the file does not exist.
        DataError: it is malformed, or a row has no response.
    """
    file = FileGenerator(config)
    read = cache(partial(_read, file, raw, source))

    def function(batch: Batch) -> Batch:
        given = read()
        return {
            **{name: batch[name] for name in ("id", "question", "answer")},
            "source": [source] * len(batch["id"]),
            "response": [given.responses.get(key) for key in batch["id"]],
            "finish_reason": [given.end(key) for key in batch["id"]],
        }

    # The settings have the whole file, because rows of the file that answer no question change the result too.
    settings = {"source": source, "generator": file.identity()}
    label = f"{STAGE.name} {source}"
    made = STAGE.run(raw, function, settings, workspace, label, in_one_process=True)
    if workspace.plan is not None:
        return made, []
    fingerprint = digest(
        [STAGE.version, settings, [[name, rows._fingerprint] for name, rows in raw.items()]]
    )[:32]
    left = kept_batches(
        lambda start, stop: iter(
            [{name: [row[name] for row in read().rejected] for name in schemas.REJECTED}]
        ),
        0,
        schemas.REJECTED,
        next(iter(raw.values())),
        fingerprint,
        workspace.cache_dir / "stages" / f"left-over-{fingerprint}.arrow",
    )
    return made, left.to_list()


def _read(file: FileGenerator, raw: DatasetDict, source: str) -> Given:
    found = match(
        file.rows(),
        (pair for rows in raw.values() for pair in rows_as_tuples(rows, "id", "question")),
        source,
    )
    if note := found.empty():
        logger.warning("%s", note)
    return found
