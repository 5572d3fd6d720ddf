"""A service behind a tool: its results are recorded in the store, and replayed like the texts of a model.

    class Lookup(Service):
        def result(self, argument): return PAGES[argument]          # ToolError: a result, too. Other errors end the run

What a service answered once is not asked again, so a run that is repeated tomorrow has the same rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from toolgen_hf.ask import Ask, Connection, Generation, Prompt, Request, ToolResult
from toolgen_hf.errors import ToolError

_ERROR = "error"


class Service:
    """Base of the engines that answer tool calls: a `toolgen_hf.models.Generator` whose texts are results."""

    is_batch = False

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines a result, as plain JSON data. No secrets, no paths."""

    @abstractmethod
    def result(self, argument: str) -> str:
        """The result for an argument.

        Raises:
            ToolError: there is none, which is recorded like a result.
            GenerationError: the service is down, which ends the run.
        """

    @abstractmethod
    def describe(self) -> str:
        """What answers, in Markdown for cards. No paths."""

    def terms(self) -> str:
        """The licence or the terms that hold for its results, as plain text for cards."""
        return "not known"

    def check(self) -> str | None:
        """Find what the service needs, before any work.

        Raises:
            ConfigError: it is missing.
        """
        return None

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """The results, one after the other."""
        for at, request in enumerate(requests):
            try:
                made = Generation(self.result(request.prompt.user))
            except ToolError as error:
                made = Generation(f"{error.code}: {error}", finish_reason=_ERROR)
            yield [(at, made)]

    def parse(self, raw: str) -> Generation | None:
        """None: a service stores results, no answers to be read again."""
        return None

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        """A service takes no tokens."""
        return (0, 0)

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        """Free."""
        return 0.0


def recorded(texts: Any) -> Connection:
    """Calls whose results come from a service, by way of the store.

    Args:
        texts: `toolgen_hf.runtime.texts.Texts` of the service.
    """

    async def call(argument: str, ask: Ask) -> ToolResult:
        made = await ask.text(texts, Prompt("", argument))
        return ToolResult(error=made.text) if made.finish_reason == _ERROR else ToolResult(made.text)

    return call
