"""What an engine wants sent otherwise: which of its words change a request, how, and that it is asked once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import collect, config, generator, numbered, one, splits
from toolgen_hf import Workspace, answer, respond
from toolgen_hf.ask import Prompt, Request
from toolgen_hf.errors import RefusedError
from toolgen_hf.models.openai.adaptations import Shape
from toolgen_hf.models.openai.failures import Failure
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

pytestmark = pytest.mark.usefixtures("quick")

BODY: dict[str, Any] = {
    "model": "prod",
    "max_tokens": 64,
    "temperature": 0.0,
    "seed": 3,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}],
}
JOINED = [{"role": "user", "content": "Be brief.\n\n1+1?"}]
LIMIT = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
ZERO = "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported."


def adapted(
    words: str, status: int = 400, body: dict[str, Any] = BODY, **error: Any
) -> dict[str, Any] | None:
    """What becomes of a request that is refused with these words; None: nothing."""
    shape = Shape()
    kind = "request" if status in (400, 422) else "retry"
    is_changed = shape.learn(Failure(kind, f"{status}: {words}", status=status, error=error), body, 0)
    return dict(shape.apply(body)) if is_changed else None


@pytest.mark.parametrize(
    "words",
    [
        LIMIT,
        "azure does not support parameters: ['max_tokens'], for model=o3-mini. To drop these, set drop_params",
        "`max_tokens` is deprecated in favor of `max_completion_tokens`",
        "[{'type': 'extra_forbidden', 'loc': ('body', 'max_tokens'), 'msg': 'Extra inputs are not permitted'}]",
        "this model isn't compatible. max_tokens is not supported; use max_completion_tokens",
    ],
)
def test_the_limit_goes_by_another_name(words: str) -> None:
    made = adapted(words)
    assert made == {**{k: v for k, v in BODY.items() if k != "max_tokens"}, "max_completion_tokens": 64}


def test_the_parameter_may_be_named_beside_the_words() -> None:
    made = adapted("Ungültiger Parameter.", code="unsupported_parameter", param="max_tokens")
    assert made is not None
    assert "max_completion_tokens" in made


@pytest.mark.parametrize(
    "words",
    [
        "Unrecognized request argument supplied: max_completion_tokens",
        "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are forbidden'}]",
        "Unknown parameter: 'max_completion_tokens'.",
    ],
)
def test_an_older_server_gets_the_limit_by_its_old_name(words: str) -> None:
    body = {"model": "gpt-5", "max_completion_tokens": 9}
    assert adapted(words, body=body) == {"model": "gpt-5", "max_tokens": 9}


@pytest.mark.parametrize(
    "words",
    [
        ZERO,
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "`temperature` must be strictly positive",
        "temperature: Input should be greater than 0",
        "o1 doesn't support temperature",
    ],
)
def test_temperature_0_is_left_out(words: str) -> None:
    assert adapted(words) == {name: value for name, value in BODY.items() if name != "temperature"}
    assert adapted(words, body={**BODY, "temperature": 0.7}) is None  # that was asked for


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "System role not supported"),  # Gemma's template, by vLLM
        (500, "System role not supported at row 1, column 12"),  # by llama.cpp
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (422, "Input should be 'user' or 'assistant'"),
        (500, "Only user and assistant roles are supported!"),
        (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),  # o1-mini
        (400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
        (400, "This model doesn't support system messages. Try again without a system message."),  # Bedrock
        (400, 'Unexpected role "system". The Messages API accepts a top-level `system` parameter.'),
        (422, "Invalid role: system is not one of user, assistant"),
    ],
)
def test_the_system_text_goes_before_the_users(status: int, words: str) -> None:
    assert adapted(words, status) == {**BODY, "messages": JOINED}
    assert adapted(words, status, {**BODY, "messages": BODY["messages"][1:]}) is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "max_tokens is too large: 64. This model supports at most 32 completion tokens."),
        (
            400,
            "'max_tokens' or 'max_completion_tokens' is too large: 64. The maximum context length is 16 tokens.",
        ),
        (400, "Unsupported parameter: 'seed' is not supported with this model."),  # the recipe sets it
        (400, "Unrecognized request argument: colour"),
        (500, "Unexpected system error"),
        (500, "The server had an error while processing your request."),
        (400, "The model `x` does not exist"),
        (400, ""),
    ],
)
def test_other_words_change_nothing(status: int, words: str) -> None:
    assert adapted(words, status) is None


def test_each_change_is_made_once() -> None:
    """A server that never has enough is not asked for ever."""
    shape, sent = Shape(), 0
    for words in [LIMIT, "max_completion_tokens is unknown"] * 3:
        failure = Failure("request", words, status=400)
        if shape.learn(failure, BODY, len(shape.changes)):
            sent += 1
    assert sent == len(shape.changes) == 2


def deployment(request: ApiRequest) -> Reply | str:
    """A reasoning model under a name of its owner's, which knows no system role."""
    if "max_tokens" in request.body:
        error = {"message": LIMIT, "param": "max_tokens", "code": "unsupported_parameter"}
    elif "temperature" in request.body:
        error = {"message": ZERO, "param": "temperature", "code": "unsupported_value"}
    elif request.body["messages"][0]["role"] == "system":
        error = {
            "message": "Unsupported value: 'messages[0].role' does not support 'system' with this model."
        }
    else:
        return f"to {request.user}"
    return Reply(status=400, error=error)


