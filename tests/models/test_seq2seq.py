"""A translator on this machine: a tiny encoder-decoder model with random weights, saved as safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolgen_hf.ask import Prompt, Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.models import build
from toolgen_hf.models.config import Seq2SeqConfig

WORDS = ["<pad>", "</s>", "<unk>", "__en__", "wer", "schrieb", "dracula", "who", "wrote", "?"]
TEXTS = ["wer schrieb dracula ?", "wer", "dracula schrieb wer", "schrieb dracula"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("translator")
    tokens = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(WORDS),
        d_model=16,
        d_ff=32,
        d_kv=8,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    T5ForConditionalGeneration(config).eval().save_pretrained(folder)
    return folder


def translate(model: Path, **settings: object) -> list[str]:
    generator = build(Seq2SeqConfig(model=str(model), max_new_tokens=8, **settings))  # type: ignore[arg-type]
    requests = [Request(Prompt("Translate.", text)) for text in TEXTS]
    found = dict(pair for chunk in generator.generate(requests) for pair in chunk)
    assert all(made.prompt_tokens and made.completion_tokens for made in found.values())
    return [found[at].text for at in range(len(TEXTS))]


def test_a_text_does_not_depend_on_its_batch(model: Path) -> None:
    alone = translate(model, batch_size=1)
    assert translate(model, batch_size=4) == translate(model, batch_size=3) == alone
    assert any(alone)


def test_languages(model: Path) -> None:
    assert all(text.startswith("__en__") for text in translate(model, target_language="__en__"))
    with pytest.raises(ConfigError, match="target_language='__xx__' is no language of"):
        translate(model, target_language="__xx__")


def test_identity_is_of_the_model_and_its_settings(model: Path) -> None:
    first = build(Seq2SeqConfig(model=str(model))).identity()
    assert build(Seq2SeqConfig(model=str(model), batch_size=1)).identity() == first
    assert build(Seq2SeqConfig(model=str(model), prefix="translate: ")).identity() != first
    assert str(model) not in json.dumps(first)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        build(Seq2SeqConfig(model=str(tmp_path))).check()
