"""Questions in other languages about an English text, answered with a translator: MLQA, XQuAD.

    question    "Context: Dracula is a novel by Bram Stoker.\nQuestion: Wer schrieb Dracula?"    answer ["Bram Stoker"]
    call        "translator(Wer schrieb Dracula?)"            result "Who wrote Dracula?"
    reader      the context and the translated question       -> "Bram Stoker"

No teacher has to write the call: it is the question itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from toolgen_hf.ask import Ask, Prompt
from toolgen_hf.tasks.base import Annotation
from toolgen_hf.tasks.text import PublishedText, Text
from toolgen_hf.tools.base import Declared, ToolCall

READ: Final = "Given a context, please answer the question."
_QUESTION: Final = "\nQuestion: "

TRANSLATOR: Final = Declared(
    "translator",
    "Translates a text into English.",
    "text",
    "The text in its own language, for example: Wer schrieb Dracula?",
)


class Translated(Text):
    """Reading comprehension across languages. The reader gets the translated question."""

    name = "mlqa"
    tool = TRANSLATOR
    reads = True
    instruction = (
        "Given a context, please answer the question in English and you can use a translator for help."
    )
    query_instruction = instruction
    prompts = files(__name__) / "prompts"

    async def conclude(self, question: str, call: ToolCall, results: Sequence[str], ask: Ask) -> str | None:
        """What the reader finds in the context with the last translation."""
        return await self.read(ask, Prompt(READ, f"{self._split(question)[0]}{_QUESTION}{results[-1]}"))

    async def answer_without(self, question: str, ask: Ask) -> str | None:
        """What the reader finds with the question in its own language."""
        return await self.read(ask, Prompt(READ, question))

    def annotate(self, question: str, solution: str | None, answer: Sequence[str]) -> Annotation:
        """The question without its context."""
        return Annotation(f"{self.tool.name}({self._split(question)[1].strip()})")

    def _split(self, question: str) -> tuple[str, str]:
        context, found, asked = question.rpartition(_QUESTION)
        return (context, asked) if found else ("", question)


class PublishedTranslated(PublishedText, Translated):
    """The same, graded as the published scripts do."""

    name = "mlqa-published"


MLQA: Final = (Translated(), PublishedTranslated())
