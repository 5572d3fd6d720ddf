"""The columns at every stage boundary, in one place.

`raw -> answered -> called -> stage1` on one side, `responses -> executed -> stage2` on the other;
`sft`, `tool_calling` and `preference` are stages 1 and 2 as TRL's trainers take them.
`rejected` gathers what fell out on the way, with the stage and the reason.
"""

from __future__ import annotations

from datasets import Features, Json, List, Value

_STRING = Value("string")
_OVERLAP = Value("bool")  # the question is among the examples that teachers and few-shot sources are shown

RAW = Features(
    {
        "id": _STRING,  # "{dataset}-{split}-{n}", stable for ever
        "question": _STRING,
        "answer": List(_STRING),  # every accepted answer; one for GSM8K
        "solution": _STRING,  # the worked solution or the equation, null if there is none
    }
)

ANSWERED = Features(
    {
        **RAW,
        "response": _STRING,  # the student's text, without a tool
        "truncated": Value("bool"),  # it was cut at the token limit, and so cannot be imitated
        "prediction": _STRING,  # the answer read from it, null if it states none
        "correct": Value("bool"),  # the prediction is right, the response whole and without a tool call
        "fewshot_overlap": _OVERLAP,
        "reason": _STRING,  # why the row cannot be used, null if it can
    }
)

ATTEMPT = {
    "teacher": _STRING,
    "output": _STRING,  # the teacher's text, null if it had none to give
    "result": _STRING,  # what the call gave when run
    "reason": _STRING,  # why it was not accepted, null if it was
}

CALLED = Features(
    {
        **ANSWERED,
        "tool_call": _STRING,  # the verified call of a wrong row
        "teacher": _STRING,  # who wrote it
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
    }
)

RESPONSES = Features(
    {
        "id": _STRING,
        "question": _STRING,
        "answer": List(_STRING),
        "source": _STRING,
        "response": _STRING,
        "finish_reason": _STRING,  # "stop", "length" (cut), or why there is no text; null for gold
    }
)

EXECUTED = Features(
    {
        **RESPONSES,
        "uses_tool": Value("bool"),
        "prediction": _STRING,  # the call's result, or the answer read from the text
        "error": _STRING,  # why the call could not be run, null if it could or there was none
        "correct": Value("bool"),
    }
)

CANDIDATES = Features(
    {
        "id": _STRING,
        "query": _STRING,
        "answer": List(_STRING),  # the accepted answers
        "responses": List(_STRING),
        "origin": List(_STRING),  # which source gave each response; "gold" first
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

TURN = List({"role": _STRING, "content": _STRING})  # a conversation without tools; one message here

SFT = Features({"id": _STRING, "prompt": TURN, "completion": TURN, "fewshot_overlap": _OVERLAP})

TOOL_CALLING = Features(
    {
        "id": _STRING,
        "messages": List(Json()),  # {"role", "content"}, and "tool_calls" or "tool_call_id", "name" where due
        "tools": List(Json()),  # JSON schemas
        "fewshot_overlap": _OVERLAP,
    }
)

PREFERENCE = Features(
    {
        "id": _STRING,  # the question's; it may have several pairs
        "prompt": TURN,
        "chosen": TURN,
        "rejected": TURN,
        "chosen_score": Value("int64"),
        "rejected_score": Value("int64"),
        "chosen_origin": _STRING,
        "rejected_origin": _STRING,
        "fewshot_overlap": _OVERLAP,
    }
)

REJECTED = Features(
    {
        "id": _STRING,
        "stage": _STRING,
        "reason": _STRING,
        "detail": _STRING,  # JSON: what there was of the row when it fell out
    }
)
