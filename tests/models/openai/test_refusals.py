"""When nothing can succeed the run ends soon and says why; when one text is refused it is data."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict

from tests.support.engines import SECRET, collect, config, generator, numbered, one, requests, splits
from toolgen_hf import Workspace, answer, respond, tool_api
from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError, RefusedError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai import limits
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.testing import ApiRequest, ApiServer, Reply, first

pytestmark = pytest.mark.usefixtures("quick")

TOO_LONG = {
    "message": "This model's maximum context length is 4097 tokens. However, you requested 5000 tokens.",
    "code": "context_length_exceeded",
    "param": "messages",
}
FILTERED = {"message": "The response was filtered.", "code": "content_filter", "param": "prompt"}


def echo(request: ApiRequest) -> str:
    return f"to {request.user}"


def stops(server: ApiServer, match: str, **changes: Any) -> str:
    began = time.monotonic()
    with pytest.raises(GenerationError, match=match) as caught:
        collect(generator(server, **{"concurrency": 8, **changes}), numbered(300))
    assert time.monotonic() - began < 10
    assert server.base_url in str(caught.value)
    return str(caught.value)


def test_a_wrong_key_ends_it_after_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ApiServer(echo, keys=["another"], latency=0.01) as server:
        said = stops(server, r"no key can be used: …wxyz 401: Incorrect API key provided: …wxyz\.")
        assert server.count <= 8
    assert SECRET[3:-4] not in said


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (
            Reply(status=429, error={"message": "You exceeded your quota", "code": "insufficient_quota"}),
            "quota",
        ),
        (Reply(status=402, error="pay first"), "402: pay first"),
        (Reply(status=403, error="not from here"), "403: not from here"),
        (
            Reply(status=404, error={"message": "no model `x`", "code": "model_not_found"}),
            "404: no model `x`",
        ),
        (Reply(status=404, body=b"<html>nothing here</html>"), "404: <html>nothing here"),
    ],
)
def test_what_no_key_can_do_ends_it_after_few_requests(reply: Reply, match: str) -> None:
    with ApiServer(reply) as server:
        stops(server, match)
        assert server.count <= 8


def test_a_model_that_is_not_there() -> None:
    with ApiServer(echo, models=["other"]) as server:
        stops(server, "404: The model `gpt-4o-mini` does not exist")


def test_a_path_that_is_not_there() -> None:
    with (
        ApiServer(echo) as server,
        pytest.raises(GenerationError, match=r"engine at http://.*/v2 gives .*404: Invalid URL"),
    ):
        collect(generator(base_url=server.base_url[:-1] + "2"), numbered(20))


@pytest.mark.parametrize("count", [1, 5, 200])
def test_nobody_listens(count: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        began = time.monotonic()
        with pytest.raises(GenerationError, match=r"Cannot connect to host 127.0.0.1:\d+ ") as caught:
            collect(generator(base_url=url), numbered(count))
    assert url in str(caught.value)
    assert time.monotonic() - began < 10


def test_every_request_hangs() -> None:
    with ApiServer(Reply(fault="hang")) as server:
        stops(
            server, "nothing succeeded at all; .* no whole answer within 0.4 s", timeout=0.4, concurrency=16
        )


@pytest.mark.parametrize("count", [3, 300])
def test_a_parameter_that_the_engine_does_not_know_ends_it_in_its_own_words(count: int) -> None:
    arrived: dict[int, Generation] = {}
    with ApiServer(Reply(status=400, error="Unrecognized request argument: colour")) as server:
        source = generator(server, extra={"colour": "red"}, concurrency=8)
        with pytest.raises(GenerationError, match=r"every request was refused: 400: Unrecognized .* colour"):
            collect(source, numbered(count), arrived)
        assert server.count <= 24
    assert arrived == {}


def test_a_limit_too_large_is_a_parameter_and_not_a_text() -> None:
    error = {
        "message": "max_tokens is too large: 9999. This model supports at most 4096 completion tokens.",
        "param": "max_tokens",
    }
    arrived: dict[int, Generation] = {}
    with (
        ApiServer(Reply(status=400, error=error)) as server,
        pytest.raises(GenerationError, match="every request was refused: 400: max_tokens is too large"),
    ):
        collect(generator(server, max_tokens=9999), numbered(3), arrived)
    assert arrived == {}


@pytest.mark.parametrize(
    ("reply", "said", "advice"),
    [
        (
            Reply(status=400, error=TOO_LONG),
            r"400: This model's maximum context length is 4097 tokens\. However, you requested 5000",
            "Set a smaller max_tokens, serve the model with a larger context, or make the prompt shorter",
        ),
        (
            Reply(status=400, body=b'{"object": "error", "message": "the prompt is too long", "code": 400}'),
            "400: the prompt is too long",
            "make the prompt shorter",
        ),
        (Reply(status=413, body=b"<h1>Request Entity Too Large</h1>"), "413: <h1>Request", "shorter"),
        (
            Reply(status=400, error="Model `x` is not served."),
            "400: Model `x`",
            "Change what the engine names",
        ),
        (Reply(status=400, error=FILTERED), "400: The response was filtered", "Change what the engine names"),
        (
            Reply(status=400, error="'stop' is not supported with this model"),
            "400: 'stop' is not supported with this model",
            "The recipe sets 'stop': take 'stop' out of the settings of this engine",
        ),
        (
            Reply(
                status=422,
                body=b'{"detail": [{"loc": ["body", "colour"], "msg": "Extra inputs not allowed"}]}',
            ),
            r"422: \[\{'loc': \['body', 'colour'\]",
            "The recipe sets 'colour': take 'colour' out of extra",
        ),
        (
            Reply(status=400, error="temperature 0.7 is not supported, only the default"),
            "400: temperature 0.7 is not supported",
            "The recipe sets 'temperature': set temperature: null",
        ),
    ],
)
@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("count", [1, 2, 60])
def test_what_fits_no_request_is_an_error_of_the_run(
    reply: Reply, said: str, advice: str, api: str, count: int
) -> None:
    arrived: dict[int, Generation] = {}
    settings = {"api": api, "stop": ("\n\n",), "temperature": 0.7, "extra": {"colour": "red"}}
    with ApiServer(reply) as server:
        with pytest.raises(RefusedError, match=f"every request was refused: {said}") as caught:
            collect(generator(server, **settings), numbered(count), arrived)
        number = "the only one" if count == 1 else r"all \d+ that were sent"
        assert re.search(rf"\({number}; none was answered, so nothing is kept of them\)", str(caught.value))
        assert advice in str(caught.value)
        assert server.count <= count
    assert arrived == {}


def test_a_model_without_a_chat_template_is_asked_for_plain_completions() -> None:
    error = "default chat template is no longer allowed, so you must provide a chat template"
    with (
        ApiServer(Reply(status=400, error=error)) as server,
        pytest.raises(RefusedError, match="Give the server a chat template, or set api: completions"),
    ):
        one(server)


def test_long_requests_that_come_first_are_refused_on_their_own(caplog: pytest.LogCaptureFixture) -> None:
    def script(request: ApiRequest) -> Reply:
        number = int(request.user.split()[1])
        return Reply(status=400, error=TOO_LONG) if number < 150 else Reply(echo(request))

    with ApiServer(script) as server:
        made = collect(generator(server, concurrency=8), numbered(200))
    assert [m.finish_reason for m in made] == ["rejected"] * 150 + ["stop"] * 50
    first, last = [r.getMessage() for r in caplog.records if r.name.startswith("toolgen_hf")]
    assert first.startswith(
        "the first 10 requests were all refused, trying the others: 400: This model's maximum"
    )
    assert last.startswith(
        "engine 'gpt-4o-mini' refused 150 requests for what they hold, the first with: 400: "
    )


def test_refusals_that_come_at_once_do_not_end_it_while_a_text_is_on_its_way() -> None:
    def script(request: ApiRequest) -> Reply:
        slow = request.user == "question 0"
        return Reply(echo(request), latency=0.5) if slow else Reply(status=400, error="no")

    with ApiServer(script) as server:
        made = collect(generator(server, concurrency=4), numbered(30))
    assert [m.finish_reason for m in made] == ["stop"] + ["rejected"] * 29


def test_some_refused_and_the_others_failed_are_both_told_of() -> None:
    def script(request: ApiRequest) -> Reply:
        is_long = request.user == "question 0"
        return Reply(status=400, error=TOO_LONG) if is_long else Reply(status=500, error="it burns")

    with (
        ApiServer(script) as server,
        pytest.raises(
            GenerationError,
            match=r"no request was answered: 1 were refused \(400: .*4097.*\), 2 failed \(500: it burns\) \(all 3 that",
        ),
    ):
        collect(generator(server, max_retries=1), numbered(3))


def test_an_engine_that_has_answered_refuses_single_requests_in_a_later_round() -> None:
    """A teacher's second attempts are few, and each is longer than the first was."""

    def script(request: ApiRequest) -> Reply:
        return Reply(status=400, error=TOO_LONG) if "again" in request.user else Reply(echo(request))

    with ApiServer(script) as server:
        source = generator(server)
        collect(source, numbered(3))
        made = collect(source, requests(f"again {n}" for n in range(20)))
    assert {m.finish_reason for m in made} == {"rejected"}


