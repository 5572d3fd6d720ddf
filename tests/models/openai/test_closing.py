"""Nothing is left behind: no thread, no connection, no warning, however a stream ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.engines import collect, generator, numbered
from toolgen_hf.ask import Request
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai import engine, sender
from toolgen_hf.models.openai import stream as sending
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.filterwarnings("error")]


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "toolgen-hf"]


@pytest.fixture(autouse=True)
def nothing_is_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    gc.collect()  # an unclosed session would warn now
    assert ours() == []
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert not [record for record in caplog.records if record.name.startswith(("asyncio", "aiohttp"))]


def test_a_stream_that_ends_by_itself() -> None:
    with ApiServer("57") as server:
        for _ in range(3):
            collect(generator(server), numbered(10))
        assert server.count == 30


def test_a_stream_that_is_left_early() -> None:
    with ApiServer("57", latency=0.05) as server:
        for chunk in generator(server, concurrency=4).generate(iter(numbered(1000))):
            assert chunk
            break
        gc.collect()
        count = server.count
        time.sleep(0.2)
        assert server.count == count <= 8


def test_a_stream_that_is_closed_while_everything_hangs() -> None:
    with ApiServer(lambda r: Reply(fault="hang" if r.index else None)) as server:
        stream = generator(server, timeout=60, concurrency=5).generate(iter(numbered(9)))
        next(stream)
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 5


def test_a_stream_that_is_never_asked_for_anything() -> None:
    with ApiServer("57") as server:
        stream = generator(server).generate(iter(numbered(9)))
        del stream
        assert server.count == 0


def test_a_stream_that_fails() -> None:
    with ApiServer(Reply(status=401)) as server, pytest.raises(GenerationError):
        collect(generator(server), numbered(20))


def test_a_caller_that_fails() -> None:
    def fails(source: OpenAIGenerator) -> None:
        for _ in source.generate(iter(numbered(500))):
            raise ZeroDivisionError

    with ApiServer("57", latency=0.01) as server, pytest.raises(ZeroDivisionError):
        fails(generator(server))


def test_requests_that_fail_on_the_way_in(caplog: pytest.LogCaptureFixture) -> None:
    """What was sent before is paid, and so it is handed over first."""

    def broken() -> Iterator[Request]:
        yield from numbered(30)
        raise ZeroDivisionError("row 30")

    arrived: list[object] = []
    with ApiServer("57", latency=0.1) as server:
        with pytest.raises(ZeroDivisionError, match="row 30") as caught:
            arrived.extend(
                one for chunk in generator(server, concurrency=8).generate(broken()) for one in chunk
            )
        assert len(arrived) == server.count >= 8
    assert "broken" in [entry.name for entry in caught.traceback]
    assert "no more requests (ZeroDivisionError): waiting for those in flight" in caplog.text


def test_requests_that_fail_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "GRACE", 0.3)

    def broken() -> Iterator[Request]:
        yield from numbered(20)
        raise ZeroDivisionError

    began = time.monotonic()
    with (
        ApiServer(lambda r: Reply(fault="hang" if r.index > 3 else None)) as server,
        pytest.raises(ZeroDivisionError),
    ):
        list(generator(server, timeout=60, concurrency=8).generate(broken()))
    assert time.monotonic() - began < 5


def test_a_server_that_goes_away_for_good() -> None:
    server = ApiServer("57", latency=0.05).start()
    stream = generator(server, concurrency=4).generate(iter(numbered(100)))
    next(stream)
    server.stop()
    stream.close()


def test_a_defect_of_ours_ends_the_run_instead_of_hanging_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object, **__: object) -> None:
        raise AssertionError("a defect")

    for where, name in (
        (engine, "parse"),
        (sender.Sender, "_choose"),
        (sender, "ApiKey"),
        (sending, "AsyncOpenAI"),
    ):
        with monkeypatch.context() as patch, ApiServer("57") as server:
            patch.setattr(where, name, defect)
            with pytest.raises(GenerationError, match="AssertionError: a defect"):
                collect(generator(server), numbered(20))


def test_what_is_in_flight_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "GRACE", 0.3)

    def script(request: ApiRequest) -> Reply:
        return Reply(status=401, latency=0.05) if request.index == 0 else Reply(fault="hang")

    began = time.monotonic()
    with ApiServer(script) as server, pytest.raises(GenerationError, match="401"):
        collect(generator(server, timeout=60, concurrency=5), numbered(50))
    assert time.monotonic() - began < 5


def test_many_streams_in_one_process() -> None:
    async def cell(n: int) -> int:
        return len(collect(generator(server), numbered(n)))

    with ApiServer("57") as server:
        assert [asyncio.run(cell(n)) for n in range(1, 6)] == [1, 2, 3, 4, 5]
        assert [len(collect(generator(server), numbered(n))) for n in range(1, 6)] == [1, 2, 3, 4, 5]


def test_requests_are_taken_only_as_they_can_be_worked_on() -> None:
    taken = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        for request in numbered(100_000):
            taken += 1
            yield request

    with ApiServer("57", latency=0.01) as server:
        arrived = 0
        for chunk in generator(server, concurrency=10).generate(endless()):
            arrived += len(chunk)
            assert taken <= arrived + 60
            if arrived > 300:
                break


def test_what_arrived_before_the_thread_died_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never should; and yet what was paid for is not lost, and the caller learns of it."""
    serve = sending.RequestStream._serve

    async def dies(self: sending.RequestStream) -> None:
        task = asyncio.create_task(serve(self))
        await asyncio.sleep(0.4)
        task.cancel()
        raise MemoryError("the thread is gone")

    monkeypatch.setattr(sending.RequestStream, "_serve", dies)
    arrived: list[object] = []
    with ApiServer(lambda r: Reply("57", latency=0 if r.index < 3 else 5)) as server:
        stream = generator(server, concurrency=5).generate(iter(numbered(20)))
        with pytest.raises(
            GenerationError, match=r"MemoryError: the thread is gone|the client has been closed"
        ):
            arrived.extend(one for chunk in stream for one in chunk)
    assert len(arrived) == 3
