"""The Batch API: the real client against the scripted server; whatever happens, no line is paid twice."""

from __future__ import annotations

import http.server
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from datasets import Dataset, DatasetDict
from openai.resources.batches import Batches
from openai.resources.files import Files

from tests.support.engines import texts_of
from toolgen_hf import schemas
from toolgen_hf._utils import digest
from toolgen_hf.ask import Generation, Prompt, Request, request_key
from toolgen_hf.errors import BudgetError, GenerationError, RefusedError
from toolgen_hf.models.config import OpenAIConfig, PriceConfig
from toolgen_hf.models.openai import batch as runs
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.store import SqliteStore, Store
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.respond import SourceConfig, respond
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

KEY = "sk-test-0123456789abcdef"
TOO_LONG = {"message": "This model's maximum context length is 10 tokens.", "code": "context_length_exceeded"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(runs, "PAUSE", 0.001)
    monkeypatch.setattr(runs, "_RETRIES", 0)


def shout(request: ApiRequest) -> str:
    return request.user.upper()


def generator(server: ApiServer, **changes: Any) -> OpenAIGenerator:
    settings = {"engine": "gpt-4o-mini", "base_url": server.base_url, "batch": True, "poll_seconds": 0.01}
    return OpenAIGenerator(OpenAIConfig(**{**settings, **changes}))


def wanted(*numbers: int) -> list[Request]:
    return [Request(Prompt("You shout.", f"question {n}")) for n in numbers]


def ask(server: ApiServer, requests: Sequence[Request], **changes: Any) -> list[str | None]:
    """The texts in order; None for one that did not come."""
    made: dict[int, Generation] = {}
    collect(generator(server, **changes), requests, made)
    return [made[at].text if at in made else None for at in range(len(requests))]


def collect(engine: OpenAIGenerator, requests: Sequence[Request], into: dict[int, Generation]) -> None:
    """Where it ends early, ``into`` has what arrived."""
    for chunk in engine.generate(requests):
        assert not into.keys() & dict(chunk).keys()
        into.update(chunk)


def shouted(*numbers: int) -> list[str]:
    return [f"QUESTION {n}" for n in numbers]


def most_often_answered(server: ApiServer) -> int:
    return max(request.seen for request in server.requests) + 1


def inputs(server: ApiServer) -> list[list[dict[str, Any]]]:
    """The lines of each batch's input file, in the order of submission."""
    files = [server.files[batch["input_file_id"]].content for batch in server.batches.values()]
    return [[json.loads(line) for line in content.splitlines()] for content in files]


def test_whole_life(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "toolgen_hf")
    requests = wanted(*range(40))
    with ApiServer(shout, batch_seconds=0.1) as server:
        engine = generator(server, max_tokens=7)
        arrivals = [arrival for chunk in engine.generate(iter(requests)) for arrival in chunk]
        assert [at for at, _ in arrivals] != sorted(at for at, _ in arrivals)  # in an order of its own
        assert [made.text for _, made in sorted(arrivals)] == shouted(*range(40))
        (batch,) = server.batches.values()
        (lines,) = inputs(server)
    mark = digest(engine.identity())
    assert batch["metadata"] == {"toolgen_hf": mark[:32]}
    assert [line["custom_id"] for line in lines] == [request_key(mark, request) for request in requests]
    assert [line["body"] for line in lines] == [engine.body(request.prompt) for request in requests]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert arrivals[0][1].raw is not None
    assert engine.parse(arrivals[0][1].raw) == arrivals[0][1]
    log = [record.getMessage() for record in caplog.records if record.name.startswith("toolgen_hf")]
    assert log[0] == "batch batch_000001: 40 requests submitted"
    assert log[-1] == "batch batch_000001: completed, 40 done and 0 failed of 40"
    assert len(set(log)) == len(log)


def test_completions() -> None:
    with ApiServer("four") as server:
        assert ask(server, wanted(1), engine="gpt-3.5-turbo-instruct") == ["four"]
        assert [request.api for request in server.requests] == ["completions"]


def test_equal_requests_are_sent_once_and_samples_apart() -> None:
    (one,) = wanted(1)
    with ApiServer(lambda request: f"text {request.index}") as server:
        first, second, again = ask(server, [one, Request(one.prompt, sample=1), one])
        assert first == again != second
        assert server.count == 2


@pytest.mark.parametrize("first", [True, False])
def test_same_store_as_one_by_one(tmp_path: Path, first: bool) -> None:
    prompts = [request.prompt for request in wanted(*range(10))]
    with ApiServer(shout) as server, SqliteStore(tmp_path / "store.sqlite") as store:
        texts = {}
        for batch in (first, not first):
            engine = generator(server, batch=batch)
            texts[batch] = texts_of(Texts(engine, lambda: store, Meter(show=False), "test"), prompts)
            assert server.count == 10
        assert texts[True] == texts[False]
        assert [made.text for made in texts[True]] == shouted(*range(10))


def test_nothing_to_ask_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    nowhere = OpenAIConfig(engine="gpt-4o-mini", base_url="https://api.openai.com/v1", batch=True)
    assert list(OpenAIGenerator(nowhere).generate([])) == []


def test_what_failed_goes_into_another_batch() -> None:
    faults = [
        Reply(status=500),
        Reply(status=429),
        Reply(fault="hang"),
        Reply(body=b"<html>"),
        Reply(choices="no"),  # type: ignore[arg-type]
    ]

    def script(request: ApiRequest) -> Reply | str:
        number = int(request.user.split()[1])
        return faults[number] if number < len(faults) and request.seen == 0 else shout(request)

    with ApiServer(script) as server:
        assert ask(server, wanted(*range(9))) == shouted(*range(9))
        assert [len(lines) for lines in inputs(server)] == [9, 5]


@pytest.mark.parametrize(("retries", "batches"), [(0, 1), (1, 2), (6, 4)])
def test_given_up_after_some_rounds(retries: int, batches: int) -> None:
    with ApiServer(lambda r: Reply(status=500, error=f"no {KEY}") if "2" in r.user else shout(r)) as server:
        made: dict[int, Generation] = {}
        with pytest.raises(
            GenerationError, match=rf"1 requests failed in {batches} batches each.*500: no …cdef"
        ):
            collect(generator(server, max_retries=retries), wanted(1, 2, 3), made)
        assert {at: one.text for at, one in made.items()} == {0: "QUESTION 1", 2: "QUESTION 3"}
        assert len(server.batches) == batches


@pytest.mark.parametrize("error", [TOO_LONG, "Invalid value for this request."])
def test_refused_text(error: Any) -> None:
    with ApiServer(lambda r: Reply(status=400, error=error) if "2" in r.user else shout(r)) as server:
        made = dict(arrival for chunk in generator(server).generate(wanted(1, 2)) for arrival in chunk)
        assert [made[at].finish_reason for at in (0, 1)] == ["stop", "rejected"]
        assert generator(server).parse(made[1].raw or "") is None
        assert server.count == 2
        server.configure(script=shout)  # mended: the next run asks again
        assert ask(server, wanted(1, 2)) == shouted(1, 2)
        assert server.count == 3


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, "Unsupported parameter.", "Unsupported"),
        (404, "Unsupported parameter.", "Unsupported"),
        (400, TOO_LONG, "This model's maximum context length is 10 tokens .all 2 that were sent"),
    ],
)
def test_every_request_refused(status: int, error: Any, said: str) -> None:
    with ApiServer(Reply(status=status, error=error)) as server:
        with pytest.raises(RefusedError, match=f"every request was refused: {status}: {said}"):
            list(generator(server).generate(wanted(1, 2)))
        assert len(server.batches) == 1
        server.configure(script=shout)  # mended: the next run asks again
        assert ask(server, wanted(1, 2)) == shouted(1, 2)


