"""Searches of a server: a failure is asked again, and then it is an error, never "nothing is found"."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from toolgen_hf.errors import GenerationError
from toolgen_hf.tools.config import SearchServerConfig, WikipediaConfig
from toolgen_hf.tools.search import web

pytestmark = pytest.mark.enable_socket

Answer = tuple[int, Any, dict[str, str]]


class Server:
    """Answers with what ``answers`` holds, the last one again and again; ``asked`` has the requests."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        self.piece, self.pause = 2**20, 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
                server.asked.append(
                    {"body": self.rfile.read(size), "query": query, "agent": self.headers["User-Agent"]}
                )
                status, body, headers = server.answers[min(len(server.asked), len(server.answers)) - 1]
                sent = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(sent))}.items():
                    self.send_header(name, value)
                self.end_headers()
                for start in range(0, len(sent), server.piece):
                    time.sleep(server.pause)
                    self.wfile.write(sent[start : start + server.piece])

            do_GET = do_POST = _answer  # noqa: N815 - the server calls these names

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/retrieve"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "backoff", lambda attempt: 0.01)
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


FOUND = {"result": [[{"document": {"id": "1", "contents": '"Oslo"\nOslo is a city.'}, "score": 2.0}]]}
SearchOf = Callable[[], list[Any]]


def search(server: Server, **settings: Any) -> list[Any]:
    return web.SearchServer(SearchServerConfig(url=server.url, **settings)).search("Oslo", 2)


def test_a_search_server(server: Server) -> None:
    server.answers = [(200, FOUND, {})]
    assert [(one.id, one.title, one.contents) for one in search(server)] == [("1", "Oslo", "Oslo is a city.")]
    assert json.loads(server.asked[0]["body"]) == {"queries": ["Oslo"], "topk": 2, "return_scores": True}
    server.answers = [(200, {"result": [[]]}, {})]
    assert search(server) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_is_asked_again(server: Server, status: int) -> None:
    server.answers = [(status, {}, {"Retry-After": "0"}), (status, {}, {}), (200, FOUND, {})]
    assert len(search(server)) == 1
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ((503, {}, {}), 6),
        ((404, {}, {}), 1),
        ((200, b"<html>", {}), 6),
        ((200, {"result": "none"}, {}), 1),
        ((200, {"result": [[{"document": {"id": 1}}]]}, {}), 1),
        ((200, [1], {}), 1),
        ((200, {"error": "no index"}, {}), 1),
        ((200, b"[" * 100_000, {}), 6),
        ((200, b"no gzip", {"Content-Encoding": "gzip"}), 6),
    ],
)
def test_a_server_that_stays_down_is_an_error_of_the_run(server: Server, answer: Answer, count: int) -> None:
    server.answers = [answer]
    with pytest.raises(GenerationError, match="the search server 127"):
        search(server)
    assert len(server.asked) == count


def test_a_huge_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_MAX_BYTES", 1000)
    server.answers = [(200, {"result": [["x" * 5000]]}, {})]
    with pytest.raises(GenerationError, match="more than 1,000 bytes"):
        search(server)


def test_a_slow_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time limit is for the whole answer, which may come in pieces."""
    monkeypatch.setattr(web, "_TRIES", 1)
    server.answers, server.piece, server.pause = [(200, FOUND, {})], 10, 0.1
    with pytest.raises(GenerationError, match=r"took more than 0\.5 seconds"):
        search(server, timeout=0.5)


def test_a_query_without_words_is_not_asked(server: Server) -> None:
    server.answers = [(500, {}, {})]
    for query in ("", " ", "?!", "\ud800"):
        assert web.SearchServer(SearchServerConfig(url=server.url)).search(query, 2) == []
        assert web.Wikipedia(WikipediaConfig(contact="ann@example.org"), server.url).search(query, 2) == []
    assert server.asked == []


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("Who wrote the U.S. anthem?", "who wrote the u.s. anthem"),
        ("-Oslo OR insource:/a(/", "oslo or insource /a(/"),
        ('"C++" Norway\'s \ud800', "c++ norway's \ufffd"),
        ("भारत की राजधानी", "भारत की राजधानी"),
        ("word " * 100, ("word " * 60)[:300]),
    ],
)
def test_a_query_is_no_syntax_of_wikipedia(server: Server, query: str, sent: str) -> None:
    server.answers = [(200, {}, {})]
    web.Wikipedia(WikipediaConfig(contact="ann@example.org"), server.url).search(query, 2)
    assert server.asked[0]["query"]["gsrsearch"] == sent


def test_nobody_listens(server: Server) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(GenerationError, match="ConnectError"):
        search(server)


def test_wikipedia(server: Server) -> None:
    """Its client names its owner, waits when the servers lag, and takes the pages in the order of the search."""
    pages = [
        {"pageid": 7, "title": "Oslo fjord", "index": 2, "extract": "A fjord."},
        {"pageid": 5, "title": "Oslo", "index": 1, "extract": "Oslo is a city."},
    ]
    lag = {"error": {"code": "maxlag", "info": "Waiting for a server: 6 seconds lagged"}}
    server.answers = [(200, lag, {"Retry-After": "0"}), (200, {"query": {"pages": pages}}, {}), (200, {}, {})]
    wikipedia = web.Wikipedia(WikipediaConfig(contact="ann@example.org"), server.url)
    assert [one.title for one in wikipedia.search("Oslo", 2)] == ["Oslo", "Oslo fjord"]
    assert {asked["agent"].partition("(")[2] for asked in server.asked} == {"ann@example.org)"}
    assert server.asked[0]["query"]["maxlag"] == "5"
    assert wikipedia.search("nothing", 2) == []
    server.answers = [(200, {"error": {"code": "badvalue"}}, {})]
    with pytest.raises(GenerationError, match=r"Wikipedia did not answer.*badvalue"):
        wikipedia.search("Oslo", 2)
