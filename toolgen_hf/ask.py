"""What a row asks of the world, and what comes back.

    async def answer(row, ask, student):
        text = await ask.text(student, Prompt("Solve it.", row["question"]))     # -> Generation("... is 72.", "stop")
        result = await ask.call(CALCULATOR, "48+48/2")                           # -> ToolResult("72.0")

A row is a coroutine. It stops where it asks for a text and goes on when the text is there. Who drives the rows decides
where texts come from (`toolgen_hf.runtime.door`): a model, the store alone, or nowhere (a dry run).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from toolgen_hf.errors import ConfigError, ToolError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, before it is put into the model's own format.

    A chat model gets ``system`` and ``user`` as messages, a completion engine gets both as one text, a named template
    (``alpaca``, ``vicuna``) gets them as instruction and input.
    """

    system: str
    user: str

    def joined(self) -> str:
        """Both as one text, on lines of their own."""
        gap = "" if not self.system or self.system[-1].isspace() else "\n"
        return self.system + gap + self.user


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt, and which of several texts for this prompt is wanted (``sample``)."""

    prompt: Prompt
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """One generated text.

    ``finish_reason`` is ``"stop"`` or ``"length"`` (cut at the token limit). Where an engine gave no text, it is the
    reason: ``"content_filter"``, ``"refusal"``, ``"empty"`` or ``"rejected"`` (the engine refused the request, and
    nothing is stored). Token counts are 0 where the engine does not report them.
    """

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were billed as cached."""
    raw: str | None = None
    """The engine's whole answer (JSON). Everything else can be read from it again."""
    reasoning: str | None = None
    """The engine's reasoning, where the engine reports it apart from the text."""
    unusable: str | None = None
    """Why this answer cannot be used, and what to do. It ends the run; the answer is stored because it was paid for."""

    @property
    def failure(self) -> str | None:
        """Why there is no text, in words that can be counted; None if there may be one."""
        if self.finish_reason in ("stop", "length") or self.text:
            return None
        return f"no response ({self.finish_reason})"


def request_key(model: str, request: Request) -> str:
    """The key of one text in the store: SHA-256 (hex) of the digest of the model's identity and the request."""
    prompt = request.prompt
    asked = json.dumps([model, prompt.system, prompt.user, request.sample], ensure_ascii=False)
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request and the key of its text."""

    key: str
    request: Request


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave for a call: ``result``, or ``error`` (``"undefined: division by zero"``)."""

    result: str | None = None
    error: str | None = None


class Runnable(Protocol):
    """A tool, as far as a call needs it."""

    name: str

    def run(self, argument: str) -> str:
        """The result for an argument. Raises `ToolError` where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A text that a row waits for. ``await`` gives it."""

    model: Any
    request: Request

    def __await__(self) -> Generator[Wanted, Generation, Generation]:
        return (yield self)


RowRun: TypeAlias = Coroutine[Wanted, Generation, T]
"""A row on its way. Whoever drives it sends a text for each `Wanted` that it gives."""


class Ask:
    """How a row reaches models and tools. The driver of the row does the work.

    Args:
        reader: the model that reads tool results (`toolgen_hf.runtime.texts.Texts`), for tasks that need one.
        tools: what a row may call, if not only the tools of its task.
        connected: how tools are called that do not run in this process, by name.
    """

    def __init__(
        self,
        reader: Any = None,
        tools: Sequence[Any] | None = None,
        connected: Mapping[str, Connection] | None = None,
    ) -> None:
        self.reader, self.tools = reader, tools
        self._connected = connected or {}

    def text(self, model: Any, prompt: Prompt, sample: int = 0) -> Wanted:
        """Wait for the text of ``model`` (`toolgen_hf.runtime.texts.Texts`) for a prompt."""
        return Wanted(model, Request(prompt, sample))

    def read(self, prompt: Prompt) -> Wanted:
        """Wait for the text of the model that reads tool results.

        Raises:
            ConfigError: no such model was given.
        """
        if self.reader is None:
            raise ConfigError(
                "this task reads tool results with a model: name it in the recipe's key reader (in Python: reader=)"
            )
        return self.text(self.reader, prompt)

    async def call(self, tool: Runnable, argument: str) -> ToolResult:
        """Run a tool. An argument that the tool cannot use is a result too: its ``error`` says why.

        Raises:
            ConfigError: the tool is a service, and the recipe does not say which.
        """
        connection = self._connected.get(tool.name)
        return run_tool(tool, argument) if connection is None else await connection(argument, self)


Connection: TypeAlias = Callable[[str, Ask], Coroutine[Wanted, Generation, ToolResult]]
"""Calls a tool that does not run in this process: from the argument to the result."""


def run_tool(tool: Runnable, argument: str) -> ToolResult:
    """The result of a tool that runs in this process."""
    try:
        return ToolResult(tool.run(argument))
    except ToolError as error:
        return ToolResult(error=f"{error.code}: {error}")
