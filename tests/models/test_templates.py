from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolgen_hf.errors import ConfigError
from toolgen_hf.models.format import load_template, template_names

INTRO = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
)
INTRO_NO_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
)


def test_these_templates_ship() -> None:
    assert template_names() == ["alpaca", "vicuna"]


@pytest.mark.parametrize(
    ("name", "with_input", "without"),
    [
        (
            "alpaca",
            "### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n",
            "### Instruction:\nAdd.\n\n### Response:\n",
        ),
        (
            "vicuna",
            "</s> Instruction:\nAdd.\n\n</s> Input:\n1, 2\n\n</s> Response:\n",
            "</s> Instruction:\nAdd.\n\n</s> Response:\n",
        ),
    ],
)
def test_published_texts(name: str, with_input: str, without: str) -> None:
    template = load_template(name)
    assert template.render("Add.", "1, 2") == INTRO + with_input
    assert template.render("Add.", "") == INTRO_NO_INPUT + without
    assert template.render("", "Add.") == INTRO_NO_INPUT + without


def test_braces_in_a_question_stay_as_they_are() -> None:
    prompt = load_template("alpaca").render("Solve {input}.", "{instruction} {0} {} {{x}}")
    assert "### Instruction:\nSolve {input}.\n\n### Input:\n{instruction} {0} {} {{x}}\n\n" in prompt


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    fields = {"prompt_input": "{instruction}|{input}>", "prompt_no_input": "{instruction}>"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    template = load_template(str(path))
    assert template.render("a", "b") == "a|b>"
    assert template.digest != load_template("alpaca").digest


def test_the_digest_is_of_the_text_not_of_the_place(tmp_path: Path) -> None:
    alpaca = load_template("alpaca")
    fields = {key: getattr(alpaca, key) for key in ("prompt_input", "prompt_no_input")}
    published = {"description": "A copy.", **fields, "response_split": "### Response:"}  # neither is read
    (tmp_path / "copy.json").write_text(json.dumps(published), encoding="utf-8")
    assert load_template(str(tmp_path / "copy.json")).digest == alpaca.digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alpacca", "unknown template 'alpacca': did you mean 'alpaca'?.*'vicuna'"),
        ("llama", "unknown template 'llama': known are 'alpaca', 'vicuna'"),
        ("nowhere/mine.json", "cannot read the template 'nowhere/mine.json'"),
    ],
)
def test_a_template_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_template(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "not a JSON object but list"),
        ("{", "cannot read"),
        ('{"prompt_input": "{instruction}{input}"}', "no text for prompt_no_input"),
        (
            '{"prompt_input": "{input}", "prompt_no_input": "{instruction}"}',
            r"prompt_input must hold \{instruction\} and \{input\}, got '\{input\}'",
        ),
    ],
)
def test_a_file_that_is_no_template(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_template(str(path))
