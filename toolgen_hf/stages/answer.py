"""Stage 1 of the flow: the student answers every question without a tool, and is graded.

    in   {"id": "GSM8K-train-0", "question": "Natalia sold clips to 48 ...", "answer": ["72"], "solution": ...}
    out  {..., "response": "48 + 24 = 72. The answer is 72.", "thinking": null, "truncated": false,
          "prediction": "72.0", "correct": true, "fewshot_overlap": true, "reason": null}

The method assumes that a model needs a tool exactly where it is wrong without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.ask import Ask
from toolgen_hf.models import build
from toolgen_hf.models.config import GeneratorConfig
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Row, Stage, require_columns
from toolgen_hf.stages.near_duplicates import NearDuplicates
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.prompts import PromptSet, answer_prompt, examples_digest, is_example, load_prompts
from toolgen_hf.tasks.responses import Response, read_response
from toolgen_hf.tools import has_call

STAGE = Stage("answer", version=3, features=schemas.ANSWERED, reads=schemas.RAW)
EXAMPLE = "the question is a few-shot example"


async def answer_row(
    row: Row,
    ask: Ask,
    student: Texts,
    task: Task,
    prompts: PromptSet,
    drop_overlap: bool = False,
    drop: Mapping[str, str] | None = None,
) -> Row:
    """Ask the student and grade its response.

    A response is correct if it states a right answer. These do not count, because the trained model would imitate them:
    a last number that happens to be right, a response that was cut at the token limit, and a response that calls the
    tool, since the call was not run. A row whose gold answer
    does not fit the task is rejected before the student is asked. A row for which the engine gives no text is rejected
    too.
    """
    overlap = is_example(task, row["question"])
    reason = (drop or {}).get(row["id"])
    if reason is None:
        reason = EXAMPLE if drop_overlap and overlap else unusable_answer(row["answer"], task)
    response = None
    if reason is None:
        made = await ask.text(student, answer_prompt(prompts, row["question"]))
        reason = made.failure
        if reason is None:
            response = read_response(made.text, made.finish_reason == "length")
    return {
        **{name: row[name] for name in schemas.RAW},
        "response": response and response.text,
        "thinking": response and response.thinking,
        "truncated": response is not None and response.is_cut,
        "prediction": response and task.extract(response.text),
        "correct": response is not None and is_right(response, row["answer"], task),
        "fewshot_overlap": overlap,
        "reason": reason,
    }


def is_right(response: Response, answer: Sequence[str], task: Task) -> bool:
    """Whether the response is whole, has no tool call, and states an accepted answer."""
    if response.is_cut or has_call(task.tools, response.text):
        return False
    return task.is_correct(task.stated_answer(response.text), answer)


def unusable_answer(answer: Sequence[str], task: Task) -> str | None:
    """Why a row with these accepted answers cannot be used; None if it can."""
    if any(task.normalize(value) is not None for value in answer):
        return None
    return f"the gold answer is no answer of the task {task.name!r}"


def answer(
    raw: DatasetDict,
    student: GeneratorConfig,
    workspace: Workspace,
    task: str | Task = "math",
    instruction: str | None = None,
    drop_overlap: bool = False,
    drop: Mapping[str, str] | None = None,
) -> DatasetDict:
    """Let the student answer every question of every split (columns ``schemas.RAW`` -> ``ANSWERED``).

    Args:
        student: the model that answers, and how it decodes.
        instruction: the instruction to the student; the default is the task's own.
        drop_overlap: reject the questions that are examples in the prompts of teachers and few-shot sources.
        drop: other questions to reject: the reason by id.

    Raises:
        DataError: a column is missing.
        GenerationError: the model failed; texts written before are in the store.
    """
    require_columns(raw, schemas.RAW, "answer")
    grader = get_task(task)
    prompts = load_prompts(grader, "answer")
    if instruction is not None:
        prompts = PromptSet(instruction)
    texts = workspace.texts(build(student), STAGE.name)
    settings = {
        "task": identity(grader),
        "prompts": prompts.settings(),
        "generator": texts.settings,
        "examples": examples_digest(grader),
        "drop_overlap": drop_overlap,
        **({"drop": dict(drop)} if drop else {}),
    }

    async def function(row: Row) -> Row:
        return await answer_row(row, Ask(), texts, grader, prompts, drop_overlap, drop)

    return STAGE.run(raw, function, settings, workspace, texts=[texts])


def run(
    rows: DatasetDict,
    recipe: Any,
    workspace: Workspace,
    name: str | None = None,
    near: NearDuplicates | None = None,
) -> DatasetDict:
    """Run the stage with the settings of a `toolgen_hf.Recipe`.

    Args:
        near: the near duplicates among ``rows``, if they were found already.
    """
    student, dataset = recipe.student, recipe.dataset
    drop = (near or NearDuplicates(rows)).leaks() if dataset.near_duplicates == "drop" else {}
    drops_overlap = dataset.fewshot_overlap == "drop"
    return answer(rows, student.generator, workspace, recipe.task, student.instruction, drops_overlap, drop)
