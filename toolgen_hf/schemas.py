"""The columns of every table between two stages.

`raw -> answered -> called -> stage1`, and `responses -> executed -> stage2`. `sft`, `tool_calling` and `preference` are
stages 1 and 2 as TRL's trainers read them. `rejected` has the questions that were left out, with the stage and the
reason. `toolgen_hf.stages` says which of these tables a produced directory has, and what each column holds.
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


OF_A_MIX = ("dataset", "task")


def mixed(features: Features) -> Features:
    """The columns of a config in a mix of several datasets: with the dataset and the task of each row."""
    return Features({**features, **dict.fromkeys(OF_A_MIX, _STRING)})


NEAR = "near_duplicate_of"
"""The column with the id of a near duplicate in another split (stages/near_duplicates.py)."""


def with_near(features: Features) -> Features:
    """The columns of a config with ``near_duplicate_of``, which comes before ``dataset`` and ``task`` of a mix."""
    of_a_mix = {name: features[name] for name in OF_A_MIX if name in features}
    own = {name: feature for name, feature in features.items() if name not in of_a_mix}
    return Features({**own, NEAR: _STRING, **of_a_mix})
