"""The scripted server's Files and Batch API, as the real ``openai`` client meets it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from openai import OpenAI

from toolgen_hf.testing import ApiRequest, ApiServer, Reply

URL = "/v1/chat/completions"


def client(server: ApiServer) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="sk-any", max_retries=0, timeout=10)


def line(n: int, **more: Any) -> dict[str, Any]:
    body = {"model": "any", "messages": [{"role": "user", "content": str(n)}]}
    return {"custom_id": f"row-{n}", "method": "POST", "url": URL, "body": body} | more


def submit(api: OpenAI, lines: Sequence[Any], **more: Any) -> Any:
    content = "".join(json.dumps(one) + "\n" for one in lines).encode()
    file = api.files.create(file=("input.jsonl", content), purpose="batch")
    return api.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h", **more)


def rows(api: OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id is not None
    lines = [json.loads(one) for one in api.files.content(file_id).text.splitlines()]
    return {one["custom_id"]: one for one in lines}


def text(row: dict[str, Any]) -> str:
    return str(row["response"]["body"]["choices"][0]["message"]["content"])


def test_files() -> None:
    with ApiServer() as server:
        api = client(server)
        file = api.files.create(file=("input.jsonl", b"x" * 3_000_000), purpose="batch")
        other = api.files.create(file=("é.jsonl", b"y"), purpose="batch")
        assert (file.bytes, file.filename, file.purpose, file.status) == (
            3_000_000,
            "input.jsonl",
            "batch",
            "processed",
        )
        assert server.files[other.id].content == api.files.content(other.id).read() == b"y"
        assert api.files.retrieve(other.id) == other
        assert [one.id for one in api.files.list(purpose="batch", limit=1)] == [
            other.id,
            file.id,
        ]  # two pages
        assert api.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError, match="No such File"):
            api.files.retrieve(file.id)


def test_the_whole_life_of_a_batch() -> None:
    with ApiServer(lambda request: f"heard {request.user}", batch_seconds=0.8) as server:
        api = client(server)
        batch = submit(api, [line(n) for n in range(40)], metadata={"run": "one"})
        assert (batch.status, batch.metadata, batch.request_counts.total) == ("validating", {"run": "one"}, 0)
        statuses, completed = [batch.status], [0]
        while batch.status != "completed":
            time.sleep(0.01)
            batch = api.batches.retrieve(batch.id)
            completed.append(batch.request_counts.completed)
            statuses += [batch.status] * (batch.status != statuses[-1])
        assert statuses == ["validating", "in_progress", "finalizing", "completed"]
        assert completed == sorted(completed)
        assert len(set(completed)) > 3
        assert (batch.request_counts.total, batch.request_counts.failed, batch.error_file_id) == (40, 0, None)
        assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
        done = rows(api, batch.output_file_id)
        assert {name: text(row) for name, row in done.items()} == {
            f"row-{n}": f"heard {n}" for n in range(40)
        }
        assert list(done) != [f"row-{n}" for n in range(40)]  # the order is not promised
        assert done["row-3"]["response"]["status_code"] == 200
        assert done["row-3"]["error"] is None
        assert server.batches[batch.id]["status"] == "completed"
        assert {request.batch for request in server.requests} == {batch.id}
        assert server.count == 40


def test_lines_that_fail_are_in_the_error_file() -> None:
    def script(request: ApiRequest) -> Reply:
        statuses = {"1": 429, "2": 500}
        if request.user == "3":
            return Reply(fault="hang")
        return Reply("ok", status=statuses.get(request.user, 200))

    with ApiServer(script) as server:
        api = client(server)
        bad = line(4, body={"model": "any"})
        batch = api.batches.retrieve(submit(api, [line(n) for n in range(4)] + [bad]).id)
        counts = batch.request_counts
        assert counts is not None
        assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 5, 1, 4)
        assert list(rows(api, batch.output_file_id)) == ["row-0"]
        failed = rows(api, batch.error_file_id)
    assert {name: row["response"]["status_code"] for name, row in failed.items() if row["response"]} == {
        "row-1": 429,
        "row-2": 500,
        "row-4": 400,
    }
    assert failed["row-1"]["response"]["body"]["error"]["code"] == "rate_limit_exceeded"
    assert failed["row-3"]["error"]["code"] == "request_timeout"


def test_a_batch_that_expires_and_the_rest_of_it() -> None:
    with ApiServer("ok", expire_after=3) as server:
        api = client(server)
        batch = api.batches.retrieve(submit(api, [line(n) for n in range(5)]).id)
        assert (batch.status, server.count) == ("expired", 3)
        assert set(rows(api, batch.output_file_id)) == {"row-0", "row-1", "row-2"}
        left = rows(api, batch.error_file_id)
        assert {name: (row["response"], row["error"]["code"]) for name, row in left.items()} == {
            "row-3": (None, "batch_expired"),
            "row-4": (None, "batch_expired"),
        }
        again = submit(api, [line(n) for n in (3, 4)])
        assert api.batches.retrieve(again.id).status == "completed"


def test_a_batch_that_is_cancelled() -> None:
    with ApiServer("ok", batch_seconds=60) as server:
        api = client(server)
        batch = submit(api, [line(0)])
        assert api.batches.cancel(batch.id).status == "cancelling"
        done = api.batches.retrieve(batch.id)
        assert (done.status, done.output_file_id, server.count) == ("cancelled", None, 0)
        assert rows(api, done.error_file_id)["row-0"]["error"]["code"] == "batch_cancelled"
        with pytest.raises(openai.ConflictError, match="Cannot cancel"):
            api.batches.cancel(batch.id)


@pytest.mark.parametrize(
    ("lines", "code", "at"),
    [
        ([], "empty_file", None),
        ([line(0), line(0)], "duplicate_custom_id", 2),
        ([line(0, url="/v1/completions")], "mismatched_url", 1),
        ([line(0), "text"], "invalid_json_line", 2),
    ],
)
def test_input_that_is_not_valid(lines: list[Any], code: str, at: int | None) -> None:
    with ApiServer("ok") as server:
        batch = client(server).batches.retrieve(submit(client(server), lines).id)
        assert (batch.status, server.count) == ("failed", 0)
        assert batch.errors is not None
        assert [(problem.code, problem.line) for problem in batch.errors.data or ()] == [(code, at)]


def test_validation_that_fails_as_scripted_until_it_does_not() -> None:
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
    with ApiServer("ok", batch_errors=[full]) as server:
        api = client(server)
        failed = api.batches.retrieve(submit(api, [line(0)]).id)
        assert failed.errors is not None
        assert failed.status == "failed"
        assert [problem.code for problem in failed.errors.data or ()] == ["token_limit_exceeded"]
        server.configure()
        assert api.batches.retrieve(submit(api, [line(0)]).id).status == "completed"


def test_lists_are_given_in_pages_newest_first() -> None:
    with ApiServer("ok") as server:
        api = client(server)
        ids = [submit(api, [line(n)]).id for n in range(5)]
        page = api.batches.list(limit=2)
        assert ([batch.id for batch in page.data], page.has_more) == (ids[:2:-1], True)
        assert [batch.id for batch in api.batches.list(limit=2)] == ids[::-1]  # three pages
        last = api.batches.list(after=ids[1], limit=2)
        assert ([batch.id for batch in last.data], last.has_more) == ([ids[0]], False)


def test_what_is_not_there() -> None:
    with ApiServer("ok") as server:
        api = client(server)
        with pytest.raises(openai.BadRequestError, match="input_file_id"):
            api.batches.create(input_file_id="file-0", endpoint=URL, completion_window="24h")
        with pytest.raises(openai.NotFoundError, match="batch_0"):
            api.batches.retrieve("batch_0")
