"""What a generator is: something that turns requests into text, chunk by chunk as it arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked, before any model's own format.

    A chat model gets ``system`` and ``user`` as messages, a completion engine gets their
    concatenation, a named template (``alpaca``, ``vicuna``) gets them as instruction and input.
    """

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Request:
    """One text that is wanted; ``sample`` tells apart several texts for one prompt."""

    prompt: Prompt
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """One generated text. ``finish_reason`` is ``"stop"`` or ``"length"`` (cut at the token limit)."""

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Generator(Protocol):
    """A source of text, built from its config where it is used and never part of a fingerprint."""

    def identity(self) -> Mapping[str, Any]:
        """All that determines a text besides its request, as plain JSON data: model content digest or
        Hub commit, adapter digest, template, decoding parameters. No secrets, no paths, no row
        numbers, nothing that only changes speed. Cheap: never loads a model."""
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields finished texts in chunks, each paired with its position in ``requests``.

        Every position comes exactly once, in any order. The caller makes a chunk durable before it
        asks for the next.

        Raises:
            GenerationError: the backend failed; chunks already yielded are good.
        """
        ...
