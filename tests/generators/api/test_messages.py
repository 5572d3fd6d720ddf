"""What exactly is sent, and what is read of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.engines import one
from toolgen_hf.generators.api.engine import OpenAIGenerator
from toolgen_hf.generators.api.messages import MalformedError, parse, refused
from toolgen_hf.generators.base import Generation, Prompt
from toolgen_hf.generators.config import OpenAIConfig
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
        (Reply(None, finish_reason="tool_calls"), "", "empty"),
        (Reply(refusal="I cannot."), "", "refusal"),
        (Reply(choices=[]), "", "empty"),
        (Reply(choices=[{}]), "", "empty"),
        (Reply(choices=[message(None)]), "", "empty"),
        (Reply(choices=[{"message": None, "finish_reason": "stop"}]), "", "empty"),
        (Reply(choices=[message("57"), message("58")]), "57", "stop"),
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
    ],
)
def test_usage_as_far_as_it_is_told(usage: dict[str, Any], counts: tuple[int, int, int]) -> None:
    with ApiServer(Reply("57", usage=usage)) as server:
        made = one(server)
    assert (made.prompt_tokens, made.completion_tokens, made.cached_tokens) == counts


@pytest.mark.parametrize("usage", [None, [], "many", 7])
def test_usage_that_is_none(usage: Any) -> None:
    made = parse(json.dumps({"choices": [message()], "usage": usage}))
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
        '{"error": {"message": "x"}}',
        '{"status": 500, "error": "Internal Server Error"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_answer(raw: str) -> None:
    with pytest.raises(MalformedError):
        parse(raw)


@pytest.mark.parametrize("error", [{"message": "too long", "code": None}, "too long", None, {}])
def test_a_refusal_can_be_kept_and_read_again(error: Any) -> None:
    made = refused(400, error)
    assert made.raw is not None
    assert parse(made.raw) == made == Generation("", "rejected", raw=made.raw)
    assert made.failure == "no response (rejected)"
