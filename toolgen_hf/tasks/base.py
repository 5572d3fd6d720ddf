"""A task: how its questions are asked, how an answer is read and graded, and its tool.

    question    "Jean has 30 lollipops. She eats 2 and packs 2 in a bag. How many bags does she fill?"
    response    "30 - 2 = 28 are left, so 28 / 2 = 14 bags. The answer is 14."
    extract     "14.0"        is_correct("14.0", ["14"])  -> True
    annotate    "calculator((30-2)/2)", from the worked solution

A task is a class with its texts, ``extract`` and ``normalize``. ``docs/extending.md`` writes one step by step.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from math import inf
from typing import Any, Protocol, TypeAlias

from toolgen_hf.ask import Ask
from toolgen_hf.tools.base import Tool, ToolCall

_WORD = re.compile(r"\w+")

PromptData: TypeAlias = Mapping[str, Any] | Traversable


@dataclass(frozen=True, slots=True)
class Annotation:
    """The tool call that a worked solution amounts to, or the ``reason`` why there is none."""

    call: str | None = None
    reason: str | None = None
    soundness: str | None = None
    """One of `toolgen_hf.schemas.SOUNDNESS`: ``explained``, ``ambiguous`` or ``unexplained``. None if the task does not
    judge the call, which is then taught like an explained one."""


class Task(Protocol):
    """One kind of question. Stateless.

    Subclass it. Members that are not abstract may stay as they are.
    """

    name: str
    """Small letters, digits, ``-`` and ``_``. Manifests and mixes hold it."""
    version: int
    """Raise it when gradings may change. Rows of another version are then made again."""
    tool: Tool
    reads: bool = False
    """Whether a model must read the results of the tool."""
    instruction: str
    """Stage 1's instruction: how the trained model will be asked."""
    query_instruction: str
    """Stage 2's instruction. A query is this text, a newline, and the question."""
    prompts: PromptData
    """What the student (``answer``), the few-shot sources (``respond``) and the teachers (``tool_api``) see. Each is
    ``{"system": ..., "examples": [{"question", "output", "answer"}, ...]}`` in a mapping, or a JSON file in a folder (a
    ``pathlib.Path``). Only ``tool_api`` shows answers. ``answer`` has no examples."""

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """The prediction that a response states, in normal form; None if it states none."""
        ...

    def stated_answer(self, text: str) -> str | None:
        """The prediction that a response states explicitly; None if ``extract`` has to guess it."""
        return self.extract(text)

    @abstractmethod
    def normalize(self, value: str) -> str | None:
        """The normal form of a bare answer or of a tool's result; None if it is not an answer of this task."""
        ...

    @property
    def tools(self) -> Sequence[Tool]:
        """All tools that a response may call. The first one is the one that the prompts show."""
        return (self.tool,)

    async def conclude(self, question: str, call: ToolCall, results: Sequence[str], ask: Ask) -> str | None:
        """The answer to ``question`` that follows from the results so far, in normal form; None if none does.

        By default the last result is the answer. A task whose results must be read (passages that a search found) sets
        ``reads`` and asks the reader, a model that the recipe names: ``(await ask.read(Prompt(system, user))).text``.

        Args:
            results: of the calls of one response up to ``call``, whose result is the last one.
        """
        return self.normalize(results[-1])

    async def answer_without(self, question: str, ask: Ask) -> str | None:
        """What the reader answers without any result, in normal form. Only a task that ``reads`` is asked."""
        return None

    def state(self, answer: str) -> str:
        """A sentence that states an answer, from which ``extract`` reads the answer."""
        return f"The answer is {answer}."

    def is_correct(self, prediction: str | None, answer: Sequence[str]) -> bool:
        """Whether a prediction in normal form equals any of the accepted answers."""
        return prediction is not None and prediction in map(self.normalize, answer)

    def distance(self, prediction: str, answer: Sequence[str]) -> float:
        """The distance of a prediction to the nearest accepted answer; 0.0 if it is correct.

        It ranks wrong responses. By default all of them are ``inf`` away.
        """
        return 0.0 if self.is_correct(self.normalize(prediction), answer) else inf

    def annotate(self, question: str, solution: str | None, answer: Sequence[str]) -> Annotation:
        """The tool call that a dataset's worked solution amounts to, for the teacher that needs no model.

        It is a proposal: it is run, and accepted if its result is an accepted answer. Raises nothing.

        Args:
            solution: None if the dataset has none. Some tasks need none: a translator is called with the question.
        """
        return Annotation(reason="this task reads no worked solutions")

    def soundness(self, question: str, call: str) -> str | None:
        """How sound a model's call is, one of `toolgen_hf.schemas.SOUNDNESS`; None if the task does not judge it.

        It only marks the row. Raises nothing.
        """
        return None

    def leaks(self, question: str, call: str, answer: Sequence[str]) -> bool:
        """Whether a call holds an accepted answer that the question does not. By default their words are compared.

        A teacher sees the answer and may copy it. Such a call is not accepted. Raises nothing.
        """
        asked, written = (f" {' '.join(_WORD.findall(text.casefold()))} " for text in (question, call))
        words = (f" {' '.join(_WORD.findall(each.casefold()))} " for each in answer)
        return any(each.strip() and each in written and each not in asked for each in words)

    def __hash__(self) -> int:
        return object.__hash__(self)  # its prompts are read once
