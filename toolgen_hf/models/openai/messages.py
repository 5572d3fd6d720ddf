"""The two shapes of OpenAI's API: what is sent, and what is read from an answer.

    chat         POST /chat/completions  {"model", "messages": [...], ...}  -> choices[0].message.content
    completions  POST /completions       {"model", "prompt": "...", ...}    -> choices[0].text

Source: OpenAI's API reference; vLLM, llama.cpp, Azure (v1) and ``transformers serve`` speak the same. What other
servers send instead (other finish reasons, content in parts, errors with status 200) is read here too:
``parse`` gives a typed answer or raises a typed error, whatever the JSON is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

from toolgen_hf._utils import well_formed
from toolgen_hf.ask import Generation, Prompt
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.catalog import Api, Engine

VERSION = 2
"""Of ``parse``: raise it when an answer may be read in another way than before."""
MAX_TOKENS = 128
_REASONING_MAX_TOKENS = 2048
"""Tokens of a text if the config sets no number; hidden reasoning counts too."""
PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}
OPTIONAL = ("top_p", "frequency_penalty", "presence_penalty", "seed")
_KEPT = "toolgen_hf"  # marks a refused request; version 1 kept those in the store

MOST_TOKENS = 10_000_000
"""The most tokens of one prompt or text. A larger count in ``usage`` is nonsense, and is ignored."""

_MEANINGS: Mapping[str, str] = {
    "stop": "stop stopped eos eos_token eos_found eog eog_token eot eot_token end_of_text end_of_sequence end_turn"
    " end_of_turn stop_sequence stop_token stop_string stop_string_found stop_word stop_words stop_trigger"
    " stop_criteria_met complete completed finish finished normal",
    "length": "length length_limit limit max_length max_token max_tokens max_output_tokens max_completion_tokens"
    " max_new_tokens model_length token_limit token_limit_reached max_tokens_reached max_predicted_tokens_reached"
    " context_length context_length_reached context_length_exceeded model_context_window_exceeded"
    " context_window_exceeded error_limit truncated incomplete repetition",
    "content_filter": "content_filter content_filtered content_blocked safety recitation language blocklist"
    " prohibited_content spii image_safety sensitive error_toxic guardrail_intervened model_armor jailbreak moderation",
    "refusal": "refusal refused",
    "error": "error failed failure abort aborted cancelled canceled cancel user_cancel user_stopped timeout time_limit"
    " network_error insufficient_system_resource model_unloaded load unload other",
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls malformed_function_call"
    " malformed_tool_call unexpected_tool_call too_many_tool_calls",
}
"""The finish reasons of servers, by meaning. Sources: the API references of OpenAI, OpenRouter, Anthropic, Gemini,
Mistral, Cohere, DeepSeek, Zhipu, Baidu, Amazon Bedrock and watsonx; vLLM, SGLang, TGI, llama.cpp, LM Studio."""

_STATUS: Mapping[str, int] = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "overloaded_error": 529,
}
"""The HTTP status of an error that has a word instead of a number."""
_LONGEST_PAUSE = 1e7  # seconds


class MalformedError(ValueError):
    """An answer with status 200 cannot be read: it is cut off, is not JSON, or has an unknown form."""


class EngineError(MalformedError):
    """An answer with status 200 holds an error.

    ``status`` is the HTTP status that it should have had (None: it names none), ``error`` the error object as it came,
    ``retry_after`` the seconds that it asks to wait, ``headers`` those of the answer.
    """

    def __init__(
        self, message: str, error: Any = None, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.error, self.status, self.retry_after = error, status, retry_after
        self.headers: Mapping[str, str] = {}


def shallow(value: Any, depth: int = 20) -> Any:
    """JSON data without what is nested deeper than ``depth``."""
    if isinstance(value, dict):
        return {name: shallow(part, depth - 1) for name, part in value.items()} if depth else {}
    if isinstance(value, list):
        return [shallow(part, depth - 1) for part in value] if depth else []
    return value


def parameters(config: OpenAIConfig, engine: Engine, api: Api) -> dict[str, Any]:
    """A request's body without the prompt: engine and decoding, as the API names them."""
    limit = "max_completion_tokens" if engine.reasoning and api == "chat" else "max_tokens"
    made: dict[str, Any] = {"model": engine.name, limit: max_tokens(config, engine)}
    if config.temperature is not None and not (engine.reasoning and config.temperature == 0):
        made["temperature"] = config.temperature  # reasoning engines refuse 0, the default
    made |= {name: getattr(config, name) for name in OPTIONAL if getattr(config, name) is not None}
    if config.stop:
        made["stop"] = list(config.stop)
    return {**made, **config.extra}


