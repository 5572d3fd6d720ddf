"""The files of the Batch API, line by line.

    input          {"custom_id": KEY, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
    output, error  {"custom_id": KEY, "response": {"status_code": 200, "body": {...}}, "error": null}

Answers come in any order. Source: OpenAI's API reference, "Batch".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from toolgen_hf.ask import Generation
from toolgen_hf.models.openai.failures import Failure, classify, redacted, status_error
from toolgen_hf.models.openai.keys import without_keys
from toolgen_hf.models.openai.messages import MalformedError

MAX_LINES = 50_000
"""Requests of one batch, OpenAI's limit."""
MAX_BYTES = 190_000_000
"""Of one input file; OpenAI's limit is 200 MB."""


def input_files(
    requests: Iterable[tuple[str, Mapping[str, Any]]], url: str
) -> Iterator[tuple[bytes, list[str]]]:
    """Files of requests (key, body) within the limits, each with the keys that it holds."""
    lines: list[bytes] = []
    keys: list[str] = []
    size = 0
    for key, body in requests:
        line = json.dumps({"custom_id": key, "method": "POST", "url": url, "body": body}).encode() + b"\n"
        if lines and (len(lines) >= MAX_LINES or size + len(line) > MAX_BYTES):
            yield b"".join(lines), keys
            lines, keys, size = [], [], 0
        lines.append(line)
        keys.append(key)
        size += len(line)
    if lines:
        yield b"".join(lines), keys


def outcome(line: Mapping[str, Any], key: str, parse: Callable[[str], Generation]) -> Generation | Failure:
    """The text of one line of an output or error file, or why there is none; without the API key ``key``.

    Args:
        parse: reads an answer; raises MalformedError where it is none.
    """
    response, error = line.get("response"), line.get("error")
    if not isinstance(response, Mapping):
        said = error if isinstance(error, Mapping) else {}
        return redacted(Failure("retry", f"{said.get('code')}: {said.get('message')}"), key)
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        error = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(status, int) or not 100 <= status < 600:
            status = 500
        return redacted(classify(status_error(status, error)), key)
    try:
        return parse(
            without_keys(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False), [key])
        )
    except MalformedError as error:
        return redacted(classify(error), key)
