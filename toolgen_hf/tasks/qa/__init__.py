"""Open questions, answered with a search: WebQuestions, NaturalQuestions, TriviaQA, the factbook.

    question    "Who wrote the novel Dracula?"             answer ["Bram Stoker", "Stoker"]
    call        "WikiSearch(author of Dracula)"            result "Dracula: Dracula is a Gothic novel by ..."
    reader      the result, ". " and the question          -> "Bram Stoker"

A question may need several searches; the reader then gets the results of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from toolgen_hf.ask import Ask, Prompt
from toolgen_hf.errors import ToolError
from toolgen_hf.tasks.base import Annotation
from toolgen_hf.tasks.text import PublishedText, Text
from toolgen_hf.tools.base import Declared, ToolCall, find_calls

READ: Final = "Given a passage and a question, answer the question in a few words."
PASSAGE_WORDS: Final = 384
"""The words of all results together that the reader gets."""

WIKI_SEARCH: Final = Declared(
    "WikiSearch",
    "Searches an encyclopedia and returns the passages that fit best.",
    "term",
    "What to look for, for example: author of Dracula",
)


class Search(Text):
    """Questions about the world. A search's passages must be read."""

    name = "qa"
    tool = WIKI_SEARCH
    reads = True
    instruction = "Given a question, please answer it and you can use a WikiSearch for help."
    query_instruction = instruction
    prompts = files(__name__) / "prompts"

    async def conclude(self, question: str, call: ToolCall, results: Sequence[str], ask: Ask) -> str | None:
        """What the reader finds in the passages of all searches so far."""
        passage = " ".join("\n".join(results).split(" ")[:PASSAGE_WORDS])
        return await self.read(ask, Prompt(READ, f"{passage}. {question}"))

    async def answer_without(self, question: str, ask: Ask) -> str | None:
        """What the reader answers from memory."""
        return await self.read(ask, Prompt(READ, question))

    def annotate(self, question: str, solution: str | None, answer: Sequence[str]) -> Annotation:
        """The searches in the solution, or else one for the question itself."""
        try:
            calls = find_calls(self.tools, solution or "")
        except ToolError as error:
            return Annotation(reason=f"the solution's call cannot be read: {error}")
        return Annotation(" ".join(map(str, calls)) or f"{self.tool.name}({question.strip().rstrip('?')})")


class PublishedSearch(PublishedText, Search):
    """The same, graded as the published scripts do."""

    name = "qa-published"


QA: Final = (Search(), PublishedSearch())
