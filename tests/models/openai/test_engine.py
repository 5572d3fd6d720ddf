"""An engine: what identifies it, which key it is sent, and what it says of its answers."""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import SECRET, collect, config, generator, numbered, one, splits
from toolgen_hf import Workspace, answer
from toolgen_hf.ask import Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai import messages
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.testing import ApiServer, Reply

MESSAGE = {"message": {"role": "assistant", "content": "57"}, "finish_reason": "stop"}


def test_an_identity_is_all_that_determines_the_texts_and_nothing_else(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    (tmp_path / "keys").write_text(SECRET)
    where = {"base_url": "http://localhost:8000/v1"}
    base = generator(**where).identity()
    assert base == {
        "kind": "openai",
        "base_url": "http://localhost:8000/v1",
        "api": "chat",
        "engine": "gpt-4o-mini",
        "parameters": {"model": "gpt-4o-mini", "max_tokens": 128, "temperature": 0.0},
    }
    texts: list[dict[str, Any]] = [
        {"base_url": "http://localhost:8001/v1"},
        {"api": "completions"},
        {"engine": "gpt-4o"},
        {"max_tokens": 3},
        {"temperature": None},
        {"seed": 0},
        {"stop": ("x",)},
        {"extra": {"logit_bias": {"50256": -100}}},
    ]
    identities = [json.dumps(generator(**{**where, **change}).identity()) for change in texts]
    assert len({json.dumps(base), *identities}) == len(texts) + 1
    for change in (
        {"concurrency": 1},
        {"keys_file": str(tmp_path / "keys")},
        {"requests_per_minute": 5.0},
        {"timeout": 3.0},
        {"max_retries": 0},
        {"price": {"input": 1, "output": 1}},
        {"base_url": "http://localhost:8000/v1/"},
    ):
        assert generator(**{**where, **change}).identity() == base
    assert not any(SECRET in text or "wxyz" in text for text in identities)


def test_an_alias_is_the_engine_that_it_stands_for() -> None:
    where = {"base_url": "http://localhost:8000/v1"}
    assert generator(engine="gpt-turbo-0301", **where).identity() == (
        generator(engine="gpt-3.5-turbo-0301", **where).identity()
    )


def test_a_retired_engine_is_not_asked_unless_an_endpoint_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    says = r"'text-davinci-003' was shut down on 2024-01-04; use '.*base_url"
    for batch in (False, True):
        gone = generator(engine="text-davinci-003", batch=batch)
        assert re.search(says, str(gone.check()))
        assert gone.identity()["engine"] == "text-davinci-003"
        assert list(gone.generate([])) == []
        with pytest.raises(ConfigError, match=says):
            list(gone.generate(numbered(1)))
    for where in ({"base_url": "https://api.openai.com/v1"}, {"base_url": "http://localhost:1/v1"}):
        assert generator(engine="text-davinci-003", **where).check() is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:2/v1/")
    served = generator(engine="text-davinci-003")
    assert served.identity()["base_url"] == "http://localhost:2/v1"
    assert served.check() is None
    assert not caplog.records


def test_a_shutdown_to_come_is_said_where_things_are_checked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Earlier(date):
        @classmethod
        def today(cls) -> date:
            return date(2023, 12, 1)

    monkeypatch.setattr("toolgen_hf.models.openai.engine.date", Earlier)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    source = generator(engine="text-davinci-003")
    source.identity()
    source.cost(1, 1)
    assert not caplog.records
    source.check()
    assert [r.getMessage() for r in caplog.records] == [
        "engine 'text-davinci-003' will be shut down on 2024-01-04"
    ]


def test_what_a_retired_engine_wrote_is_still_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    asked = config(engine="text-davinci-003")
    with ApiServer("57") as server, Workspace(tmp_path, progress=False) as workspace:
        monkeypatch.setattr("toolgen_hf.models.openai.engine.OPENAI_URL", server.base_url)
        with monkeypatch.context() as before:
            before.setattr("toolgen_hf.models.openai.engine.retired", lambda *_: None)
            answer(splits(5), asked, workspace)
        assert server.count == 5
        answer(splits(5), asked, workspace)  # from the cache
        answer(splits(5), asked, workspace, drop_overlap=True)  # from the store
        with pytest.raises(ConfigError, match="was shut down on"):
            answer(splits(6), asked, workspace)
        assert server.count == 5


@pytest.mark.parametrize("name", ["n", "best_of", "stream", "model", "messages", "prompt"])
def test_a_request_asks_for_one_whole_text(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"'{name}' is not yours to set: each request asks for one whole text"
    ):
        config(extra={name: 1})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((name, name) for name in ("temperature", "top_p", "stop", "seed", "max_tokens")),
        *((name, name) for name in ("frequency_penalty", "presence_penalty")),
        ("max_completion_tokens", "max_tokens"),
    ],
)
def test_what_has_a_field_is_set_there(name: str, field: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' has a setting of its own: use {field}, beside extra"):
        config(extra={"logit_bias": {}, name: 1})


@pytest.mark.parametrize("engine", ["o4-mini", "gpt-4o-mini"])
def test_an_engine_that_uses_up_its_tokens_before_it_writes_is_told_of_once(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ApiServer(lambda r: Reply("" if r.index else "57", finish_reason="length")) as server:
        collect(generator(server, engine=engine, max_tokens=9, concurrency=1), numbered(4))
    (said,) = [r.getMessage() for r in caplog.records if "max_tokens" in r.getMessage()]
    assert said.startswith(f"engine '{engine}' used all of its 9 tokens before it wrote anything")
    assert ("reasoning counts" in said) == (engine == "o4-mini")


@pytest.mark.parametrize("reply", [Reply("5", finish_reason="length"), Reply("", finish_reason="stop")])
def test_other_ends_are_not_told_of(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    with ApiServer(reply) as server:
        one(server)
    assert not caplog.records


def test_a_stage_can_tell_how_answers_are_read() -> None:
    assert generator().parser == messages.VERSION >= 1


def test_answers_from_another_model_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with ApiServer(Reply("57", model="llama-3")) as server:
        source = generator(server)
        for _ in range(2):
            list(source.generate([]))
        one(server)
    assert [r.getMessage() for r in caplog.records if "llama-3" in r.getMessage()] == [
        "engine 'gpt-4o-mini' was asked for; the answers say that they come from 'llama-3'"
    ]


@pytest.mark.parametrize("model", [None, 7, ["x"], {"name": "x"}])
def test_a_model_that_has_no_name_is_no_trouble(model: Any) -> None:
    body = json.dumps({"choices": [MESSAGE], "model": model}).encode()
    with ApiServer(Reply(body=body)) as server:
        assert one(server).text == "57"


def test_a_dated_answer_is_from_the_engine_that_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with ApiServer(Reply("57", model="gpt-4o-mini-2024-07-18")) as server:
        one(server)
    assert not caplog.records


def test_the_key_is_sent_as_a_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ApiServer("57", keys=[SECRET]) as server:
        assert one(server).text == "57"
        assert server.requests[0].key == SECRET


def test_an_endpoint_of_ones_own_needs_no_key() -> None:
    with ApiServer("57") as server:
        generator(server).check()
        assert one(server).text == "57"


def test_nothing_is_asked_where_nothing_is_wanted() -> None:
    with ApiServer("57") as server:
        assert list(generator(server).generate([])) == []
        assert server.count == 0


SECRET_URLS = [
    "http://user:hunter2@localhost/v1",
    "http://hunter2@localhost/v1",
    "http://localhost/v1?key=hunter2",
    "http://localhost/v1#hunter2",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_url_holds_no_secret(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no user, password or query"):
        config(base_url=url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ConfigError, match=r"^\$OPENAI_BASE_URL: .*no user, password or query") as caught:
        generator()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert generator(base_url="http://localhost:1/v1").base_url == "http://localhost:1/v1"  # it is not needed


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "/v1", "http://", "http://[hunter2", "http://h:hunter2/v1"]
)
def test_a_url_is_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="give a whole URL"):
        config(base_url=url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ConfigError, match=r"^\$OPENAI_BASE_URL: give a whole URL") as caught:
        generator()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_what_is_in_the_store_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer("57") as server, Workspace(tmp_path, progress=False) as workspace:
        monkeypatch.setattr(
            "toolgen_hf.models.openai.keys.OPENAI_URL", server.base_url
        )  # which does need one
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        answer(splits(5), config(server), workspace)
        monkeypatch.delenv("OPENAI_API_KEY")
        assert "needs an API key" in str(generator(server).check())
        answer(splits(5), config(server), workspace, drop_overlap=True)  # the stage runs again
        assert server.count == 5
        with pytest.raises(ConfigError, match="needs an API key"):
            answer(splits(6), config(server), workspace)


def test_requests_that_are_hard_to_find_are_sent_as_they_are_found() -> None:
    sent_at_the_third: list[int] = []

    def sparse() -> Iterable[Request]:
        for n, request in enumerate(numbered(4)):
            if n == 3:
                sent_at_the_third.append(server.count)
            threading.Event().wait(0.15)  # many rows whose texts are there
            yield request

    with ApiServer("57") as server:
        assert sum(len(chunk) for chunk in generator(server).generate(sparse())) == 4
    assert sent_at_the_third[0] >= 1


@pytest.mark.parametrize("name", ["api_key", "extra_headers", "Authorization", "extra_query", "access_token"])
def test_extra_is_no_place_for_secrets(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' would be saved with the result: keys go into keys_file"):
        OpenAIConfig(engine="gpt-4o-mini", extra={name: "sk-secret"})


def test_a_completions_engine_is_told_its_limit_by_the_name_that_it_knows() -> None:
    config = OpenAIConfig(engine="gpt-5", api="completions", base_url="http://127.0.0.1:1/v1", max_tokens=7)
    assert OpenAIGenerator(config).identity()["parameters"]["max_tokens"] == 7
