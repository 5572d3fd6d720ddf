"""Windows, buckets, waits and the circuit breaker, without a network or a clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf._utils import MAX_BACKOFF, backoff
from toolgen_hf.models.openai.failures import Failure, exhausted_for, retry_after
from toolgen_hf.models.openai.limits import ENOUGH, FIRST_PATIENCE, LIMITED_PATIENCE, Bucket, Health, Window

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def test_a_window_starts_at_its_ceiling_shrinks_by_a_factor_and_recovers() -> None:
    window = Window(64)
    window.shrink(0.0)
    assert window.size == pytest.approx(64 * 0.7)
    window.shrink(0.5)  # of the same round trip
    assert window.size == pytest.approx(64 * 0.7)
    window.shrink(1.0)
    assert window.size == pytest.approx(64 * 0.49)
    before = window.size
    for _ in range(int(before) + 1):
        window.grow(0.1)
    assert before + 0.9 < window.size < before + 1.1  # one more for each window's worth
    for _ in range(5000):
        window.grow(0.1)
    assert window.size == 64


def test_what_was_in_flight_at_the_old_size_shrinks_a_window_once() -> None:
    window = Window(10)
    for _ in range(100):
        window.grow(5.0)  # a round trip of five seconds
    for second in range(1, 5):
        window.shrink(float(second))
    assert window.size == pytest.approx(7.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=300), st.integers(1, 200))
def test_a_window_stays_within_one_and_its_ceiling(events: list[tuple[bool, float]], ceiling: int) -> None:
    window, now = Window(ceiling), 0.0
    for good, seconds in events:
        now += seconds
        window.grow(seconds) if good else window.shrink(now)
        assert 1 <= window.size <= ceiling


@given(
    st.floats(1, 10_000),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 500)), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_burst(
    per_minute: float, asked: list[tuple[float, float]]
) -> None:
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, []
    for pause, amount in asked:
        now += pause
        waited = 0
        while (wait := bucket.wait(now)) > 0:
            now += wait
            waited += 1
            assert waited < 50
        bucket.take(amount)
        taken.append((now, amount))
    allowed = per_minute / 60 * (now + 1)
    assert sum(amount for _, amount in taken[:-1]) <= allowed * (1 + 1e-6) + max(a for _, a in taken)


def test_a_bucket_without_a_rate_is_open() -> None:
    bucket = Bucket(None, 0.0)
    bucket.take(1e9)
    assert bucket.wait(0.0) == 0


def test_what_is_given_back_can_be_taken_again_but_not_saved() -> None:
    bucket = Bucket(60, 0.0)
    bucket.take(11)
    assert bucket.wait(0.0) == pytest.approx(10.0)
    bucket.take(-10)
    assert bucket.wait(0.0) <= 0.001
    bucket.take(-1000)
    assert bucket.wait(0.01) == 0
    bucket.take(2)
    assert bucket.wait(0.01) > 0.9


def test_backoff_doubles_with_jitter_up_to_a_minute() -> None:
    for attempt in range(1, 30):
        full = min(MAX_BACKOFF, 0.5 * 2 ** (attempt - 1))
        waits = [backoff(attempt) for _ in range(50)]
        assert all(full / 2 <= wait <= full for wait in waits)
        assert len(set(waits)) > 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 2 "}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "inf", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:07 -0000"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "²"}, None),
    ],
)
def test_how_long_an_engine_says_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_anything(value: str, other: str) -> None:
    wait = retry_after({"retry-after": value, "retry-after-ms": other}, NOW)
    assert wait is None or 0 <= wait < float("inf")
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": value}
    assert exhausted_for(headers) >= 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7"}, 7.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1.2.3s"}, 2.3),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "..s"}, 0.0),
        ({"x-ratelimit-remaining-tokens": "0"}, 0.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2s",
            },
            2.0,
        ),
    ],
)
def test_how_long_an_exhausted_key_rests(headers: dict[str, str], seconds: float) -> None:
    assert exhausted_for(headers) == pytest.approx(seconds)


DOWN = Failure("retry", "503: down", status=503)
LIMITED = Failure("limited", "429: slow down", status=429)
BAD = Failure("request", "400: bad parameter", status=400)
LONG = Failure("request", "400: maximum context length is 4096 tokens", status=400)


def test_an_engine_that_never_answers_is_given_up_after_a_while() -> None:
    health = Health(60, 0.0)
    assert not any(health.failed(n, DOWN, 0.1, 0.1) for n in range(2 * ENOUGH))
    assert "nothing succeeded at all" in (health.failed(99, DOWN, FIRST_PATIENCE, FIRST_PATIENCE) or "")


def test_an_attempt_that_may_yet_be_answered_is_waited_for() -> None:
    health, later = Health(60, 0.0), 2 * FIRST_PATIENCE
    assert not any(health.failed(n, DOWN, later, 0.0) for n in range(2 * ENOUGH))
    assert health.failed(99, DOWN, later, later)


def test_an_engine_that_has_answered_gets_more_time() -> None:
    health = Health(60, 0.0)
    health.succeeded(10.0)
    assert not any(health.failed(n, DOWN, 69.0, 69.0) for n in range(2 * ENOUGH))
    assert "for 60 s" in (health.failed(99, DOWN, 70.0, 70.0) or "")
    health.succeeded(71.0)
    assert not any(health.failed(n, DOWN, 72.0, 72.0) for n in range(2 * ENOUGH))


def test_one_request_that_fails_for_ever_is_no_outage() -> None:
    health = Health(60, 0.0)
    health.succeeded(0.0)
    assert not any(health.failed(7, DOWN, 1.0, 1.0) for _ in range(5 * ENOUGH))
    assert not health.is_out
    for n in range(ENOUGH):
        health.failed(n, DOWN, 1.0, 1.0)
    assert health.is_out
    health.succeeded(2.0)
    assert not health.is_out


def test_too_many_requests_alone_are_endured_for_ten_minutes() -> None:
    health = Health(60, 0.0)
    assert not any(health.failed(n, LIMITED, LIMITED_PATIENCE - 1, 0.0) for n in range(1000))
    assert "nothing but 'too many requests' for 600 s" in (
        health.failed(0, LIMITED, LIMITED_PATIENCE, 0.0) or ""
    )


def test_when_every_request_is_refused_it_is_not_their_text() -> None:
    health = Health(60, 0.0)
    verdicts = [health.failed(n, BAD, 0.1, 0.1) for n in range(ENOUGH)]
    assert verdicts[:-1] == [None] * (ENOUGH - 1)
    assert verdicts[-1] == f"every request was refused: {BAD.message}"


@pytest.mark.parametrize("successes", [0, 1])
def test_refused_texts_are_no_reason_to_stop_before_all_were_asked(successes: int) -> None:
    health = Health(60, 0.0)
    for _ in range(successes):
        health.succeeded(0.0)
    assert not any(health.failed(n, LONG, 1000.0, 0.0) for n in range(1000))


LOADING = Failure("starting", "503: Loading model", status=503)
REFUSED = Failure(
    "retry", "Cannot connect to host 127.0.0.1:1 ssl:default [Connect call failed ('127.0.0.1', 1)]"
)
UNKNOWN = Failure("retry", "Cannot connect to host x:80 ssl:default [Name or service not known]")


@pytest.mark.parametrize(
    ("wait", "failure", "is_new", "kind"),
    [
        (None, LOADING, True, "starting"),
        (None, LOADING, False, "starting"),  # another model takes its place for a while
        (0, LOADING, True, "retry"),
        (None, REFUSED, True, "retry"),
        (60, REFUSED, True, "starting"),  # asked for: the run may start before its server
        (60, REFUSED, False, "retry"),
        (60, DOWN, True, "starting"),
        (60, UNKNOWN, True, "retry"),
        (60, BAD, True, "request"),
        (60, LIMITED, True, "limited"),
    ],
)
def test_which_failures_are_of_an_engine_that_is_starting(
    wait: float | None, failure: Failure, is_new: bool, kind: str
) -> None:
    health = Health(60, 0.0, wait)
    if not is_new:
        health.succeeded(0.0)
    assert health.judged(failure).kind == kind


def test_a_port_that_closes_while_a_model_is_loaded_belongs_to_the_start() -> None:
    health = Health(60, 0.0)
    assert health.failed(0, LOADING, 0.0, 0.0) is None
    assert health.judged(REFUSED).kind == "starting"
    health.succeeded(5.0)
    assert health.judged(REFUSED).kind == "retry"


def test_an_engine_is_waited_for_as_long_as_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "toolgen_hf")
    health = Health(60, 0.0, wait_for_engine=150)
    assert not any(health.failed(0, LOADING, float(second), 0.0) for second in range(150))
    said = health.failed(0, LOADING, 150.0, 0.0)
    assert said == "it is still not ready after 150 s (wait_for_engine): 503: Loading model"
    assert [record.getMessage() for record in caplog.records] == [
        "the engine is not ready yet, waiting for it for up to 150 s (wait_for_engine; Ctrl-C ends it): "
        "503: Loading model",
        "still waiting for the engine after 60 s: 503: Loading model",
        "still waiting for the engine after 120 s: 503: Loading model",
    ]


def test_who_watches_is_told_once_in_an_outage() -> None:
    health = Health(60.0, 0.0)
    health.succeeded(0.0)
    for n in range(2 * ENOUGH):
        health.failed(n, DOWN, 1.0, 0.5)
    assert health.warning(DOWN, 1.0) is None  # it may pass
    told = health.warning(DOWN, FIRST_PATIENCE)
    assert told is not None
    assert "trying again for up to 60 s" in told
    assert health.warning(DOWN, 20.0) is None
    health.succeeded(21.0)
    for n in range(2 * ENOUGH):
        health.failed(n, DOWN, 30.0, 30.0)
    assert health.warning(DOWN, 30.0)
