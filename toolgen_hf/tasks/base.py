"""What a task is: the questions' instruction, how an answer is read and graded, and its tool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from toolgen_hf.tools.base import Tool


class Task(Protocol):
    """One kind of question. Stateless; ``version`` changes when gradings may change."""

    name: str
    version: int
    tool: Tool
    instruction: str
    """Stage 1's instruction: how the trained model will be asked."""
    query_instruction: str
    """Stage 2's instruction; its query is this, a newline, and the question."""

    def extract(self, text: str) -> str | None:
        """The prediction that a response states, in normal form; None if it states none."""
        ...

    def normalize(self, value: str) -> str | None:
        """A bare answer or a tool's result in normal form; None if it is no answer of this task."""
        ...

    def state(self, answer: str) -> str:
        """A sentence that states an answer; ``extract`` reads it back."""
        ...

    def is_correct(self, prediction: str | None, answer: Sequence[str]) -> bool:
        """Whether a prediction in normal form equals any of the accepted answers."""
        ...

    def distance(self, prediction: str, answer: Sequence[str]) -> float:
        """How far a prediction is from the nearest accepted answer; 0.0 if it is correct."""
        ...