def test_requests_on_their_way_are_sent_again_in_the_new_shape(caplog: pytest.LogCaptureFixture) -> None:
    asked = [Request(Prompt("Be brief.", f"question {n}")) for n in range(40)]
    with ApiServer(deployment, latency=0.02) as server:
        made = collect(generator(server, engine="prod", concurrency=8, max_retries=0), asked)
        assert [m.text for m in made] == [f"to Be brief.\n\nquestion {n}" for n in range(40)]
        assert server.count <= 40 + 3 * 8
        assert server.requests[-1].body.keys() == {"model", "max_completion_tokens", "messages"}
    said = [r.getMessage() for r in caplog.records if r.name.startswith("toolgen_hf")]
    assert [line.partition(" (")[0] for line in said] == [
        "engine 'prod': max_completion_tokens is sent instead of max_tokens",
        "engine 'prod': temperature 0 is not sent, so that the engine's own holds",
        "engine 'prod': the system text is sent at the beginning of the user's, since there is no system role",
    ]


def test_what_was_found_out_holds_for_the_stages_that_follow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ApiServer(deployment) as server, Workspace(tmp_path, progress=False) as workspace:
        answer(splits(4), config(server, engine="prod"), workspace)
        count = server.count
        respond(splits(4), "any", SourceConfig(generator=config(server, engine="prod", seed=1)), workspace)
        assert server.count == count + 4
    assert len([r for r in caplog.records if r.getMessage().startswith("engine 'prod': ")]) == 3


def test_keys_do_not_depend_on_the_shape(tmp_path: Path) -> None:
    """Texts of before are found again, and so are those of a request that was changed."""
    with ApiServer("5") as server, Workspace(tmp_path, progress=False) as workspace:
        engine = config(server, engine="prod")
        before = json.dumps(generator(server, engine="prod").identity())
        answer(splits(3), engine, workspace)
        server.configure(script=deployment)
        answer(splits(5), engine, workspace)  # three are there
        assert [len(server.requests[n].body) for n in (0, -1)] == [4, 3]
        count = server.count
        answer(splits(5), engine, workspace, drop_overlap=True)  # the stage runs again, all texts are there
        assert server.count == count
        assert json.dumps(generator(server, engine="prod").identity()) == before


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"temperature": 0.7}, ZERO, "The recipe sets 'temperature': set temperature: null"),
        (
            {"stop": ["\n"]},
            "Unsupported parameter: 'stop' is not supported with this model.",
            "take 'stop' out of",
        ),
        ({"seed": 0}, "Unrecognized request argument: seed", "take 'seed' out of the settings"),
        ({"top_p": 0.5}, "Unsupported parameter: 'top_p'", "take 'top_p' out of the settings"),
        ({"frequency_penalty": 1}, "frequency_penalty is not supported", "take 'frequency_penalty' out of"),
        ({"extra": {"logit_bias": {}}}, "logit_bias is not supported", "take 'logit_bias' out of extra"),
    ],
)
def test_what_the_recipe_asks_for_is_not_dropped(settings: dict[str, Any], error: str, said: str) -> None:
    with ApiServer(Reply(status=400, error=error)) as server, pytest.raises(RefusedError, match=said):
        one(server, **settings)


def test_what_the_message_about_extra_leads_to_works() -> None:
    with pytest.raises(ValueError, match=r"use max_tokens, beside extra \(it is sent under the name"):
        config(extra={"max_completion_tokens": 512})
    with ApiServer(deployment) as server:
        collect(generator(server, engine="prod", max_tokens=512), numbered(1))
        assert server.requests[-1].body["max_completion_tokens"] == 512
