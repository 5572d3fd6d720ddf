"""What a generator is: something that turns requests into text, chunk by chunk as it arrives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from toolgen_hf.ask import Generation, Prompt, Request


class Generator(Protocol):
    """A source of text, built from its config where it is used and never part of a fingerprint."""

    @property
    def is_batch(self) -> bool:
        """Whether requests are answered all together, perhaps hours later."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """All that determines a text besides its request, as plain JSON data: model content digest or
        Hub commit, adapter digest, template, decoding parameters. No secrets, no paths, no row
        numbers, nothing that only changes speed. Cheap: never loads a model."""
        ...

    def check(self) -> str | None:
        """Find what will be needed, before any work: the model's files, the engine.

        Why only texts that are in the store can be used, such as a key that is missing; None where all can be asked.

        Raises:
            ConfigError: it is not there.
        """
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields finished texts in chunks, each paired with its position in ``requests``.

        Requests may come from a lazy stream; they are taken as they can be worked on. Every position
        comes at most once, in any order. The caller makes a chunk durable before it asks for the next. An empty
        chunk is a sign of life.

        Raises:
            GenerationError: the backend failed; chunks already yielded are good.
        """
        ...

    def parse(self, raw: str) -> Generation | None:
        """Reads a kept answer (``Generation.raw``) again; only asked of generators that keep them.

        None where it is no answer: an error or a refused request that an earlier version kept.
        """
        ...

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        """Tokens of the prompt, guessed without a tokenizer (4 bytes each), and of its text at most."""
        ...

    def describe(self) -> str:
        """In Markdown, for cards: which model or engine, how prompted; no paths."""
        ...

    def terms(self) -> str:
        """Under which licence or whose terms its texts are made, for cards, as plain text."""
        ...

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        """US dollars; 0.0 for what costs nothing, None where no price is known."""
        ...
