"""No secret is saved in ``extra``, wherever in it and however it is called; other parameters are let through."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.engines import SECRET, config
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.recipe.mistakes import validated


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        ({"api_key": "hunter2-hunter2"}, "api_key"),
        ({"apiKey": "hunter2-hunter2"}, "apiKey"),
        ({"extra_headers": {"a": "hunter2-hunter2"}}, "extra_headers"),
        ({"metadata": {"x-api-key": "hunter2-hunter2"}}, "metadata.x-api-key"),
        ({"a": [{"b": {"access_token": "hunter2-hunter2"}}]}, "a.0.b.access_token"),
        ({"proxy": {"Set-Cookie": "hunter2-hunter2"}}, "proxy.Set-Cookie"),
        ({"Ocp-Apim-Subscription-Key": "hunter2-hunter2"}, "Ocp-Apim-Subscription-Key"),
        ({"web": {"clientSecret": "hunter2-hunter2"}}, "web.clientSecret"),
        ({"web": {"X-Auth": "hunter2-hunter2"}}, "web.X-Auth"),
        ({"tools": [{"type": "mcp", "authorization": "hunter2-hunter2"}]}, "tools.0.authorization"),
        ({"fields": [{"name": "x-api-key", "value": "hunter2-hunter2"}]}, "fields.0"),
        ({"note": "Authorization: Bearer hunter2-hunter2"}, "note"),
        ({"note": ["a", "bearer hunter2-hunter2"]}, "note.1"),
        ({"note": '{"api_key": "hunter2-hunter2"}'}, "note"),
        ({"url": "https://me:hunter2-hunter2@else.where/"}, "url"),
        ({"deep": {"er": [["a", f"it is {SECRET}."]]}}, "deep.er.0.1"),
        ({"deep": {SECRET: 1}}, "deep.…"),
    ],
)
def test_a_secret_is_refused_and_not_shown(extra: dict[str, Any], place: str) -> None:
    data = {"kind": "openai", "engine": "x", "extra": extra}
    with pytest.raises(ConfigError) as caught:
        validated(OpenAIConfig, data, "it is not valid")
    assert f"extra: {place!r} would be saved with the result" in str(caught.value)
    with pytest.raises(ValidationError) as raised:
        OpenAIConfig(**data)
    for message in (str(caught.value), str(raised.value)):
        assert "hunter2" not in message
        assert SECRET[8:] not in message


@pytest.mark.parametrize(
    "extra",
    [
        {"reasoning_effort": "low", "verbosity": "low", "service_tier": "flex"},
        {"logit_bias": {"50256": -100}, "stop_token_ids": [2], "skip_special_tokens": True, "min_tokens": 3},
        {"prompt_cache_key": "run-7", "safety_identifier": "ann", "cache_salt": "x", "eos_token": "</s>"},
        {"metadata": {"note": "basic arithmetic: 1, 2", "author": "Ann"}},
        {"chat_template_kwargs": {"enable_thinking": False}, "guided_regex": "[0-9]+: x"},
        {
            "response_format": {
                "schema": {"properties": {"password": {"type": "string"}}, "required": ["password"]}
            }
        },
    ],
)
def test_a_parameter_is_no_secret(extra: dict[str, Any]) -> None:
    assert config(extra=extra).extra == extra


@pytest.mark.parametrize("key", ["extra", "keys_file", "engine"])
def test_a_key_in_the_wrong_place_is_not_shown(key: str) -> None:
    data = {"kind": "openai", "engine": "x", key: SECRET if key != "engine" else [SECRET]}
    with pytest.raises(ConfigError, match=key) as caught:
        validated(OpenAIConfig, data, "it is not valid")
    assert SECRET[8:-4] not in str(caught.value)
