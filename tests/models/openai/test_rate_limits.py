"""429 and its headers are obeyed, set limits are kept to, and storms are survived."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.engines import collect, generator, numbered, one, requests
from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai import limits
from toolgen_hf.testing import ApiRequest, ApiServer, Reply, first, per_body, rate_limited

pytestmark = pytest.mark.usefixtures("quick")


def echo(request: ApiRequest) -> str:
    return f"to {request.user}"


def limited(**headers: str) -> Reply:
    return Reply(
        status=429, latency=0, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    ("reply", "least"),
    [(limited(Retry_After="0.4"), 0.4), (limited(retry_after_ms="400", Retry_After="30"), 0.4)],
)
def test_what_the_engine_says_is_waited(reply: Reply, least: float) -> None:
    with ApiServer(per_body(reply, echo)) as server:
        one(server)
        before, after = server.requests
    assert after.at - before.at >= least


def test_a_date_is_waited_for() -> None:
    def until(request: ApiRequest) -> Reply:
        return limited(Retry_After=format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True))

    with ApiServer(per_body(until, echo)) as server:
        one(server)
        before, after = server.requests
    assert after.at - before.at >= 0.9  # dates are in whole seconds


def test_others_go_on_while_one_waits() -> None:
    def script(request: ApiRequest) -> Reply:
        stuck = request.user == "question 0" and request.seen == 0
        return limited(Retry_After="0.8") if stuck else Reply(echo(request))

    with ApiServer(script, latency=0.01) as server:
        collect(generator(server, concurrency=2), numbered(30))
        times = {request.user: request.at for request in server.requests}
    stuck = times.pop("question 0")
    assert max(times.values()) < stuck


def test_three_hundred_of_a_thousand() -> None:
    script = rate_limited(echo, every=3, count=300, retry_after=0.2)
    with ApiServer(script, latency=0.005) as server:
        made = collect(generator(server, concurrency=64), numbered(1000))
        asked = Counter(request.user for request in server.requests)
        assert server.in_flight_max <= 64
    assert [m.text for m in made] == [f"to question {n}" for n in range(1000)]
    assert Counter(asked.values()) == {1: 700, 2: 300}


def test_a_storm_is_waited_out_with_few_attempts() -> None:
    """Nothing but 429 for the first second, for everybody."""
    began = time.monotonic()

    def storm(request: ApiRequest) -> Reply:
        return limited(Retry_After="0.2") if time.monotonic() - began < 1.0 else Reply(echo(request))

    with ApiServer(storm, latency=0.005) as server:
        assert len(collect(generator(server, concurrency=32), numbered(200))) == 200
        assert server.count < 200 + 32 * 4  # hot retries would be thousands


def test_a_429_without_end_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIMITED_PATIENCE", 0.5)
    with ApiServer(limited(Retry_After="0.05")) as server:
        source = generator(server, timeout=0.1, concurrency=4)
        monkeypatch.setattr(
            "toolgen_hf.models.openai.sender.Health", lambda p, now, wait: limits.Health(0.1, now, wait)
        )
        with pytest.raises(
            GenerationError, match=r"nothing but 'too many requests' for \d+ s: 429: Rate limit"
        ):
            collect(source, numbered(20))


def test_a_request_that_is_limited_again_and_again_while_others_succeed_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolgen_hf.models.openai.sender.MAX_LIMITED", 3)
    arrived: dict[int, Generation] = {}

    def script(request: ApiRequest) -> Reply:
        return limited(Retry_After="0.01") if request.user == "question 0" else Reply(echo(request))

    with ApiServer(script, latency=0.02) as server, pytest.raises(GenerationError, match=r"^1 request.*429"):
        collect(generator(server, concurrency=2), numbered(60), arrived)
    assert len(arrived) == 59


def test_a_request_too_large_for_the_limit_does_not_wait_for_ever() -> None:
    error = {
        "message": "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000.",
        "code": "rate_limit_exceeded",
    }

    def script(request: ApiRequest) -> Reply:
        return Reply(status=429, error=error) if request.user == "question 0" else Reply(echo(request))

    arrived: dict[int, Generation] = {}
    with ApiServer(script) as server, pytest.raises(GenerationError, match=r"^1 request.*Request too large"):
        collect(generator(server, max_retries=2), numbered(10), arrived)
    assert len(arrived) == 9


@pytest.mark.parametrize("value", ["86400", "9" * 30])
def test_a_quota_that_is_used_up_for_the_day_is_not_waited_for(value: str) -> None:
    with ApiServer(limited(Retry_After=value)) as server:
        with pytest.raises(GenerationError, match=r"no key can be used: .*the engine asks to wait \d+ s"):
            collect(generator(server, concurrency=4), numbered(20))
        assert server.count <= 4


def test_an_exhausted_key_rests_until_its_reset() -> None:
    last = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "500ms"}

    def script(request: ApiRequest) -> Reply:
        return Reply(echo(request), headers=last if request.index == 4 else {})

    with ApiServer(script) as server:
        collect(generator(server, concurrency=1), numbered(10))
        times = [request.at for request in server.requests]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[4] >= 0.5
    assert len(times) == 10


def test_requests_a_minute_are_kept_to() -> None:
    with ApiServer(echo) as server:
        collect(generator(server, requests_per_minute=1200), numbered(45))  # 20 a second, 20 at once
        times = [request.at for request in server.requests]
    assert times[-1] - times[0] >= 1.0
    for start, at in enumerate(times):
        assert sum(at <= other < at + 0.5 for other in times[start:]) <= 20 + 10 + 8


def test_tokens_a_minute_are_kept_to_by_what_is_really_used() -> None:
    """Each may need 66 tokens, and uses 50: of 500 a second, ten at first and then ten a second."""
    usage = {"prompt_tokens": 10, "completion_tokens": 40}
    with ApiServer(Reply("x", usage=usage)) as server:
        source = generator(server, tokens_per_minute=30_000, max_tokens=40, concurrency=4)
        collect(source, requests(f"{n:020d}" for n in range(25)))
        times = [request.at for request in server.requests]
    assert times[-1] - times[0] >= 1.0


def test_each_key_has_limits_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("key-a-aaaaaaaaaa\nkey-b-bbbbbbbbbb\n")
    with ApiServer(echo) as server:
        source = generator(server, requests_per_minute=600, keys_file=str(tmp_path / "keys"))
        collect(source, numbered(80))  # two buckets of ten, and twenty a second: three seconds
        times = [request.at for request in server.requests]
        assert Counter(request.key for request in server.requests) == {
            "key-a-aaaaaaaaaa": 40,
            "key-b-bbbbbbbbbb": 40,
        }
    assert times[-1] - times[0] >= 2.4  # the first may arrive late where the machine is busy


@pytest.mark.parametrize("concurrency", [1, 12])
def test_keys_share_the_work_evenly(tmp_path: Path, concurrency: int) -> None:
    keys = [f"key-{letter}-{letter * 10}" for letter in "abc"]
    (tmp_path / "keys").write_text("\n".join(keys))
    with ApiServer(echo, keys=keys, latency=0.003) as server:
        collect(generator(server, concurrency=concurrency, keys_file=str(tmp_path / "keys")), numbered(120))
        asked = Counter(request.key for request in server.requests)
        assert server.in_flight_max <= concurrency
    assert set(asked) == set(keys)
    assert min(asked.values()) >= 25


def test_a_limited_key_leaves_the_work_to_the_others(tmp_path: Path) -> None:
    keys = ["key-a-aaaaaaaaaa", "key-b-bbbbbbbbbb"]
    (tmp_path / "keys").write_text("\n".join(keys))

    def script(request: ApiRequest) -> Reply:
        return (
            limited(Retry_After="5") if request.key == keys[0] and request.seen == 0 else Reply(echo(request))
        )

    began = time.monotonic()
    with ApiServer(first(0, "", then=script), latency=0.01) as server:
        arrived = 0
        for chunk in generator(server, concurrency=16, keys_file=str(tmp_path / "keys")).generate(
            numbered(300)
        ):
            arrived += len(chunk)
            if arrived > 250:
                break
    assert time.monotonic() - began < 5


def test_concurrency_is_reached_and_never_exceeded() -> None:
    with ApiServer(echo, latency=0.05) as server:
        collect(generator(server, concurrency=7), numbered(60))
        assert server.in_flight_max == 7


def test_slots_are_free_only_when_the_caller_has_stored_what_came() -> None:
    with ApiServer(echo) as server:
        stream = generator(server, concurrency=3).generate(iter(numbered(50)))
        next(stream)
        threading.Event().wait(0.3)
        assert server.count <= 3
        assert sum(len(chunk) for chunk in stream) >= 47
        assert server.count == 50
