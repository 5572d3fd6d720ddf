"""The interface of all models: requests go in, texts come out in chunks as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from toolgen_hf.ask import Generation, Prompt, Request


class Generator(Protocol):
    """A source of text, built from its config where it is used. Only its identity enters a fingerprint."""

    @property
    def is_batch(self) -> bool:
        """Whether requests are answered all together, perhaps hours later."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Everything except the request that determines a text, as plain JSON data: the digest or Hub commit of the
        model and adapter, the template, the decoding parameters. No secrets, no paths, no settings that only change
        the speed. Cheap: it never loads a model."""
        ...

    def check(self) -> str | None:
        """Find the model's files or the engine's client, before any work.

        Returns None if new texts can be generated, else the reason why only stored texts can be used (for example, a
        missing API key).

        Raises:
            ConfigError: the files or the client are missing.
        """
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields finished texts in chunks, each paired with its position in ``requests``, in any order.

        ``requests`` may be lazy; it is read only as far as requests can be worked on. The caller stores a chunk before
        it asks for the next. An empty chunk says that work goes on.

        Raises:
            GenerationError: the backend failed; chunks already yielded are good.
        """
        ...

    def parse(self, raw: str) -> Generation | None:
        """Read a stored answer (``Generation.raw``) again. Only models that store answers are asked.

        None if it is not an answer: earlier versions stored errors and refused requests too.
        """
        ...

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        """Tokens of the prompt, estimated without a tokenizer (4 bytes each), and of the text at most."""
        ...

    def describe(self) -> str:
        """The model or engine and how it is prompted, in Markdown for cards. No paths."""
        ...

    def terms(self) -> str:
        """The licence or the terms that hold for its texts, as plain text for cards."""
        ...

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        """The cost in US dollars; 0.0 if free, None if no price is known."""
        ...


@runtime_checkable
class GivenTexts(Generator, Protocol):
    """A generator whose texts are there already: they are looked up, and neither stored nor counted as generated."""

    def open(self) -> None:
        """Make the texts ready. Without this it happens when the first one is looked up."""
        ...

    def look_up(self, prompt: Prompt) -> Generation:
        """The text for a prompt."""
        ...