LONG_ROWS = ("Ann has 1 pens", "Ann has 2 pens")


def test_a_run_that_is_resumed_with_only_long_requests_left_ends(tmp_path: Path) -> None:
    def script(request: ApiRequest) -> Reply:
        if any(row in request.user for row in LONG_ROWS):
            return Reply(status=400, error=TOO_LONG)
        return Reply("5")

    with ApiServer(script) as server, Workspace(tmp_path, progress=False) as workspace:
        source = SourceConfig(generator=config(server))
        respond(splits(1), "any", source, workspace)
        count = server.count
        made = respond(splits(3), "any", source, workspace)  # the first is there, the others are too long
        assert made["train"]["finish_reason"] == ["stop", "rejected", "rejected"]
        assert made["train"]["response"] == ["5", "", ""]
        assert server.count > count


def test_a_run_that_is_resumed_at_a_server_that_takes_less_is_an_error(tmp_path: Path) -> None:
    with ApiServer("5") as server, Workspace(tmp_path, progress=False) as workspace:
        source = SourceConfig(generator=config(server))
        respond(splits(4), "any", source, workspace)
        server.configure(script=Reply(status=400, error=TOO_LONG))
        with pytest.raises(
            RefusedError, match=r"every request was refused: 400: .*4097.*all 36 that were sent"
        ):
            respond(splits(40), "any", source, workspace)
        server.configure(script="7")
        made = respond(splits(40), "any", source, workspace)
        assert made["train"]["response"] == ["5"] * 4 + ["7"] * 36


