"""The prompts of each task, as data files: ``prompts/{task}/{answer,tool_api,respond}.json``.

{"system": "Given a math problem, solve it. ...",
 "examples": [{"question": "Mrs. Hilt has 50 cents. ...", "output": "calculator(50/5)"}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from toolgen_hf.errors import ConfigError
from toolgen_hf.generators.base import Prompt
from toolgen_hf.hashing import digest


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example; ``answer`` only where the prompt shows the gold answer."""

    question: str
    output: str
    answer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptSet:
    """A system text and the examples that go with it."""

    system: str
    examples: tuple[Example, ...] = ()

    def ordered(self, seed: int | None) -> PromptSet:
        """With its examples shuffled by ``seed``; None leaves them as they stand in the file."""
        if seed is None:
            return self
        return PromptSet(self.system, tuple(Random(seed).sample(self.examples, len(self.examples))))

    def settings(self) -> dict[str, Any]:
        """As plain JSON data, for fingerprints and the manifest."""
        return asdict(self)


@cache
def load_prompts(task: str, name: str) -> PromptSet:
    """The prompt file ``name`` of a task.

    Raises:
        ConfigError: the task ships no such prompts.
    """
    file = files("toolgen_hf.prompts").joinpath(task, f"{name}.json")
    if not file.is_file():
        raise ConfigError(f"task {task!r} has no prompts {name!r}: {file} does not exist")
    data = json.loads(file.read_text(encoding="utf-8"))
    examples = (
        Example(row["question"], row["output"], tuple(row.get("answer", ())))
        for row in data.get("examples", ())
    )
    return PromptSet(data["system"], tuple(examples))


def is_example(task: str, question: str) -> bool:
    """Whether a question is among the examples of a task's prompts, by its words."""
    return words(question) in _example_questions(task)


def examples_digest(task: str) -> str:
    """What ``is_example`` depends on besides the question, for fingerprints."""
    return digest(sorted(_example_questions(task)))


@cache
def _example_questions(task: str) -> frozenset[str]:
    return frozenset(
        words(example.question)
        for name in ("tool_api", "respond")
        for example in load_prompts(task, name).examples
    )


def words(text: str) -> str:
    """A question's words, by which it is known again: in lower case, one blank between two."""
    return " ".join(text.casefold().split())


def answer_prompt(prompts: PromptSet, question: str) -> Prompt:
    """The question alone, without examples."""
    return Prompt(prompts.system, question)


def respond_prompt(prompts: PromptSet, question: str, example_count: int) -> Prompt:
    """The few-shot prompt of a response source, as published."""
    shown = "".join(f"Input: {e.question}\nOutput: {e.output}\n" for e in prompts.examples[:example_count])
    return Prompt(f"{prompts.system}\nHere are some examples:\n", f"{shown}Input: {question}\nOutput: ")


def tool_api_prompt(
    prompts: PromptSet, question: str, answer: Sequence[str], feedback: str | None = None
) -> Prompt:
    """The teacher's prompt, as published; ``feedback`` on an earlier call is appended to the question."""
    shown = "".join(
        f"Question: {e.question}\nGolden answers: {list(e.answer)}\nOutput: {e.output}\n"
        for e in prompts.examples
    )
    told = f"\n{feedback}" if feedback else ""
    return Prompt(
        f"{prompts.system}\n",
        f"{shown}Question: {question}\nGolden answers: {list(answer[:10])}{told}\nOutput: ",
    )
