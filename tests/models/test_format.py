from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.format import PromptFormat, load_template, template_identity

ROLES = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + ROLES
DROPS_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'user' %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
    "<assistant>"
)


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


def test_chat_uses_the_tokenizers_own_template(tokenizer: Any) -> None:
    text = PromptFormat("chat", tokenizer).render(Prompt("Be brief.", "2 + 2?"))
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_chat_markers_become_special_tokens_and_none_is_added(tokenizer: Any) -> None:
    format = PromptFormat("chat", tokenizer)
    [ids] = format.encode([Prompt("Be brief.", "2 + 2?")])
    assert ids[0] == tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert tokenizer.decode(ids) == format.render(Prompt("Be brief.", "2 + 2?"))


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_without_a_system_role_it_joins_the_user(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    format = PromptFormat("chat", tokenizer)
    assert format.render(Prompt("Be brief.", "2 + 2?")) == "<user>Be brief.\n\n2 + 2?<assistant>"
    assert format.render(Prompt("", "2 + 2?")) == "<user>2 + 2?<assistant>"


def test_chat_without_a_chat_template(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="'chat' needs a tokenizer with a chat template"):
        PromptFormat("chat", tokenizer)


@pytest.mark.parametrize(
    ("system", "user", "text"),
    [
        ("", "Q: 1?", "Q: 1?"),
        ("Q: 0?\nA: 0\n", "Q: 1?", "Q: 0?\nA: 0\nQ: 1?"),
        ("Answer.", "Q: 1?", "Answer.\nQ: 1?"),
    ],
)
def test_completion_is_plain_text(tokenizer: Any, system: str, user: str, text: str) -> None:
    assert PromptFormat("completion", tokenizer).render(Prompt(system, user)) == text


def test_a_named_template_gets_instruction_and_input(tokenizer: Any) -> None:
    text = PromptFormat("alpaca", tokenizer).render(Prompt("Add.", "1, 2"))
    assert text == load_template("alpaca").render("Add.", "1, 2")


def test_no_prompt_is_without_a_token(tokenizer: Any) -> None:
    assert PromptFormat("completion", tokenizer).encode([]) == []
    assert PromptFormat("completion", tokenizer).encode([Prompt("", "")]) == [[tokenizer.bos_token_id]]


def test_identity_is_the_word_or_the_content() -> None:
    assert template_identity("chat") == "chat"
    assert template_identity("alpaca") == load_template("alpaca").digest
