"""Recipes: those that ship are valid, and a mistake is named with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.recipes import sums_data
from toolgen_hf import Recipe
from toolgen_hf.errors import ConfigError
from toolgen_hf.recipe.files import shipped


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_is_valid_and_called_after_its_file(name: str) -> None:
    assert Recipe.load(name).name == name


def test_a_recipe_reads_back_from_what_it_writes(tmp_path: Path) -> None:
    recipe = Recipe.load("quickstart")
    (tmp_path / "again.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert Recipe.load(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scor": {}}, r"scor: unknown key; did you mean 'score'\?"),
        ({"score__strateg": "x"}, r"score\.strateg: unknown key; did you mean 'strategy'\?"),
        ({"score__strategy": "best"}, r"score\.strategy: .*'distance' or 'consistency'.*\(got 'best'\)"),
        (
            {"sources__talker__generator__temprature": 1},
            r"generator\.temprature: .*did you mean 'temperature'\?",
        ),
        ({"sources__gold": {"generator": {"model": "right"}}}, r"'gold' is stage 1's output"),
        ({"sources__a_b": {"generator": {"model": "right"}}}, r"source name 'a_b': use letters"),
        (
            {"sources__talker__generator__adapter": "finetune:lora"},
            r"wants adapter 'finetune:lora'.*trains: none",
        ),
        ({"answer": {}}, r"answer\.generator: this key is required"),
        ({"task": "chess"}, r"task: unknown task 'chess'; known tasks: math"),
        ({"dataset__rows": {"train": 0}}, r"dataset\.rows: train: take at least 1 row"),
        ({"dataset__builder": "gsm8k"}, r"the builder 'gsm8k' has no 'columns'"),
        ({"tool_api": {"teachers": []}}, r"tool_api\.teachers: .*at least 1"),
        (
            {"tool_api": {"teachers": [{"kind": "oracle"}]}},
            r"tool_api\.teachers\.0\.kind: 'oracle'.*'annotations'[^-]*$",
        ),
        ({"name": "../x"}, r"name: .*\(got '\.\./x'\)"),
        ({"tools": {"S": {"corpus": "a", "k": 0}}}, r"- tools\.S\.k: give a number of at least 1"),
        ({"tools": {"S": {"kind": "serch"}}}, r"tools\.S\.kind: 'serch' is not one of 'search'"),
        ({"tools": {"S": {"corpu": "a"}}}, r"tools\.S\.corpu: unknown key; did you mean 'corpus'\?"),
        ({"tools": {"a b": {"corpus": "a"}}}, r"use letters, digits, '_' and '-'"),
        (
            {"tools": {"Q": {"kind": "qa", "search": {"corpus": "a", "k": 0}, "reader": {"kind": "local"}}}},
            r"- tools\.Q\.search\.k: give a number of at least 1(.|\n)*- tools\.Q\.reader\.model: this key is required",
        ),
        ({"tools": {"m": {"kind": "mcp", "tools": ["a"]}}}, r"- tools\.m: give either a command"),
        ({"reader": {"max_new_tokens": 0, "model": "m"}}, r"- reader\.max_new_tokens: give a number"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.parse(sums_data(tmp_path, **changes))


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.parse(sums_data(tmp_path, score__strateg="x", answer={}, task="chess"), "my.yaml")
    assert str(caught.value).startswith("my.yaml is not a valid recipe:")
    assert str(caught.value).count("\n  - ") == 3


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        (["score.strategy=consistency"], "score.strategy", "consistency"),
        (["dataset.rows.train=3"], "dataset.rows.train", 3),
        (["dataset.rows={train: 5}"], "dataset.rows", {"train": 5}),
        (["tool_api.teachers.0.kind=annotations"], "tool_api.teachers.0.kind", "annotations"),
        (["answer.instruction=Answer."], "answer.instruction", "Answer."),
    ],
)
def test_single_keys_can_be_changed(overrides: list[str], key: str, value: object) -> None:
    found: Any = Recipe.load("quickstart", overrides).model_dump(mode="json")
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert found == value


def test_a_change_to_one_source_leaves_its_yaml_twins_alone() -> None:
    recipe = Recipe.load("quickstart", ["answer.generator.temperature=0.5"])
    assert recipe.answer.generator.temperature == 0.5
    assert {source.generator.temperature for source in recipe.sources.values()} == {1.0}


@pytest.mark.parametrize(
    "override",
    [
        "tool_api.teachers.5.kind=x",
        "score",
        "=x",
        "name.first=x",
        "tool_api.teachers.first=x",
        "score.strategy=[",
    ],
)
def test_an_override_that_cannot_be_made_is_named(override: str) -> None:
    with pytest.raises(ConfigError, match=r"--set"):
        Recipe.load("quickstart", [override])


def test_an_unknown_recipe_names_those_that_ship() -> None:
    with pytest.raises(ConfigError, match=r"'quickstrat'.*quickstart.*did you mean 'quickstart'\?"):
        Recipe.load("quickstrat")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "just words"])
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        Recipe.load(tmp_path / "odd.yaml")


def test_a_change_to_one_key_leaves_its_yaml_alias_alone(tmp_path: Path) -> None:
    text = "name: twins\nanswer: {generator: &m {model: a}}\nsources: {a: {generator: *m}}\n"
    (tmp_path / "twins.yaml").write_text(text, encoding="utf-8")
    recipe = Recipe.load(tmp_path / "twins.yaml", ["answer.generator.max_new_tokens=7"])
    assert (recipe.answer.generator.max_new_tokens, recipe.sources["a"].generator.max_new_tokens) == (7, 128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": 4}, "dataset: give a mapping of keys, such as"),
        (
            {"name": "a b"},
            "name: use letters, digits, '.', '_' and '-', the first a letter or a digit (got 'a b')",
        ),
        (
            {"answer": {"generator": {"model": "m", "device": "gpu"}}},
            "answer.generator.device: give auto, cpu, mps, cuda or cuda:N (got 'gpu')",
        ),
        (
            {"sources": {"a": {"generator": {"model": "m", "stop": 3}}}},
            "stop: give a list, such as [a, b] (got 3)",
        ),
    ],
)
def test_a_mistake_is_said_in_the_words_of_yaml(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.parse({**sums_data(tmp_path), **change})
    assert message in str(caught.value)


def test_a_change_is_blamed_not_the_file() -> None:
    with pytest.raises(ConfigError, match=r"quickstart.yaml with --set score.stratgy is not a valid recipe"):
        Recipe.load("quickstart", ["score.stratgy=x"])