def test_lines_go_into_another_batch_in_the_shape_that_the_engine_wants(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def script(request: ApiRequest) -> Reply | str:
        for name in ("max_tokens", "temperature"):
            if name in request.body:
                return Reply(status=400, error=f"Unsupported parameter: {name!r}.")
        return shout(request)

    with ApiServer(script) as server:
        assert ask(server, wanted(1, 2), max_retries=0) == shouted(1, 2)
        assert [len(lines) for lines in inputs(server)] == [2, 2, 2]
        assert inputs(server)[-1][0]["body"].keys() == {"model", "max_completion_tokens", "messages"}
    assert len([record for record in caplog.records if "Unsupported parameter" in record.getMessage()]) == 2


def test_expired() -> None:
    with ApiServer(shout, expire_after=3) as server:
        assert ask(server, wanted(*range(8))) == shouted(*range(8))
        assert [len(lines) for lines in inputs(server)] == [8, 5, 2]
        assert [batch["status"] for batch in server.batches.values()] == ["expired", "expired", "completed"]
        assert most_often_answered(server) == 1


def test_refused_as_a_whole() -> None:
    problems = [
        {"code": "model_not_found", "message": "The model is not supported by the Batch API.", "line": 1}
    ]
    with ApiServer(shout, batch_errors=problems) as server:
        with pytest.raises(
            GenerationError, match=r"batch_000001 was refused as a whole: model_not_found: .* \(line 1\)"
        ):
            ask(server, wanted(1))
        server.configure()
        assert ask(server, wanted(1)) == shouted(1)


FULL = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached for gpt-4o-mini."}]


def test_queue_is_full() -> None:
    with (
        ApiServer(shout, batch_errors=FULL) as server,
        pytest.raises(GenerationError, match=r"queue for batches is full.*Enqueued.*fewer rows"),
    ):
        ask(server, wanted(1))


def test_queue_has_room_once_another_batch_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_LINES", 2)
    with ApiServer(shout) as server:
        create = Batches.create

        def limited(self: Batches, **asked: Any) -> Any:
            server.configure(batch_errors=FULL if len(server.batches) in (1, 2) else ())
            return create(self, **asked)

        monkeypatch.setattr(Batches, "create", limited)
        assert ask(server, wanted(1, 2, 3, 4, 5), max_retries=0) == shouted(1, 2, 3, 4, 5)
        statuses = [batch["status"] for batch in server.batches.values()]
        assert statuses == ["completed", "failed", "failed", "completed", "completed"]


def test_cancelled_by_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer(shout, batch_seconds=1.5) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key=KEY)

        def cancel(_seconds: float) -> None:
            wait(0.02)
            (batch,) = server.batches.values()
            if batch["request_counts"]["completed"] >= 5 and batch["status"] == "in_progress":
                client.batches.cancel(batch["id"])

        wait = time.sleep
        monkeypatch.setattr(time, "sleep", cancel)
        made: dict[int, Generation] = {}
        with pytest.raises(GenerationError, match="batch_000001 was cancelled"):
            collect(generator(server), wanted(*range(20)), made)
        assert 5 <= len(made) < 20
        monkeypatch.setattr(time, "sleep", wait)
        assert ask(server, wanted(*range(20))) == shouted(*range(20))
        assert most_often_answered(server) == 1
        assert server.count == 20


