"""A key appears nowhere but in the header that it is for, whatever an engine repeats of it."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

import pytest

from tests.support.engines import SECRET, collect, config, generator, numbered, splits
from toolgen_hf import Workspace, respond
from toolgen_hf.errors import GenerationError
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


def holds_the_key(text: str) -> bool:
    return SECRET in text or SECRET[8:-4] in text


def assert_no_key_in(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown = logging.Formatter()  # with tracebacks
    assert any(record.name.startswith("openai") for record in caplog.records), "DEBUG logs were not seen"
    for record in caplog.records:
        assert not holds_the_key(shown.format(record) + repr(record.args)), record.name
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "store.sqlite" for path in files)
    for path in files:
        assert SECRET[8:-4].encode() not in path.read_bytes(), path


REPEATING = {
    "401": Reply(status=401, error=f"Incorrect API key provided: {SECRET}"),
    "401 in HTML": Reply(status=401, body=f"<b>Bearer {SECRET}</b>".encode()),
    "400": Reply(status=400, error={"message": f"bad {SECRET}", SECRET: SECRET, "param": SECRET}),
    "500": Reply(status=500, error=f"we logged {SECRET}", headers={"x-key": SECRET}),
    "no JSON": Reply(body=f"Bearer {SECRET}".encode()),
    "error in a 200": Reply(body=json.dumps({"error": {"message": SECRET}}).encode()),
    "429": Reply(status=429, error={"message": f"{SECRET} has no quota", "code": "insufficient_quota"}),
}


@pytest.mark.parametrize("reply", REPEATING.values(), ids=REPEATING.keys())
def test_no_error_shows_a_key(reply: Reply, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ApiServer(reply) as server, Workspace(tmp_path, progress=False) as workspace:
        source = SourceConfig(generator=config(server, max_retries=1))
        with pytest.raises(GenerationError) as caught:
            respond(splits(15), "any", source, workspace)
        assert server.requests[0].key == SECRET
    error: BaseException | None = caught.value
    while error is not None:
        assert not holds_the_key(f"{error} {error!r} {error.args}")
        error = error.__cause__ or error.__context__
    assert not holds_the_key("".join(traceback.format_exception(caught.value)))
    assert_no_key_in(tmp_path, caplog)


def test_no_file_holds_a_key_that_answers_repeat(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def script(request: ApiRequest) -> Reply:
        n = int(request.digest[:4], 16) % 3
        if request.seen == 0 and n == 0:
            return REPEATING["500"]
        if n == 1:
            return Reply(status=400, error=f"content_filter for {SECRET}")
        return Reply(f"Your key is {SECRET}.", headers={"x-key": SECRET})

    with ApiServer(script) as server, Workspace(tmp_path, progress=False) as workspace:
        source = SourceConfig(generator=config(server))
        made = respond(splits(30, 5), "any", source, workspace)
        assert_no_key_in(tmp_path, caplog)  # while the store's log is there too
    texts = {*made["train"]["response"], *made["test"]["response"]}
    assert texts == {"", "Your key is …wxyz."}
    assert_no_key_in(tmp_path, caplog)


@pytest.mark.parametrize("key", ["EMPTY", "1", "stop"])
def test_a_placeholder_for_a_key_leaves_answers_as_they_are(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with ApiServer("1 EMPTY stop sign") as server:
        assert collect(generator(server), numbered(1))[0].text == "1 EMPTY stop sign"
