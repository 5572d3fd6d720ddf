"""What people train on with TRL, as configs of their own; each opens in its trainer as it is.

    config          of        TRL's type and trainer
    `sft`           stage 1   conversational prompt-completion, SFTTrainer
    `tool_calling`  stage 1   conversational language modeling with tools, SFTTrainer
    `preference`    stage 2   conversational preference, DPOTrainer and RewardTrainer

Trainers that take a list of scored responses (RRHF, as the paper's RLEF) read stage 2 itself: its
``query, responses, scores`` are that format. What each config looks like, from the same question:

    sft           {"prompt": [{"role": "user", "content": "Given a math problem, ...\\nNatalia sold ..."}],
                   "completion": [{"role": "assistant", "content": "calculator(48+48/2)"}]}
    tool_calling  {"messages": [{"role": "user", "content": "Natalia sold ..."},
                                {"role": "assistant", "content": "", "tool_calls": [{"id": "call00000",
                                 "type": "function", "function": {"name": "calculator",
                                                                  "arguments": {"expression": "48+48/2"}}}]},
                                {"role": "tool", "tool_call_id": "call00000", "name": "calculator",
                                 "content": "72.0"},
                                {"role": "assistant", "content": "The answer is 72."}],
                   "tools": [{"type": "function", "function": {"name": "calculator", ...}}]}
    preference    {"prompt": [{"role": "user", "content": "Given a math problem, ..."}],
                   "chosen": [{"role": "assistant", "content": "calculator(48+48/2)"}],
                   "rejected": [{"role": "assistant", "content": "The answer is 96."}],
                   "chosen_score": 20, "rejected_score": 10, "chosen_correct": true, ...}

Why conversations and not plain text: the trainer then applies the chat template of the very model it
trains, so that each turn ends as that model ends turns, and takes the loss on the completion alone. For a
base model without a template, stage 1 has the plain columns. Blanks around a text are left out: they are
no part of a turn, and a leading one would tell the rejected from the chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Stage, require_columns
from toolgen_hf.stages.chat_template import require_calls
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks import get_task, identity
from toolgen_hf.tasks.base import Task

SFT = Stage("sft", version=1, features=schemas.SFT)
TOOL_CALLING = Stage("tool_calling", version=2, features=schemas.TOOL_CALLING)
PREFERENCE = Stage("preference", version=2, features=schemas.PREFERENCE)

CALL_ID = "call{:05}"
"""A call's id: Mistral's templates want nine letters or digits."""

Message = dict[str, Any]
Pairs = Literal["best", "all"]
PAIRS = ("best", "all")


def sft_batch(batch: Batch) -> Batch:
    """Stage 1's rows as conversations of two turns."""
    asked = zip(batch["instruction"], batch["input"], strict=True)
    return {
        "id": batch["id"],
        "prompt": [_turn("user", f"{instruction}\n{question}") for instruction, question in asked],
        "completion": [_turn("assistant", output) for output in batch["output"]],
        "fewshot_overlap": batch["fewshot_overlap"],
    }


def tool_calling_batch(batch: Batch, task: Task) -> Batch:
    """Stage 1's rows as conversations in which the tool is really called.

    Raises:
        DataError: a row's call cannot be run, or does not give its answer; stage 1 has no such row.
    """
    rows = zip(batch["id"], batch["input"], batch["output"], batch["answer"], strict=True)
    return {
        "id": batch["id"],
        "messages": [
            _turn("user", question) + _respond(key, output, answer or [], task)
            for key, question, output, answer in rows
        ],
        "tools": [[task.tool.schema()] for _ in batch["id"]],
        "fewshot_overlap": batch["fewshot_overlap"],
    }


def preference_batch(batch: Batch, pairs: Pairs = "best", margin: int = 1) -> Batch:
    """Stage 2's rows as pairs of which one response is better; a question may give none, or several."""
    made: Batch = {name: [] for name in schemas.PREFERENCE}
    names = ("id", "query", "fewshot_overlap", "responses", "origin", "scores")
    graded = batch.get("correct") or [None] * len(batch["id"])
    columns = zip(*(batch[name] for name in names), graded, strict=True)
    for key, query, overlap, responses, origin, scores, correct in columns:
        candidates = _candidates(responses, origin, scores, correct or [None] * len(scores))
        for chosen, rejected in _pairs(candidates, pairs, margin):
            made["id"].append(key)
            made["prompt"].append(_turn("user", query))
            for column, candidate in (("chosen", chosen), ("rejected", rejected)):
                made[column].append(_turn("assistant", candidate.text))
                made[f"{column}_score"].append(candidate.score)
                made[f"{column}_origin"].append(candidate.origin)
                made[f"{column}_correct"].append(candidate.correct)
            made["fewshot_overlap"].append(overlap)
    return made


def sft(stage1_rows: DatasetDict, workspace: Workspace) -> DatasetDict:
    """Behavior cloning for TRL's SFTTrainer (columns ``schemas.STAGE1`` -> ``SFT``).

    The prompt is the instruction, a newline and the question, as the published query joins them. The
    completion is stage 1's output, in which a call is text: ``calculator(48+48/2)``.

    Raises:
        DataError: a column is missing.
    """
    require_columns(stage1_rows, schemas.STAGE1, "sft")
    return SFT.run(stage1_rows, sft_batch, {}, workspace)