class Killed(BaseException):
    """The process ends here."""


def before(call: Callable[..., Any], times: int = 1) -> Callable[..., Any]:
    count = iter(range(times))

    def dying(*args: Any, **kwargs: Any) -> Any:
        if next(count, None) == times - 1:
            raise Killed
        return call(*args, **kwargs)

    return dying


def after(call: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> Any:
        call(*args, **kwargs)
        raise Killed

    return dying


def in_the_middle(call: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for count, line in enumerate(call(*args, **kwargs)):
            if count == 3:
                raise Killed
            yield line

    return dying


@pytest.mark.parametrize(
    ("target", "name", "death"),
    [
        (runs.Account, "submit", before),
        (runs.Account, "_create", before),
        (Batches, "create", after),
        (runs.Account, "submit", after),
        (runs.Account, "submit", lambda call: before(call, times=2)),  # between two batches
        (runs.Account, "look", before),
        (runs.Account, "look", lambda call: before(call, times=4)),
        (runs.Account, "look", after),
        (runs.Account, "lines", before),
        (runs.Account, "lines", in_the_middle),
        (runs.Account, "lines", lambda call: before(call, times=2)),
        (Store, "put", before),
        (Store, "put", after),
    ],
)
def test_killed_and_run_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: type, name: str, death: Callable[..., Any]
) -> None:
    monkeypatch.setattr(runs, "MAX_LINES", 6)
    monkeypatch.setattr(runs, "CHUNK", 2)
    prompts = [request.prompt for request in wanted(*range(10))]
    with ApiServer(shout, batch_seconds=0.06) as server, SqliteStore(tmp_path / "store.sqlite") as store:
        texts = Texts(generator(server), lambda: store, Meter(show=False), "test")
        with monkeypatch.context() as patch:
            patch.setattr(target, name, death(getattr(target, name)))
            with pytest.raises(Killed):
                texts_of(texts, prompts)
        assert [made.text for made in texts_of(texts, prompts)] == shouted(*range(10))
        assert server.count == 10
        assert sorted(line["custom_id"] for lines in inputs(server) for line in lines) == sorted(
            request_key(digest(generator(server).identity()), request) for request in wanted(*range(10))
        )


SCRIPT = """
import sys
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.ask import Prompt, Request
from toolgen_hf.models.config import OpenAIConfig
config = OpenAIConfig(engine="gpt-4o-mini", base_url=sys.argv[1], batch=True, poll_seconds=0.05)
list(OpenAIGenerator(config).generate([Request(Prompt("You shout.", f"question {n}")) for n in range(12)]))
"""


def test_process_killed_while_it_waits() -> None:
    with ApiServer(shout, batch_seconds=1.0) as server:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, server.base_url])
        try:
            until = time.monotonic() + 60
            while not any(b["request_counts"]["completed"] for b in server.batches.values()):
                assert process.poll() is None, "it ended too early"
                assert time.monotonic() < until
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert ask(server, wanted(*range(12))) == shouted(*range(12))
        assert server.count == 12
        assert len(server.batches) == 1


