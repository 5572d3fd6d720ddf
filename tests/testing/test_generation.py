"""The scripted server as the real ``openai`` client meets it: sound answers, and every kind of failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from toolgen_hf.testing import ApiRequest, ApiServer, Reply, Script, first, per_body, rate_limited


def client(server: ApiServer, key: str = "sk-any", timeout: float = 10) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=timeout)


def chat(api: OpenAI, text: str = "1+1?", **more: Any) -> Any:
    messages: Any = [{"role": "system", "content": "Solve. "}, {"role": "user", "content": text}]
    return api.chat.completions.create(model="any", messages=messages, **more)


def reply_to(script: Script, **options: Any) -> Any:
    with ApiServer(script, **options) as server:
        return chat(client(server))


def test_a_chat_completion_and_what_is_recorded_of_it() -> None:
    with ApiServer(lambda request: f"heard {request.user}") as server:
        before = time.monotonic()
        done = chat(client(server), temperature=0.5)
    assert done.choices[0].message.content == "heard 1+1?"
    assert (done.choices[0].finish_reason, done.model, done.object) == ("stop", "any", "chat.completion")
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (3, 3)  # 11 and 10 characters
    (request,) = server.requests
    assert (request.index, request.api, request.key, request.seen) == (0, "chat", "sk-any", 0)
    assert (request.prompt, request.user, request.body["temperature"]) == ("Solve. 1+1?", "1+1?", 0.5)
    assert before < request.at < time.monotonic()
    assert (request.batch, server.count, server.in_flight_max) == (None, 1, 1)


def test_a_completion() -> None:
    with ApiServer("calculator(1+1)") as server:
        done = client(server).completions.create(model="any", prompt="1+1=")
    assert (done.choices[0].text, done.object) == ("calculator(1+1)", "text_completion")
    assert (server.requests[0].api, server.requests[0].prompt, server.requests[0].user) == (
        "completions",
        "1+1=",
        "1+1=",
    )


def test_contents_in_parts_are_read_as_one_text() -> None:
    with ApiServer("2") as server:
        parts: Any = [{"type": "text", "text": "1"}, {"type": "text", "text": "+1"}]
        client(server).chat.completions.create(model="any", messages=[{"role": "user", "content": parts}])
    assert server.requests[0].user == "1+1"


def test_identical_bodies_are_seen_again() -> None:
    with ApiServer(per_body("a", "b", "c")) as server:
        api = client(server)
        texts = [chat(api, text).choices[0].message.content for text in ("x", "x", "y", "x", "x")]
    assert texts == ["a", "b", "a", "c", "c"]
    assert [(request.index, request.seen) for request in server.requests] == [
        (0, 0),
        (1, 1),
        (2, 0),
        (3, 2),
        (4, 3),
    ]


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        ({"latency": 0.1}, Reply("2")),
        ({}, Reply("2", latency=0.1)),
        ({"latency": 9}, Reply("2", latency=0.1)),
    ],
)
def test_latency(options: dict[str, float], reply: Reply) -> None:
    began = time.monotonic()
    reply_to(reply, **options)
    assert 0.1 <= time.monotonic() - began < 5


def test_requests_in_flight_are_counted_together() -> None:
    async def ask_all(server: ApiServer) -> list[Any]:
        async with AsyncOpenAI(base_url=server.base_url, api_key="sk-any", max_retries=0) as api:
            asked: Any = [[{"role": "user", "content": str(n)}] for n in range(12)]
            waiting = [api.chat.completions.create(model="any", messages=one) for one in asked]
            return await asyncio.gather(*waiting)

    with ApiServer(lambda request: request.user, latency=0.5) as server:
        done = asyncio.run(ask_all(server))
        assert [one.choices[0].message.content for one in done] == [str(n) for n in range(12)]
        assert (server.count, server.in_flight_max) == (12, 12)
        chat(client(server))
        assert (server.count, server.in_flight_max) == (13, 12)
        server.reset()
        assert (server.count, server.in_flight_max, server.requests) == (0, 0, [])


def test_429_with_retry_after_and_then_the_answer() -> None:
    with ApiServer(rate_limited("2", every=1, retry_after=1.5)) as server:
        with pytest.raises(openai.RateLimitError) as caught:
            chat(client(server))
        assert caught.value.response.headers["retry-after"] == "1.5"
        assert caught.value.code == "rate_limit_exceeded"
        assert chat(client(server)).choices[0].message.content == "2"


def test_rate_limits_are_spread_bounded_and_the_same_each_time() -> None:
    def request(n: int, seen: int) -> ApiRequest:
        digest = f"{n:08x}".ljust(64, "0")
        return ApiRequest(n, "chat", "", {"messages": []}, seen, 0.0, digest)

    def limited(script: Callable[[ApiRequest], Reply], seen: int = 0) -> list[int]:
        return [n for n in range(100) if script(request(n, seen)).status == 429]

    script = rate_limited("2", times=2, every=10, count=5)
    assert limited(script) == limited(script, seen=1) == [0, 10, 20, 30, 40]
    assert limited(script, seen=2) == []


def test_the_first_requests_of_all() -> None:
    with ApiServer(first(2, Reply(status=500), then="2")) as server:
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                chat(client(server))
        assert chat(client(server)).choices[0].message.content == "2"


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (Reply(status=500), openai.InternalServerError, None),
        (Reply(status=503, error={"code": "overloaded"}), openai.InternalServerError, "overloaded"),
        (Reply(status=400, error={"code": "too_long"}), openai.BadRequestError, "too_long"),
        (Reply(status=502, body=b"<html>"), openai.InternalServerError, None),
    ],
)
def test_statuses(reply: Reply, kind: type[openai.APIStatusError], code: str | None) -> None:
    with pytest.raises(kind) as caught:
        reply_to(reply)
    assert (caught.value.status_code, caught.value.code) == (reply.status, code)
    assert caught.value.response.content.startswith(reply.body or b'{"error":{"message":"')


@pytest.mark.parametrize("fault", ["reset", "reset_body", "truncate"])
def test_connections_that_end_early_and_the_next_one_that_does_not(fault: Any) -> None:
    with ApiServer(first(1, Reply("2" * 1000, fault=fault), then="2")) as server:
        api = client(server)
        with pytest.raises(openai.APIConnectionError) as caught:
            chat(api)
        assert not isinstance(caught.value, openai.APITimeoutError)
        assert chat(api).choices[0].message.content == "2"
        assert server.count == 2


def test_half_a_body_has_arrived_when_the_connection_ends() -> None:
    with ApiServer(Reply("2" * 1000, fault="truncate")) as server:
        got = b""
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012  the stream ends within
            api = client(server).chat.completions.with_streaming_response
            with api.create(model="any", messages=[{"role": "user", "content": "1"}]) as response:
                promised = int(response.headers["content-length"])
                try:
                    for part in response.iter_bytes():
                        got += part
                except Exception as error:
                    raise openai.APIConnectionError(request=response.http_request) from error
    assert len(got) == promised // 2


def test_an_answer_that_never_comes_holds_nobody_up() -> None:
    began = time.monotonic()
    with ApiServer(Reply(fault="hang")) as server:
        with pytest.raises(openai.APITimeoutError):
            chat(client(server, timeout=0.2))
        assert server.in_flight_max == 1
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"id": "chatcmpl-1", "choices": ['])
def test_bodies_that_are_no_json(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        reply_to(Reply(body=body))


@pytest.mark.parametrize(
    ("reply", "content", "reason", "refusal"),
    [
        (Reply(None), None, "stop", None),
        (Reply("calcul", finish_reason="length"), "calcul", "length", None),
        (Reply("", finish_reason="content_filter"), "", "content_filter", None),
        (Reply(refusal="I cannot."), None, "stop", "I cannot."),
    ],
)
def test_answers_that_are_no_use(reply: Reply, content: str, reason: str, refusal: str) -> None:
    choice = reply_to(reply).choices[0]
    assert (choice.message.content, choice.finish_reason, choice.message.refusal) == (
        content,
        reason,
        refusal,
    )


def test_choices_usage_and_model_as_scripted() -> None:
    assert reply_to(Reply("2", choices=[])).choices == []
    assert reply_to(Reply("2", usage={})).usage is None
    assert reply_to(Reply("2", usage={"total_tokens": 7})).usage.total_tokens == 7
    assert reply_to(Reply("2", model="other-model")).model == "other-model"


def test_keys_and_models() -> None:
    with ApiServer("2", keys={"sk-good"}, models={"any", "other"}) as server:
        with pytest.raises(openai.AuthenticationError, match="provided: sk-bad") as refused:
            chat(client(server, "sk-bad"))
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client(server, "sk-bad").files.list()
        good = client(server, "sk-good")
        assert chat(good).choices[0].message.content == "2"
        assert [model.id for model in good.models.list()] == ["any", "other"]
        with pytest.raises(openai.NotFoundError) as unknown:
            good.completions.create(model="absent", prompt="1")
        assert unknown.value.code == "model_not_found"
        assert [request.key for request in server.requests] == ["sk-bad", "sk-good", "sk-good"]


def test_requests_that_no_server_takes() -> None:
    with ApiServer("2") as server:
        with pytest.raises(openai.BadRequestError, match="does not stream"):
            chat(client(server), stream=True)
        with pytest.raises(openai.NotFoundError, match="Invalid URL"):
            client(server).embeddings.create(model="any", input="1")


def test_a_script_that_fails_fails_the_test() -> None:
    def use() -> None:
        with ApiServer(lambda request: str(1 // 0)) as server:
            with pytest.raises(openai.InternalServerError, match="the script failed"):
                chat(client(server))
            assert server.count == 1

    with pytest.raises(ZeroDivisionError):
        use()


def test_a_server_that_goes_and_comes_back() -> None:
    with ApiServer("2") as server:
        chat(client(server))
        server.stop()
        with pytest.raises(openai.APIConnectionError):
            chat(client(server))
        server.start()
        server.configure(script="3")
        assert chat(client(server)).choices[0].message.content == "3"
        assert server.count == 2


def test_a_port_that_is_taken() -> None:
    with ApiServer("2") as server, pytest.raises(OSError, match="in use"):
        ApiServer("2", port=server.port).start()
