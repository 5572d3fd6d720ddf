"""Facts asked of a question answering model: T-REx of LAMA.

question    "Dracula was written by [MASK]."     answer ["Bram Stoker"]
call        "QA(Who wrote Dracula?)"             result "Bram Stoker", which is the answer
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from toolgen_hf.ask import Ask
from toolgen_hf.tasks.base import Annotation
from toolgen_hf.tasks.text import PublishedText, Text
from toolgen_hf.tools.base import Declared, ToolCall

QA_MODEL: Final = Declared(
    "QA",
    "Asks a question answering model.",
    "question",
    "A whole question, for example: Who wrote Dracula?",
)


class Facts(Text):
    """Facts with one short answer. The tool's result is the answer."""

    name = "lama"
    tool = QA_MODEL
    instruction = "Given a question, please answer it and you can use a QA model for help."
    query_instruction = instruction
    prompts = files(__name__) / "prompts"

    async def conclude(self, question: str, call: ToolCall, results: Sequence[str], ask: Ask) -> str | None:
        """The answer that the model states."""
        return self.extract(results[-1])

    def annotate(self, question: str, solution: str | None, answer: Sequence[str]) -> Annotation:
        """The question itself."""
        return Annotation(f"{self.tool.name}({question.strip()})")


class PublishedFacts(PublishedText, Facts):
    """The same, graded as the published scripts do."""

    name = "lama-published"


LAMA: Final = (Facts(), PublishedFacts())