def test_interrupted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with ApiServer(shout, batch_seconds=0.4) as server:
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", lambda _seconds: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                ask(server, wanted(1, 2))
        assert "1 batches go on at the provider" in caplog.text
        assert ask(server, wanted(1, 2)) == shouted(1, 2)
        assert len(server.batches) == 1


def test_running_batch_is_shared() -> None:
    with ApiServer(shout, batch_seconds=0.3) as server:
        results: dict[str, list[str | None]] = {}
        other = threading.Thread(target=lambda: results.update(other=ask(server, wanted(*range(10)))))
        other.start()
        while not server.batches:
            time.sleep(0.005)
        assert ask(server, wanted(*range(5, 15))) == shouted(*range(5, 15))
        other.join()
        assert results["other"] == shouted(*range(10))
        assert [len(lines) for lines in inputs(server)] == [10, 5]
        assert most_often_answered(server) == 1


@pytest.mark.parametrize(("limit", "value"), [("MAX_LINES", 4), ("MAX_BYTES", 1400)])
def test_files_within_the_limits(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(runs, limit, value)
    with ApiServer(shout) as server:
        assert ask(server, wanted(*range(10))) == shouted(*range(10))
        assert [len(lines) for lines in inputs(server)] == [4, 4, 2]
        sizes = [len(server.files[batch["input_file_id"]].content) for batch in server.batches.values()]
        assert max(sizes) < 1400


def test_own_batches_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list comes in pages; batches of other programs and other parameters are left alone."""
    monkeypatch.setattr(runs, "PAGE", 2)
    with ApiServer(shout) as server:
        ask(server, wanted(1))
        ask(server, wanted(1), max_tokens=5)
        client = openai.OpenAI(base_url=server.base_url, api_key=KEY)
        for metadata in (None, {"toolgen_hf": "other"}, {"name": "mine"}, None):
            client.batches.create(
                input_file_id=next(iter(server.files)),
                endpoint="/v1/chat/completions",
                completion_window="24h",
                **({} if metadata is None else {"metadata": metadata}),
            )
        ask(server, wanted(2))
        read, lines = [], runs.Account.lines
        monkeypatch.setattr(
            runs.Account, "lines", lambda self, name: (read.append(name), lines(self, name))[1]
        )
        assert ask(server, wanted(1, 2)) == shouted(1, 2)
        assert len(server.batches) == 7
        assert read == [server.batches[f"batch_00000{n}"]["output_file_id"] for n in (7, 1)]


def test_files_that_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer(shout) as server:
        ask(server, wanted(1))
        client = openai.OpenAI(base_url=server.base_url, api_key=KEY)
        client.files.delete(server.batches["batch_000001"]["output_file_id"])
        assert ask(server, wanted(1)) == shouted(1)
        monkeypatch.setattr(runs, "MAX_AGE", -10)  # too old to be asked for
        assert ask(server, wanted(1)) == shouted(1)
        assert server.count == 3


def test_input_file_that_is_gone_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with ApiServer(shout, batch_seconds=0.4) as server:
        with monkeypatch.context() as patch:
            patch.setattr(runs.Account, "look", before(runs.Account.look))
            with pytest.raises(Killed):
                ask(server, wanted(1, 2))
        openai.OpenAI(base_url=server.base_url, api_key=KEY).files.delete(next(iter(server.files)))
        assert ask(server, wanted(1, 2, 3)) == shouted(1, 2, 3)
        assert [batch["request_counts"]["total"] for batch in server.batches.values()] == [2, 1]


def test_no_batch_api() -> None:
    with (
        ApiServer(shout) as server,
        pytest.raises(GenerationError, match=r"has no Batch API \(404: Invalid URL.*batch: false"),
    ):
        ask(server, wanted(1), base_url=f"{server.base_url}/other")


def test_web_page_in_place_of_an_api() -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        with pytest.raises(GenerationError, match=r"has no Batch API .*batch: false"):
            list(OpenAIGenerator(OpenAIConfig(engine="any", base_url=url, batch=True)).generate(wanted(1)))
        server.shutdown()


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("status", [None, 429, 502])
def test_lost_answer_to_a_creation(
    monkeypatch: pytest.MonkeyPatch, arrives: bool, status: int | None
) -> None:
    create, calls = Batches.create, []
    monkeypatch.setattr(runs, "_RETRIES", 5)

    def unconfirmed(self: Batches, **asked: Any) -> Any:
        assert self._client.max_retries == 0
        calls.append(asked)
        if len(calls) > 1:
            return create(self, **asked)
        if arrives and status != 429:  # which says that nothing was made
            create(self, **asked)
        request = httpx2.Request("POST", "http://127.0.0.1")
        if status is None:
            raise openai.APIConnectionError(request=request)
        raise openai.APIStatusError("", response=httpx2.Response(status, request=request), body=None)

    monkeypatch.setattr(Batches, "create", unconfirmed)
    with ApiServer(shout, batch_seconds=0.05) as server:
        assert ask(server, wanted(1, 2)) == shouted(1, 2)
        assert len(server.batches) == 1
        assert server.count == 2


def test_creation_that_never_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    def unconfirmed(self: Batches, **_asked: Any) -> Any:
        raise openai.APIConnectionError(request=httpx2.Request("POST", "http://127.0.0.1"))

    monkeypatch.setattr(Batches, "create", unconfirmed)
    with (
        ApiServer(shout) as server,
        pytest.raises(GenerationError, match=r"gives no answer: Connection error.*run again"),
    ):
        ask(server, wanted(1))


def test_out_of_reach_for_a_while(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    wait, waits = time.sleep, []
    with ApiServer(shout, batch_seconds=0.4) as server:

        def interrupted_service(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 1:
                server.stop()
            elif len(waits) == 3:
                server.start()
            wait(seconds)

        monkeypatch.setattr(time, "sleep", interrupted_service)
        assert ask(server, wanted(1, 2)) == shouted(1, 2)
        assert "batch batch_000001: the Batch API at" in caplog.text
        assert server.count == 2


def test_out_of_reach_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 0.05)
    with ApiServer(shout, batch_seconds=0.3) as server:
        wait = time.sleep
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", lambda seconds: (server.stop(), wait(seconds)))
            with pytest.raises(GenerationError, match="gives no answer"):
                ask(server, wanted(1, 2))
        server.start()
        assert ask(server, wanted(1, 2)) == shouted(1, 2)
        assert len(server.batches) == 1


def test_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first key that is not refused makes batches; those of all keys are found."""
    keys = tmp_path / "keys"
    keys.write_text("sk-refused-111111111\nsk-second-222222222\nsk-third-3333333333\n", encoding="utf-8")
    with ApiServer(shout, keys=["sk-second-222222222", "sk-third-3333333333"]) as server:
        assert ask(server, wanted(1), keys_file=str(keys)) == shouted(1)
        assert {request.key for request in server.requests} == {"sk-second-222222222"}
        assert "key …1111 is not used any more" in caplog.text
        assert "refused-1" not in caplog.text
        keys.write_text("sk-third-3333333333\nsk-second-222222222\n", encoding="utf-8")
        assert ask(server, wanted(1), keys_file=str(keys)) == shouted(1)
        assert server.count == 1
        keys.write_text("sk-refused-111111111\nsk-refused-000000000\n", encoding="utf-8")
        with pytest.raises(GenerationError, match=r"no key can be used: .*…1111.*…0000") as caught:
            ask(server, wanted(2), keys_file=str(keys))
        assert "refused-1" not in str(caught.value)


def test_key_that_may_not_make_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("sk-first-1111111111\nsk-second-222222222\n", encoding="utf-8")
    create = Batches.create

    def restricted(self: Batches, **asked: Any) -> Any:
        if self._client.api_key.startswith("sk-first"):
            response = httpx2.Response(403, request=httpx2.Request("POST", "http://127.0.0.1"))
            raise openai.PermissionDeniedError("", response=response, body={"message": "no scope"})
        return create(self, **asked)

    monkeypatch.setattr(Batches, "create", restricted)
    with ApiServer(shout) as server:
        assert ask(server, wanted(1), keys_file=str(keys)) == shouted(1)
        assert {request.key for request in server.requests} == {"sk-second-222222222"}


REFUSED = {"message": f"Incorrect API key provided: {KEY}"}


@pytest.mark.parametrize("status", [None, 400, 401, 404, 429, 500])
@pytest.mark.parametrize(
    ("resource", "call"),
    [(Batches, "list"), (Files, "create"), (Batches, "create"), (Batches, "retrieve"), (Files, "content")],
)
def test_no_key_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch, resource: type, call: str, status: int | None
) -> None:
    """An engine may repeat the key, and the client's own error holds its words."""

    def refuses(*_: Any, **__: Any) -> Any:
        request = httpx2.Request("POST", f"http://127.0.0.1/{KEY}")
        if status is None:
            raise openai.APIConnectionError(message=f"no route for {KEY}", request=request)
        response = httpx2.Response(status, request=request, json={"error": REFUSED})
        raise openai.APIStatusError(f"Error code: {status} - {REFUSED}", response=response, body=REFUSED)

    monkeypatch.setattr(resource, call, refuses)
    monkeypatch.setattr(runs, "PATIENCE", 0)
    with ApiServer(shout) as server, pytest.raises(GenerationError) as caught:
        ask(server, wanted(1))
    assert KEY not in "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error is not None:  # as debuggers and error trackers do
        assert KEY not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_no_key_in_what_is_kept() -> None:
    with ApiServer(lambda request: f"your key is {request.key}") as server:
        ((arrival,),) = generator(server).generate(wanted(1))
        assert arrival[1].text == "your key is …cdef"
        assert KEY not in str(arrival)


