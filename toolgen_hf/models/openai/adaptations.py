"""Changes of a request that an engine asks for in its refusal. Each is made at most once in a run.

    400 "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        {"max_tokens": 512, ...}  ->  {"max_completion_tokens": 512, ...}

Every change keeps the meaning of the settings: what a recipe asks for (a seed, a stop text) is never dropped. The key
of a text in the store comes from the settings, before any change.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from toolgen_hf.ask import Generation
from toolgen_hf.errors import RefusedError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.messages import OPTIONAL

if TYPE_CHECKING:  # importing the client takes a second
    from toolgen_hf.models.openai.failures import Failure

logger = logging.getLogger(__name__)

Body = Mapping[str, Any]

_SENTENCE = re.compile(r"[.!?;]\s+|\n")
_REFUSES = re.compile(
    r"unsupported|not (?:be |yet |currently )?(?:support|allow|permit|accept|recogni[sz]|available|enabled|valid)|"
    r"n't (?:support|allow|accept|have)|unrecogni[sz]ed|unknown|unexpected|deprecated|extra (?:inputs|fields)|"
    r"extra_forbidden|invalid (?:parameter|argument|role)|no longer",
    re.IGNORECASE,
)
_REFUSES_ZERO = re.compile(rf"{_REFUSES.pattern}|strictly positive|greater than 0(?:\.0)?\b", re.IGNORECASE)
_SYSTEM = re.compile(r"\bsystem\b", re.IGNORECASE)
_MESSAGE = re.compile(r"\b(?:role|message|prompt|instruction)s?\b", re.IGNORECASE)
_USER_ONLY = re.compile(
    r"roles must alternate|only user and assistant roles|should be 'user' or 'assistant'"
    r"|developer instruction is not enabled",
    re.IGNORECASE,
)


def _matches(text: str, *patterns: re.Pattern[str]) -> bool:
    """Whether one sentence matches all patterns."""
    return any(all(p.search(sentence) for p in patterns) for sentence in _SENTENCE.split(text))


def _parameter(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def _renamed(body: Body, old: str, new: str) -> Body | None:
    return {new if name == old else name: value for name, value in body.items()} if old in body else None


def _without_zero_temperature(body: Body) -> Body | None:
    if body.get("temperature") != 0:
        return None
    return {name: value for name, value in body.items() if name != "temperature"}


def _without_system(body: Body) -> Body | None:
    messages: Sequence[Mapping[str, str]] = body.get("messages") or []
    if len(messages) != 2 or messages[0]["role"] != "system":
        return None
    joined = f"{messages[0]['content']}\n\n{messages[1]['content']}"
    return {**body, "messages": [{"role": "user", "content": joined}]}


class Change(NamedTuple):
    """One change of a request."""

    does: str
    is_wanted: Callable[[str], bool]  # whether an engine's words ask for it
    make: Callable[[Body], Body | None]  # the new body; None: there is nothing to change


_CHANGES = (
    Change(
        "max_completion_tokens is sent instead of max_tokens (hidden reasoning counts as well: where texts come back "
        "empty, set a larger max_tokens)",
        lambda text: _matches(text, _parameter("max_tokens"), _REFUSES),
        lambda body: _renamed(body, "max_tokens", "max_completion_tokens"),
    ),
    Change(
        "max_tokens is sent instead of max_completion_tokens",
        lambda text: _matches(text, _parameter("max_completion_tokens"), _REFUSES),
        lambda body: _renamed(body, "max_completion_tokens", "max_tokens"),
    ),
    Change(
        "temperature 0 is not sent, so that the engine's own holds",
        lambda text: _matches(text, _parameter("temperature"), _REFUSES_ZERO),
        _without_zero_temperature,
    ),
    Change(
        "the system text is sent at the beginning of the user's, since there is no system role",
        lambda text: _matches(text, _USER_ONLY) or _matches(text, _SYSTEM, _MESSAGE, _REFUSES),
        _without_system,
    ),
)


class Shape:
    """The changes that one engine has asked for so far, in order."""

    def __init__(self) -> None:
        self.changes: tuple[Change, ...] = ()

    def apply(self, body: Body, count: int | None = None) -> Body:
        """``body`` after the first ``count`` changes; default all."""
        for change in self.changes[:count]:
            body = change.make(body) or body
        return body

    def learn(self, failure: Failure, body: Body, count: int) -> bool:
        """Whether a refused request can be sent again with a change. A new change is logged.

        Args:
            body: of the request, before any change.
            count: how many changes had been made to it when it was sent.
        """
        if failure.kind not in ("request", "retry") or failure.status is None or failure.is_about_the_text:
            return False
        sent = self.apply(body, count)
        for change in _CHANGES:
            if change.is_wanted(failure.text) and change.make(sent) is not None:
                if change not in self.changes:
                    self.changes += (change,)
                    logger.warning("engine %r: %s (%s)", body.get("model"), change.does, failure.message)
                return len(self.changes) > count
        return False


@cache
def shape_of(base_url: str, api: str, engine: str) -> Shape:
    """The shape of requests to one engine, kept while this process runs, over all stages."""
    return Shape()


@dataclass(frozen=True)
class Endpoint:
    """All that sending requests to one engine needs, one by one or in batches."""

    config: OpenAIConfig
    base_url: str
    path: str
    """Of the API, below the base URL."""
    keys: tuple[str, ...]
    parse: Callable[[str], Generation]
    """Reads an answer; raises MalformedError if it is not one."""
    shape: Shape
    has_answered: bool
    """Whether the engine has answered such requests before."""


def refused_error(endpoint: Endpoint, why: str, failures: Sequence[Failure]) -> RefusedError:
    """The error of a run whose requests were all refused, for the reason ``why``.

    Args:
        failures: of all requests, one that was refused first.
    """
    many = "the only one" if len(failures) == 1 else f"all {len(failures)} that were sent"
    return RefusedError(
        f"the engine at {endpoint.base_url} gives nothing more: {why.rstrip('.')} ({many}; none was answered, so "
        f"nothing is kept of them). {_advice(failures[0], endpoint.config)}, and run again"
    )


def _advice(failure: Failure, config: OpenAIConfig) -> str:
    """What to change where an engine refuses every request for this reason."""
    if failure.is_too_long:
        return (
            "Set a smaller max_tokens, serve the model with a larger context, or make the prompt shorter (fewer "
            "examples, a shorter instruction)"
        )
    if config.api != "completions" and "chat template" in failure.message:
        return "Give the server a chat template, or set api: completions, which needs none"
    given = [name for name in (*OPTIONAL, "stop") if getattr(config, name) not in (None, ())]
    given += ["temperature"] if config.temperature else []  # 0 is left out wherever an engine refuses it
    for name in (*given, *config.extra):
        if _matches(failure.text, _parameter(name), _REFUSES):
            where = "extra" if name in config.extra else "the settings of this engine"
            instead = "set temperature: null" if name == "temperature" else f"take {name!r} out of {where}"
            return f"The recipe sets {name!r}: {instead}, or use an engine that supports it"
    return "Change what the engine names"
