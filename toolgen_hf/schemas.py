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

VERIFIED_BY = {
    "execution": "it was run, and gave an accepted answer",
    "execution+solution": "it was run, gave an accepted answer, and was composed from the question's worked solution",
}
"""How a call was verified."""

SOUNDNESS = {
    "explained": "every number of the call has a known source",
    "ambiguous": "a number has several sources, and the text does not say clearly which is meant",
    "unexplained": "a number has no known source, so a step may be missing",
}
"""How sound a verified call is. The sources of a number are the question, a common constant that the words call for,
and, in a call that was composed from a worked solution, the result of an earlier step."""

CALLED = Features(
    {
        **ANSWERED,
        "tool_call": _STRING,  # the verified call of a wrong row
        "teacher": _STRING,  # who wrote it
        "verified_by": _STRING,  # VERIFIED_BY: how it was verified, null if there is none
        "soundness": _STRING,  # SOUNDNESS: whether its numbers are the right ones, null if that was not judged
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
        "verified_by": _STRING,  # as in CALLED; null where the student was right
        "soundness": _STRING,
    }
)

ADDED = ("verified_by", "soundness")
"""Columns that data sets of version 1.0 and before lack; null then."""

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


def mixed(features: Features) -> Features:
    """A config's columns in a mix of several datasets: with those that say where a row is from."""
    return Features({**features, "dataset": _STRING, "task": _STRING})


MIXED: dict[str, str] = {
    "dataset": "the dataset whose question it is",
    "task": "how answers are graded",
}
"""What the columns hold that every config of a mix has besides its own, in Markdown: for cards."""

_ID = "the question's id, the same in every config"
_MARK = "the question is among the examples that the prompts show"
_ANSWER = "every accepted answer"

COLUMNS: dict[str, dict[str, str]] = {
    "raw": {
        "id": "`{dataset}-{split}-{n}`, or the source's own; the same in every config",
        "question": "the question, as its source has it",
        "answer": _ANSWER,
        "solution": "the source's worked solution or equation; null if it has none",
    },
    "stage1": {
        "id": _ID,
        "instruction": "what the model is told; the same in every row",
        "input": "the question",
        "output": "what to imitate: the student's response, or a tool call",
        "answer": _ANSWER,
        "fewshot_overlap": _MARK,
        "verified_by": "how the call was verified: "
        + "; ".join(f"`{name}` ({said})" for name, said in VERIFIED_BY.items())
        + "; null where the output is no call",
        "soundness": "how sound the call is: "
        + "; ".join(f"`{name}` ({said})" for name, said in SOUNDNESS.items())
        + "; null where the output is no call or its numbers were not traced",
    },
    "stage2": {
        "id": _ID,
        "query": "the instruction, a newline and the question",
        "responses": "one text a source, gold first; empty where a source gave none",
        "origin": "which source gave each response",
        "scores": "each response's score: 20, 15, 10, 5 or 0",
        "answer": "each response's own answer, its call's result or read from its text; empty if there is none",
        "fewshot_overlap": _MARK,
    },
    "sft": {
        "id": _ID,
        "prompt": "one turn of the user: instruction, a newline and the question",
        "completion": "one turn of the assistant: stage 1's output, a call as text",
        "fewshot_overlap": _MARK,
    },
    "tool_calling": {
        "id": _ID,
        "messages": "the conversation: where the tool is called, its result and the answer follow",
        "tools": "the tool's JSON schema, also where it is not called",
        "fewshot_overlap": _MARK,
    },
    "preference": {
        "id": "the question's id; it may have several pairs",
        "prompt": "one turn of the user: stage 2's query",
        "chosen": "one turn of the assistant: the response with the higher score",
        "rejected": "one turn of the assistant: the response with the lower score",
        "chosen_score": "the score of `chosen`",
        "rejected_score": "the score of `rejected`",
        "chosen_origin": "which source gave `chosen`",
        "rejected_origin": "which source gave `rejected`",
        "fewshot_overlap": _MARK,
    },
    "rejected": {
        "id": _ID,
        "stage": "where the question fell out",
        "reason": "why",
        "detail": "JSON: what there was of the row by then, every attempt at a call included",
    },
    "responses-NAME": {
        "id": _ID,
        "question": "the question",
        "answer": _ANSWER,
        "source": "who responded",
        "response": "the response as it came; null where the source gave none",
        "finish_reason": '"stop", "length" (cut at the token limit), or why there is no text; null for gold',
        "uses_tool": "whether the response calls the tool",
        "prediction": "the call's result, or the answer read from the text; null if there is none",
        "error": "why the call could not be run; null if it could, or there was none",
        "correct": "whether the prediction is an accepted answer",
    },
}
"""What each column of a produced config holds, in Markdown: for cards."""

CONFIGS: dict[str, str] = {
    "stage2": "what to rank (RLEF): each source's response to a question of stage 1, its tool call run, its answer "
    "compared with the accepted ones and scored",
    "stage1": "what to imitate (behavior cloning): the student's own response where it was right without a tool, "
    "and where it was wrong a tool call that was run and gave an accepted answer",
    "sft": "stage 1 as prompt and completion",
    "tool_calling": "stage 1 as conversations in which the tool is called and its result comes back",
    "preference": "pairs of stage 2's responses, of which one has the higher score",
    "raw": "the questions with their accepted answers, before anybody was asked",
    "rejected": "the questions that fell out, with the stage and the reason",
    "responses-gold": "stage 1's outputs as responses, their tool calls run",
    "responses-NAME": "what NAME said to every question, its tool calls run",
}
"""What each produced config is and how it came to be: for cards."""