def max_tokens(config: OpenAIConfig, engine: Engine) -> int:
    """The most completion tokens of a request."""
    return config.max_tokens or (_REASONING_MAX_TOKENS if engine.reasoning else MAX_TOKENS)


def question(api: Api, prompt: Prompt) -> dict[str, Any]:
    """The prompt, as the API wants it."""
    if api == "completions":
        return {"prompt": well_formed(prompt.joined())}
    texts = {"system": prompt.system.strip(), "user": prompt.user}
    messages = [{"role": role, "content": well_formed(text)} for role, text in texts.items()]
    return {"messages": messages if texts["system"] else messages[1:]}


def parse(
    raw: str, finish_reasons: Mapping[str, str] | None = None, max_tokens: int | None = None
) -> Generation:
    """Read an answer of either API.

    Args:
        raw: the body of an answer with status 200, whatever it is.
        finish_reasons: meanings of words that only this server uses.
        max_tokens: the limit of the request. A text of that length without a finish reason was cut.

    Raises:
        EngineError: it holds an error instead of a text, or beside half of one.
        MalformedError: it cannot be read.
    """
    raw = well_formed(raw)
    answer = _load(raw)
    choice = _choice(answer, raw)
    content, reasoning, refusal, calls_tool = _read(choice)
    prompt_tokens, completion_tokens, cached_tokens = _usage(answer)
    reason, own = choice.get("finish_reason"), finish_reasons or {}
    if reason is not None and reason != "":
        meaning = _meaning(reason, own)
    elif max_tokens is not None and completion_tokens >= max_tokens:
        meaning = "length"
    elif content or refusal or calls_tool:  # some servers never send a finish reason
        meaning = "stop"
    else:
        raise MalformedError(f"the answer has neither a text nor a finish_reason: {raw[:200]!r}")
    if meaning == "stop" and calls_tool:  # some servers send this word for a call
        meaning = _meaning("tool_calls", own)
    text, unusable = "", None
    if meaning == "error":
        raise EngineError(f"the engine broke off a text with finish_reason {_quoted(reason)}")
    if meaning is None:
        word = _quoted(reason)
        meaning = "unknown"
        unusable = (
            f"an answer has the finish_reason {word}, and it is not known whether such a text is whole. Say what "
            f"it means in the generator, finish_reasons: {{{word}: stop}} (whole), length (cut), content_filter, "
            "empty (no text), or error (ask again)"
        )
    elif meaning == "tool_calls":
        unusable = (
            "an answer is a native tool call, which is not read as text. Leave tools out of extra; or, to count such "
            "answers as no response, add finish_reasons: {tool_calls: empty} to the generator"
        )
    elif meaning in ("stop", "length") and content:
        text = content
    elif refusal:
        meaning = "refusal"
    elif meaning == "stop" and content is None:
        meaning = "empty"
    return Generation(  # what a content filter left of a text is only in ``raw``
        text, meaning, prompt_tokens, completion_tokens, cached_tokens, raw, reasoning, unusable
    )


def refused(status: int, error: Any) -> Generation:
    """The text of a request that the engine refuses for its own content.

    The store does not keep it: the next run asks again.
    """
    kept = {_KEPT: "rejected", "status": status, "error": error}
    return Generation("", "rejected", raw=well_formed(json.dumps(kept, ensure_ascii=False, default=str)))


