"""What exactly is sent, and what is read of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engines import one
from toolgen_hf.ask import Keyed, Prompt, Request
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.models.openai.failures import classify, redacted
from toolgen_hf.models.openai.messages import MOST_TOKENS, EngineError, MalformedError, parse, refused
from toolgen_hf.runtime.store import SqliteStore
from toolgen_hf.testing import ApiServer, Reply

PROMPT = Prompt("You are terse.\n", "3 * 19?")
CHAT = {"messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "3 * 19?"}]}
USER_ONLY = {"messages": [{"role": "user", "content": "3 * 19?"}]}
JOINED = {"prompt": "You are terse.\n3 * 19?"}


@pytest.mark.parametrize(
    ("changes", "prompt", "api", "body"),
    [
        ({}, PROMPT, "chat", {"model": "gpt-4o-mini", "max_tokens": 128, "temperature": 0.0, **CHAT}),
        (
            {"engine": "gpt-4o-mini", "max_tokens": 7, "temperature": 0.3},
            Prompt(" \n", "3 * 19?"),
            "chat",
            {"model": "gpt-4o-mini", "max_tokens": 7, "temperature": 0.3, **USER_ONLY},
        ),
        ({"temperature": None}, PROMPT, "chat", None),
        (
            {"engine": "gpt-turbo-0301"},
            PROMPT,
            "chat",
            {"model": "gpt-3.5-turbo-0301", "max_tokens": 128, "temperature": 0.0, **CHAT},
        ),
        (
            {"engine": "text-davinci-003"},
            PROMPT,
            "completions",
            {"model": "text-davinci-003", "max_tokens": 128, "temperature": 0.0, **JOINED},
        ),
        (
            {"engine": "gpt-3.5-turbo-instruct"},
            Prompt("Q: 1+1?\nA: 2\n\n", "Q: 3 * 19?\nA:"),
            "completions",
            {
                "model": "gpt-3.5-turbo-instruct",
                "max_tokens": 128,
                "temperature": 0.0,
                "prompt": "Q: 1+1?\nA: 2\n\nQ: 3 * 19?\nA:",
            },
        ),
        (
            {"engine": "my/model", "api": "completions"},
            PROMPT,
            "completions",
            {"model": "my/model", "max_tokens": 128, "temperature": 0.0, **JOINED},
        ),
        (
            {"engine": "text-davinci-003", "api": "chat"},
            PROMPT,
            "chat",
            {"model": "text-davinci-003", "max_tokens": 128, "temperature": 0.0, **CHAT},
        ),
        (
            {"engine": "o4-mini", "temperature": None, "extra": {"reasoning_effort": "low"}},
            PROMPT,
            "chat",
            {"model": "o4-mini", "max_completion_tokens": 2048, "reasoning_effort": "low", **CHAT},
        ),
        (
            {
                "top_p": 0.9,
                "frequency_penalty": 0.1,
                "presence_penalty": -0.1,
                "seed": 0,
                "stop": ("\n\n", "Q:"),
                "max_tokens": 9,
                "extra": {"logit_bias": {"50256": -100}},
            },
            PROMPT,
            "chat",
            {
                "model": "gpt-4o-mini",
                "max_tokens": 9,
                "temperature": 0.0,
                "top_p": 0.9,
                "frequency_penalty": 0.1,
                "presence_penalty": -0.1,
                "seed": 0,
                "stop": ["\n\n", "Q:"],
                "logit_bias": {"50256": -100},
                **CHAT,
            },
        ),
    ],
)
def test_what_is_sent(changes: Any, prompt: Prompt, api: str, body: Mapping[str, Any] | None) -> None:
    with ApiServer("57") as server:
        assert one(server, prompt, **changes).text == "57"
        (asked,) = server.requests
    assert asked.api == api
    assert body is None or asked.body == body


@pytest.mark.parametrize("engine", ["o4-mini", "gpt-5", "gpt-5-mini"])
def test_a_reasoning_engine_is_sent_no_temperature_unless_it_is_set(engine: str) -> None:
    with ApiServer("57") as server:
        one(server, PROMPT, engine=engine)
        one(server, PROMPT, engine=engine, temperature=0.0)
        one(server, PROMPT, engine=engine, temperature=1.0)
        unset, zero, given = (request.body for request in server.requests)
    assert unset == zero == {"model": engine, "max_completion_tokens": 2048, **CHAT}
    assert given == {**unset, "temperature": 1.0}


@pytest.mark.parametrize(
    ("engine", "given", "tokens"),
    [("gpt-4o-mini", None, 128), ("gpt-4o-mini", 7, 7), ("o4-mini", None, 2048), ("o4-mini", 7, 7)],
)
def test_a_text_takes_no_more_tokens_than_this(engine: str, given: int | None, tokens: int) -> None:
    source = OpenAIGenerator(OpenAIConfig(engine=engine, max_tokens=given))
    limit = "max_completion_tokens" if engine == "o4-mini" else "max_tokens"
    assert source.body(PROMPT)[limit] == tokens
    assert source.estimate(PROMPT)[1] == tokens


def test_text_of_every_kind_arrives_and_comes_back_whole() -> None:
    odd = 'tab\t "quoted" \\ back, NUL-free, é, 漢字, 👩‍👩‍👧, \u2028 line'
    with ApiServer(lambda request: request.user[::-1]) as server:
        assert one(server, odd).text == odd[::-1]
        assert server.requests[0].user == odd


def test_half_a_surrogate_pair_is_sent_without_a_crash() -> None:
    with ApiServer("57") as server:
        assert one(server, "half \ud83d of it").text == "57"
        assert server.requests[0].user == "half \ufffd of it"


KEYS = [
    "choices",
    "message",
    "content",
    "text",
    "type",
    "error",
    "code",
    "status",
    "thinking",
    "prompt_tokens",
]


def message(content: Any = "57", **more: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **more}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("reply", "text", "finish_reason"),
    [
        (Reply("57"), "57", "stop"),
        (Reply("5", finish_reason="length"), "5", "length"),
        (Reply("", finish_reason="length"), "", "length"),
        (Reply("57", finish_reason=None), "57", "stop"),
        (Reply("", finish_reason="stop"), "", "stop"),
        (Reply("", finish_reason="content_filter"), "", "content_filter"),
        (Reply("half of", finish_reason="content_filter"), "", "content_filter"),
        (Reply(None, finish_reason="stop"), "", "empty"),
        (Reply(refusal="I cannot."), "", "refusal"),
        (Reply(choices=[message(None)]), "", "empty"),
        (Reply(choices=[message("57"), message("58")]), "57", "stop"),
        (Reply("57", finish_reason="stop", usage={"total_tokens": 9}), "57", "stop"),
    ],
)
def test_what_is_read(reply: Reply, text: str, finish_reason: str) -> None:
    with ApiServer(reply) as server:
        made = one(server)
        assert server.count == 1
    assert (made.text, made.finish_reason) == (text, finish_reason)
    assert (made.failure is None) == (finish_reason in ("stop", "length"))
    assert made.raw is not None
    assert json.loads(made.raw)["object"] == "chat.completion"
    assert OpenAIGenerator(OpenAIConfig(engine="any", base_url="http://x/v1")).parse(made.raw) == made


def answer(content: Any = "57", finish_reason: Any = "stop", **more: Any) -> str:
    choice = {"message": {"role": "assistant", "content": content, **more}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice]})


@pytest.mark.parametrize(
    ("words", "finish_reason"),
    [
        (
            "stop STOP Stop eos eos_token EOS_TOKEN end_turn endTurn stop_sequence COMPLETE FINISH_REASON_STOP",
            "stop",
        ),
        ("FinishReason.STOP eosFound stopStringFound end-of-text normal", "stop"),
        (
            "length LENGTH max_tokens MAX_TOKENS maxTokens model_length max_output_tokens token_limit",
            "length",
        ),
        ("FINISH_REASON_MAX_TOKENS ERROR_LIMIT maxPredictedTokensReached contextLengthReached", "length"),
        (
            "content_filter SAFETY RECITATION PROHIBITED_CONTENT BLOCKLIST sensitive ERROR_TOXIC",
            "content_filter",
        ),
        ("content-filter guardrail_intervened", "content_filter"),
        ("refusal", "refusal"),
    ],
)
def test_what_a_finish_reason_means_however_it_is_spelled(words: str, finish_reason: str) -> None:
    text = "57" if finish_reason in ("stop", "length") else ""
    for word in words.split():
        made = parse(answer(finish_reason=word))
        assert (made.finish_reason, made.text, made.unusable) == (finish_reason, text, None), word


@pytest.mark.parametrize(
    "word", ["error", "ERROR", "abort", "insufficient_system_resource", "USER_CANCEL", "TIMEOUT"]
)
def test_half_a_text_before_an_error_is_none(word: str) -> None:
    with pytest.raises(EngineError, match=f"broke off a text with finish_reason '{word}'"):
        parse(answer(finish_reason=word))


@pytest.mark.parametrize(
    "word", ["done", "pause_turn", "unknown", "?", 7, True, {"type": "stop"}, ["stop"], 1e999]
)
def test_an_unknown_finish_reason_is_quoted_and_can_be_given_a_meaning(word: Any) -> None:
    made = parse(answer(finish_reason=word))
    quoted = repr(word if isinstance(word, str) else json.dumps(word))
    assert (made.text, made.finish_reason) == ("", "unknown")
    assert f"finish_reason {quoted}" in (made.unusable or "")
    assert f"finish_reasons: {{{quoted}: stop}}" in (made.unusable or "")
    name = word if isinstance(word, str) else json.dumps(word)
    assert parse(answer(finish_reason=word), {name: "stop"}).text == "57"
    assert parse(answer(finish_reason=word), {name: "length"}).finish_reason == "length"
    assert parse(answer(finish_reason=word), {name: "empty"}).failure == "no response (empty)"
    with pytest.raises(EngineError):
        parse(answer(finish_reason=word), {name: "error"})


def test_what_is_known_to_be_cut_or_to_have_failed_is_never_whole() -> None:
    own = {"length": "stop", "MAX_TOKENS": "stop", "error": "stop"}
    assert parse(answer(finish_reason="length"), own).finish_reason == "length"
    assert parse(answer(finish_reason="max_tokens"), own).finish_reason == "length"
    with pytest.raises(EngineError):
        parse(answer(finish_reason="error"), own)


def test_a_meaning_that_is_given_goes_before_the_usual_one() -> None:
    assert parse(answer(finish_reason="stop"), {"STOP": "length"}).finish_reason == "length"


@pytest.mark.parametrize(("tokens", "finish_reason"), [(127, "stop"), (128, "length"), (None, "stop")])
@pytest.mark.parametrize("reason", [None, ""])
def test_without_a_finish_reason_a_text_of_all_its_tokens_is_cut(
    reason: str | None, tokens: int | None, finish_reason: str
) -> None:
    raw = json.loads(answer(finish_reason=reason))
    raw["usage"] = {"prompt_tokens": 9, "completion_tokens": tokens}
    assert parse(json.dumps(raw), max_tokens=128).finish_reason == finish_reason


CALL = [{"id": "1", "type": "function", "function": {"name": "calculator", "arguments": "{}"}}]


@pytest.mark.parametrize(
    "raw",
    [
        answer(None, "tool_calls", tool_calls=CALL),
        answer("", "stop", tool_calls=CALL),  # some servers say so
        answer(None, None, tool_calls=CALL),
        answer("Let me see.", "stop", tool_calls=CALL),
        answer("Let me see.", "TOOL_USE"),
        answer(None, "function_call", function_call={"name": "calculator", "arguments": "{}"}),
        answer([], "tool_calls", tool_calls=CALL),
    ],
)
def test_a_native_tool_call_is_no_text(raw: str) -> None:
    made = parse(raw)
    assert (made.text, made.finish_reason) == ("", "tool_calls")
    assert (made.unusable or "").startswith("an answer is a native tool call")


def test_native_tool_calls_can_be_counted_as_no_response() -> None:
    made = parse(answer(None, "stop", tool_calls=CALL), {"tool_calls": "empty"})
    assert (made.failure, made.unusable) == ("no response (empty)", None)


TEXT = {"type": "text", "text": "The answer is 57."}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "3 times 19"}]}


@pytest.mark.parametrize(
    ("content", "text", "reasoning", "finish_reason"),
    [
        ([TEXT], "The answer is 57.", None, "stop"),
        (TEXT, "The answer is 57.", None, "stop"),
        ([THOUGHT, TEXT], "The answer is 57.", "3 times 19", "stop"),
        ([{"type": "thinking", "thinking": "3 times 19"}, TEXT], "The answer is 57.", "3 times 19", "stop"),
        ([{"type": "text", "text": "5"}, {"type": "output_text", "text": "7"}], "57", None, "stop"),
        (["5", {"text": "7"}], "57", None, "stop"),
        ([{"type": "image_url", "image_url": {"url": "x"}}, TEXT], "The answer is 57.", None, "stop"),
        ([{"type": "reasoning", "text": "3 times 19"}, TEXT], "The answer is 57.", "3 times 19", "stop"),
        ([{"type": "redacted_thinking", "data": "x"}], "", None, "empty"),
        ([THOUGHT], "", "3 times 19", "empty"),
        ([{"type": "refusal", "refusal": "I cannot."}], "", None, "refusal"),
        ([{"type": "text", "text": ""}], "", None, "stop"),
        ([], "", None, "empty"),
    ],
)
def test_content_in_parts(content: Any, text: str, reasoning: str | None, finish_reason: str) -> None:
    made = parse(answer(content))
    assert (made.text, made.reasoning, made.finish_reason) == (text, reasoning, finish_reason)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_text(field: str) -> None:
    made = parse(answer("57", **{field: "3 times 19"}))
    assert (made.text, made.reasoning) == ("57", "3 times 19")
    made = parse(answer(None, "length", **{field: "3 times"}))
    assert (made.text, made.reasoning, made.finish_reason) == ("", "3 times", "length")


@pytest.mark.parametrize(
    "content",
    [
        57,
        5.7,
        True,
        {},
        {"answer": "57"},
        [57],
        [None],
        [["57"]],
        [{"type": "image_url", "image_url": {}}],
        [{"type": 3}],
    ],
)
def test_content_of_a_form_that_is_not_known(content: Any) -> None:
    with pytest.raises(MalformedError, match="the answer"):
        parse(answer(content))


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_what_is_read_of_a_completion(finish_reason: str) -> None:
    with ApiServer(Reply(" 57", finish_reason=finish_reason)) as server:
        made = one(server, engine="text-davinci-003")
    assert (made.text, made.finish_reason) == (" 57", finish_reason)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}, (20, 3, 0)),
        (
            {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 16}},
            (20, 3, 16),
        ),
        ({"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": None}, (20, 3, 0)),
        ({"prompt_tokens": None, "completion_tokens": "3"}, (0, 0, 0)),
        ({"prompt_tokens": -1, "prompt_tokens_details": []}, (0, 0, 0)),
        ({}, (0, 0, 0)),
        ({"prompt_tokens": 20.0, "completion_tokens": 3.0}, (20, 3, 0)),
        ({"prompt_tokens": 10**30, "completion_tokens": 2**63}, (0, 0, 0)),
        ({"prompt_tokens": True, "completion_tokens": [3]}, (0, 0, 0)),
        ({"prompt_tokens": {"text": 20}, "completion_tokens": 3}, (0, 3, 0)),
        ({"prompt_tokens": 20, "total_tokens": 23}, (20, 3, 0)),
        ({"completion_tokens": 3, "total_tokens": 23}, (20, 3, 0)),
        ({"total_tokens": 23}, (0, 0, 0)),
        ({"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 123}, (20, 103, 0)),  # reasoning apart
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            (20, 103, 0),
        ),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 90,
                "completion_tokens_details": {"reasoning_tokens": 70},
            },
            (20, 90, 0),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 99}},
            (20, 3, 20),
        ),
    ],
)
def test_usage_as_far_as_it_is_told(usage: dict[str, Any], counts: tuple[int, int, int]) -> None:
    with ApiServer(Reply("57", usage=usage)) as server:
        made = one(server)
    assert (made.prompt_tokens, made.completion_tokens, made.cached_tokens) == counts


@pytest.mark.parametrize(
    "usage", [None, [], "many", 7, {"prompt_tokens": float("nan")}, {"prompt_tokens": 1e999}]
)
def test_usage_that_is_none(usage: Any) -> None:
    made = parse(json.dumps({"choices": [message()], "usage": usage}))
    assert (made.text, made.prompt_tokens) == ("57", 0)


def test_a_number_of_thousands_of_digits_is_no_reason_to_lose_a_text() -> None:
    raw = json.dumps({"choices": [message()], "usage": {"prompt_tokens": 1}})
    made = parse(raw.replace(": 1}", f": {'9' * 10_000}}}"))
    assert (made.text, made.prompt_tokens) == ("57", 0)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "57",
        "null",
        "[]",
        "<html>",
        "{}",
        '{"choices": null}',
        '{"choices": {"0": {"text": "57"}}}',
        '{"choices": []}',
        '{"choices": [null]}',
        '{"choices": ["57"]}',
        '{"choices": [{}]}',
        '{"choices": [{"message": null, "finish_reason": "stop"}]}',
        '{"choices": [{"message": "57", "finish_reason": "stop"}]}',
        '{"choices": [{"delta": {"content": "57"}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": ""}, "finish_reason": null}]}',
        '{"choices": [{"message": {"content": null}}]}',
        '{"detail": "Not found"}',
        '{"error": {"message": "x"}}',
        '{"status": 500, "error": "Internal Server Error"}',
        "[" * 100_000,
        '{"choices": ' + "[" * 100_000,
    ],
)
def test_what_is_no_answer(raw: str) -> None:
    with pytest.raises(MalformedError):
        parse(raw)


CHOICE = {"message": {"content": "half a"}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": {"message": "no credits", "code": 402}}, 402, "key"),
        ({"error": {"message": "slow down", "code": "429"}}, 429, "limited"),
        ({"error": {"message": "slow down", "status": 429}}, 429, "limited"),
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, 429, "limited"),
        ({"error": {"message": "no quota", "code": "insufficient_quota"}}, 429, "key"),
        ({"error": {"message": "wrong key", "type": "authentication_error"}}, 401, "key"),
        ({"error": {"message": "upstream", "code": 502.0}}, 502, "retry"),
        ({"error": {"message": "too long", "type": "invalid_request_error"}}, 400, "request"),
        ({"error": "Internal Server Error", "status": 500}, 500, "retry"),
        ({"error": "Payment Required", "code": 402}, 402, "key"),
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, 400, "request"),
        ({"statusCode": 401, "message": "no"}, 401, "key"),
        ({"success": False, "errors": [{"code": 403, "message": "no"}]}, 403, "key"),
        ({"error": {"message": "busy"}}, None, "retry"),
        ({"error": {"message": "busy", "code": 1305}}, None, "retry"),
        ({"error": {"message": None, "code": -1}}, None, "retry"),
        ({"error": [1, {"a": 2}]}, None, "retry"),
        ({"error": {"message": "no credits", "code": 402}, "choices": [CHOICE]}, 402, "key"),
        ({"choices": [{**CHOICE, "error": {"message": "broke off", "code": 502}}]}, 502, "retry"),
        ({"choices": [{**CHOICE, "error": {"message": "no credits", "code": 402}}, CHOICE]}, 402, "key"),
        ({"choices": [{**CHOICE, "finish_reason": "error", "error": {"code": 429}}]}, 429, "limited"),
    ],
)
def test_an_error_with_status_200_is_that_error(body: Any, status: int | None, kind: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse(json.dumps(body))
    failure = classify(caught.value)
    assert (failure.status, failure.kind) == (status, kind)


@pytest.mark.parametrize(
    ("error", "header", "wait"),
    [
        ({"retry_after": 7}, None, 7.0),
        ({"metadata": {"retry_after_seconds": 0.5}}, None, 0.5),
        ({}, "9", 9.0),
        ({"retry_after": 7}, "9", 7.0),
        ({"retry_after": "soon"}, None, None),
        ({"retry_after": -1}, None, None),
        ({"retry_after": float("nan")}, None, None),
        ({"retry_after": True}, None, None),
    ],
)
def test_an_error_with_status_200_says_how_long_to_wait(
    error: Any, header: str | None, wait: float | None
) -> None:
    with pytest.raises(EngineError) as caught:
        parse(json.dumps({"error": {"message": "slow down", "code": 429, **error}}))
    if header is not None:
        caught.value.headers = {"retry-after": header}
    assert classify(caught.value).wait == wait


@pytest.mark.parametrize("error", [None, False, {}, "", [], 0])
def test_an_error_that_is_none_is_ignored(error: Any) -> None:
    assert parse(json.dumps({"error": error, "choices": [{**CHOICE, "error": error}]})).text == "half a"


@pytest.mark.parametrize(
    "error", [{"message": "too long", "code": None}, "too long", None, {}, "half \ud83d"]
)
def test_a_refused_request_is_no_answer(error: Any) -> None:
    made = refused(400, error)
    assert made.failure == "no response (rejected)"
    assert OpenAIGenerator(OpenAIConfig(engine="any", base_url="http://x/v1")).parse(made.raw or "") is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (r"half \ud83d of", "half \ufffd of"),
        (r"\udfff", "\ufffd"),
        (r"\uD83D\uDE00 whole", "\U0001f600 whole"),
        ("literal \ud83d", "literal \ufffd"),
        (r"\u0000 NUL", "\0 NUL"),
        (r"\\ud83d is no escape", r"\ud83d is no escape"),
    ],
)
def test_every_text_can_be_written(content: str, text: str) -> None:
    said = f'{{"content": "{content}", "reasoning": "{content}"}}'
    raw = f'{{"choices": [{{"message": {said}, "finish_reason": "stop"}}]}}'
    made = parse(raw)
    assert (made.text, made.reasoning) == (text, text)
    assert parse(made.raw or "") == made


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | st.sampled_from(["stop", "length", "error", "tool_calls", "text", 10**30, -1, "\ud83d", "402", 429]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
MESSAGES = st.fixed_dictionaries(
    {"content": JSON}, optional={"refusal": JSON, "tool_calls": JSON, "reasoning": JSON}
)
ANSWERS = JSON | st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"message": MESSAGES, "finish_reason": JSON}), max_size=2)},
    optional={"usage": JSON, "error": JSON},
)


@settings(max_examples=400, deadline=None)
@given(ANSWERS, st.booleans())
def test_any_json_is_a_typed_answer_or_a_typed_error_and_an_answer_stays_what_it_is(
    body: Any, ascii: bool
) -> None:
    try:
        made = parse(json.dumps(body, ensure_ascii=ascii), max_tokens=128)
    except MalformedError as error:
        str(error).encode()
        failure = redacted(classify(error))
        assert failure.kind in ("retry", "limited", "key", "request")
        return
    assert made.finish_reason in (
        "stop",
        "length",
        "content_filter",
        "refusal",
        "empty",
        "unknown",
        "tool_calls",
    )
    assert (made.unusable is None) == (made.finish_reason not in ("unknown", "tool_calls"))
    counts = (made.prompt_tokens, made.completion_tokens, made.cached_tokens)
    assert all(type(count) is int and 0 <= count <= 2 * MOST_TOKENS for count in counts)
    assert made.cached_tokens <= made.prompt_tokens
    with TemporaryDirectory() as folder, SqliteStore(Path(folder) / "store.sqlite") as store:
        keyed = Keyed("key", Request(PROMPT))
        store.put({}, [(keyed, made)])
        kept = store.get(["key"])["key"]
    assert (kept.raw, kept.prompt_tokens) == (made.raw, made.prompt_tokens)
    assert parse(kept.raw or "", max_tokens=128) == made
    assert pa.array([made.text, made.reasoning, made.raw]).to_pylist() == [
        made.text,
        made.reasoning,
        made.raw,
    ]
