"""The two shapes of OpenAI's API: what is sent, and what is read from an answer.

    chat         POST /chat/completions  {"model", "messages": [...], ...}  -> choices[0].message.content
    completions  POST /completions       {"model", "prompt": "...", ...}    -> choices[0].text

Source: OpenAI's API reference; vLLM, llama.cpp, Azure (v1) and ``transformers serve`` speak the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from toolgen_hf.generators.api.catalog import Api, Engine
from toolgen_hf.generators.base import Generation, Prompt
from toolgen_hf.generators.config import OpenAIConfig
from toolgen_hf.generators.store import well_formed

VERSION = 1
"""Of ``parse``: raise it when an answer may be read otherwise than before."""
MAX_TOKENS = 128
REASONING_MAX_TOKENS = 2048
"""Of a text, where the config says nothing: what a reasoning engine does not show counts as well."""
PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}
OPTIONAL = ("top_p", "frequency_penalty", "presence_penalty", "seed")
_KEPT = "toolgen_hf"  # marks what ``refused`` keeps; no answer of an engine has it


class MalformedError(ValueError):
    """An answer with status 200 is none: cut off, no JSON, or an error in disguise."""


def parameters(config: OpenAIConfig, engine: Engine, api: Api) -> dict[str, Any]:
    """All of a request but what is asked: engine and decoding, as the API names them."""
    limit = "max_completion_tokens" if engine.reasoning and api == "chat" else "max_tokens"
    made: dict[str, Any] = {"model": engine.name, limit: max_tokens(config, engine)}
    if config.temperature is not None and not (engine.reasoning and config.temperature == 0):
        made["temperature"] = config.temperature  # reasoning engines refuse 0, the default
    made |= {name: getattr(config, name) for name in OPTIONAL if getattr(config, name) is not None}
    if config.stop:
        made["stop"] = list(config.stop)
    return {**made, **config.extra}


def max_tokens(config: OpenAIConfig, engine: Engine) -> int:
    """Completion tokens of a request at most."""
    return config.max_tokens or (REASONING_MAX_TOKENS if engine.reasoning else MAX_TOKENS)


def question(api: Api, prompt: Prompt) -> dict[str, Any]:
    """What is asked, as the API wants it."""
    if api == "completions":
        return {"prompt": well_formed(prompt.joined())}
    asked = {"system": prompt.system.strip(), "user": prompt.user}
    messages = [{"role": role, "content": well_formed(text)} for role, text in asked.items()]
    return {"messages": messages if asked["system"] else messages[1:]}


def parse(raw: str) -> Generation:
    """Read an answer of either API, or a refused request as it was kept.

    Raises:
        MalformedError: this is no answer.
    """
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the answer is no JSON ({error}): {raw[:200]!r}") from error
    if not isinstance(answer, dict):
        raise MalformedError(f"the answer is no JSON object: {raw[:200]!r}")
    if answer.get(_KEPT) == "rejected":
        return Generation("", "rejected", raw=raw)
    if not isinstance(answer.get("choices"), list):
        raise MalformedError(f"the answer has no choices: {raw[:200]!r}")
    text, finish_reason = _read(answer["choices"])
    usage = _object(answer, "usage")
    return Generation(
        text,
        finish_reason,
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        _count(_object(usage, "prompt_tokens_details"), "cached_tokens"),
        raw,
    )


def refused(status: int, error: Any) -> Generation:
    """A request that the engine refuses for what it holds, kept like any other answer."""
    kept = {_KEPT: "rejected", "status": status, "error": error}
    return Generation("", "rejected", raw=json.dumps(kept, ensure_ascii=False))


def reported_model(raw: str | None) -> str | None:
    """Which model an answer says it is from."""
    try:
        model = json.loads(raw or "").get("model")
    except (ValueError, AttributeError, RecursionError):
        return None
    return model if isinstance(model, str) else None


def _read(choices: list[Any]) -> tuple[str, str]:
    """Text and finish reason of the first choice. ``stop`` and ``length`` are kept, also where the text is empty.

    What a content filter left of a text is no answer: it is only in ``raw``.
    """
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = _object(choice, "message")
    text = choice.get("text") if "text" in choice else message.get("content")
    reason = choice.get("finish_reason")
    if isinstance(text, str) and text and reason != "content_filter":
        return text, "length" if reason == "length" else "stop"
    if message.get("refusal"):
        return "", "refusal"
    if reason in ("length", "content_filter"):
        return "", reason
    return "", "stop" if text == "" and choices else "empty"


def _object(within: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = within.get(name)
    return found if isinstance(found, dict) else {}


def _count(within: Mapping[str, Any], name: str) -> int:
    found = within.get(name)
    return max(found, 0) if isinstance(found, int) else 0
