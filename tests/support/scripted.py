"""A generator whose texts are scripted: the real seam (``GENERATORS``), without a model.

The text is a function of the prompt and the config alone. ``CALLS`` counts what was asked; a text that
begins with ``die`` fails as a backend would.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.config import LocalConfig

CALLS: list[Request] = []
HOME = "tests.support.scripted:ScriptedGenerator"


class ScriptedGenerator:
    """``model`` names the behaviour: ``right`` answers every question, ``wrong`` none, ``half`` every other."""

    chunk = 4
    is_batch = False

    def __init__(self, config: LocalConfig) -> None:
        self.config = config

    def identity(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json", exclude={"batch_size", "device"})

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        stream = enumerate(requests)
        while part := list(islice(stream, self.chunk)):
            CALLS.extend(request for _, request in part)
            yield [(at, Generation(self.text(request), "stop", 10, 5)) for at, request in part]
            if os.environ.get("SCRIPTED_DIE_AFTER") == str(len(CALLS)):
                os.kill(os.getpid(), signal.SIGKILL)
            if self.config.model == "fails":
                raise GenerationError("the backend is gone")

    def check(self) -> None:
        pass

    def describe(self) -> str:
        return f"`{self.config.model}`, scripted"

    def terms(self) -> str:
        return "not stated by its files"

    def parse(self, raw: str) -> Generation:
        raise NotImplementedError

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        return 10, 5

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        return 0.0

    def text(self, request: Request) -> str:
        question = request.prompt.user
        numbers = re.findall(r"\d+", question.split("Question: ")[-1].split("Input: ")[-1])
        total = sum(int(n) for n in numbers[:2])
        behaviour = self.config.model
        if behaviour == "half":
            behaviour = "right" if total % 2 == 0 else "wrong"
        return {
            "right": f"That makes {total}. The answer is {total}.",
            "wrong": f"The answer is {total + 1}.",
            "call": f"calculator({'+'.join(numbers[:2])})",
            "broken": "calculator(3+",
            "babbling": f"First calculator({total}-1), then one more. The answer is {total}.",
            "fails": "The answer is 0.",
        }[behaviour]
