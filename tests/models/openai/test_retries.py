"""What fails once succeeds later, and what fails for ever is counted; the others never notice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.support.engines import collect, generator, numbered, one, requests
from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai import sender
from toolgen_hf.models.openai.limits import Window
from toolgen_hf.testing import ApiRequest, ApiServer, Reply, Script, per_body

pytestmark = pytest.mark.usefixtures("quick")

ERROR_IN_200 = b'{"error": {"message": "upstream is busy", "type": "server_error"}}'
FAULTS = {
    "500": Reply(status=500),
    "502 of a proxy": Reply(
        status=502, body=b"<html>Bad Gateway</html>", headers={"Content-Type": "text/html"}
    ),
    "503": Reply(status=503, headers={"Retry-After": "0.05"}),
    "408": Reply(status=408),
    "409": Reply(status=409),
    "reset": Reply(fault="reset"),
    "reset mid-body": Reply("57", fault="reset_body"),
    "truncated": Reply("57", fault="truncate"),
    "no JSON": Reply(body=b"<html>Welcome</html>"),
    "half of JSON": Reply(body=b'{"choices": [{"mess'),
    "empty body": Reply(body=b""),
    "error in a 200": Reply(body=ERROR_IN_200),
    "status in a 200": Reply(body=b'{"status": 500, "error": "Internal Server Error"}'),
}


def echo(request: ApiRequest) -> str:
    return f"to {request.user}"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_what_fails_twice_is_asked_three_times(fault: Reply) -> None:
    with ApiServer(per_body(fault, fault, echo)) as server:
        made = collect(generator(server), numbered(5))
        assert server.count == 15
    assert [m.text for m in made] == [f"to question {n}" for n in range(5)]


def test_what_hangs_is_asked_again() -> None:
    with ApiServer(per_body(Reply(fault="hang"), "57")) as server:
        assert one(server, timeout=0.4).text == "57"
        assert server.count == 2


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends a byte now and then, for ever."""
    ready, stop = threading.Event(), threading.Event()
    where: list[str] = []

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        try:
            while not stop.is_set():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except OSError:
            pass
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        where.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.02)
        server.close()
        await asyncio.sleep(0.1)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield where[0]
    finally:
        stop.set()
        thread.join()


def test_an_answer_that_never_ends_is_a_timeout() -> None:
    with dripping() as url, pytest.raises(GenerationError, match=r"no whole answer within 0\.3 s"):
        collect(generator(base_url=url, timeout=0.3, max_retries=1), numbered(1))


def failing(*users: str, reply: Reply) -> Callable[[ApiRequest], Reply | str]:
    return lambda request: reply if request.user in users else echo(request)


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(fault="reset"), Reply(body=b"")])
def test_one_that_fails_for_ever_is_an_error_after_all_others_arrived(reply: Reply) -> None:
    arrived: dict[int, Generation] = {}
    with ApiServer(failing("question 3", reply=reply)) as server:
        with pytest.raises(
            GenerationError, match=r"^1 requests? to the engine at http://.* failed after 2 retries"
        ):
            collect(generator(server, max_retries=2, concurrency=4), numbered(40), arrived)
        asked = Counter(request.user for request in server.requests)
    assert sorted(arrived) == [n for n in range(40) if n != 3]
    assert asked.pop("question 3") == 3
    assert set(asked.values()) == {1}


def test_several_that_fail_are_counted_and_one_is_quoted() -> None:
    script = failing("question 1", "question 2", reply=Reply(status=500, error="the GPU is on fire"))
    with (
        ApiServer(script) as server,
        pytest.raises(GenerationError, match=r"2 requests.*500: the GPU is on fire"),
    ):
        collect(generator(server, max_retries=1), numbered(20))


def test_without_retries_one_failure_is_enough() -> None:
    with ApiServer(per_body(Reply(status=500), "57")) as server:
        with pytest.raises(GenerationError, match="1 request"):
            one(server, max_retries=0)
        assert server.count == 1


