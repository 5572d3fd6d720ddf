"""Tool calls for the questions that the student got wrong.

    in   {"id": "GSM8K-train-0", ..., "prediction": "96.0", "correct": false, "reason": null}
    out  {..., "tool_call": "calculator(48+48/2)", "teacher": "annotations",
          "verified_by": "execution+solution", "soundness": "explained", "attempts": [...]}

Each call is run. It is accepted if it leads to an accepted answer and does not hold that answer itself, which the
teacher could have copied. Otherwise the teacher is asked again and told why, then the next teacher is asked. A question
for which no teacher writes such a call is rejected with the reason and every attempt. Rows that the student got right
pass unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.ask import Ask, Generation, Wanted
from toolgen_hf.models import build
from toolgen_hf.models.config import AnnotationsConfig, FileConfig, TeacherConfig, unique
from toolgen_hf.models.file import FileGenerator
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.answer import unusable_answer
from toolgen_hf.stages.base import Row, Stage, require_columns
from toolgen_hf.stages.connect import connect
from toolgen_hf.stages.execute import execute_text
from toolgen_hf.tasks import TaskLike, get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math.compose import VERSION as ANNOTATIONS_VERSION
from toolgen_hf.tasks.prompts import PromptSet, load_prompts, tool_api_prompt
from toolgen_hf.tasks.responses import read_response

NO_CALL = "no call to this question"
COPIED = "the tool call holds the gold answer"
NEEDLESS = "the reader is right without the call"
STAGE = Stage("tool_api", version=9, features=schemas.CALLED, reads=schemas.ANSWERED)


class Attempt(TypedDict):
    """One attempt of a teacher; ``reason`` is None if the call was accepted."""

    teacher: str
    output: str | None
    thinking: str | None
    result: str | None
    reason: str | None


class Case:
    """A question that needs a call, and the attempts so far."""

    def __init__(self, question: str, answer: Sequence[str], solution: str | None) -> None:
        self.question, self.answer, self.solution = question, answer, solution
        self.attempts: list[Attempt] = []
        self.call: str | None = None
        self.verified_by: str | None = None
        self.soundness: str | None = None

    @property
    def reason(self) -> str | None:
        """Why there is no call, in words that can be counted; None if there is one. The attempts have the details."""
        if self.call is not None:
            return None
        last = {attempt["teacher"]: attempt["reason"] or "" for attempt in self.attempts}
        reasons = [f"{teacher}: {reason.partition(':')[0]}" for teacher, reason in last.items()]
        return f"no verified tool call ({'; '.join(reasons) or 'no teacher was asked'})"

    def last(self, teacher: str) -> Attempt | None:
        """The last attempt of a teacher."""
        return next((made for made in reversed(self.attempts) if made["teacher"] == teacher), None)

    def is_open(self, teacher: str) -> bool:
        """Whether to ask a teacher (again): there is no call, and its last attempt had an output."""
        last = self.last(teacher)
        had_nothing = last is not None and last["output"] is None
        return self.call is None and not had_nothing

    def feedback(self, teacher: str) -> str | None:
        """What a teacher is told about its last attempt."""
        last = self.last(teacher)
        if last is None or last["output"] is None:
            return None
        return _feedback(last)

    def repeats(self, teacher: str) -> int:
        """How many earlier attempts got the same feedback. Their texts do not answer this attempt."""
        told: list[str | None] = [None]
        told += [_feedback(made) for made in self.attempts if made["teacher"] == teacher]
        return told[:-1].count(told[-1])


def _feedback(attempt: Attempt) -> str:
    output, result = (attempt["output"] or "").strip(), attempt["result"]
    if attempt["reason"] == NEEDLESS:
        return f"{output} gives {result}, but it is not needed: the answer is known without it. Write another call."
    if attempt["reason"] == COPIED:
        return f"{output} holds the Golden answer itself. Write one that leads to it from the question alone."
    came = f"gives {result}" if result is not None else f"fails ({attempt['reason']})"
    return f"{output} {came}, which is not the Golden answer. Write another call."


@dataclass(frozen=True, slots=True)
class Proposal:
    """A teacher's output and its thinking, or the reason why there is no output."""

    output: str | None
    reason: str | None = None
    thinking: str | None = field(default=None, kw_only=True)
    soundness: str | None = field(default=None, kw_only=True)


