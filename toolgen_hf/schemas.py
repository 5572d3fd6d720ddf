"""The columns at every stage boundary, in one place.

`raw -> answered -> called -> stage1` on one side, `responses -> executed -> stage2` on the other;
`sft`, `tool_calling` and `preference` are stages 1 and 2 as TRL's trainers take them.
`rejected` holds the questions that were left out on the way, with the stage and the reason.
"""

from __future__ import annotations

from datasets import Features, Json, List, Value

_STRING = Value("string")
_OVERLAP = Value("bool")  # whether the question is among the examples in the prompts of teachers and sources

RAW = Features(
    {
        "id": _STRING,  # "{dataset}-{split}-{n}", never changes
        "question": _STRING,
        "answer": List(_STRING),  # all accepted answers; one for GSM8K
        "solution": _STRING,  # the worked solution or equation, null if there is none
    }
)

ANSWERED = Features(
    {
        **RAW,
        "response": _STRING,  # the student's text, without a tool
        "thinking": _STRING,  # its thinking before the response, null if there is none
        "truncated": Value("bool"),  # the response was cut at the token limit, so it cannot be imitated
        "prediction": _STRING,  # the answer that the response states, null if it states none
        "correct": Value("bool"),  # the answer is right, and the response is complete and has no tool call
        "fewshot_overlap": _OVERLAP,
        "reason": _STRING,  # why the row cannot be used, null if it can
    }
)

ATTEMPT = {
    "teacher": _STRING,
    "output": _STRING,  # the teacher's text, null if it gave none
    "thinking": _STRING,  # its thinking before the text, null if there is none
    "result": _STRING,  # the result of the call
    "reason": _STRING,  # why it was not accepted, null if it was
}

VERIFIED_BY = {
    "execution": "it was run and gave an accepted answer",
    "execution+solution": "it was run, gave an accepted answer, and was composed from the question's worked solution",
}
"""How a call was verified."""

SOUNDNESS = {
    "explained": "every number of the call has a known source",
    "ambiguous": "a number has several possible sources, and the text does not say clearly which one is meant",
    "unexplained": "a number has no known source, so a step may be missing",
}
"""Whether the numbers of a verified call are explained. A number can come from the question, from a common constant
that the words imply, or, in a call composed from a worked solution, from the result of an earlier step."""

CALLED = Features(
    {
        **ANSWERED,
        "tool_call": _STRING,  # the verified call of a wrong row
        "teacher": _STRING,  # the teacher that wrote it
        "verified_by": _STRING,  # a key of VERIFIED_BY, null if there is no call
        "soundness": _STRING,  # a key of SOUNDNESS, null if it was not judged
        "attempts": List(ATTEMPT),
    }
)

STAGE1 = Features(
    {
        "id": _STRING,
        "instruction": _STRING,
        "input": _STRING,
        "output": _STRING,
        "answer": List(_STRING),
        "fewshot_overlap": _OVERLAP,
        "verified_by": _STRING,  # as in CALLED; null if the student was right
        "soundness": _STRING,
    }
)

LATER = ("verified_by", "soundness", "thinking", "calls", "chosen_correct", "rejected_correct")
"""Columns that data sets of earlier versions do not have; they are read as null."""

RESPONSES = Features(
    {
        "id": _STRING,
        "question": _STRING,
        "answer": List(_STRING),
        "source": _STRING,
        "response": _STRING,  # as the source wrote it; in EXECUTED without thinking and trailing text
        "finish_reason": _STRING,  # "stop", "length" (cut), or why there is no text; null for gold
    }
)

CALL = {
    "call": _STRING,  # name(argument)
    "result": _STRING,  # the tool's result, null if the call could not be run
    "error": _STRING,  # why the call could not be run, null if it could
}

EXECUTED = Features(
    {
        **RESPONSES,
        "thinking": _STRING,  # the source's thinking before its response, null if there is none
        "uses_tool": Value("bool"),
        "calls": List(CALL),  # every call of the response, in order
        "prediction": _STRING,  # the answer that the text states, otherwise the last call's result
        "error": _STRING,  # why a call could not be run, null if all could be run or there was none
        "correct": Value("bool"),
    }
)

