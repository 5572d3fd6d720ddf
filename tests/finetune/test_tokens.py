from __future__ import annotations

from typing import Any

import pytest

from toolgen_hf.errors import DataError
from toolgen_hf.finetune import Example, FinetuneConfig, Lengths
from toolgen_hf.finetune.lora import collate, encode, in_order
from toolgen_hf.models.format import load_template


def test_only_the_output_and_its_end_are_learned(config: FinetuneConfig, tokenizer: Any) -> None:
    [feature], lengths = encode([Example("Add.", "1, 2", "3")], tokenizer, config)
    prompt = load_template("alpaca").render("Add.", "1, 2")
    assert (lengths.cut, lengths.left_out) == (0, 0)
    assert lengths.median == lengths.longest == len(feature["input_ids"])
    assert tokenizer.decode(feature["input_ids"]) == prompt + "3" + tokenizer.eos_token
    learned = [label for label in feature["labels"] if label != -100]
    assert tokenizer.decode(learned) == "3" + tokenizer.eos_token
    assert feature["labels"][-len(learned) :] == feature["input_ids"][-len(learned) :] == learned


def test_padding_is_on_the_right_and_the_end_of_text_keeps_its_label() -> None:
    batch = collate(
        [{"input_ids": [5, 6, 2], "labels": [-100, 6, 2]}, {"input_ids": [7, 2], "labels": [-100, 2]}]
    )
    assert batch["input_ids"].tolist() == [[5, 6, 2], [7, 2, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 2], [-100, 2, -100]]


def test_long_rows_are_cut_and_counted(config: FinetuneConfig, tokenizer: Any) -> None:
    short, cut, full = (
        Example("Add.", "1", "2"),
        Example("Add.", "1", "2 " * 50),
        Example("Add.", "1 " * 99, "2"),
    )
    roomy, config = config, config.model_copy(update={"cutoff_len": 70})
    features, lengths = encode([short, cut, full], tokenizer, config)
    whole = [len(encode([row], tokenizer, roomy)[0][0]["input_ids"]) for row in (short, cut, full)]
    assert lengths == Lengths(median=sorted(whole)[1], longest=max(whole), cut=1, left_out=1)
    assert [len(feature["input_ids"]) for feature in features][1:] == [70]
    assert features[1]["labels"][-1] != tokenizer.eos_token_id
    with pytest.raises(
        DataError, match=r"no row has room .* cutoff_len=70 tokens.*the longest 246: raise it"
    ):
        encode([full], tokenizer, config)


def rows_of(*lengths: int) -> list[dict[str, list[int]]]:
    return [{"input_ids": [at] * length, "labels": [at] * length} for at, length in enumerate(lengths)]


def numbers(features: list[dict[str, list[int]]]) -> list[int]:
    return [feature["input_ids"][0] for feature in features]


def test_every_step_has_its_rows_and_every_pass_has_all(config: FinetuneConfig) -> None:
    config = config.model_copy(update={"max_steps": 5, "batch_size": 3})
    drawn = in_order(rows_of(9, 2, 7, 4, 5), config)
    assert len(drawn) == 15
    assert sorted(numbers(drawn)) == sorted([*range(5)] * 3)
    for step in range(0, 15, 3):
        lengths = [len(feature["input_ids"]) for feature in drawn[step : step + 3]]
        assert lengths == sorted(lengths, reverse=True)


def test_the_order_is_of_the_seed_and_a_longer_run_begins_as_a_shorter_one(config: FinetuneConfig) -> None:
    rows = rows_of(*[5] * 20)
    assert numbers(in_order(rows, config)) == numbers(in_order(rows, config))
    assert numbers(in_order(rows, config)) != numbers(in_order(rows, config.model_copy(update={"seed": 1})))
    longer = in_order(rows, config.model_copy(update={"max_steps": 40}))
    assert numbers(longer)[:8] == numbers(in_order(rows, config))
