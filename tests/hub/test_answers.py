"""Answers that are not the Hub's, and a Hub that asks to wait: an error that says so, and the token stays here."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import get_session
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.conftest import REPO, Clock, Repository, Sets
from tests.support.hub import Fault
from toolgen_hf.errors import HubError
from toolgen_hf.hub import pull, push, versions
from toolgen_hf.hub.remote import seconds_asked

PAGE = b"<html><body>Please log in to this network</body></html>"
COMMANDS: dict[str, Callable[[Path, Sets], object]] = {
    "versions": lambda out, sets: versions(REPO),
    "pull": lambda out, sets: pull(REPO, out),
    "push": lambda out, sets: push(sets.slim_new, REPO, "2.0.0"),
}
STEPS = [
    ("versions", "^GET .*/refs"),
    ("versions", "^GET .*/commits/"),
    ("versions", "^HEAD .*/resolve/"),
    ("pull", "^GET .*/refs"),
    ("pull", "^GET .*/tree"),
    ("pull", "^GET .*/resolve/"),
    ("push", "^POST /api/repos/create"),
    ("push", "^GET .*/revision/"),
    ("push", "^POST .*/preupload"),
    ("push", "^POST .*/commit/"),
]
BODIES: dict[str, Fault] = {
    "a page": Fault(200, body=PAGE, headers={"Content-Type": "text/html"}),
    "nothing": Fault(200, body=b""),
    "another list": Fault(200, body=b'[5, "a"]'),
    "a number": Fault(200, body=b"5"),
    "other keys": Fault(200, body=json.dumps({"tags": 5, "branches": [], "converts": [], "id": 7}).encode()),
    "no UTF-8": Fault(200, body=b'\xff\xfe{"a": "\xff"}'),
    "a huge number": Fault(200, body=b'{"a": ' + b"9" * 5000 + b"}"),
    "deep": Fault(200, body=b"[" * 100_000),
    "cut gzip": Fault(200, body=gzip.compress(b"{}" * 500)[:20], headers={"Content-Encoding": "gzip"}),
    "no gzip": Fault(200, body=b"hello", headers={"Content-Encoding": "gzip"}),
    "no address": Fault(302, body=b"", headers={"Location": "http://[::1"}),
}


@pytest.mark.parametrize(("command", "step"), STEPS)
def test_an_answer_that_is_not_the_hubs(
    repository: Repository, sets: Sets, tmp_path: Path, command: str, step: str
) -> None:
    for kind, fault in BODIES.items():
        repository.reset()
        repository.hub.fault = plan = fault.on(step, times=None)
        with pytest.raises(HubError) as caught:
            COMMANDS[command](tmp_path / "out", sets)
        assert plan.hits, kind
        assert REPO in str(caught.value) or repository.hub.endpoint in str(caught.value), kind
        assert len(str(caught.value)) < 900
        assert not (tmp_path / "out").exists()
        assert "v2.0.0" not in repository.tags


def test_what_to_do_about_a_page_is_said(repository: Repository) -> None:
    repository.hub.fault = Fault(200, body=PAGE).on("^GET .*/refs", times=None)
    with pytest.raises(
        HubError, match=r"not one of the Hub \(JSONDecodeError: .*login page or a proxy .*HF_ENDPOINT"
    ):
        versions(REPO)


@pytest.mark.parametrize("oid", [5, None, "", "../x", "main", "g" * 40, "0" * 41, "\u0660" * 40])
def test_a_commit_that_is_none(repository: Repository, tmp_path: Path, oid: object) -> None:
    refs = {
        "branches": [],
        "converts": [],
        "tags": [{"name": "v9.0.0", "ref": "refs/tags/v9.0.0", "targetCommit": oid}],
    }
    repository.hub.fault = Fault(200, body=json.dumps(refs).encode()).on("^GET .*/refs", times=None)
    with pytest.raises(HubError, match="is not a commit id"):
        pull(REPO, tmp_path / "out")


def test_a_circle_of_redirects_ends(repository: Repository) -> None:
    here = f"{repository.hub.endpoint}/api/datasets/{REPO}/refs"
    repository.hub.fault = Fault(302, body=b"", headers={"Location": here}).on("^GET .*/refs", times=None)
    with pytest.raises(HubError, match="TooManyRedirects"):
        versions(REPO)


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str | None]]]:
    """Another host, and the keys that were sent to it."""
    sent: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else PAGE)

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *said: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/x", sent
        server.shutdown()


@pytest.mark.parametrize(("command", "step"), STEPS)
def test_the_token_is_not_sent_elsewhere(
    repository: Repository,
    sets: Sets,
    tmp_path: Path,
    elsewhere: tuple[str, list[str | None]],
    command: str,
    step: str,
) -> None:
    address, sent = elsewhere
    for status in (302, 307, 308):
        repository.reset()
        repository.hub.fault = Fault(status, body=b"", headers={"Location": address}).on(step, times=None)
        with pytest.raises(HubError):
            COMMANDS[command](tmp_path / "out", sets)
    assert set(sent) <= {None}


@pytest.mark.parametrize("step", ["^GET .*/refs", "^HEAD .*/resolve/"])
@pytest.mark.parametrize("asked", ["10800", "9" * 400, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_hub_that_asks_for_hours_is_not_waited_for(
    repository: Repository, clock: Clock, step: str, asked: str
) -> None:
    for status in (429, 503):
        repository.hub.fault = Fault(status, retry_after=asked).on(step, times=None)
        with pytest.raises(HubError, match=r"asks to come again in (10800|\d+) seconds|in years"):
            versions(REPO)
    assert clock.waits == []


@pytest.mark.parametrize("step", ["^GET .*/refs", "^HEAD .*/resolve/"])
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("3", 3, 5), ("0", 0, 3), ("-5", 0, 3), ("nan", 0, 3), ("inf", 0, 3), ("\u00b2", 0, 3), ("soon", 0, 3), ("", 0, 3),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 3), ("1e3", 0, 3), ("0x10", 0, 3), ("3, 3", 0, 3)],
)  # fmt: skip
def test_a_hub_that_asks_for_less_or_nonsense_is_asked_again(
    repository: Repository, clock: Clock, step: str, asked: str, least: float, most: float
) -> None:
    repository.hub.fault = Fault(429, retry_after=asked).on(step, times=2)
    assert [version.tag for version in versions(REPO)] == ["v1.0.0"]
    assert clock.waits
    assert all(least <= seconds <= most for seconds in clock.waits)


def test_the_clients_of_this_process_are_as_they_were(repository: Repository) -> None:
    hooks = get_session().event_hooks["response"]
    before = list(hooks)
    versions(REPO)
    assert hooks == before


@given(st.text() | st.integers().map(str) | st.floats().map(str))
def test_any_header_is_a_number_of_seconds_or_none(value: str) -> None:
    seconds = seconds_asked(value)
    assert seconds is None or seconds >= 0
