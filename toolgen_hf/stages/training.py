"""Stages 1 and 2 in the forms that TRL's trainers read without any change.

    config          of        TRL's type and trainer
    `sft`           stage 1   conversational prompt-completion, SFTTrainer
    `tool_calling`  stage 1   conversational language modeling with tools, SFTTrainer
    `preference`    stage 2   conversational preference, DPOTrainer and RewardTrainer

Trainers that take a list of scored responses (RRHF, as in the paper's RLEF) read ``query, responses, scores`` of stage
2. Rows of each config, all from the same question:

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

The rows are conversations because the trainer then applies the chat template of the model that it trains, so each turn
ends as that model ends turns, and it takes the loss on the completion alone. For a base model without a chat template,
use the plain columns of stage 1. Blanks around a text are removed. A leading blank would let the model tell the pair
apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.ask import Ask
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.base import Batch, Row, Stage, require_columns
from toolgen_hf.stages.chat_template import require_calls
from toolgen_hf.stages.connect import connect
from toolgen_hf.stages.execute import execute_text
from toolgen_hf.tasks import TaskLike, get_task
from toolgen_hf.tasks.base import Task

SFT = Stage("sft", version=1, features=schemas.SFT)
TOOL_CALLING = Stage("tool_calling", version=2, features=schemas.TOOL_CALLING)
PREFERENCE = Stage("preference", version=2, features=schemas.PREFERENCE)

CALL_ID = "call{:05}"
"""The id of a call. Mistral's templates require nine letters or digits."""

Message = dict[str, Any]
Pairs = Literal["best", "all"]
_PAIRS = ("best", "all")


def sft_batch(batch: Batch) -> Batch:
    """The rows of stage 1 as a prompt and a completion."""
    asked = zip(batch["instruction"], batch["input"], strict=True)
    return {
        "id": batch["id"],
        "prompt": [_turn("user", f"{instruction}\n{question}") for instruction, question in asked],
        "completion": [_turn("assistant", output) for output in batch["output"]],
        "fewshot_overlap": batch["fewshot_overlap"],
    }


async def tool_calling_row(row: Row, ask: Ask, task: Task) -> Row:
    """A row of stage 1 as a conversation. Each tool call is run, and its result is a message.

    Raises:
        DataError: a call cannot be run, or does not give the row's answer.
    """
    return {
        "id": row["id"],
        "messages": _turn("user", row["input"]) + await _respond(row, ask, task),
        "tools": [tool.schema() for tool in ask.tools or task.tools],
        "fewshot_overlap": row["fewshot_overlap"],
    }


def preference_batch(batch: Batch, pairs: Pairs = "best", margin: int = 1) -> Batch:
    """The rows of stage 2 as pairs of a better and a worse response. A question may give no pair, or several."""
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

    The prompt is the instruction, a newline and the question, as in the published query. The completion is the output
    of stage 1, with a call as text: ``calculator(48+48/2)``.

    Raises:
        DataError: a column is missing.
    """
    require_columns(stage1_rows, schemas.STAGE1, "sft")
    return SFT.run(stage1_rows, sft_batch, {}, workspace)


def tool_calling(
    stage1_rows: DatasetDict,
    workspace: Workspace,
    task: TaskLike = "math",
    tokenizer: str | Any | None = None,
    revision: str | None = None,
) -> DatasetDict:
    """Tool use for TRL's SFTTrainer (columns ``schemas.STAGE1`` -> ``TOOL_CALLING``).

    The user turn holds only the question. Every row has ``tools``, also rows without a call, because they teach when
    not to call. ``SFTConfig(assistant_only_loss=True)`` keeps the tool's result out of the loss, since the model never
    writes it. Chat templates ask whether a key is there, so a message has only the keys that it needs. That is why the
    columns are ``datasets.Json``, as TRL recommends: with an Arrow struct, every message would have all keys.

    Args:
        tokenizer: a model (a folder, a Hub id, ``pip:NAME``) or its tokenizer. Its chat template must render each call,
            its result and the answer, which is checked on real rows. SmolLM2's, Llama 3's and Phi-3's leave calls out.
        revision: the revision of a model on the Hub.

    Raises:
        ConfigError: the chat template leaves out some of it, or the task needs a reader or a tool.
        DataError: a column is missing, or a row's call does not give its answer.
    """
    require_columns(stage1_rows, schemas.STAGE1, "tool_calling")
    grader = get_task(task)
    connected = connect(task, workspace, TOOL_CALLING.name)

    async def function(row: Row) -> Row:
        return await tool_calling_row(row, connected.ask(), grader)

    made = TOOL_CALLING.run(stage1_rows, function, connected.settings, workspace, texts=connected.texts)
    if tokenizer is not None:
        require_calls(made, tokenizer, revision)
    return made


def preference(
    stage2_rows: DatasetDict, workspace: Workspace, pairs: Pairs = "best", margin: int = 1
) -> DatasetDict:
    """Pairs for TRL's DPOTrainer or RewardTrainer (columns ``schemas.SCORED`` -> ``PREFERENCE``).

    Responses with equal scores make no pair. Empty responses are left out. Equal texts of one question count once.
    ``id`` is the question's. The column is not called ``margin``, because RewardTrainer would subtract it in its loss.
    If stage 2 is of an older version, without the column ``correct``, ``chosen_correct`` is null.

    Args:
        pairs: ``best``: the first response with the highest score, with each response that has a lower score. The
            chosen response is always right. ``all``: any two responses with different scores, as in RRHF's loss. A
            wrong answer can be chosen over one that is further off.
        margin: the smallest difference between the two scores. Scores are 5 apart.

    Raises:
        ConfigError: ``pairs`` is unknown, or the margin is below 1.
        DataError: a column is missing.
    """
    require_columns(stage2_rows, schemas.STAGE2, "preference")
    if pairs not in _PAIRS:
        raise ConfigError(f"unknown pairs {pairs!r}; known: {', '.join(_PAIRS)}")
    if margin < 1:
        raise ConfigError(f"margin={margin!r} would pair responses with equal scores: give at least 1")
    settings = {"pairs": pairs, "margin": margin}
    return PREFERENCE.run(
        stage2_rows, lambda batch: preference_batch(batch, pairs, margin), settings, workspace
    )


def _turn(role: str, content: str) -> list[Message]:
    return [{"role": role, "content": content.strip()}]


async def _respond(row: Row, ask: Ask, task: Task) -> list[Message]:
    """The assistant's turns: the output as it is, or each of its calls with its result, and then the answer.

    Text before a call is in the turn of the call. Text after the last call is dropped, because the model wrote it
    without the result.
    """
    key, output, answer = row["id"], row["output"], row["answer"] or []
    ran = await execute_text(output, task, ask, row["input"])
    parse = {tool.name: tool.arguments for tool in ask.tools or task.tools}
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
        function = {"name": call.tool, "arguments": parse[call.tool](call.argument)}
        called = [{"id": call_id, "type": "function", "function": function}]
        before = _turn("assistant", ran.response.text[start : call.start])[0]
        turns.append({**before, "tool_calls": called})
        turns.append({"role": "tool", "tool_call_id": call_id, "name": call.tool, "content": result})
        start = call.end
    return [*turns, *_turn("assistant", task.state(accepted[0] if accepted else ran.prediction))]


def _unverified(key: str, output: str, why: str) -> DataError:
    return DataError(
        f"the call of row {key!r}, {output[:80]!r}, {why}; every call in stage 1 must be verified: leave the row out"
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
    """The responses that are not empty, each text once, the best first and otherwise in the given order."""
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
