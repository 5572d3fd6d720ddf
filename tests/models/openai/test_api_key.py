"""When a key rests: once the engine answers nothing but refusals, and not before."""

from __future__ import annotations

from openai import AsyncOpenAI

from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.failures import Failure
from toolgen_hf.models.openai.limits import PAUSE_AFTER, ApiKey
from toolgen_hf.models.openai.sender import describe_refusals

LIMITED = Failure("limited", "429: slow down", wait=5.0, status=429)


def new_key() -> ApiKey:
    client = AsyncOpenAI(api_key="sk-any", base_url="http://127.0.0.1:1/v1")
    return ApiKey("sk-any", client, OpenAIConfig(engine="gpt-4o-mini"), 0.0)


def test_refusals_that_overtake_older_attempts_say_nothing_about_them() -> None:
    """Refusals come at once, texts after a while: eight in a row are no storm while texts are on their way."""
    busy = new_key()
    attempts = [busy.started(10) for _ in range(3 * PAUSE_AFTER)]
    for attempt in attempts[PAUSE_AFTER:]:
        busy.failed(attempt, LIMITED, 0.1)
    assert busy.wait(0.2) == 0
    busy.succeeded(attempts[0], 0.1, 0, {}, 0.2)
    assert (busy.wait(0.2), len(busy.in_flight)) == (0, PAUSE_AFTER - 1)


def test_a_key_that_is_only_refused_rests_as_long_as_the_engine_says() -> None:
    refused = new_key()
    for attempt in [refused.started(10) for _ in range(PAUSE_AFTER)]:
        assert refused.wait(1.0) == 0
        refused.failed(attempt, LIMITED, 1.0)
    assert refused.wait(1.0) == 5.0
    assert refused.wait(6.5) == 0


def test_an_attempt_that_is_left_makes_room() -> None:
    small = ApiKey("sk-any", new_key().client, OpenAIConfig(engine="gpt-4o-mini", concurrency=1), 0.0)
    attempt = small.started(10)
    assert small.wait(0.0) == float("inf")
    small.left(attempt)
    assert small.wait(0.0) == 0


def test_keys_of_one_refusal_are_named_together_and_a_wrong_url_is_not_blamed_on_them() -> None:
    wrong = [new_key(), new_key()]
    for one in wrong:
        one.failed(one.started(1), Failure("key", "404: Invalid URL.", status=404), 0.1)
    said = describe_refusals(wrong)
    assert said.startswith("the engine or the URL is not known there (a base_url usually ends in /v1): ")
    assert said.count("404: Invalid URL") == 1