CANDIDATES = Features(
    {
        "id": _STRING,
        "query": _STRING,
        "answer": List(_STRING),  # the accepted answers
        "responses": List(_STRING),
        "origin": List(_STRING),  # the source of each response; "gold" is first
        "predictions": List(_STRING),
        "uses_tool": List(Value("bool")),
        "fewshot_overlap": _OVERLAP,
    }
)

STAGE2 = Features(
    {
        "id": _STRING,
        "query": _STRING,
        "responses": List(_STRING),
        "origin": List(_STRING),
        "scores": List(Value("int64")),
        "answer": List(_STRING),  # each response's own answer, "" if it has none
        "fewshot_overlap": _OVERLAP,
    }
)

SCORED = Features(
    {
        **STAGE2,
        "correct": List(Value("bool")),  # whether the answer of each response is accepted
    }
)
"""Stage 2 as it is made now. Data sets of older versions and the published files have the columns of ``STAGE2``."""

TURN = List({"role": _STRING, "content": _STRING})  # a conversation without tools; here of one message

SFT = Features({"id": _STRING, "prompt": TURN, "completion": TURN, "fewshot_overlap": _OVERLAP})

TOOL_CALLING = Features(
    {
        "id": _STRING,
        "messages": List(Json()),  # {"role", "content"}; also "tool_calls", or "tool_call_id" and "name"
        "tools": List(Json()),  # JSON schemas
        "fewshot_overlap": _OVERLAP,
    }
)

PREFERENCE = Features(
    {
        "id": _STRING,  # the id of the question, which may have several pairs
        "prompt": TURN,
        "chosen": TURN,
        "rejected": TURN,
        "chosen_score": Value("int64"),
        "rejected_score": Value("int64"),
        "chosen_origin": _STRING,
        "rejected_origin": _STRING,
        "chosen_correct": Value("bool"),  # null if stage 2 does not have the column `correct`
        "rejected_correct": Value("bool"),
        "fewshot_overlap": _OVERLAP,
    }
)

REJECTED = Features(
    {
        "id": _STRING,
        "stage": _STRING,
        "reason": _STRING,
        "detail": _STRING,  # JSON: the row as it was then
    }
)


def mixed(features: Features) -> Features:
    """The columns of a config in a mix of several datasets: with the dataset and the task of each row."""
    return Features({**features, "dataset": _STRING, "task": _STRING})


NEAR = "near_duplicate_of"
"""The column that marks questions with a near duplicate in another split (stages/near_duplicates.py)."""
MARKED = ("raw", "stage1", "stage2", "sft", "tool_calling", "preference")
"""The configs that have this column."""


def marked(features: Features) -> Features:
    """The columns of a config with ``near_duplicate_of``, which comes before the columns of a mix."""
    of_a_mix = {name: feature for name, feature in features.items() if name in MIXED}
    own = {name: feature for name, feature in features.items() if name not in MIXED}
    return Features({**own, NEAR: _STRING, **of_a_mix})


MIXED: dict[str, str] = {
    "dataset": "the dataset that the question is from",
    "task": "the task that grades the answers",
}
"""The two further columns of every config of a mix, and what they hold, in Markdown for cards."""

_ID = "the question's id, the same in every config"
_MARK = "whether the question is among the examples in the prompts"
_ANSWER = "all accepted answers"
_NEAR = (
    "the id of a question in another split that is nearly the same text, for example with other numbers or names; null "
    "if there is none"
)

