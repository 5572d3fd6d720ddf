"""``toolgen-hf check``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.engines import SECRET
from tests.support.hub import LocalHub
from tests.support.models import model_files
from tests.support.recipes import few_rows, sums_data
from toolgen_hf.cli import main
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.files import shipped

NEEDS_A_KEY = {"gsm8k"}


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_is_shown(
    name: str, hub_here: LocalHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every model that it names on the Hub, at any revision, it wants nothing but a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    recipe = Recipe.load(name)
    for part in recipe.recipes.values():
        models = [
            part.student.generator,
            *part.finetune.values(),
            *(s.generator for s in part.sources.values()),
        ]
        models += list(part.tool_api.teachers)
        for model in models:
            hub_id, revision = getattr(model, "model", ""), getattr(model, "revision", None)
            if "/" in hub_id and ("model", hub_id) not in hub_here._store.repos:
                hub_here.create(hub_id, kind="model")
                hub_here.commit(hub_id, model_files(10, 10), kind="model")
                if revision:
                    repo = hub_here.repo(hub_id, "model")
                    repo.refs[f"refs/tags/{revision}"] = repo.main.oid
    assert main(["check", name, "-q", *few_rows(name)]) == (1 if name in NEEDS_A_KEY else 0)
    shown = capsys.readouterr().out
    assert f"{name} is valid" in shown
    assert "Requests" in shown
    assert "Models" in shown
    assert ("needs an API key" in shown) == (name in NEEDS_A_KEY)
    assert "not found" not in shown
    if name in NEEDS_A_KEY:
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        assert main(["check", name, "-q", "--json", *few_rows(name)]) == 0
        out = capsys.readouterr().out
        assert json.loads(out)["can_run"]
        assert SECRET not in out


def test_pins_are_whole_commits() -> None:
    recipe = Recipe.load("gsm8k-local")
    generators = [
        recipe.student.generator,
        *recipe.tool_api.teachers,
        *(s.generator for s in recipe.sources.values()),
    ]
    for model in [*generators, *recipe.finetune.values()]:
        if getattr(model, "kind", "local") == "local":
            assert len(str(getattr(model, "revision", ""))) == 40, model
        assert getattr(model, "kind", "local") != "openai"


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = sums_data(tmp_path)
    path = tmp_path / "sums.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert main(["check", str(path)]) == 1  # its models are scripted ones
    assert "It cannot run here yet: " in capsys.readouterr().out
    assert main(["check", str(path), "--set", "score.strategy=best"]) == 2
    assert "'distance' or 'consistency'" in capsys.readouterr().err
    assert main(["check", "nothing"]) == 2
    assert main(["check", str(path), "--set", "dataset.data_files=nothing.jsonl"]) == 2


def test_an_adapter_that_no_source_has_is_not_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = sums_data(tmp_path, finetune={"idle": {"model": "ann/nowhere"}}, dataset__rows={"train": 100})
    path = tmp_path / "sums.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    main(["check", str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert "ann/nowhere" not in json.dumps([found["models"], found["missing"], found["roles"]])
    assert [warning.partition(":")[0] for warning in found["warnings"]] == [
        "finetune.idle",
        "dataset.rows.train",
    ]
    assert not caplog.records  # said once, in the report


def test_an_invalid_mix_names_its_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "math-mix", "--set", "mix.parts.gsm8k.recipe.task=chess"]) == 2
    assert "unknown task 'chess'" in capsys.readouterr().err
