"""The prompts of each task. Those that ship are data files, ``{task}/prompts/{answer,tool_api,respond}.json``.

{"system": "Given a math problem, solve it. ...",
 "examples": [{"question": "Mrs. Hilt has 50 cents. ...", "output": "calculator(50/5)"}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from random import Random
from typing import Any

from toolgen_hf._utils import digest, words
from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example. ``answer`` is set only in prompts that show the gold answer."""

    question: str
    output: str
    answer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptSet:
    """A system text and its examples."""

    system: str
    examples: tuple[Example, ...] = ()

    def ordered(self, seed: int | None) -> PromptSet:
        """The same with the examples shuffled by ``seed``; None keeps the order of the file."""
        if seed is None:
            return self
        return PromptSet(self.system, tuple(Random(seed).sample(self.examples, len(self.examples))))

    def settings(self) -> dict[str, Any]:
        """Plain JSON data, for fingerprints and the manifest."""
        return asdict(self)


def load_prompts(task: str | Task, name: str) -> PromptSet:
    """The prompts ``name`` of a task: ``answer``, ``tool_api`` or ``respond``.

    Raises:
        ConfigError: the task has no such prompts, or they have another form.
    """
    return _prompts(get_task(task) if isinstance(task, str) else task, name)


def is_example(task: str | Task, question: str) -> bool:
    """Whether a question has the same words as one of the examples in the task's prompts."""
    return words(question) in _example_questions(get_task(task) if isinstance(task, str) else task)


def examples_digest(task: str | Task) -> str:
    """A digest of the questions that ``is_example`` compares with, for fingerprints."""
    return digest(sorted(_example_questions(get_task(task) if isinstance(task, str) else task)))


@cache
def _prompts(task: Task, name: str) -> PromptSet:
    given = task.prompts
    try:
        if isinstance(given, Mapping):
            data = given[name]
        else:
            data = json.loads(given.joinpath(f"{name}.json").read_text(encoding="utf-8"))
        return PromptSet(_text(data["system"]), tuple(map(_example, data.get("examples", ()))))
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise ConfigError(
            f"the prompts {name!r} of the task {task.name!r} cannot be used ({type(error).__name__}: {error}): each is "
            '{"system": "...", "examples": [{"question": "...", "output": "...", "answer": ["..."]}]}'
        ) from error


def _example(row: Mapping[str, Any]) -> Example:
    answer = row.get("answer", ())
    if isinstance(answer, str):
        raise TypeError(f"the answer {answer!r} must be a list of texts")
    return Example(_text(row["question"]), _text(row["output"]), tuple(map(_text, answer)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text")
    return value


@cache
def _example_questions(task: Task) -> frozenset[str]:
    shown = [example for name in ("tool_api", "respond") for example in _prompts(task, name).examples]
    return frozenset(words(example.question) for example in shown)


def answer_prompt(prompts: PromptSet, question: str) -> Prompt:
    """The prompt with the question alone, without examples."""
    return Prompt(prompts.system, question)


def respond_prompt(prompts: PromptSet, question: str, example_count: int) -> Prompt:
    """The few-shot prompt of a response source, as published."""
    shown = "".join(f"Input: {e.question}\nOutput: {e.output}\n" for e in prompts.examples[:example_count])
    return Prompt(f"{prompts.system}\nHere are some examples:\n", f"{shown}Input: {question}\nOutput: ")


def tool_api_prompt(
    prompts: PromptSet, question: str, answer: Sequence[str], feedback: str | None = None
) -> Prompt:
    """The teacher's prompt, as published. ``feedback`` on an earlier call follows the question."""
    shown = "".join(
        f"Question: {e.question}\nGolden answers: {list(e.answer)}\nOutput: {e.output}\n"
        for e in prompts.examples
    )
    told = f"\n{feedback}" if feedback else ""
    return Prompt(
        f"{prompts.system}\n",
        f"{shown}Question: {question}\nGolden answers: {list(answer[:10])}{told}\nOutput: ",
    )