ROLES: dict[str, Callable[[DatasetDict, OpenAIConfig, Workspace], object]] = {
    "student": answer,
    "source": lambda data, engine, workspace: respond(data, "any", SourceConfig(generator=engine), workspace),
    "teacher": lambda data, engine, workspace: tool_api(data, [engine], workspace),
}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_says_what_the_engine_says(role: str, tmp_path: Path) -> None:
    said = r"every request was refused: 400: This model's maximum context"
    with ApiServer("no idea") as server, Workspace(tmp_path, progress=False) as workspace:
        data = answer(splits(2), config(server), workspace) if role == "teacher" else splits(2)
        server.configure(script=Reply(status=400, error=TOO_LONG))
        with pytest.raises(RefusedError, match=said):
            ROLES[role](data, config(server, seed=1), workspace)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=400, error=TOO_LONG),
        Reply(status=400, error=FILTERED),
        Reply(status=400, error="the request exceeds the available context size, try increasing it"),
        Reply(
            status=400,
            error="The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        ),
        Reply(status=413, body=b"<h1>Request Entity Too Large</h1>"),
    ],
)
@pytest.mark.parametrize("count", [2, 40])
def test_a_text_that_is_refused_is_data(reply: Reply, count: int) -> None:
    def script(request: ApiRequest) -> Reply:
        return reply if request.user == "question 0" else Reply(echo(request))

    with ApiServer(script) as server:
        made = collect(generator(server), numbered(count))
        assert server.count == count
    assert (made[0].text, made[0].finish_reason, made[0].failure) == (
        "",
        "rejected",
        "no response (rejected)",
    )
    assert [m.text for m in made[1:]] == [f"to question {n}" for n in range(1, count)]
    kept = json.loads(made[0].raw or "")
    assert kept["status"] == reply.status
    assert (reply.error["message"] if isinstance(reply.error, dict) else reply.error or "Too Large") in str(
        kept
    )


