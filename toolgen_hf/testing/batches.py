"""The Batch API: files of requests that are answered as time passes.

validating -> in_progress -> finalizing -> completed       or expired, cancelled, failed

Time is looked at when a client looks: nothing happens to a batch between two requests for it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from toolgen_hf.testing.bodies import body_of, dumps, error, json_response, page
from toolgen_hf.testing.files import Files
from toolgen_hf.testing.messages import Api, ApiRequest, Reply

FINAL: Final = ("completed", "expired", "cancelled", "failed")
MOST_LINES: Final = 50_000  # of OpenAI's own
_STARTS, _ENDS = 0.25, 0.75  # the part of the time that a batch is in progress

Answer = Callable[[Api, dict[str, Any], str, str], tuple[ApiRequest, Reply]]
_UNDONE = {
    "expired": "This request could not be executed before the completion window expired.",
    "cancelled": "The batch was cancelled before this request was executed.",
}


@dataclass
class _Batch:
    """One batch: ``fields`` is what clients see of it."""

    fields: dict[str, Any]
    key: str
    lines: list[dict[str, Any]]
    stops_after: int
    began: float = field(default_factory=time.monotonic)
    answered: int = 0
    output: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        return str(self.fields["status"])

    def enter(self, status: str) -> None:
        self.fields["status"] = status
        self.fields[f"{status}_at"] = int(time.time())


class Batches:
    """Batches by id.

    ``seconds``       from creation to the end
    ``expire_after``  batches made from now on stop after so many lines, as expired
    ``problems``      batches made from now on fail with these errors, such as
                      ``[{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]``
    """

    def __init__(self, files: Files, endpoints: Mapping[str, Api], answer: Answer) -> None:
        self.seconds = 0.0
        self.expire_after: int | None = None
        self.problems: Sequence[Mapping[str, Any]] = ()
        self._files = files
        self._endpoints = endpoints
        self._answer = answer
        self.clear()

    def clear(self) -> None:
        self._batches: dict[str, _Batch] = {}
        self._made = 0

    def shown(self) -> dict[str, dict[str, Any]]:
        """The batches as clients last saw them."""
        return {name: dict(batch.fields) for name, batch in list(self._batches.items())}

    async def handle(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        """``/v1/batches``, ``/v1/batches/ID`` and ``/v1/batches/ID/cancel``."""
        match request.method, request.path.split("/")[3:]:
            case "POST", []:
                return json_response(*self._create(await request.json(), key))
            case "GET", []:
                newest_first = [self._look(batch) for batch in reversed(self._batches.values())]
                return json_response(*page(newest_first, request.query, 20))
            case "GET", [name] if name in self._batches:
                return json_response(200, self._look(self._batches[name]))
            case "POST", [name, "cancel"] if name in self._batches:
                return json_response(*self._cancel(self._batches[name]))
            case _, [name, *_]:
                return json_response(404, error(404, f"No batch found with id '{name}'."))
        return json_response(404, error(404, f"Invalid URL ({request.method} {request.path})"))

    def _create(self, asked: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        stored = self._files.stored.get(asked.get("input_file_id", ""))
        endpoint = asked.get("endpoint")
        if stored is None or stored.purpose != "batch":
            return 400, error(400, {"message": "Invalid input_file_id.", "param": "input_file_id"})
        if not isinstance(endpoint, str) or endpoint not in self._endpoints:
            return 400, error(400, f"Invalid endpoint: {endpoint!r}.")
        if asked.get("completion_window") != "24h":
            return 400, error(400, "The completion_window is '24h'.")
        lines, problems = _read(stored.content, endpoint)
        problems += [{"line": None, "param": None, **problem} for problem in self.problems]
        self._made += 1
        name = f"batch_{self._made:06d}"
        now = int(time.time())
        fields = {
            "id": name,
            "object": "batch",
            "endpoint": endpoint,
            "errors": {"object": "list", "data": problems} if problems else None,
            "input_file_id": stored.id,
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now,
            "expires_at": now + 24 * 3600,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        stops_after = len(lines) if self.expire_after is None else min(self.expire_after, len(lines))
        self._batches[name] = _Batch(fields, key, lines, stops_after)
        return 200, fields

    def _cancel(self, batch: _Batch) -> tuple[int, dict[str, Any]]:
        self._look(batch)
        if batch.status in FINAL:
            return 409, error(
                409, {"message": f"Cannot cancel a batch that is {batch.status}.", "type": "invalid"}
            )
        if batch.status != "cancelling":
            batch.enter("cancelling")
        return 200, dict(batch.fields)

    def _look(self, batch: _Batch) -> dict[str, Any]:
        """Does what the time since the last look allows, and shows the batch."""
        passed = (time.monotonic() - batch.began) / self.seconds if self.seconds > 0 else 1.0
        if batch.status == "cancelling":
            self._end(batch, "cancelled")
        elif batch.status in FINAL or passed < _STARTS:
            pass
        elif batch.fields["errors"]:
            batch.enter("failed")
        else:
            if batch.status == "validating":
                batch.enter("in_progress")
            self._work(batch, min((passed - _STARTS) / (_ENDS - _STARTS), 1.0))
            if passed >= _ENDS and batch.status == "in_progress":
                batch.enter("finalizing")
            if passed >= 1:
                self._end(batch, "completed" if batch.stops_after == len(batch.lines) else "expired")
        return dict(batch.fields)

    def _work(self, batch: _Batch, share: float) -> None:
        """Answers lines until that share of them is done."""
        for line in batch.lines[batch.answered : int(batch.stops_after * share)]:
            batch.answered += 1
            api = self._endpoints[line["url"]]
            asked, reply = self._answer(api, line["body"], batch.key, batch.fields["id"])
            response, problem = _outcome(asked, reply)
            done = response is not None and response["status_code"] == 200
            name = f"batch_req_{asked.index}"
            (batch.output if done else batch.errors).append(
                {"id": name, "custom_id": line["custom_id"], "response": response, "error": problem}
            )
        counts = {"total": len(batch.lines), "completed": len(batch.output), "failed": len(batch.errors)}
        batch.fields["request_counts"] = counts

    def _end(self, batch: _Batch, status: str) -> None:
        """Writes the files, each in an order of its own: the real one promises none."""
        for line in batch.lines[batch.answered :]:
            problem = {"code": f"batch_{status}", "message": _UNDONE[status]}
            name = f"batch_req_{batch.fields['id']}_{len(batch.errors)}"
            batch.errors.append(
                {"id": name, "custom_id": line["custom_id"], "response": None, "error": problem}
            )
        for kind, lines in (("output", batch.output), ("error", batch.errors)):
            random.Random(batch.fields["id"]).shuffle(lines)
            if lines:
                content = b"".join(dumps(line) + b"\n" for line in lines)
                stored = self._files.add(f"{batch.fields['id']}_{kind}.jsonl", "batch_output", content)
                batch.fields[f"{kind}_file_id"] = stored.id
        batch.enter(status)


def _outcome(asked: ApiRequest, reply: Reply) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """The response of a line, or why it has none."""
    if reply.fault is not None:
        return None, {"code": "request_timeout", "message": "The request timed out."}
    raw = body_of(reply, asked)
    try:
        body = json.loads(raw)
    except ValueError:
        body = raw.decode(errors="replace")
    return {"status_code": reply.status, "request_id": f"req_{asked.index}", "body": body}, None


def _read(content: bytes, endpoint: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of an input file, and what is wrong with them."""
    lines: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            line = json.loads(raw)
            name, url, body = line["custom_id"], line["url"], line["body"]
        except (ValueError, TypeError, KeyError):
            line, name, url, body = {}, "", endpoint, None
        if not isinstance(name, str) or not isinstance(body, dict) or line.get("method") != "POST":
            code, message = "invalid_json_line", "This line is not a request in the form that a batch needs."
        elif name in names:
            code, message = "duplicate_custom_id", f"The custom_id {name!r} was used before."
        elif url != endpoint:
            code, message = "mismatched_url", f"The url {url!r} is not the endpoint of the batch."
        else:
            names.add(name)
            lines.append(line)
            continue
        problems.append({"code": code, "message": message, "line": number, "param": None})
    if not lines and not problems:
        problems.append({"code": "empty_file", "message": "The file is empty.", "line": None, "param": None})
    if len(lines) > MOST_LINES:
        many = f"{len(lines)} requests are more than {MOST_LINES}."
        problems.append({"code": "too_many_tasks", "message": many, "line": None, "param": None})
    return lines, problems
