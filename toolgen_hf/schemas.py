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
        "response": _STRING,  # what the student said, without a tool
        "thinking": _STRING,  # what it thought before that, null if nothing
        "truncated": Value("bool"),  # it was cut at the token limit, and so cannot be imitated
        "prediction": _STRING,  # the answer read from it, null if it states none
        "correct": Value("bool"),  # the response states a right answer, is whole and without a tool call
        "fewshot_overlap": _OVERLAP,
        "reason": _STRING,  # why the row cannot be used, null if it can
    }
)

ATTEMPT = {
    "teacher": _STRING,
    "output": _STRING,  # what the teacher said, null if it had nothing to say
    "thinking": _STRING,  # what it thought before that, null if nothing
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

LATER = ("verified_by", "soundness", "thinking", "calls", "chosen_correct", "rejected_correct")
"""Columns that data sets of earlier versions lack; null then."""

RESPONSES = Features(
    {
        "id": _STRING,
        "question": _STRING,
        "answer": List(_STRING),
        "source": _STRING,
        "response": _STRING,  # as the source wrote it; executed, the response alone
        "finish_reason": _STRING,  # "stop", "length" (cut), or why there is no text; null for gold
    }
)

CALL = {
    "call": _STRING,  # name(argument)
    "result": _STRING,  # what the tool gave, null if it could not be run
    "error": _STRING,  # why it could not be run, null if it could
}

EXECUTED = Features(
    {
        **RESPONSES,  # of each text the response alone
        "thinking": _STRING,  # what the source thought before its response, null if nothing
        "uses_tool": Value("bool"),
        "calls": List(CALL),  # every call of the response, in order
        "prediction": _STRING,  # the answer that the text states, or else the last call's result
        "error": _STRING,  # why a call could not be run, null if all could or there was none
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

SCORED = Features(
    {
        **STAGE2,
        "correct": List(Value("bool")),  # whether each response's answer is an accepted one
    }
)
"""Stage 2 as it is made now; sets of older versions and the published files have ``STAGE2`` alone."""

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
        "chosen_correct": Value("bool"),  # null where stage 2 does not say
        "rejected_correct": Value("bool"),
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


NEAR = "near_duplicate_of"
"""The column that marks questions with a near duplicate in another split (stages/near_duplicates.py)."""
MARKED = ("raw", "stage1", "stage2", "sft", "tool_calling", "preference")
"""The configs that have it."""


def marked(features: Features) -> Features:
    """A config's columns with the mark of near duplicates, which stands before those of a mix."""
    of_a_mix = {name: feature for name, feature in features.items() if name in MIXED}
    own = {name: feature for name, feature in features.items() if name not in MIXED}
    return Features({**own, NEAR: _STRING, **of_a_mix})


MIXED: dict[str, str] = {
    "dataset": "the dataset whose question it is",
    "task": "how answers are graded",
}
"""What the columns hold that every config of a mix has besides its own, in Markdown: for cards."""

_ID = "the question's id, the same in every config"
_MARK = "the question is among the examples that the prompts show"
_ANSWER = "every accepted answer"
_NEAR = (
    "the id of a question in another split that tells the same story, with other numbers or names, or with little else "
    "changed; null if there is none"
)

COLUMNS: dict[str, dict[str, str]] = {
    "raw": {
        "id": "`{dataset}-{split}-{n}`, or the source's own; the same in every config",
        "question": "the question, as its source has it",
        "answer": _ANSWER,
        "solution": "the source's worked solution or equation; null if it has none",
        NEAR: _NEAR,
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
        NEAR: _NEAR,
    },
    "stage2": {
        "id": _ID,
        "query": "the instruction, a newline and the question",
        "responses": "one text a source, gold first; empty where a source gave none",
        "origin": "which source gave each response",
        "scores": "each response's score: 20, 15, 10, 5 or 0",
        "answer": "each response's own answer, its call's result or read from its text; empty if there is none",
        "fewshot_overlap": _MARK,
        "correct": "for each response whether its answer is an accepted one",
        NEAR: _NEAR,
    },
    "sft": {
        "id": _ID,
        "prompt": "one turn of the user: instruction, a newline and the question",
        "completion": "one turn of the assistant: stage 1's output, a call as text",
        "fewshot_overlap": _MARK,
        NEAR: _NEAR,
    },
    "tool_calling": {
        "id": _ID,
        "messages": "the conversation: where the tool is called, its result and the answer follow",
        "tools": "the tool's JSON schema, also where it is not called",
        "fewshot_overlap": _MARK,
        NEAR: _NEAR,
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
        "chosen_correct": "whether the answer of `chosen` is right; only `pairs: all` makes pairs in which it is wrong",
        "rejected_correct": "whether the answer of `rejected` is right: it may be, with the other decision on the tool",
        "fewshot_overlap": _MARK,
        NEAR: _NEAR,
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
        "response": "the response, without thinking, special tokens and what was invented after it; null where the "
        "source gave none",
        "finish_reason": '"stop", "length" (cut before its answer), or why there is no text; null for gold',
        "thinking": "what the source thought before the response; null if nothing",
        "uses_tool": "whether the response calls the tool",
        "calls": "each call of the response, with its result or why it could not be run",
        "prediction": "the answer that the response states, or else its last call's result; null if there is none",
        "error": "why a call could not be run; null if all could, or there was none",
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