Propose = Callable[[Case, Ask], Coroutine[Wanted, Generation, Proposal]]
"""A teacher: its proposal for a case."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher, which is asked up to ``attempts`` times about one question."""

    name: str
    attempts: int
    propose: Propose
    identity: Mapping[str, Any]
    texts: Texts | None = None
    accepts: Collection[str] | None = None
    """The soundness (``schemas.SOUNDNESS``) that a call must have, for a teacher that reads the worked solution; None
    accepts every call."""


async def verify(
    proposal: Proposal, teacher: Teacher, case: Case, task: Task, ask: Ask, causal: bool = True
) -> None:
    """Run a teacher's output and record the attempt. A call is verified if it leads to an accepted answer by itself.

    Of several such calls the last one counts that does not hold the answer, because stage 1 teaches the call alone.
    Where a model reads the results, all calls up to the one that gives the answer count.

    Args:
        causal: where a model reads the results, accept a call only if this model is wrong without them.
    """
    output, thinking = proposal.output, proposal.thinking
    if output is None:
        case.attempts.append(
            Attempt(teacher=teacher.name, output=None, thinking=thinking, result=None, reason=proposal.reason)
        )
        return
    ran = await execute_text(output, task, ask, case.question)
    verified = ran.verified(case.question, case.answer, task)
    right = ran.right(case.answer, task)
    shown = verified or next(reversed(right or ran.calls), None)
    result = None if shown is None else shown.answer
    reason = None
    accepted = teacher.accepts is None or (proposal.soundness or "explained") in teacher.accepts
    if right and verified is None:
        reason = COPIED
    elif verified is not None and not accepted:
        reason = f"the call is {proposal.soundness}"
    elif verified is not None and causal and await _is_needless(case, task, ask):
        reason = NEEDLESS
    elif verified is not None:
        case.call = ran.taught(verified, task)
        case.verified_by = "execution" if teacher.accepts is None else "execution+solution"
        case.soundness = proposal.soundness
        if teacher.accepts is None:
            case.soundness = task.soundness(case.question, case.call)
    elif not ran.uses_tool:
        reason = "the teacher wrote no tool call"
    elif ran.error is not None:
        reason = f"the tool call fails ({ran.error.partition(':')[0]})"
    else:
        reason = "the result is not the gold answer"
    case.attempts.append(
        Attempt(teacher=teacher.name, output=output, thinking=thinking, result=result, reason=reason)
    )


async def _is_needless(case: Case, task: Task, ask: Ask) -> bool:
    return task.reads and task.is_correct(await task.answer_without(case.question, ask), case.answer)


async def tool_api_row(
    row: Row, ask: Ask, task: Task, teachers: Sequence[Teacher], causal: bool = True
) -> Row:
    """Ask the teachers, in order, for the call of a wrong row; not where no call could ever be verified."""
    case, reason = None, row["reason"]
    if not row["correct"] and reason is None:
        reason = unusable_answer(row["answer"], task)
    if not row["correct"] and reason is None:
        case = Case(row["question"], row["answer"], row["solution"])
        for teacher in teachers:
            for _ in range(teacher.attempts):
                if case.is_open(teacher.name):
                    await verify(await teacher.propose(case, ask), teacher, case, task, ask, causal)
        reason = case.reason
    has_call = case is not None and case.call is not None
    return {
        **{name: row[name] for name in schemas.ANSWERED},
        "reason": reason,
        "tool_call": case and case.call,
        "teacher": case.attempts[-1]["teacher"] if case and has_call else None,
        "verified_by": case and case.verified_by,
        "soundness": case and case.soundness,
        "attempts": case.attempts if case else [],
    }