def tool_calling(
    stage1_rows: DatasetDict,
    workspace: Workspace,
    task: str | Task = "math",
    tokenizer: str | Any | None = None,
    revision: str | None = None,
) -> DatasetDict:
    """Tool use for TRL's SFTTrainer (columns ``schemas.STAGE1`` -> ``TOOL_CALLING``).

    The question stands alone: that there is a tool is told by ``tools``, which rows answered without it
    have too, for they teach when not to call. ``SFTConfig(assistant_only_loss=True)`` keeps the tool's
    result, which the model never writes, out of the loss. A message has only the keys that it needs, for
    chat templates ask whether a key is there: the columns are ``datasets.Json`` (TRL's advice too), where
    an Arrow struct would give every message the keys of all, null.

    Args:
        tokenizer: a model (a folder, a Hub id, ``pip:NAME``) or its tokenizer: check on real rows that its chat
            template renders each call, its result and the answer. Those of SmolLM2, Llama 3 and Phi-3 leave calls out.
        revision: of a model on the Hub.

    Raises:
        ConfigError: the chat template leaves some of it out; says what, and what to do.
        DataError: a column is missing, or a row's call does not give its answer.
    """
    require_columns(stage1_rows, schemas.STAGE1, "tool_calling")
    grader = get_task(task)
    settings = {
        "task": identity(grader),
        "tool": [*identity(grader.tool), grader.tool.schema()],
    }
    made = TOOL_CALLING.run(stage1_rows, lambda batch: tool_calling_batch(batch, grader), settings, workspace)
    if tokenizer is not None:
        require_calls(made, tokenizer, revision)
    return made


def preference(
    stage2_rows: DatasetDict, workspace: Workspace, pairs: Pairs = "best", margin: int = 1
) -> DatasetDict:
    """Pairs for TRL's DPOTrainer or RewardTrainer (columns ``schemas.SCORED`` -> ``PREFERENCE``).

    Responses of equal score make no pair, empty ones are left out, and a text counts once a question.
    ``id`` is the question's. There is no column ``margin``: RewardTrainer would subtract it in its loss. A stage 2
    without the column ``correct``, of an older version, gives pairs of which ``chosen_correct`` is null.

    Args:
        pairs: ``best``, the first response of the highest score against each lower one, so that what is
            chosen is right; or ``all``, each against each lower, as RRHF's loss takes them, in which a wrong
            answer is chosen over one that is further off.
        margin: the least difference of scores; levels are 5 apart.

    Raises:
        ConfigError: there are no such pairs, or the margin is below 1.
        DataError: a column is missing.
    """
    require_columns(stage2_rows, schemas.STAGE2, "preference")
    if pairs not in PAIRS:
        raise ConfigError(f"unknown pairs {pairs!r}; known: {', '.join(PAIRS)}")
    if margin < 1:
        raise ConfigError(f"margin={margin!r} would pair responses of equal score; it is at least 1")
    settings = {"pairs": pairs, "margin": margin}
    return PREFERENCE.run(
        stage2_rows, lambda batch: preference_batch(batch, pairs, margin), settings, workspace
    )


def _turn(role: str, content: str) -> list[Message]:
    return [{"role": role, "content": content.strip()}]


def _respond(key: str, output: str, answer: Sequence[str], task: Task) -> list[Message]:
    """The assistant's turns: the output as it is, or each of its calls with the call's result, and the answer.

    What stands before a call is said with it; what comes after the last was written without the result.
    """
    ran = execute_response(output, task)
    if ran.response is None or not ran.uses_tool:
        return _turn("assistant", output)
    if ran.error is not None:
        raise _unverified(key, output, f"fails ({ran.error})")
    accepted = [a for a in answer if task.is_correct(ran.prediction, [a])]
    if ran.prediction is None or (answer and not accepted):
        gives = ran.prediction or ran.calls[-1].result
        raise _unverified(key, output, f"gives {gives}, and the answer is {' or '.join(answer)}")
    turns: list[Message] = []
    start = 0
    for number, (call, result) in enumerate((run.call, run.result) for run in ran.calls):
        call_id = CALL_ID.format(number)
        function = {"name": call.tool, "arguments": {task.tool.parameter: call.argument}}
        called = [{"id": call_id, "type": "function", "function": function}]
        said = _turn("assistant", ran.response.text[start : call.start])[0]
        turns.append({**said, "tool_calls": called})
        turns.append({"role": "tool", "tool_call_id": call_id, "name": call.tool, "content": result})
        start = call.end
    return [*turns, *_turn("assistant", task.state(accepted[0] if accepted else ran.prediction))]


def _unverified(key: str, output: str, why: str) -> DataError:
    return DataError(
        f"the call of row {key!r}, {output[:80]!r}, {why}; stage 1 holds verified calls only: leave the row out"
    )


class _Candidate(NamedTuple):
    text: str
    origin: str
    score: int
    correct: bool | None


def _candidates(
    responses: Sequence[str | None],
    origin: Sequence[str],
    scores: Sequence[int],
    correct: Sequence[bool | None],
) -> list[_Candidate]:
    """The responses with a text, each text once, best first and else in the order given."""
    rows = zip(responses, origin, scores, correct, strict=True)
    there = [_Candidate((text or "").strip(), source, score, right) for text, source, score, right in rows]
    once: dict[str, _Candidate] = {}
    for candidate in sorted(there, key=lambda c: -c.score):
        if candidate.text:
            once.setdefault(candidate.text, candidate)
    return list(once.values())


def _pairs(
    candidates: Sequence[_Candidate], pairs: Pairs, margin: int
) -> Iterator[tuple[_Candidate, _Candidate]]:
    every = combinations(candidates, 2) if pairs == "all" else ((candidates[0], c) for c in candidates[1:])
    return ((chosen, rejected) for chosen, rejected in every if chosen.score - rejected.score >= margin)
