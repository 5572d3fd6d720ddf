"""The prompts of each task: those that ship as data files, ``{task}/prompts/{answer,tool_api,respond}.json``.

{"system": "Given a math problem, solve it. ...",
 "examples": [{"question": "Mrs. Hilt has 50 cents. ...", "output": "calculator(50/5)"}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources.abc import Traversable
from random import Random
from typing import Any

from toolgen_hf._utils import digest, words
from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task


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


def load_prompts(task: str | Task, name: str) -> PromptSet:
    """The prompts ``name`` of a task: ``answer``, ``tool_api`` or ``respond``.

    Raises:
        ConfigError: the task has no such prompts, or they are not of their form.
    """
    return _prompts(_task(task), name)


def is_example(task: str | Task, question: str) -> bool:
    """Whether a question is among the examples of a task's prompts, by its words."""
    return words(question) in _example_questions(_task(task))


def examples_digest(task: str | Task) -> str:
    """What ``is_example`` depends on besides the question, for fingerprints."""
    return digest(sorted(_example_questions(_task(task))))


def _task(task: str | Task) -> Task:
    return get_task(task) if isinstance(task, str) else task


@cache
def _prompts(task: Task, name: str) -> PromptSet:
    where = f"the prompts {name!r} of the task {task.name!r}"
    given = task.prompts
    try:
        data = given[name] if isinstance(given, Mapping) else _read(given.joinpath(f"{name}.json"))
        examples = tuple(_example(row) for row in data.get("examples", ()))
        return PromptSet(_text(data["system"]), examples)
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise ConfigError(
            f"{where} cannot be used ({type(error).__name__}: {error}): each is "
            '{"system": "...", "examples": [{"question": "...", "output": "...", "answer": ["..."]}]}'
        ) from error


def _read(file: Traversable) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _example(row: Mapping[str, Any]) -> Example:
    answer = row.get("answer", ())
    if isinstance(answer, str):
        raise TypeError(f"the answer {answer!r} is to be a list of texts")
    return Example(_text(row["question"]), _text(row["output"]), tuple(map(_text, answer)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is to be a text")
    return value


@cache
def _example_questions(task: Task) -> frozenset[str]:
    return frozenset(
        words(example.question)
        for name in ("tool_api", "respond")
        for example in load_prompts(task, name).examples
    )


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