def tool_api(
    answered: DatasetDict,
    teachers: Sequence[TeacherConfig],
    workspace: Workspace,
    task: TaskLike = "math",
    max_attempts: int = 2,
    example_seed: int | None = None,
    causal: bool = True,
) -> DatasetDict:
    """Get a verified tool call for every wrong row (columns ``schemas.ANSWERED`` -> ``CALLED``).

    Args:
        teachers: asked in this order; ``annotations`` and a file once, a model up to ``max_attempts`` times.
        example_seed: shuffles the examples of the teachers' prompt; None leaves them in the published order.
        causal: where a model reads the results, accept a call only if this model is wrong without them.

    Raises:
        DataError: a column is missing.
        ConfigError: the task needs a reader, or a tool.
        GenerationError: a teacher's model failed; texts written before are in the store.
    """
    require_columns(answered, schemas.ANSWERED, "tool_api")
    grader = get_task(task)
    prompts = load_prompts(grader, "tool_api").ordered(example_seed)
    names = unique([config.name for config in teachers])
    asked = [
        _teacher(config, name, prompts, grader, max_attempts, workspace)
        for config, name in zip(teachers, names, strict=True)
    ]
    connected = connect(task, workspace, STAGE.name)
    settings = {
        **connected.settings,
        "prompts": prompts.settings(),
        "teachers": [teacher.identity for teacher in asked],
        "max_attempts": max_attempts,
        "soundness": ANNOTATIONS_VERSION,
        "causal": causal and grader.reads,
    }

    async def function(row: Row) -> Row:
        return await tool_api_row(row, connected.ask(), grader, asked, causal)

    models = [teacher.texts for teacher in asked if teacher.texts is not None]
    return STAGE.run(answered, function, settings, workspace, texts=[*models, *connected.texts])


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """Run the stage with the settings of a `toolgen_hf.Recipe`."""
    config = recipe.tool_api
    settings = (config.max_attempts, config.example_seed, config.causal)
    return tool_api(rows, config.teachers, workspace, recipe.equipped, *settings)


def _teacher(
    config: TeacherConfig, name: str, prompts: PromptSet, task: Task, max_attempts: int, workspace: Workspace
) -> Teacher:
    if isinstance(config, AnnotationsConfig):
        return _annotations(config, task)
    if isinstance(config, FileConfig):
        return _given(config, name)
    texts = workspace.texts(build(config), f"{STAGE.name} {name}", max_attempts)

    async def propose(case: Case, ask: Ask) -> Proposal:
        prompt = tool_api_prompt(prompts, case.question, case.answer, case.feedback(name))
        return _proposal(await ask.text(texts, prompt, case.repeats(name)))

    return Teacher(name, max_attempts, propose, {**texts.settings, "name": name}, texts)


def _proposal(made: Generation) -> Proposal:
    said = read_response(made.text, made.finish_reason == "length")
    if said.text:
        return Proposal(said.text, thinking=said.thinking)
    cut = " and cut at the token limit" if said.is_cut else ""
    return Proposal(None, made.failure or f"the text is empty{cut}", thinking=said.thinking)


def _annotations(config: AnnotationsConfig, task: Task) -> Teacher:
    async def annotate(case: Case, ask: Ask) -> Proposal:
        made = task.annotate(case.question, case.solution, case.answer)
        return Proposal(
            made.call, made.reason or (None if made.call else "no call"), soundness=made.soundness
        )

    settings = {"kind": config.kind, "version": ANNOTATIONS_VERSION, "accept": config.accept}
    return Teacher(config.kind, 1, annotate, settings, accepts=config.accepts)


def _given(config: FileConfig, name: str) -> Teacher:
    """A teacher whose calls are in a file. They are run and verified like any other."""
    file = FileGenerator(config)

    async def look_up(case: Case, ask: Ask) -> Proposal:
        call = file.call(case.question)
        return _proposal(call) if call else Proposal(None, NO_CALL)

    return Teacher(name, 1, look_up, {**file.identity(), "name": name})
