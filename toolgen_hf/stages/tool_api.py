"""Tool calls for the questions that the student got wrong.

    in   {"id": "GSM8K-train-0", ..., "prediction": "96.0", "correct": false, "reason": null}
    out  {..., "tool_call": "calculator(48+48/2)", "teacher": "annotations", "attempts": [...]}

Each call is executed; it is accepted if its result is the gold answer. Where it is not, the teacher is
asked again with the result as feedback, then the next teacher is asked; a question that no teacher can
do is rejected with the reason, every attempt kept. Rows that the student got right pass untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.generators import build
from toolgen_hf.generators.annotations import VERSION as ANNOTATIONS_VERSION
from toolgen_hf.generators.annotations import compose
from toolgen_hf.generators.base import Prompt
from toolgen_hf.generators.config import AnnotationsConfig, TeacherConfig
from toolgen_hf.prompts.fewshot import PromptSet, load_prompts, tool_api_prompt
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.workspace import Workspace

STAGE = Stage("tool_api", version=3, features=schemas.CALLED)


class Attempt(TypedDict):
    """One try of one teacher at one question; ``reason`` is None if the call was accepted."""

    teacher: str
    output: str | None
    result: str | None
    reason: str | None


class Case:
    """A question that needs a call, and what has been tried for it."""

    def __init__(self, question: str, answer: Sequence[str], solution: str | None) -> None:
        self.question, self.answer, self.solution = question, answer, solution
        self.attempts: list[Attempt] = []
        self.call: str | None = None

    @property
    def reason(self) -> str | None:
        """Why there is no call, in words that can be counted (the attempts hold the detail); None if there is one."""
        if self.call is not None:
            return None
        last = {attempt["teacher"]: attempt["reason"] or "" for attempt in self.attempts}
        reasons = [f"{teacher}: {reason.partition(':')[0]}" for teacher, reason in last.items()]
        return f"no verified tool call ({'; '.join(reasons) or 'no teacher was asked'})"

    def feedback(self) -> str | None:
        """What to tell a teacher about its last attempt."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or last["output"] is None:
            return None
        came = f"gives {last['result']}" if last["result"] is not None else f"fails ({last['reason']})"
        return f"{last['output'].strip()} {came}, which is not the Golden answer. Write another formula."


Propose = Callable[[Sequence[Case]], list[tuple[str | None, str | None]]]
"""A teacher: (output, reason why there is none) for each case."""


def verify(output: str, teacher: str, case: Case, task: Task) -> None:
    """Run a teacher's output and record the attempt; the case has its call if the result is gold."""
    ran = execute_response(output, task)
    reason = None
    if not ran.uses_tool:
        reason = "the teacher wrote no tool call"
    elif ran.error is not None:
        reason = f"the tool call fails ({ran.error.partition(':')[0]})"
    elif not task.is_correct(ran.prediction, case.answer):
        reason = "the result is not the gold answer"
    else:
        case.call = ran.call
    case.attempts.append(Attempt(teacher=teacher, output=output, result=ran.prediction, reason=reason))


def tool_api_batch(batch: Batch, task: Task, teachers: Sequence[tuple[str, int, Propose]]) -> Batch:
    """Ask the teachers, in order, for each wrong row's call. ``teachers``: (name, attempts, propose)."""
    rows = zip(
        batch["question"], batch["answer"], batch["solution"], batch["correct"], batch["reason"], strict=True
    )
    cases = [Case(q, a, s) if not right and why is None else None for q, a, s, right, why in rows]
    for name, attempts, propose in teachers:
        for _ in range(attempts):
            pending = [case for case in cases if case is not None and case.call is None]
            for case, (output, reason) in zip(pending, propose(pending) if pending else [], strict=True):
                if output is None:
                    case.attempts.append(Attempt(teacher=name, output=None, result=None, reason=reason))
                else:
                    verify(output, name, case, task)
    return {
        **{name: batch[name] for name in schemas.ANSWERED if name != "reason"},
        "reason": [r if c is None else c.reason for c, r in zip(cases, batch["reason"], strict=True)],
        "tool_call": [None if c is None else c.call for c in cases],
        "teacher": [c.attempts[-1]["teacher"] if c is not None and c.call else None for c in cases],
        "attempts": [[] if c is None else c.attempts for c in cases],
    }


def tool_api(
    answered: DatasetDict,
    teachers: Sequence[TeacherConfig],
    workspace: Workspace,
    task: str = "math",
    max_attempts: int = 2,
) -> DatasetDict:
    """Get a verified tool call for every wrong row (columns ``schemas.ANSWERED`` -> ``CALLED``).

    Args:
        teachers: asked in this order; ``annotations`` once, a model up to ``max_attempts`` times.

    Raises:
        DataError: a column is missing.
        GenerationError: a teacher's model failed; texts written before are in the store.
    """
    require_columns(answered, schemas.ANSWERED, "tool_api")
    grader = get_task(task)
    prompts = load_prompts(grader.name, "tool_api")
    built = [_teacher(config, prompts, grader, max_attempts, workspace) for config in teachers]
    settings = {
        "task": [grader.name, grader.version],
        "tool": [grader.tool.name, grader.tool.version],
        "prompts": prompts.settings(),
        "teachers": [identity for identity, _ in built],
        "max_attempts": max_attempts,
    }
    asked = [teacher for _, teacher in built]
    return STAGE.run(answered, lambda batch: tool_api_batch(batch, grader, asked), settings, workspace)


def _teacher(
    config: TeacherConfig, prompts: PromptSet, task: Task, max_attempts: int, workspace: Workspace
) -> tuple[dict[str, Any], tuple[str, int, Propose]]:
    """What determines a teacher's calls, and the teacher as ``tool_api_batch`` wants it."""
    if isinstance(config, AnnotationsConfig):
        name = task.tool.name

        def compose_calls(cases: Sequence[Case]) -> list[tuple[str | None, str | None]]:
            made = [compose(case.question, case.solution, case.answer, task) for case in cases]
            return [(f"{name}({m.formula})" if m.formula else None, m.reason) for m in made]

        return {"kind": config.kind, "version": ANNOTATIONS_VERSION}, (config.kind, 1, compose_calls)

    generator = build(config)

    def ask(cases: Sequence[Case]) -> list[tuple[str | None, str | None]]:
        asked: list[Prompt] = [
            tool_api_prompt(prompts, case.question, case.answer, case.feedback()) for case in cases
        ]
        return [(made.text, None) for made in workspace.generate(generator, asked, STAGE.name)]

    return {**generator.identity(), "name": config.name}, (config.name, max_attempts, ask)
