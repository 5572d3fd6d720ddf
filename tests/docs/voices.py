"""Who speaks on the pages: a script in the place of every model and engine, so that a page runs in seconds.

It knows the questions of the bundled GSM8K and answers in the role in which it is asked: as the student it is right
about one question in four, as a teacher it writes the verified call, as a source it calls the tool every other time.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tests.support.scripted import ScriptedGenerator
from toolgen_hf._utils import bytes_sha256
from toolgen_hf.ask import Request
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tasks.math.compose import compose
from toolgen_hf.testing import ApiRequest

HOME = "tests.docs.voices:Voice"


class Voice(ScriptedGenerator):
    """In the place of a local model."""

    chunk = 64

    def text(self, request: Request) -> str:
        who = f"{self.config.template}{self.config.adapter}"
        return say(request.prompt.system + request.prompt.user, request.prompt.user, who)


def engine(request: ApiRequest) -> str:
    """In the place of an engine."""
    return say(request.prompt, request.user, str(request.body["model"]))


def say(prompt: str, user: str, who: str) -> str:
    """The text that ``who`` gives."""
    question = user.rpartition("Question: ")[2].rpartition("Input: ")[2]
    question = re.split(r"\n(?:Golden answers|Output)", question)[0].strip()
    answer, formula = _solve(question)
    drawn = int(bytes_sha256((question + who).encode())[:2], 16)
    if "Golden answer" in prompt:
        return f"calculator({formula})"
    if "step by step" in prompt:
        return f"The answer is {answer if drawn % 4 == 0 else '7'}."
    return f"calculator({formula})" if drawn % 2 else f"The answer is {answer}."


@cache
def _solve(question: str) -> tuple[str, str]:
    """The gold answer and a formula for it; of a question that is not GSM8K's, the sum of its first two numbers."""
    row = _bundled().get(question)
    if row is None:
        numbers = re.findall(r"\d+", question)[:2] or ["0"]
        return str(sum(map(int, numbers))), "+".join(numbers)
    return row["answer"][0], compose(question, row["solution"], row["answer"], MATH).formula or "1+1"


@cache
def _bundled() -> dict[str, dict[str, Any]]:
    return {row["question"]: row for split in load(GSM8K()).values() for row in split.to_list()}
