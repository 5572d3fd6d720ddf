"""Whatever a server sends, it is a failure of that one request, in words; the others are kept, and so is the key."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.engines import SECRET, collect, generator, numbered
from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai.failures import LONGEST_QUOTE

pytestmark = pytest.mark.usefixtures("quick")

TEXT = json.dumps({"choices": [{"message": {"content": "57"}, "finish_reason": "stop"}]}).encode()


def http(status: int | str, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} -".encode(), f"Content-Length: {len(body)}".encode(), *headers]
    return b"\r\n".join([*lines, b"", body])


Script = Callable[[bytes, bytes], bytes]
"""From the head and the body of a request to all that is sent."""


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """A server of raw bytes; it closes the connection after each answer."""
    ready, stop, where = threading.Event(), threading.Event(), list[str]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if b"content-length" in line]
            writer.write(script(head, await reader.readexactly(int(size[0]) if size else 0)))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        where.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.02)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield where[0]
    finally:
        stop.set()
        thread.join()


CLOSE = b"Connection: close"
RETRIED = {
    "switching protocols": b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "a hint and nothing more": b"HTTP/1.1 103 -\r\n\r\n",
    "not modified": b"HTTP/1.1 304 -\r\n\r\n",
    "a choice": http(300, b"which?"),
    "redirected nowhere": http(302),
    "redirected to no URL": http(302, b"", b"Location: http://[bad"),
    "redirected to FTP": http(307, b"", b"Location: ftp://127.0.0.1/"),
    "redirected to itself": http(307, b"", b"Location: /v1/chat/completions"),
    "status 600": http(600),
    "status 999": http(999, b"?"),
    "status 000": http("000"),
    "status of letters": http("abc"),
    "status below 0": http(-1),
    "not HTTP": b"SSH-2.0-OpenSSH_9\r\n",
    "bytes": b"\x00\xff\x01\r\n\r\n",
    "nothing": b"",
    "chunks that are none": b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nfoo",
    "a chunk of less than nothing": b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nfoo",
    "less than its length": b"HTTP/1.1 200 -\r\nContent-Length: 9999\r\n\r\n" + TEXT,
    "a length of letters": b"HTTP/1.1 200 -\r\nContent-Length: abc\r\n\r\n" + TEXT,
    "two lengths": b"HTTP/1.1 200 -\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + TEXT,
    "no gzip": http(200, b"plain", b"Content-Encoding: gzip"),
    "half of gzip": http(200, gzip.compress(TEXT * 100)[:40], b"Content-Encoding: gzip"),
    "an error that is no gzip": http(500, b"plain", b"Content-Encoding: gzip"),
    "an encoding that is none": http(500, b"abc", b"Content-Type: text/html; charset=undefined"),
    "an encoding that is no text": http(500, b"abc", b"Content-Type: text/html; charset=base64"),
    "an endless header": http(200, TEXT, b"X: " + b"a" * 100_000),
    "many headers": http(200, TEXT, *[b"X: a"] * 20_000),
    "a header with a zero": http(200, TEXT, b"X: a\x00b"),
    "a cookie of bytes": http(500, b"x", b"Set-Cookie: \xff=\x01;;;=;"),
    "a pause in no digits": http(503, b"x", "Retry-After: ²".encode()),
    "a pause in Latin-1": http(503, b"x", "Retry-After: ²".encode("latin-1")),
    "a pause below 0": http(503, b"x", b"Retry-After: -7"),
    "a pause that is no number": http(503, b"x", b"Retry-After: NaN"),
    "limits of bytes": http(
        500, b"x", b"x-ratelimit-remaining-tokens: \xff", b"x-ratelimit-reset-tokens: \xfe"
    ),
}


def mostly(bad: bytes) -> Script:
    """Answers every question but one."""
    return lambda _head, body: bad if b'question 1"' in body or not body else http(200, TEXT, CLOSE)


@pytest.mark.parametrize("bad", RETRIED.values(), ids=RETRIED.keys())
def test_one_request_fails_and_the_others_are_kept(bad: bytes) -> None:
    arrived: dict[int, Generation] = {}
    with (
        serving(mostly(bad)) as url,
        pytest.raises(
            GenerationError, match=r"^1 request to the engine at .* failed after 1 retries"
        ) as caught,
    ):
        collect(generator(base_url=url, max_retries=1, timeout=5), numbered(6), arrived)
    assert sorted(arrived) == [0, 2, 3, 4, 5]
    assert len(str(caught.value)) < 2 * LONGEST_QUOTE
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>" + b"<p>nope</p>" * 9999, "<html><p>nope</p>"),
        (b"[1, 2]", "[1, 2]"),
        (b"7", "7"),
        (b"null", "Error code: 400"),
        (b"", "Error code: 400"),
        (b"\xff\xfe\x00bad", "\ufffd"),
        (b'{"error": "in a word"}', "in a word"),
        (b'{"error": [{"message": "in a list"}]}', "in a list"),
        (b'{"error": {"error": {"message": "further in"}}}', "further in"),
        (b'{"error": {"message": {"text": ["oddly"]}}}', "{'text': ['oddly']}"),
        (b'{"error": 7}', "7"),
        (b'{"error": null}', "Error code: 400"),
        (b'{"detail": "not so"}', "not so"),
        (
            b'{"detail": [{"loc": ["body", "x"], "msg": "is missing"}]}',
            "'loc': ['body', 'x'], 'msg': 'is missing'",
        ),
        (b'{"error": {"message": "two\\nlines\\u0007 \\ud800"}}', "two lines\ufffd \ufffd"),
        (b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}", "400: []"),
        (b'{"error": ' + b'{"a": ' * 400 + b"1" + b"}" * 400 + b"}", "{'a': {'a'"),
        (b"[" * 100_000, "[["),
        (b'{"error": {"message": "' + b"A" * 3_000_000 + b'"}}', "AAA"),
        (b'{"error": {"message": "m", "code": ' + b"9" * 5000 + b"}}", '"message":'),
    ],
)
def test_an_error_of_any_shape_is_quoted_in_short(body: bytes, said: str) -> None:
    with (
        serving(lambda _head, _body: http(400, body, CLOSE)) as url,
        pytest.raises(GenerationError, match="every request was refused: 400: ") as caught,
    ):
        collect(generator(base_url=url), numbered(2))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2 * LONGEST_QUOTE
    assert str(caught.value).isprintable()
    with serving(mostly(http(400, body, CLOSE))) as url:
        made = collect(generator(base_url=url), numbered(3))
    assert [m.finish_reason for m in made] == ["stop", "rejected", "stop"]
    assert len(made[1].raw or "") < 10 * LONGEST_QUOTE


@pytest.mark.parametrize("before", [0, LONGEST_QUOTE - 20, 4 * LONGEST_QUOTE - 20])
def test_a_key_is_not_cut_in_half_where_an_error_is_shortened(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "Zq7distinctiveSECRETvalue42wxyz-of-no-known-form"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    body = json.dumps({"error": {"message": "x" * before + key}}).encode()
    with (
        serving(lambda _head, _body: http(400, body, CLOSE)) as url,
        pytest.raises(GenerationError) as caught,
    ):
        collect(generator(base_url=url), numbered(2))
    assert key[:12] not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_key_does_not_follow_to_another_server(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    seen: list[bytes] = []

    def other(head: bytes, _body: bytes) -> bytes:
        seen.append(head)
        return http(401, b"who are you?", CLOSE)

    with serving(other) as there:
        moved = http(status, b"", f"Location: {there}/chat/completions".encode(), CLOSE)
        with (
            serving(lambda head, _body: (seen.append(head), moved)[1]) as here,
            pytest.raises(GenerationError),
        ):
            collect(generator(base_url=here, max_retries=0), numbered(1))
    assert SECRET.encode() in seen[0]
    assert not any(SECRET.encode() in head for head in seen[1:])