COLUMNS: dict[str, dict[str, str]] = {
    "raw": {
        "id": "`{dataset}-{split}-{n}`, or the id in the source; the same in every config",
        "question": "the question, as in the source",
        "answer": _ANSWER,
        "solution": "the worked solution or equation of the source; null if there is none",
        NEAR: _NEAR,
    },
    "stage1": {
        "id": _ID,
        "instruction": "the instruction to the model; the same in every row",
        "input": "the question",
        "output": "the text to imitate: the student's response, or a tool call",
        "answer": _ANSWER,
        "fewshot_overlap": _MARK,
        "verified_by": "how the call was verified: "
        + "; ".join(f"`{name}` ({said})" for name, said in VERIFIED_BY.items())
        + "; null if the output is not a call",
        "soundness": "whether the numbers of the call are explained: "
        + "; ".join(f"`{name}` ({said})" for name, said in SOUNDNESS.items())
        + "; null if the output is not a call, or its numbers were not traced",
        NEAR: _NEAR,
    },
    "stage2": {
        "id": _ID,
        "query": "the instruction, a newline and the question",
        "responses": "one text for each source, gold first; empty if a source gave none",
        "origin": "the source of each response",
        "scores": "each response's score: 20, 15, 10, 5 or 0",
        "answer": "the answer of each response: the result of its call, or read from its text; empty if there is none",
        "fewshot_overlap": _MARK,
        "correct": "whether the answer of each response is an accepted answer",
        NEAR: _NEAR,
    },
    "sft": {
        "id": _ID,
        "prompt": "one message of the user: the instruction, a newline and the question",
        "completion": "one message of the assistant: the output of stage 1, with a call as text",
        "fewshot_overlap": _MARK,
        NEAR: _NEAR,
    },
    "tool_calling": {
        "id": _ID,
        "messages": "the conversation; after a tool call come its result and the answer",
        "tools": "the JSON schema of the tool, also if it is not called",
        "fewshot_overlap": _MARK,
        NEAR: _NEAR,
    },
    "preference": {
        "id": "the question's id; a question may have several pairs",
        "prompt": "one message of the user: the query of stage 2",
        "chosen": "one message of the assistant: the response with the higher score",
        "rejected": "one message of the assistant: the response with the lower score",
        "chosen_score": "the score of `chosen`",
        "rejected_score": "the score of `rejected`",
        "chosen_origin": "the source of `chosen`",
        "rejected_origin": "the source of `rejected`",
        "chosen_correct": "whether the answer of `chosen` is right; it can be wrong only with `pairs: all`",
        "rejected_correct": "whether the answer of `rejected` is right; it can be, with the other decision on the tool",
        "fewshot_overlap": _MARK,
        NEAR: _NEAR,
    },
    "rejected": {
        "id": _ID,
        "stage": "the stage that rejected the question",
        "reason": "why it was rejected",
        "detail": "JSON: the row as it was then, with every attempt at a call",
    },
    "responses-NAME": {
        "id": _ID,
        "question": "the question",
        "answer": _ANSWER,
        "source": "the source of the response",
        "response": "the response, without thinking, special tokens and text that the model invented after it; null if "
        "the source gave none",
        "finish_reason": '"stop", "length" (cut before its answer), or why there is no text; null for gold',
        "thinking": "the thinking before the response; null if there is none",
        "uses_tool": "whether the response calls the tool",
        "calls": "the calls of the response in order, each with its result, or why it could not be run",
        "prediction": "the answer that the response states, or else the result of its last call; null if none",
        "error": "why a call could not be run; null if all could be run, or there was none",
        "correct": "whether the prediction is an accepted answer",
    },
}
"""What each column of a produced config holds, in Markdown for cards."""

CONFIGS: dict[str, str] = {
    "stage2": "responses to rank (RLEF): the response of each source to the questions of stage 1, with its tool calls "
    "run, its answer compared with the accepted answers, and a score",
    "stage1": "texts to imitate (behavior cloning): the student's own response if it was right without a tool, or else "
    "a tool call that was run and gave an accepted answer",
    "sft": "stage 1 as prompt and completion",
    "tool_calling": "stage 1 as conversations with tool calls and their results",
    "preference": "pairs of responses of stage 2 with different scores",
    "raw": "the questions with their accepted answers",
    "rejected": "the questions that were rejected, with the stage and the reason",
    "responses-gold": "the outputs of stage 1 as responses, with their tool calls run",
    "responses-NAME": "the response of NAME to every question, with its tool calls run",
}
"""What each produced config holds, for cards."""
