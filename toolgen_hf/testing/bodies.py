"""The JSON of the API: completions, errors and lists, in OpenAI's forms."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from toolgen_hf.testing.messages import Api, ApiRequest, Reply

_ERRORS: Mapping[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not supported here."),
    404: ("invalid_request_error", None, "There is no such thing here."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
}
_SERVER_ERROR = (
    "server_error",
    None,
    "The server had an error while processing your request. Sorry about that!",
)

JSON_TYPE = {"Content-Type": "application/json"}


def body_of(reply: Reply, request: ApiRequest) -> bytes:
    """The response body of a reply, as bytes."""
    if reply.body is not None:
        return reply.body
    if reply.error is not None or reply.status >= 400:
        return dumps(error(reply.status, reply.error))
    return dumps(completion(reply, request))


def completion(reply: Reply, request: ApiRequest) -> dict[str, Any]:
    """A chat completion or a completion."""
    chat = request.api == "chat"
    choices = reply.choices
    if choices is None:
        choice = _chat_choice(reply) if chat else _choice(reply)
        choices = [{"index": index, **choice} for index in range(request.body.get("n") or 1)]
    usage = _usage(reply, request) if reply.usage is None else reply.usage
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{request.index}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": request.body.get("model") if reply.model is None else reply.model,
        "choices": choices,
        **({"usage": usage} if usage else {}),
    }


def _chat_choice(reply: Reply) -> dict[str, Any]:
    content = None if reply.refusal is not None and not reply.text else reply.text
    message = {"role": "assistant", "content": content, "refusal": reply.refusal}
    return {"message": message, "logprobs": None, "finish_reason": reply.finish_reason}


def _choice(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "logprobs": None, "finish_reason": reply.finish_reason}


def _usage(reply: Reply, request: ApiRequest) -> dict[str, int]:
    asked, told = len(request.prompt) // 4 + 1, len(reply.text or "") // 4 + 1
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def error(status: int, given: Mapping[str, Any] | str | None = None) -> dict[str, Any]:
    """``{"error": {"message", "type", "param", "code"}}``; what is not given follows from the status."""
    kind, code, message = _ERRORS.get(status, _SERVER_ERROR)
    fields = {"message": message, "type": kind, "param": None, "code": code}
    return {"error": fields | ({"message": given} if isinstance(given, str) else dict(given or {}))}


def refused_key(key: str) -> Reply:
    """Repeats the key, as some servers do: what a client logs of it must not be the whole message."""
    where = "You can find your API key at https://platform.openai.com/account/api-keys."
    return Reply(status=401, error=f"Incorrect API key provided: {key}. {where}", latency=0)


def refused_model(model: object) -> Reply:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Reply(status=404, error={"message": message, "code": "model_not_found"}, latency=0)


def refused_body(api: Api, body: Mapping[str, Any]) -> Reply | None:
    """What is wrong with a request, None if nothing is."""
    name = "messages" if api == "chat" else "prompt"
    kind = list if api == "chat" else str
    if not isinstance(body.get("model"), str):
        problem = "you must provide a model parameter"
    elif not isinstance(body.get(name), kind):
        problem = f"'{name}' is required here, as a {'list' if api == 'chat' else 'string'}"
    elif body.get("stream"):
        problem = "this server does not stream"
    else:
        return None
    return Reply(status=400, error=problem, latency=0)


def page(
    items: Sequence[Mapping[str, Any]], query: Mapping[str, str], limit: int
) -> tuple[int, dict[str, Any]]:
    """A status and one page of a list: what follows the item ``after``, at most ``limit``."""
    ids = [item["id"] for item in items]
    after = query.get("after")
    if after is not None and after not in ids:
        return 400, error(400, f"No such object: {after}")
    start = 0 if after is None else ids.index(after) + 1
    data = items[start : start + int(query.get("limit", limit))]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    more = start + len(data) < len(items)
    return 200, {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(status: int, value: Any) -> web.Response:
    return web.Response(status=status, body=dumps(value), headers=JSON_TYPE)