def reported_model(raw: str | None) -> str | None:
    """The name of the model that an answer names."""
    try:
        model = _load(raw or "").get("model")
    except MalformedError:
        return None
    return well_formed(model) if isinstance(model, str) else None


def _quoted(reason: Any) -> str:
    return repr(_word(reason))[:80]


def _word(reason: Any) -> str:
    return reason if isinstance(reason, str) else json.dumps(shallow(reason))


def _meaning(reason: Any, own: Mapping[str, str]) -> str | None:
    """The meaning of a finish reason, whatever its case: ``MAX_TOKENS``, ``maxTokens`` and ``max-tokens`` are one.

    ``own`` adds meanings for unknown words, tool calls and ``stop``. It cannot turn a cut text into a complete one.
    """
    word = _letters(_word(reason))
    known = _KNOWN_REASONS.get(word) if isinstance(reason, str) else None
    if known not in (None, "tool_calls", "stop"):
        return known
    return {_letters(name): meaning for name, meaning in own.items()}.get(word, known)


@lru_cache(maxsize=100)
def _letters(word: str) -> str:
    letters = re.sub(r"[\W_]+", "", word.casefold())
    return letters.removeprefix("finishreason") or letters


_KNOWN_REASONS = {_letters(word): meaning for meaning, words in _MEANINGS.items() for word in words.split()}
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder(  # Python refuses integers of thousands of digits
    parse_int=lambda digits: int(digits) if len(digits) < 100 else float(digits)
)


