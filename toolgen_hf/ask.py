"""What is asked for a text and what comes back: a prompt, a request and its key, a generated text."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked, before any model's own format.

    A chat model gets ``system`` and ``user`` as messages, a completion engine gets their
    concatenation, a named template (``alpaca``, ``vicuna``) gets them as instruction and input.
    """

    system: str
    user: str

    def joined(self) -> str:
        """Both as one text, on lines of their own."""
        gap = "" if not self.system or self.system[-1].isspace() else "\n"
        return self.system + gap + self.user


@dataclass(frozen=True, slots=True)
class Request:
    """One text that is wanted; ``sample`` tells apart several texts for one prompt."""

    prompt: Prompt
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """One generated text.

    ``finish_reason`` is ``"stop"`` or ``"length"`` (cut at the token limit); where an engine gave no text,
    it says why: ``"content_filter"``, ``"refusal"``, ``"empty"`` or ``"rejected"`` (the request itself, which is
    not stored). Counts of tokens are 0 where the engine does not say.
    """

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's, those that were billed as cached."""
    raw: str | None = None
    """The engine's whole answer as it came (JSON), from which all the others can be read again."""
    reasoning: str | None = None
    """What the engine thought before the text, where it gives that apart from the text."""
    unusable: str | None = None
    """Why this answer cannot be used as it is, and what to do: an error of the run. It is stored, since it was paid."""

    @property
    def failure(self) -> str | None:
        """Why there is no text, in words that can be counted; None if there may be one."""
        if self.finish_reason in ("stop", "length") or self.text:
            return None
        return f"no response ({self.finish_reason})"


def request_key(generator: str, request: Request) -> str:
    """The key of one text: SHA-256 (hex) over the digest of the generator's identity, and the request."""
    prompt = request.prompt
    asked = json.dumps([generator, prompt.system, prompt.user, request.sample], ensure_ascii=False)
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request and the key of its text."""

    key: str
    request: Request
