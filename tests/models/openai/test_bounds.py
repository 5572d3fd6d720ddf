"""No answer takes more memory than it may, however it is sent."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engines import collect, generator, numbered
from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai import batch
from toolgen_hf.models.openai.batch import Account, AccountError, lines_of, outcome
from toolgen_hf.models.openai.messages import parse
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

pytestmark = pytest.mark.usefixtures("quick")

LIMIT = 2**20


def body(size: int) -> bytes:
    choice = {"message": {"content": "a" * size}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice]}).encode()


def sent(size: int, encoding: str, status: int = 200) -> Reply:
    compress = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding]
    return Reply(status=status, body=compress(body(size)), headers={"Content-Encoding": encoding}, latency=0)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
def test_an_answer_within_the_bound_arrives(encoding: str) -> None:
    with ApiServer(sent(LIMIT // 2, encoding)) as server:
        (made,) = collect(generator(server, max_answer_bytes=LIMIT), numbered(1))
    assert made.text == "a" * (LIMIT // 2)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
def test_an_answer_that_is_too_large_fails_alone(encoding: str) -> None:
    def script(request: ApiRequest) -> Reply:
        return sent(2 * LIMIT, encoding) if request.user == "question 3" else Reply("57")

    arrived: dict[int, Generation] = {}
    with (
        ApiServer(script) as server,
        pytest.raises(
            GenerationError, match=r"^1 request .*more than 1048576 bytes; .* set a larger max_answer_bytes"
        ),
    ):
        collect(generator(server, max_answer_bytes=LIMIT, max_retries=1), numbered(20), arrived)
    assert sorted(arrived) == [n for n in range(20) if n != 3]


@pytest.mark.parametrize("status", [200, 500])
def test_a_small_file_that_unpacks_to_a_large_one_is_left_in_time(status: int) -> None:
    size = 100_000_000
    with ApiServer(sent(size, "gzip", status)) as server:
        tracemalloc.start()
        with pytest.raises(GenerationError, match="more than 1048576 bytes"):
            collect(generator(server, max_answer_bytes=LIMIT, max_retries=0), numbered(1))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < size / 4


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"a", b"\n"))), st.integers(1, 8))
def test_lines_are_the_same_however_they_come(parts: Sequence[bytes], limit: int) -> None:
    whole = b"".join(parts).split(b"\n")
    expected = [line if len(line) <= limit else None for line in (whole if whole[-1] else whole[:-1])]
    assert list(lines_of(parts, limit)) == expected


def test_a_line_of_a_batch_that_is_too_long_is_not_answered_and_the_others_are() -> None:
    def script(request: ApiRequest) -> Reply:
        return Reply("57" if request.user != "question 1" or request.seen else "x" * LIMIT)

    with ApiServer(script) as server:
        source = generator(server, batch=True, poll_seconds=0.01, max_answer_bytes=LIMIT // 2)
        made = collect(source, numbered(3))
        assert [one.text for one in made] == ["57"] * 3
        assert server.count == 4  # that one again


@pytest.mark.parametrize("text", ["half \ud83d of it", "a NUL \0 within", "57"])
def test_any_text_of_a_batch_is_what_its_answer_alone_would_be(text: str) -> None:
    body = {
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10**30},
    }
    made = outcome({"custom_id": "1", "response": {"status_code": 200, "body": body}}, "sk-any-key", parse)
    assert isinstance(made, Generation)
    assert made.text == parse(json.dumps(body)).text == text.replace("\ud83d", "\ufffd")
    assert parse(made.raw or "") == made


@pytest.mark.parametrize("breaks", [1, 4, 5])
def test_a_download_that_breaks_off_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch, breaks: int
) -> None:
    attempts = 0

    def download(_account: Account, _file_id: str) -> Iterator[bytes | None]:
        nonlocal attempts
        attempts += 1
        yield from (b'{"n": 0}', None, b"no JSON", b"[1]", b'{"n": 4}')
        if attempts <= breaks:
            raise httpx2.ReadError("the connection broke off")
        yield b'{"n": 5}'

    monkeypatch.setattr(batch, "PAUSE", 0.001)
    monkeypatch.setattr(Account, "_download", download)
    lines = Account("sk-any", "http://localhost:1/v1", 1.0, LIMIT).lines("file-1")
    assert [next(lines), next(lines)] == [{"n": 0}, {"n": 4}]
    if breaks < batch.DOWNLOADS:
        assert list(lines) == [{"n": 5}]
    else:
        with pytest.raises(AccountError, match="the download of file-1 broke off: the connection broke off"):
            next(lines)