def _load(raw: str) -> dict[str, Any]:
    """The JSON object of an answer; every string in it can be written as UTF-8."""
    try:
        answer = _DECODER.decode(raw.removeprefix("\ufeff"))
        if _HALF_ESCAPED.search(raw):
            answer = json.loads(well_formed(json.dumps(answer, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the answer is not JSON ({error}): {raw[:200]!r}") from error
    if not isinstance(answer, dict):
        raise MalformedError(f"the answer is not a JSON object: {raw[:200]!r}")
    return answer


def _choice(answer: Mapping[str, Any], raw: str) -> Mapping[str, Any]:
    """The first choice of an answer. Raises as ``parse`` does."""
    if answer.get(_KEPT) == "rejected":
        raise MalformedError("this is a refused request")
    if error := answer.get("error"):
        raise _engine_error(error, answer)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        errors = answer.get("errors")
        error = errors[0] if isinstance(errors, list) and errors else answer
        if _status(error, answer) is not None or answer.get("object") == "error":
            raise _engine_error(error, answer)
        raise MalformedError(f"the answer has no choices: {raw[:200]!r}")
    choice = choices[0]
    if not isinstance(choice, dict):
        raise MalformedError(f"the choice of the answer is not an object: {raw[:200]!r}")
    if error := choice.get("error"):
        raise _engine_error(error, choice)
    return choice


def _engine_error(error: Any, answer: Mapping[str, Any]) -> EngineError:
    """An error as some servers send it with status 200: an object or a text, its status within or beside it."""
    error = shallow(error)
    fields = error if isinstance(error, dict) else {}
    message = fields.get("message") or fields.get("detail") or error
    message = (message if isinstance(message, str) else json.dumps(message))[:500]
    waits = [
        within.get(name)
        for within in (fields, _object(fields, "metadata"))
        for name in ("retry_after", "retry_after_seconds")
    ]
    wait = next((float(w) for w in waits if _is_number(w) and 0 <= w < _LONGEST_PAUSE), None)
    return EngineError(message, {**fields, "message": message}, _status(error, answer), wait)


def _status(error: Any, answer: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error names, by number or by word."""
    fields = error if isinstance(error, dict) else {}
    for within in (fields, answer):
        for name in ("code", "status", "status_code", "statusCode"):
            found = within.get(name)
            if isinstance(found, str) and re.fullmatch(r"[45][0-9]{2}", found):
                return int(found)
            if _is_number(found) and 400 <= found < 600:
                return int(found)
    words = (fields.get("code"), fields.get("type"))
    return next((_STATUS[word] for word in words if isinstance(word, str) and word in _STATUS), None)


def _read(choice: Mapping[str, Any]) -> tuple[str | None, str | None, str | None, bool]:
    """Content, reasoning and refusal of a choice, and whether it calls a tool.

    The content is None if there is none, "" if it is empty.

    Raises:
        MalformedError: this is not a choice of either API.
    """
    message = choice.get("message")
    if message is None and "text" in choice:
        message = {"content": choice["text"]}
    if not isinstance(message, dict):
        raise MalformedError(f"the answer has no message: {_excerpt(choice)}")
    calls_tool = bool(message.get("tool_calls") or message.get("function_call"))
    content = message.get("content")
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, str | list | None):
        raise MalformedError(f"the content of the answer is neither text nor parts: {_excerpt(content)}")
    text = content if isinstance(content, str) else None
    thoughts = [message.get("reasoning_content") or message.get("reasoning")]
    refusals = [message.get("refusal")]
    if isinstance(content, list) and content:
        parts = list(map(_part, content))
        texts = [text for kind, text in parts if kind == "text"]
        text = "".join(texts) if texts else None
        thoughts += [text for kind, text in parts if kind == "reasoning"]
        refusals += [text for kind, text in parts if kind == "refusal"]
        if all(kind is None for kind, _ in parts) and not calls_tool:
            raise MalformedError(f"none of the parts of the answer is text: {_excerpt(content)}")
    return text, _joined(thoughts), _joined(refusals), calls_tool


_PARTS = {  # type of a part -> what it is, and the field with its text
    **dict.fromkeys(("text", "output_text"), ("text", "text")),
    "refusal": ("refusal", "refusal"),
    **dict.fromkeys(("thinking", "redacted_thinking"), ("reasoning", "thinking")),
    **dict.fromkeys(("reasoning", "reasoning_text"), ("reasoning", "text")),
}


def _part(part: Any) -> tuple[str | None, str]:
    """Kind and text of one part of a content; the kind is None if it has no text (an image)."""
    if isinstance(part, str):
        return "text", part
    if not isinstance(part, dict):
        raise MalformedError(f"a part of the answer is neither text nor an object: {_excerpt(part)}")
    named = part.get("type", "text")
    kind, name = _PARTS.get(named, (None, "")) if isinstance(named, str) else (None, "")
    value = part.get(name)
    # a string, or parts again, as Mistral's ``thinking`` has them
    inner = (
        [one.get("text") if isinstance(one, dict) else one for one in value]
        if isinstance(value, list)
        else [value]
    )
    texts = [text for text in inner if isinstance(text, str)]
    return kind if texts or kind == "reasoning" else None, "".join(texts)


def _joined(texts: Sequence[Any]) -> str | None:
    return "".join(text for text in texts if isinstance(text, str)) or None


def _excerpt(value: Any) -> str:
    return repr(shallow(value))[:200]


def _usage(answer: Mapping[str, Any]) -> tuple[int, int, int]:
    """Prompt, completion and cached tokens of an answer; 0 for a count that it does not give.

    What the total has beyond both halves is reasoning (Gemini, xAI count it apart), or a half that is missing.
    """
    usage = _object(answer, "usage")
    prompt, completion, total = (
        _count(usage, f"{name}_tokens") for name in ("prompt", "completion", "total")
    )
    reasoning = _count(_object(usage, "completion_tokens_details"), "reasoning_tokens")
    if reasoning > completion:
        completion += reasoning
    if total > prompt + completion and prompt:
        completion = total - prompt
    elif total > prompt + completion and completion:
        prompt = total - completion
    return prompt, completion, min(_count(_object(usage, "prompt_tokens_details"), "cached_tokens"), prompt)


def _object(within: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = within.get(name)
    return found if isinstance(found, dict) else {}


def _count(within: Mapping[str, Any], name: str) -> int:
    """A number of tokens; 0 for anything else."""
    found = within.get(name)
    return int(found) if _is_number(found) and 0 <= found <= MOST_TOKENS else 0


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
