"""What the scripted server is asked, and what a script has it answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Api = Literal["chat", "completions"]
Fault = Literal["reset", "reset_body", "truncate", "hang"]


@dataclass(frozen=True)
class ApiRequest:
    """One generation request as it arrived.

    ``index`` counts them from 0 in order of arrival, ``seen`` those before it with the identical body;
    ``digest`` is the SHA-256 of that body. ``at`` is ``time.monotonic()``; ``batch`` is the id of the
    batch that the request is a line of, None for one that came on its own.
    """

    index: int
    api: Api
    key: str
    body: dict[str, Any]
    seen: int
    at: float
    digest: str
    batch: str | None = None

    @property
    def prompt(self) -> str:
        """The prompt, or the contents of all messages, one after the other."""
        if self.api == "completions":
            return str(self.body["prompt"])
        return "".join(_text(message) for message in self.body["messages"])

    @property
    def user(self) -> str:
        """The content of the last user message, or the prompt."""
        if self.api == "completions":
            return self.prompt
        said = (_text(m) for m in reversed(self.body["messages"]) if m.get("role") == "user")
        return next(said, "")


@dataclass(frozen=True)
class Reply:
    """What to answer: a text, an error, or something that no sound server would send.

    ``latency``  seconds until the answer goes out; None: the server's
    ``model``    the model that the answer names; None: the one that was asked for
    ``error``    a message or OpenAI's fields of one; a status of 400 or more has one by default
    ``body``     sent as it is, in place of a well-formed one
    ``fault``    ``reset``: close the connection without a word; ``reset_body``: reset it in the middle of the
                 body; ``truncate``: close it there politely; ``hang``: answer only when the client has gone
    ``choices``  in place of those made from the text, such as ``[]``
    ``usage``    in place of counts made from the lengths of the texts; ``{}``: none
    """

    text: str | None = ""
    finish_reason: str | None = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency: float | None = None
    model: str | None = None
    error: Mapping[str, Any] | str | None = None
    body: bytes | None = None
    fault: Fault | None = None
    choices: Sequence[Mapping[str, Any]] | None = None
    usage: Mapping[str, Any] | None = None
    refusal: str | None = None

    @property
    def answers(self) -> bool:
        """Whether it is the answer that a real server would have charged for."""
        return self.status == 200 and self.error is None and self.fault is None


Script = Callable[[ApiRequest], Reply | str] | Reply | str
"""A function of the request, or the one answer to everything."""


def ask(script: Script, request: ApiRequest) -> Reply:
    """What the script replies to the request.

    Raises:
        TypeError: It returned neither a text nor a :class:`Reply`.
    """
    reply = script(request) if callable(script) else script
    if isinstance(reply, str):
        return Reply(reply)
    if not isinstance(reply, Reply):
        raise TypeError(f"a script returns a Reply or a text, not {reply!r}")
    return reply


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
