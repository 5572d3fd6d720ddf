"""The list of stages, and one module for each.

The list says what each stage does and which command runs it. It is light: a module is imported when its stage is used.
A new stage is a module with a `Stage` and a function ``run(rows, recipe, workspace, name)``, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
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
class Entry:
    """One stage of the list.

    Args:
        home: ``module:NAME`` of the `Stage`, below this package or anywhere.
        does: what it does, for ``toolgen-hf stages`` and the docs.
        command: its command, if it has one.
        run: the name of the function in the module that runs it with a recipe's settings.
    """

    home: str
    does: str
    command: Command | None = None
    run: str = "run"

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
    ),
    "score": Entry(
        "score:STAGE",
        "the responses to each question are scored for RLEF",
        Command(
            "score the responses to each question (rows of responses, or a folder of executed sources)",
            "executed stage2.jsonl --set score.strategy=distance",
        ),
    ),
    "sft": Entry("training:SFT", "stage 1 as TRL's prompt-completion, calls as text"),
    "tool_calling": Entry("training:TOOL_CALLING", "stage 1 as TRL's conversations with tools, calls run"),
    "preference": Entry("training:PREFERENCE", "stage 2 as TRL's pairs of a better and a worse response"),
    "mix": Entry("mix:STAGE", "several datasets become one, without duplicates"),
}