@pytest.mark.parametrize("at", [0, 10, 19])
def test_an_unexplained_refusal_among_answers_is_data(at: int) -> None:
    def script(request: ApiRequest) -> Reply:
        odd = request.user == f"question {at}"
        return Reply(status=400, error="We could not parse it.", latency=0) if odd else Reply(echo(request))

    with ApiServer(script, latency=0.03) as server:
        made = collect(generator(server), numbered(20))
    assert [m.finish_reason for m in made] == ["rejected" if n == at else "stop" for n in range(20)]


def test_an_unexplained_refusal_alone_ends_it() -> None:
    with (
        ApiServer(Reply(status=422, error="no")) as server,
        pytest.raises(GenerationError, match="every request was refused: 422: no"),
    ):
        one(server)


def test_a_refused_key_is_set_aside_by_name_and_its_requests_go_to_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = ["sk-good-0000000aaaa", "sk-good-0000000bbbb"]
    (tmp_path / "keys").write_text(f"{good[0]}\n{SECRET}\n{good[1]}\n")
    with ApiServer(echo, keys=good, latency=0.01) as server:
        made = collect(generator(server, keys_file=str(tmp_path / "keys"), concurrency=9), numbered(100))
        refused = [request for request in server.requests if request.key == SECRET]
    assert len(made) == 100
    assert 1 <= len(refused) <= 9
    (said,) = [r.getMessage() for r in caplog.records if r.name.startswith("toolgen_hf")]
    assert said.startswith("key …wxyz is not used any more: 401: Incorrect API key provided: …wxyz.")
    assert said.endswith("(2 left)")


def test_when_all_keys_are_refused_each_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sk-first-00000001111\nsk-second-0000002222\n")
    with ApiServer(echo, keys=["another"]) as server:
        said = stops(server, "no key can be used", keys_file=str(tmp_path / "keys"))
        assert server.count <= 16
    assert "…1111 401" in said
    assert "…2222 401" in said


def test_a_key_that_runs_out_midway_keeps_what_arrived() -> None:
    spent = Reply(status=429, error={"message": "You exceeded your quota", "code": "insufficient_quota"})
    arrived: dict[int, Generation] = {}
    with ApiServer(first(0, "", then=lambda r: echo(r) if r.index < 50 else spent), latency=0.005) as server:
        with pytest.raises(GenerationError, match="You exceeded your quota"):
            collect(generator(server, concurrency=8), numbered(200), arrived)
        assert server.count <= 58
    assert len(arrived) == 50


def test_what_is_in_flight_when_it_ends_is_kept() -> None:
    def script(request: ApiRequest) -> Reply:
        return Reply(status=401, latency=0.1) if request.index == 5 else Reply(echo(request), latency=0.4)

    arrived: dict[int, Generation] = {}
    with ApiServer(script) as server:
        with pytest.raises(GenerationError, match="401"):
            collect(generator(server, concurrency=6), numbered(50), arrived)
        assert server.count == 6
    assert len(arrived) == 5


def in_200(error: object) -> Reply:
    return Reply(body=json.dumps({"error": error}).encode(), latency=0)


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (
            {"message": "Insufficient credits", "code": 402},
            "no key can be used: .* 402: Insufficient credits",
        ),
        (
            {"message": "You exceeded your quota", "code": "insufficient_quota"},
            "429: You exceeded your quota",
        ),
        ({"message": "No such model", "code": 404}, "404: No such model"),
    ],
)
def test_an_error_with_status_200_ends_it_as_with_its_own_status(error: object, match: str) -> None:
    with ApiServer(in_200(error)) as server:
        stops(server, match)
        assert server.count <= 8


