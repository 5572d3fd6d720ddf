"""The list of stages, and one module for each.

The list says what each stage does, which command runs it, and which config of a produced directory holds its rows. It
is light: a module is imported when its stage is used. A new stage is a module with a `Stage` and a function
``run(rows, recipe, workspace, name)``, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from datasets import Features

    from toolgen_hf.runtime.runner import Stage


@dataclass(frozen=True)
class Command:
    """The command of a stage, which reads a table and writes a table.

    Args:
        does: its help.
        example: its arguments in an example.
        asks: whether the stage asks models, so that the command has ``--mode``, ``--dry-run`` and ``--max-cost``.
        named: what ``--name`` chooses in the recipe; empty if the command has no ``--name``.
    """

    does: str
    example: str
    asks: bool = False
    named: str = ""


@dataclass(frozen=True)
class Config:
    """A config of a produced directory.

    Args:
        schema: the name of its columns in `toolgen_hf.schemas`.
        about: what it holds, for cards.
        texts: what each column holds, in Markdown for cards. ``$NAME`` stands for the values and meanings in the
            dictionary ``NAME`` of `toolgen_hf.schemas`.
    """

    schema: str
    about: str
    texts: Mapping[str, str]

    @property
    def features(self) -> Features:
        """Its columns. Imports `datasets`."""
        from toolgen_hf import schemas

        features = cast("Features", getattr(schemas, self.schema))
        return schemas.with_near(features) if self.has_near else features

    @property
    def has_near(self) -> bool:
        """Whether it has the column ``near_duplicate_of``."""
        return "near_duplicate_of" in self.texts

    @property
    def columns(self) -> dict[str, str]:
        """What each column holds, in Markdown for cards. Imports `datasets`."""
        from toolgen_hf import schemas

        def filled(text: str) -> str:
            for name in ("VERIFIED_BY", "SOUNDNESS"):
                meanings = getattr(schemas, name).items()
                text = text.replace(f"${name}", "; ".join(f"`{value}` ({said})" for value, said in meanings))
            return text

        return {name: filled(text) for name, text in self.texts.items()}


@dataclass(frozen=True)
class Entry:
    """One stage of the list.

    Args:
        home: ``module:NAME`` of the `Stage`, below this package or anywhere.
        does: what it does, for ``toolgen-hf stages`` and the docs.
        command: its command, if it has one.
        run: the name of the function in the module that runs it with a recipe's settings.
        configs: the configs with its rows, by name.
    """

    home: str
    does: str
    command: Command | None = None
    run: str = "run"
    configs: Mapping[str, Config] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        """The stage. Imports its module."""
        return cast("Stage", self._import(self.home.partition(":")[2]))

    @property
    def function(self) -> Callable[..., Any]:
        """``run(rows, recipe, workspace, name)``. Imports its module."""
        return cast("Callable[..., Any]", self._import(self.run))

    def _import(self, name: str) -> object:
        module = self.home.partition(":")[0]
        return getattr(import_module(module if "." in module else f"{__name__}.{module}"), name)


_ID = "the question's id, the same in every config"
_ANSWER = "all accepted answers"
_OVERLAP = "whether the question is among the examples in the prompts"
_NEAR = {
    "near_duplicate_of": "the id of a question in another split that is nearly the same text, for example with other "
    "numbers or names; null if there is none"
}
_RESPONSES = {
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
}

STAGES: dict[str, Entry] = {
    "answer": Entry(
        "answer:STAGE",
        "the student answers every question without a tool, and is graded",
        Command("let the student answer questions without a tool", "raw.jsonl answered.jsonl", asks=True),
    ),
    "tool_api": Entry(
        "tool_api:STAGE",
        "a teacher writes a tool call for each wrong one; it is run and verified",
        Command("get verified tool calls for the wrong ones", "answered.jsonl called.jsonl", asks=True),
    ),
    "stage1": Entry(
        "stage1:STAGE",
        "behavior cloning: the response where right, the call where wrong",
        Command("assemble the behavior cloning set", "called.jsonl stage1.jsonl"),
        configs={
            "stage1": Config(
                "STAGE1",
                "texts to imitate (behavior cloning): the student's own response if it was right without a tool, or "
                "else a tool call that was run and gave an accepted answer",
                {
                    "id": _ID,
                    "instruction": "the instruction to the model; the same in every row",
                    "input": "the question",
                    "output": "the text to imitate: the student's response, or a tool call",
                    "answer": _ANSWER,
                    "fewshot_overlap": _OVERLAP,
                    "verified_by": "how the call was verified: $VERIFIED_BY; null if the output is not a call",
                    "soundness": "whether the numbers of the call are explained: $SOUNDNESS; null if the output is not "
                    "a call, or its numbers were not traced",
                    **_NEAR,
                },
            )
        },
    ),
    "gold": Entry(
        "stage1:GOLD",
        "stage 1's outputs as the responses of a source named gold",
        Command("turn stage 1's outputs into the gold responses", "stage1.jsonl responses/gold.jsonl"),
        run="run_gold",
    ),
    "respond": Entry(
        "respond:STAGE",
        "a source responds to every question",
        Command(
            "let one source respond to every question",
            "raw.jsonl responses/few.jsonl --name smollm2-fewshot",
            asks=True,
            named="source under sources",
        ),
    ),
    "execute": Entry(
        "execute:STAGE",
        "tool calls in responses are run, answers read and graded",
        Command("run the tool calls in responses", "responses/few.jsonl executed/few.jsonl"),
        configs={
            "responses-gold": Config(
                "EXECUTED", "the outputs of stage 1 as responses, with their tool calls run", _RESPONSES
            ),
            "responses-NAME": Config(
                "EXECUTED", "the response of NAME to every question, with its tool calls run", _RESPONSES
            ),
        },
    ),
    "score": Entry(
        "score:STAGE",
        "the responses to each question are scored for RLEF",
        Command(
            "score the responses to each question (rows of responses, or a folder of executed sources)",
            "executed stage2.jsonl --set score.strategy=distance",
        ),
        configs={
            "stage2": Config(
                "SCORED",
                "responses to rank (RLEF): the response of each source to the questions of stage 1, with its tool "
                "calls run, its answer compared with the accepted answers, and a score",
                {
                    "id": _ID,
                    "query": "the instruction, a newline and the question",
                    "responses": "one text for each source, gold first; empty if a source gave none",
                    "origin": "the source of each response",
                    "scores": "each response's score: 20, 15, 10, 5 or 0",
                    "answer": "the answer of each response: the result of its call, or read from its text; empty if "
                    "there is none",
                    "fewshot_overlap": _OVERLAP,
                    "correct": "whether the answer of each response is an accepted answer",
                    **_NEAR,
                },
            )
        },
    ),
    "sft": Entry(
        "training:SFT",
        "stage 1 as TRL's prompt-completion, calls as text",
        configs={
            "sft": Config(
                "SFT",
                "stage 1 as prompt and completion",
                {
                    "id": _ID,
                    "prompt": "one message of the user: the instruction, a newline and the question",
                    "completion": "one message of the assistant: the output of stage 1, with a call as text",
                    "fewshot_overlap": _OVERLAP,
                    **_NEAR,
                },
            )
        },
    ),
    "tool_calling": Entry(
        "training:TOOL_CALLING",
        "stage 1 as TRL's conversations with tools, calls run",
        configs={
            "tool_calling": Config(
                "TOOL_CALLING",
                "stage 1 as conversations with tool calls and their results",
                {
                    "id": _ID,
                    "messages": "the conversation; after a tool call come its result and the answer",
                    "tools": "the JSON schema of the tool, also if it is not called",
                    "fewshot_overlap": _OVERLAP,
                    **_NEAR,
                },
            )
        },
    ),
    "preference": Entry(
        "training:PREFERENCE",
        "stage 2 as TRL's pairs of a better and a worse response",
        configs={
            "preference": Config(
                "PREFERENCE",
                "pairs of responses of stage 2 with different scores",
                {
                    "id": "the question's id; a question may have several pairs",
                    "prompt": "one message of the user: the query of stage 2",
                    "chosen": "one message of the assistant: the response with the higher score",
                    "rejected": "one message of the assistant: the response with the lower score",
                    "chosen_score": "the score of `chosen`",
                    "rejected_score": "the score of `rejected`",
                    "chosen_origin": "the source of `chosen`",
                    "rejected_origin": "the source of `rejected`",
                    "chosen_correct": "whether the answer of `chosen` is right; it can be wrong only with `pairs: all`",
                    "rejected_correct": "whether the answer of `rejected` is right; it can be, with the other decision "
                    "on the tool",
                    "fewshot_overlap": _OVERLAP,
                    **_NEAR,
                },
            )
        },
    ),
    "mix": Entry("mix:STAGE", "several datasets become one, without duplicates"),
}

OF_A_MIX = {
    "dataset": "the dataset that the question is from",
    "task": "the task that grades the answers",
}
"""The two further columns of every config of a mix, and what they hold, in Markdown for cards."""


def configs() -> dict[str, Config]:
    """The configs of a produced directory by name: the questions, those of each stage, and the rejected questions."""
    raw = Config(
        "RAW",
        "the questions with their accepted answers",
        {
            "id": "`{dataset}-{split}-{n}`, or the id in the source; the same in every config",
            "question": "the question, as in the source",
            "answer": _ANSWER,
            "solution": "the worked solution or equation of the source; null if there is none",
            **_NEAR,
        },
    )
    rejected = Config(
        "REJECTED",
        "the questions that were rejected, with the stage and the reason",
        {
            "id": _ID,
            "stage": "the stage that rejected the question",
            "reason": "why it was rejected",
            "detail": "JSON: the row as it was then, with every attempt at a call",
        },
    )
    made = {name: config for entry in STAGES.values() for name, config in entry.configs.items()}
    return {"raw": raw, **made, "rejected": rejected}
