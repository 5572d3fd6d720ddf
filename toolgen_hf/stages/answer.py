"""Stage 1 of the flow: the student answers every question without a tool, and is graded.

    in   {"id": "GSM8K-train-0", "question": "Natalia sold clips to 48 ...", "answer": ["72"], "solution": ...}
    out  {..., "response": "48 + 24 = 72. The answer is 72.", "thinking": null, "truncated": false,
          "prediction": "72.0", "correct": true, "fewshot_overlap": true, "reason": null}

The hypothesis of the method: an LM needs a tool exactly where it is wrong without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.errors import ToolError
from toolgen_hf.models import build
from toolgen_hf.models.config import GeneratorConfig
from toolgen_hf.runtime.texts import Ask
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.prompts import PromptSet, answer_prompt, examples_digest, is_example, load_prompts
from toolgen_hf.tasks.responses import Response, read_response
from toolgen_hf.tools import find_calls

STAGE = Stage("answer", version=3, features=schemas.ANSWERED)
EXAMPLE = "the question is a few-shot example"


def answer_batch(
    batch: Batch,
    task: Task,
    prompts: PromptSet,
    ask: Ask,
    drop_overlap: bool = False,
    drop: Mapping[str, str] | None = None,
) -> Batch:
    """Ask and grade.

    A response is correct if it states a right answer in so many words. One whose last number only happens to
    be right is not: it would be imitated, and a teacher may as well write its call. Nor is one that was cut at the
    token limit: it reached no answer, and as a target it would teach to stop in mid-sentence. Nor is one that calls
    the tool by itself: that call was not run. A row whose gold answer is none of this task's is not asked
    but rejected, as is one to which the model gives no text at all (a content filter, a prompt too long).
    """
    overlap = [is_example(task, question) for question in batch["question"]]
    dropped = [(drop or {}).get(key) for key in batch["id"]]
    unusable = [
        reason or (EXAMPLE if drop_overlap and is_shown else unusable_answer(answer, task))
        for reason, answer, is_shown in zip(dropped, batch["answer"], overlap, strict=True)
    ]
    asked = [answer_prompt(prompts, q) for q, r in zip(batch["question"], unusable, strict=True) if r is None]
    texts = iter(ask(asked) if asked else [])
    came = [next(texts) if reason is None else None for reason in unusable]
    reasons = [r if m is None else m.failure for m, r in zip(came, unusable, strict=True)]
    made = [m if reason is None else None for m, reason in zip(came, reasons, strict=True)]
    said = [None if m is None else read_response(m.text, m.finish_reason == "length") for m in made]
    return {
        **{name: batch[name] for name in schemas.RAW},
        "response": [None if r is None else r.text for r in said],
        "thinking": [None if r is None else r.thinking for r in said],
        "truncated": [r is not None and r.is_cut for r in said],
        "prediction": [None if r is None else task.extract(r.text) for r in said],
        "correct": [
            r is not None and is_right(r, a, task) for r, a in zip(said, batch["answer"], strict=True)
        ],
        "fewshot_overlap": overlap,
        "reason": reasons,
    }


def is_right(response: Response, answer: Sequence[str], task: Task) -> bool:
    """Whether the student's response can be imitated: whole, without a call, and it states an accepted answer."""
    if response.is_cut or _calls(response.text, task):
        return False
    return task.is_correct(task.stated_answer(response.text), answer)


def _calls(text: str, task: Task) -> bool:
    try:
        return bool(find_calls(task.tool, text))
    except ToolError:
        return True


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
        student: which model answers, and how it decodes.
        instruction: what it is told; default the task's own.
        drop_overlap: reject the questions that teachers and few-shot sources are shown as examples.
        drop: by id other questions to reject, each with the reason.

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

    def function(batch: Batch) -> Batch:
        return answer_batch(batch, grader, prompts, texts, drop_overlap, drop)

    return STAGE.run(raw, function, settings, workspace, texts=[texts])