def test_what_waits_for_its_retry_holds_nobody_up() -> None:
    script = failing("question 0", reply=Reply(status=503, headers={"Retry-After": "0.6"}))
    arrived: dict[int, Generation] = {}
    with ApiServer(script, latency=0.01) as server:
        with pytest.raises(GenerationError, match="1 request"):
            collect(generator(server, max_retries=1, concurrency=1), numbered(20), arrived)
        order = [request.user for request in server.requests]
    assert len(arrived) == 19
    assert order[0] == order[-1] == "question 0"


@pytest.mark.parametrize("status", [403, 404])
def test_a_gateway_that_refuses_one_request_is_no_wrong_key(status: int) -> None:
    arrived: dict[int, Generation] = {}
    with (
        ApiServer(failing("question 9", reply=Reply(status=status))) as server,
        pytest.raises(GenerationError, match=rf"^1 request.*{status}: "),
    ):
        collect(generator(server, max_retries=2, concurrency=2), numbered(20), arrived)
    assert len(arrived) == 19


def test_a_server_that_dies_and_comes_back_costs_nothing_but_time() -> None:
    arrived: dict[int, Generation] = {}
    with ApiServer(echo, latency=0.02) as server:
        source = generator(server, concurrency=8, max_retries=2)

        def die_and_come_back() -> None:
            server.stop()
            threading.Event().wait(1.0)  # much longer than two retries take here
            server.start()

        nurse = threading.Thread(target=die_and_come_back)
        for chunk in source.generate(iter(numbered(200))):
            arrived.update(chunk)
            if len(arrived) > 20 and nurse.ident is None:
                nurse.start()
        nurse.join()
    assert {n: made.text for n, made in arrived.items()} == {n: f"to question {n}" for n in range(200)}


def test_an_outage_from_the_middle_on_ends_the_run_with_what_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    health = sender.Health
    monkeypatch.setattr(sender, "Health", lambda patience, now, wait: health(0.5, now, wait))
    arrived: dict[int, Generation] = {}
    script: Script = lambda request: echo(request) if request.index < 30 else Reply(status=500)  # noqa: E731
    with (
        ApiServer(script) as server,
        pytest.raises(GenerationError, match=r"nothing succeeded for \d+ s; the last of \d+ failures"),
    ):
        collect(generator(server, concurrency=8), numbered(200), arrived)
    assert len(arrived) == 30


LLAMA_CPP = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
STARTING = {
    "llama.cpp": Reply(status=503, body=LLAMA_CPP),
    "Hugging Face": Reply(
        status=503, body=b'{"error":"Model org/x is currently loading","estimated_time":20}'
    ),
    "a gateway": Reply(status=502, body=b"<h1>The model server is starting up</h1>"),
    "KServe": Reply(status=503, error="Model with name x is not ready."),
    "llama.cpp, before": Reply(status=503, body=b'{"status": "loading model"}'),
    "with a pause": Reply(status=503, body=LLAMA_CPP, headers={"Retry-After": "0.05"}),
}


def for_a_while(reply: Reply, seconds: float) -> Callable[[ApiRequest], Reply | str]:
    until = time.monotonic() + seconds
    return lambda request: reply if time.monotonic() < until else echo(request)


@pytest.mark.parametrize("reply", STARTING.values(), ids=STARTING.keys())
@pytest.mark.parametrize("count", [2, 60])
def test_an_engine_that_is_starting_is_waited_for(
    reply: Reply, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "toolgen_hf")
    with ApiServer(for_a_while(reply, 1.5)) as server:  # five times as long as any other failure has here
        made = collect(generator(server, max_retries=0), numbered(count))
    assert [m.text for m in made] == [f"to question {n}" for n in range(count)]
    first, last = [r.getMessage() for r in caplog.records if r.name.startswith("toolgen_hf")]
    assert first.startswith("the engine is not ready yet, waiting for it for up to 600 s (wait_for_engine; ")
    assert last.startswith("the engine is ready after ")