def test_too_many_requests_with_status_200_are_waited_for() -> None:
    def script(request: ApiRequest) -> Reply:
        busy = in_200({"message": "slow down", "code": 429, "retry_after": 0.05})
        return Reply(echo(request)) if request.seen > 4 else busy

    with ApiServer(script) as server:  # more often than there are retries
        made = collect(generator(server, max_retries=1), numbered(5))
    assert [m.text for m in made] == [f"to question {n}" for n in range(5)]


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (Reply("57", finish_reason="done"), r"finish_reason 'done', and .* finish_reasons: \{'done': stop\}"),
        (
            Reply(choices=[{"message": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}]),
            "native tool call",
        ),
    ],
)
def test_an_answer_that_cannot_be_used_ends_it_and_is_kept(reply: Reply, match: str) -> None:
    arrived: dict[int, Generation] = {}
    with ApiServer(reply) as server:
        with pytest.raises(GenerationError, match=match):
            collect(generator(server, concurrency=4), numbered(50), arrived)
        assert len(arrived) == server.count <= 8
    assert {made.text for made in arrived.values()} == {""}


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10**30, "completion_tokens": 10**30},
        {"prompt_tokens": -5, "completion_tokens": "many"},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": {"a": [1]}, "completion_tokens": None},
    ],
)
def test_nonsense_in_usage_holds_no_others_up(usage: dict[str, Any]) -> None:
    def script(request: ApiRequest) -> Reply:
        return Reply(echo(request), usage=usage if request.index % 7 == 3 else None)

    with ApiServer(script) as server:
        made = collect(generator(server, tokens_per_minute=10_000_000, concurrency=4), numbered(30))
    assert [m.text for m in made] == [f"to question {n}" for n in range(30)]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9" * 4000},
        {"x-ratelimit-remaining-tokens": "\u00b2", "x-ratelimit-reset-tokens": "-1s"},
        {"retry-after": "9" * 5000, "retry-after-ms": "nan"},
        {"Content-Type": "application/json; charset=base64_codec"},
        {"Content-Type": "application/json; charset=\u00e9"},
    ],
)
def test_nonsense_in_headers_changes_no_text(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST_PAUSE", 0.1)

    def script(request: ApiRequest) -> Reply:
        return Reply(echo(request), headers=headers if request.index == 3 else {})

    with ApiServer(script) as server:
        made = collect(generator(server, concurrency=2), numbered(10))
    assert [m.text for m in made] == [f"to question {n}" for n in range(10)]


@pytest.mark.parametrize(
    "reply",
    [
        Reply("57", headers={"x-large": "a" * 100_000}),
        Reply(status=500, body=b"[" * 99_999),
        Reply(status=500, body=b'{"error": {"a": ' + b"[" * 400 + b"]" * 400 + b"}}"),
        in_200({"message": "deep", "code": 500, "details": json.loads("[" * 400 + "]" * 400)}),
        Reply(choices=[{"message": {"content": json.loads("[" * 400 + "]" * 400)}, "finish_reason": "stop"}]),
    ],
)
def test_an_answer_that_cannot_be_read_fails_alone(reply: Reply) -> None:
    arrived: dict[int, Generation] = {}
    script = lambda request: reply if request.user == "question 3" else Reply(echo(request))  # noqa: E731
    with ApiServer(script) as server, pytest.raises(GenerationError, match=r"^1 request to the engine"):
        collect(generator(server, max_retries=1), numbered(10), arrived)
    assert len(arrived) == 9


def test_what_an_engine_says_can_be_printed() -> None:
    with (
        ApiServer(Reply(status=400, body=b'{"error": {"message": "half \\ud83d"}}')) as server,
        pytest.raises(GenerationError, match="400: half \ufffd"),
    ):
        one(server)