def test_half_the_price() -> None:
    price = PriceConfig(input=2.0, output=8.0)
    config = OpenAIConfig(engine="any", base_url="http://127.0.0.1/v1", price=price)
    whole, half = (OpenAIGenerator(config.model_copy(update={"batch": batch})) for batch in (False, True))
    assert whole.cost(1_000_000, 1_000_000) == pytest.approx(10.0)
    assert half.cost(1_000_000, 1_000_000) == pytest.approx(5.0)
    assert whole.identity() == half.identity()


def raw(rows: int) -> DatasetDict:
    columns = {
        "id": [f"row-{n}" for n in range(rows)],
        "question": [f"What is {n}+{n}?" for n in range(rows)],
        "answer": [[str(n + n)] for n in range(rows)],
        "solution": [None] * rows,
    }
    return DatasetDict(train=Dataset.from_dict(columns, features=schemas.RAW))


def test_stage() -> None:
    with ApiServer(shout) as server, Workspace(progress=False) as workspace:
        source = SourceConfig(generator=generator(server).config)
        made = respond(raw(12), "engine", source, workspace)
        assert made["train"]["response"][3] == "WHAT IS 3+3?"
        assert len(server.batches) == 1
        respond(raw(13), "engine", source, workspace)
        assert [len(lines) for lines in inputs(server)] == [12, 1]


def test_budget() -> None:
    """Only what the budget admits is submitted."""
    long = Reply("", usage={"prompt_tokens": 9, "completion_tokens": 100, "total_tokens": 109})
    with ApiServer(long) as server, Workspace(progress=False, max_cost=0.0105) as workspace:
        config = generator(server, price=PriceConfig(input=0, output=20), max_tokens=100).config
        with pytest.raises(BudgetError):
            respond(raw(30), "engine", SourceConfig(generator=config), workspace)
        assert server.count == 10
        assert workspace.meter.spent == pytest.approx(0.01)