@pytest.mark.parametrize("wait", [0, 0.4])
def test_an_engine_that_is_starting_is_not_waited_for_for_longer_than_is_said(wait: float) -> None:
    said = (
        r"still not ready after \d s \(wait_for_engine\): 503: Loading model"
        if wait
        else "503: Loading model"
    )
    with ApiServer(STARTING["llama.cpp"]) as server, pytest.raises(GenerationError, match=said):
        collect(generator(server, wait_for_engine=wait, max_retries=1), numbered(3))


@pytest.mark.parametrize("reply", [Reply(fault="reset"), Reply(status=502, body=b"Bad Gateway")])
def test_a_port_without_a_server_behind_it_is_waited_for_if_that_is_said(reply: Reply) -> None:
    with ApiServer(for_a_while(reply, 1.0)) as server:
        assert len(collect(generator(server, max_retries=0, wait_for_engine=30), numbered(12))) == 12


@pytest.mark.parametrize("error", ["failed to load model 'x.gguf'", "The engine is currently overloaded"])
def test_an_engine_that_is_broken_or_busy_is_not_starting(error: str) -> None:
    with (
        ApiServer(Reply(status=503, error=error)) as server,
        pytest.raises(GenerationError, match=r"2 requests .* failed after 1 retries"),
    ):
        collect(generator(server, max_retries=1), numbered(2))


def test_a_run_may_start_before_its_server_if_that_is_said() -> None:
    server = ApiServer(echo)
    with server:
        pass  # it has a port now, and is stopped
    starter = threading.Timer(1.2, server.start)
    starter.start()
    made = collect(generator(server, wait_for_engine=30, max_retries=0), numbered(5))
    starter.join()
    server.stop()
    assert [m.text for m in made] == [f"to question {n}" for n in range(5)]


def test_a_request_that_is_told_to_wait_while_others_are_answered_fails_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolgen_hf.models.openai.sender.MAX_LIMITED", 3)
    arrived: dict[int, Generation] = {}
    stuck = failing("question 0", reply=Reply(status=503, body=LLAMA_CPP, headers={"Retry-After": "0.01"}))
    with (
        ApiServer(stuck, latency=0.02) as server,
        pytest.raises(GenerationError, match=r"^1 request.*503: Loading model"),
    ):
        collect(generator(server, concurrency=2), numbered(60), arrived)
    assert len(arrived) == 59


def test_a_busy_engine_is_asked_by_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes five at a time and turns the others away: nobody may fail for that."""
    sizes: list[float] = []
    shrink = Window.shrink

    def watched(window: Window, now: float) -> None:
        shrink(window, now)
        sizes.append(window.size)

    def overloaded(request: ApiRequest) -> Reply:
        return Reply(status=503, latency=0) if server.in_flight > 5 else Reply(echo(request))

    monkeypatch.setattr(Window, "shrink", watched)
    with ApiServer(overloaded, latency=0.03) as server:
        assert len(collect(generator(server, concurrency=32), numbered(200))) == 200
    assert min(sizes) < 32


def test_equal_prompts_are_requests_of_their_own() -> None:
    with ApiServer(echo) as server:
        assert [m.text for m in collect(generator(server), requests(["a", "a", "a"]))] == ["to a"] * 3
        assert server.count == 3


def test_everything_at_once() -> None:
    """Every kind of trouble, at random, and every text is there once."""
    faults = [replace(fault, latency=0) for fault in FAULTS.values()] + [Reply(status=429)]

    def chaos(request: ApiRequest) -> Reply:
        luck = int(request.digest[:8], 16) + 7919 * request.seen
        return faults[luck % len(faults)] if luck % 3 == 0 and request.seen < 5 else Reply(echo(request))

    with ApiServer(chaos, latency=0.005) as server:
        made = collect(generator(server, concurrency=16), numbered(300))
    assert [m.text for m in made] == [f"to question {n}" for n in range(300)]
