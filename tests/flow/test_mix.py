"""A mix: from its recipe to a produced directory, and every command that reads one."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset

from tests.support import scripted
from tests.support.hub import LocalHub
from tests.support.recipes import ROWS, sums_data, write_questions
from toolgen_hf import MixRecipe, Recipe, Workspace, run, schemas
from toolgen_hf.check import check
from toolgen_hf.cli import main
from toolgen_hf.data.produced import load_summary
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.flow import Result, plan
from toolgen_hf.hub import diff, pull, push
from toolgen_hf.metrics import evaluate_target
from toolgen_hf.report.html import write_report
from toolgen_hf.stages import configs

pytestmark = pytest.mark.usefixtures("scripted_models")

LEAK = {**ROWS[8], "question": "ann has 18  pens and buys 2 more; how many pens has she"}
"""The first test question of the sums, with other case and spaces."""
CUPS = [LEAK, *({**row, "question": str(row["question"]).replace("pens", "cups")} for row in ROWS[:7])]


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are slow and have tests of their own."""
    monkeypatch.setattr("toolgen_hf.flow.write.can_plot", lambda: False)


def mix_data(folder: Path, **mix: Any) -> dict[str, Any]:
    """Two parts: 8 + 4 sums about pens and 6 + 2 about cups. The first of the cups is a test question about pens."""
    sums, cups = sums_data(folder / "sums"), sums_data(folder / "cups")
    cups["dataset"] |= {"name": "Cups", "data_files": write_questions(folder / "cups", CUPS, 2)}
    cups |= {"name": "cups", "answer": {"generator": {"kind": "local", "model": "wrong"}}}
    parts: dict[str, Any] = {"sums": {"recipe": sums}, "cups": {"recipe": cups}}
    for name, changes in mix.pop("parts", {}).items():
        parts[name] |= changes
    return {"name": "both", "mix": {"parts": parts, **mix}}


def build(tmp_path: Path, data: dict[str, Any] | None = None, name: str = "both") -> Result:
    recipe = MixRecipe.parse(data or mix_data(tmp_path / "questions"))
    return run(recipe, tmp_path / "out" / name, Workspace(tmp_path / "cache", progress=False))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_both_parts_are_one_set_that_datasets_opens(tmp_path: Path) -> None:
    result = build(tmp_path)
    for config in ("stage1", "stage2", "raw", "rejected"):
        loaded = load_dataset(str(result.directory), config, cache_dir=str(tmp_path / "hf"))
        for split, rows in loaded.items():
            assert rows.features == schemas.mixed(configs()[config].features)
            assert rows.to_list() == result.configs[config][split].to_list()
    one = result.configs["stage1"]
    assert {split: Counter(rows["dataset"]) for split, rows in one.items()} == {
        "train": {"Sums": 8, "Cups": 5},
        "test": {"Sums": 4, "Cups": 2},
    }
    assert set(one["train"]["task"]) == {"math"}
    for config in ("stage2", "sft", "tool_calling"):
        assert list(result.configs[config]["train"]["id"]) == list(one["train"]["id"])
    assert set(result.configs["preference"]["train"]["id"]) == set(one["train"]["id"])
    assert set(result.configs["raw"]["train"]["id"]) == set(one["train"]["id"])
    assert len(result.configs["responses-talker"]["train"]) == 13


def test_a_test_question_never_enters_train_and_the_summary_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = build(tmp_path)
    (row,) = result.configs["rejected"]["train"]
    assert (row["id"], row["stage"], row["dataset"]) == ("Cups-train-0", "mix", "Cups")
    reason = "kept out of train: it is in the test split of sums (normalised text)"
    assert row["reason"] == reason
    summary = load_summary(result.directory)
    assert summary.rejected == {reason: 1}
    assert summary.mix["parts"]["cups"]["splits"]["train"]["rejected"] == 1
    assert main(["show", str(result.directory)]) == 0
    assert "1 of cups, train: also in test of sums (normalised text), rejected" in capsys.readouterr().out
    card = (result.directory / "README.md").read_text(encoding="utf-8")
    assert "| `cups` | Cups | math | all | 8 | 0 | 1 | 0 | 5 train + 2 test | 36.8% |" in card
    assert "also in test of sums" in card
    assert "`dataset`: the dataset that the question is from" in card
    assert "student of part `sums`" in card  # the two parts asked different students


def test_the_exports_are_the_parts_own_and_the_mix_in_the_published_columns(tmp_path: Path) -> None:
    result = build(tmp_path)
    data = result.directory / "data"
    for stage, columns in {
        "stage1": ["instruction", "input", "output"],
        "stage2": ["query", "responses", "origin", "scores", "answer"],
    }.items():
        assert {path.name for path in (data / stage).iterdir()} == {"Sums", "Cups", "mix"}
        for split, name in (("train", "mix.json"), ("test", "mix_test.json")):
            rows = lines(data / stage / "mix" / name)
            assert [list(row) for row in rows] == [columns] * len(result.configs[stage][split])
            assert rows == [{c: row[c] for c in columns} for row in result.configs[stage][split]]
    assert len(lines(data / "stage1" / "Cups" / "Cups.json")) == 6  # as it was made, before it was mixed


def test_a_rerun_asks_nothing_and_a_weight_runs_the_mix_alone(tmp_path: Path) -> None:
    build(tmp_path)
    scripted.CALLS.clear()
    again = build(tmp_path)
    assert (again.summary.up_to_date, again.summary.transforms_run, scripted.CALLS) == (True, 0, [])
    weighted = build(tmp_path, mix_data(tmp_path / "questions", parts={"sums": {"weight": 2}}))
    assert {s["stage"] for s in weighted.summary.stages if not s["cached"]} == {"mix"}
    assert scripted.CALLS == []
    counts = weighted.summary.mix["parts"]
    assert [counts[name]["splits"]["train"]["rows"] for name in ("sums", "cups")] == [8, 4]
    assert counts["cups"]["splits"]["train"]["undrawn"] == 1
    assert counts["cups"]["splits"]["test"] == {
        "questions": 2, "before": 0, "rejected": 0, "undrawn": 0, "rows": 2
    }  # fmt: skip


def test_produced_sets_are_mixed_without_a_request(tmp_path: Path) -> None:
    data = mix_data(tmp_path / "questions")
    workspace = Workspace(tmp_path / "cache", progress=False)
    for name, part in data["mix"]["parts"].items():
        run(Recipe.parse(part["recipe"]), tmp_path / "out" / name, workspace)
    scripted.CALLS.clear()
    parts = {name: {"source": str(tmp_path / "out" / name)} for name in data["mix"]["parts"]}
    found, made = (
        build(tmp_path, {"name": "both", "mix": {"parts": parts}}, "found"),
        build(tmp_path, data, "made"),
    )
    assert scripted.CALLS == []
    for config, splits in made.configs.items():
        for split, rows in splits.items():
            assert found.configs[config][split].to_list() == rows.to_list()
    assert found.summary.student == made.summary.student
    exports = {path.relative_to(made.directory) for path in (made.directory / "data").rglob("*.json")}
    assert exports == {
        path.relative_to(found.directory) for path in (found.directory / "data").rglob("*.json")
    }


@pytest.mark.parametrize("is_config", [False, True])
def test_a_set_whose_manifest_leads_out_of_it_is_none(tmp_path: Path, is_config: bool) -> None:
    made = build(tmp_path).directory
    manifest, card = (made / "manifest.json").read_text(), (made / "README.md").read_text()
    outside = "responses-../../../victim" if is_config else "data/../../victim"
    if is_config:  # a config is a folder of the mix, whatever folder the card has it in
        manifest = manifest.replace('"responses-caller":', f'"{outside}":')
        card = card.replace("config_name: responses-caller", f"config_name: {outside}")
    else:
        manifest = manifest.replace('"files": {', f'"files": {{"{outside}": "",')
        (made.parent / "victim").write_text("theirs")
    assert outside in manifest
    (made / "manifest.json").write_text(manifest)
    (made / "README.md").write_text(card)
    with pytest.raises(ConfigError, match="both' is not a produced directory"):
        build(tmp_path, {"name": "again", "mix": {"parts": {"all": {"source": str(made)}}}}, "deep/again")
    assert not list((tmp_path / "out/deep").rglob("victim"))


def test_a_mix_of_a_mix_keeps_the_datasets_names(tmp_path: Path) -> None:
    first = build(tmp_path)
    again = build(
        tmp_path, {"name": "again", "mix": {"parts": {"all": {"source": str(first.directory)}}}}, "again"
    )
    assert again.configs["stage1"]["train"].to_list() == first.configs["stage1"]["train"].to_list()
    assert set(again.configs["raw"]["test"]["dataset"]) == {"Sums", "Cups"}


def test_a_recipe_can_start_from_a_mix(tmp_path: Path) -> None:
    first = build(tmp_path)
    data = sums_data(tmp_path / "unused", dataset={"source": f"{first.directory}#raw", "name": "Mixed"})
    result = run(Recipe.parse(data), tmp_path / "out" / "next", Workspace(tmp_path / "cache", progress=False))
    assert len(result.configs["stage1"]["train"]) == 13


def test_report_evaluate_and_diff_read_a_mix(tmp_path: Path) -> None:
    result = build(tmp_path)
    board = evaluate_target(result.directory)
    assert (board.sources["talker"]["overall"]["responses"], board.notes) == (19, [])
    page = write_report(result.directory).read_text(encoding="utf-8")
    assert "Where 20 questions went" in page
    weighted = build(tmp_path, mix_data(tmp_path / "questions", parts={"cups": {"count": 1}}), "weighted")
    found = diff(result.directory, weighted.directory)
    assert found.rows["stage1"]["train"]["removed"] == 4
    assert found.recipe["mix.parts.cups.count"] == {"from": None, "to": 1}


def test_a_mix_goes_to_the_hub_and_back_and_into_another(
    tmp_path: Path, hub_here: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = mix_data(Path("questions"))
    result = run(MixRecipe.parse(data), "both", Workspace("cache", progress=False))
    push(result.directory, "ann/both", "1.0.0")
    pull("ann/both", "pulled")
    assert diff("both", "pulled").rows["stage2"]["train"]["changed"] == 0
    scripted.CALLS.clear()
    source = {
        "name": "far",
        "mix": {"parts": {"both": {"source": "hub:ann/both@1.0.0", "count": {"train": 5}}}},
    }
    far = run(MixRecipe.parse(source), "far", Workspace("cache", progress=False))
    assert [len(far.configs["stage1"][split]) for split in far.configs["stage1"]] == [5, 0]
    assert scripted.CALLS == []
    manifest = json.loads((far.directory / "manifest.json").read_text())
    assert manifest["parts"]["both"]["source"]["revision"] == "v1.0.0"
    assert (Path("far") / "data" / "raw" / "Cups" / "Cups.json").is_file()
    push(far.directory, "ann/far", "1.0.0")


def test_the_command_line_runs_a_mix_with_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump(mix_data(tmp_path / "questions"), sort_keys=False), encoding="utf-8")
    changes = [
        "--set",
        "mix.parts.sums.weight=1",
        "--set",
        "mix.parts.cups.recipe.score.strategy=consistency",
    ]
    common = [str(path), "-o", str(tmp_path / "out"), "-q", *changes]
    assert main(["run", *common, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert {entry["stage"].split(": ")[0] for entry in planned["stages"]} == {"sums", "cups"}
    assert (planned["requests"], scripted.CALLS, (tmp_path / "out").exists()) == (80, [], False)
    assert main(["run", *common, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["mix"]["parts"]["sums"]["weight"] == 1
    assert summary["configs"]["stage1"] == {"train": 10, "test": 4}
    assert main(["show", str(tmp_path / "out"), "--config", "stage1", "-n", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"] == "Sums"


def test_a_part_may_name_a_recipe_and_change_it(tmp_path: Path) -> None:
    data = mix_data(tmp_path / "questions")
    sums = tmp_path / "sums.yaml"
    sums.write_text(yaml.safe_dump(data["mix"]["parts"]["sums"]["recipe"]), encoding="utf-8")
    data["mix"]["parts"]["sums"] = {
        "recipe": str(sums),
        "set": {"score.strategy": "consistency", "dataset.seed": 3},
    }
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    recipe = MixRecipe.load(path, ["mix.parts.sums.recipe.dataset.seed=4"])
    part = recipe.recipes["sums"]
    assert (part.score.strategy, part.dataset.seed) == ("consistency", 4)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert Recipe.load(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"wieght": 2}, r"mix\.parts\.cups\.wieght: unknown key; did you mean 'weight'\?"),
        ({"weight": -1}, r"mix\.parts\.cups\.weight: a weight is a number above 0, not -1"),
        ({"count": {"train": 1.5}}, r"mix\.parts\.cups\.count: train: a count is a number of rows"),
        ({"weight": 1, "count": 2}, r"mix\.parts\.cups\.count: give a weight or a count, not both"),
        ({"source": "outputs/x"}, r"mix\.parts\.cups: give either a recipe to run, or the source"),
        (
            {"recipe": None, "source": "outputs/x#raw"},
            r"mix\.parts\.cups\.source: a part is a whole produced set",
        ),
        (
            {"recipe": {"name": "x", "scor": 1}},
            r"mix\.parts\.cups\.recipe\.scor: unknown key; did you mean 'score'\?",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, part: dict[str, Any], message: str) -> None:
    data = mix_data(tmp_path, parts={"cups": part}, ordre="interleave")
    with pytest.raises(ConfigError, match=message) as caught:
        MixRecipe.parse(data, "my.yaml")
    assert "mix.ordre: unknown key; did you mean 'order'?" in str(caught.value)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"recipe": "quickstrat"}, r"mix\.parts\.a: no recipe 'quickstrat'.*did you mean 'quickstart'\?"),
        ({"recipe": "math-mix"}, r"'math-mix' is a mix itself"),
        ({"recipe": "quickstart", "set": ["x=1"]}, r"mix\.parts\.a\.set: write keys with their values"),
        ({"recipe": "quickstart", "set": {"name.x": 1}}, r"mix\.parts\.a\.set: name\.x: 'x' does not exist"),
    ],
)
def test_a_part_that_names_no_recipe_is_named(tmp_path: Path, part: dict[str, Any], message: str) -> None:
    (tmp_path / "m.yaml").write_text(
        yaml.safe_dump({"name": "m", "mix": {"parts": {"a": part}}}), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=message):
        MixRecipe.load(tmp_path / "m.yaml")


def test_a_mix_is_a_recipe_and_its_yaml_has_no_other_keys() -> None:
    mix = Recipe.load("math-mix")
    assert MixRecipe.load("math-mix") == mix
    saved = yaml.safe_load(mix.to_yaml())
    assert list(saved) == ["name", "description", "mix", "output"]
    assert list(saved["mix"]["parts"]["gsm8k"]) == ["weight", "recipe"]
    assert "mix" not in yaml.safe_load(Recipe.load("quickstart").to_yaml())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"score": {"strategy": "consistency"}},
            "score: unknown key beside mix .*mix.parts.NAME.recipe.score",
        ),
        ({"outptu": "x"}, "outptu: unknown key; did you mean 'output'?"),
        ({"mix": {}}, "mix.parts: this key is required"),
        ({"mix": 3}, "mix: give a mapping of keys"),
        (
            {"mix": {"parts": {"a": {"recipe": {"name": "b", "mix": {}, "x": 1}}}}},
            "a.recipe: 'b' is a mix itself",
        ),
    ],
)
def test_a_mistake_in_a_mix_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.parse({**mix_data(tmp_path), **changes})


@pytest.mark.parametrize(
    "command", ["raw", "answer in.jsonl", "respond in.jsonl --name x", "finetune in --name x"]
)
def test_a_single_stage_runs_on_one_dataset(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *more = command.split()
    assert main([name, *more, "out.jsonl", "--recipe", "math-mix"]) == 2
    assert "'math-mix' is the recipe of a mix, which 'toolgen-hf run' runs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_cannot_be_used_is_named_before_the_first_request(tmp_path: Path) -> None:
    data = mix_data(tmp_path / "questions")
    data["mix"]["parts"]["cups"]["recipe"]["dataset"]["name"] = "Sums"
    with pytest.raises(
        DataError, match=r"part 'cups' is of the dataset 'Sums', and so is part 'sums': set mix\.parts"
    ):
        build(tmp_path, data)
    missing = mix_data(
        tmp_path / "questions", parts={"cups": {"recipe": None, "source": str(tmp_path / "nothing")}}
    )
    with pytest.raises(ConfigError, match="is not a produced directory"):
        build(tmp_path, missing)
    assert scripted.CALLS == []


def test_files_of_the_published_layout_are_a_part_by_a_recipe(tmp_path: Path) -> None:
    """As a source they are refused, by ``check`` and ``run``. The message shows a recipe for them, which runs."""
    own = tmp_path / "own" / "data"
    (own / "stage1" / "Mine").mkdir(parents=True)
    row = {"instruction": "Solve.", "input": "1+1?", "output": "calculator(1+1)", "answer": "2"}
    (own / "stage1" / "Mine" / "Mine.json").write_text(json.dumps(row) + "\n", encoding="utf-8")
    data = mix_data(tmp_path / "questions", parts={"cups": {"recipe": None, "source": str(own)}})
    with pytest.raises(ConfigError, match="holds files of the published layout") as refused:
        build(tmp_path, data)
    checked = check(MixRecipe.parse(data), Workspace(tmp_path / "cache", progress=False))
    assert f"cups: {own}: {refused.value}" in checked.missing
    shown = str(refused.value).partition("start a recipe from them, ")[2].partition("; in a mix")[0]
    data["mix"]["parts"]["cups"] = {"recipe": yaml.safe_load(shown)}
    checked = check(MixRecipe.parse(data), Workspace(tmp_path / "cache", progress=False))
    assert not any(str(own) in problem for problem in checked.missing)
    assert Counter(build(tmp_path, data).configs["stage1"]["train"]["dataset"]) == {"Sums": 8, "Mine": 1}


def test_a_set_keeps_its_name_and_a_recipe_takes_another(tmp_path: Path) -> None:
    there = {"recipe": None, "source": str(build(tmp_path).directory)}
    data = mix_data(tmp_path / "questions", parts={"cups": there})
    with pytest.raises(
        DataError, match=r"set mix\.parts\.sums\.recipe\.dataset\.name to another, or mix one"
    ):
        build(tmp_path, data)


def test_files_are_mixed_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = build(tmp_path).directory / "data"
    shutil.copy(data / "stage1" / "Cups" / "Cups.json", tmp_path / "cups.json")
    ids = {}
    for stage, cups in (
        ("stage1", tmp_path / "cups.json"),
        ("stage2", data / "stage2" / "Cups" / "Cups.json"),
    ):
        arguments = [f"sums={data / stage / 'Sums'}", f"cups={cups}", str(tmp_path / stage), "-q"]
        more = ["--weight", "sums=2", "--weight", "cups=1", "--rejected", str(tmp_path / f"out-{stage}")]
        assert main(["mix", *arguments, *more]) == 0
        ids[stage] = [row["id"] for row in lines(tmp_path / stage / "train.jsonl")]
    assert ids["stage1"] == ids["stage2"]
    assert Counter(key.split("-")[0] for key in ids["stage1"]) == {"sums": 8, "cups": 4}
    (row,) = lines(tmp_path / "out-stage1" / "train.jsonl")
    assert row["reason"] == "kept out of train: it is in the test split of sums (normalised text)"
    assert "1 of cups, train: also in test of sums" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "out"], "'a': write NAME=PATH"),
        (["a=in.json", "a=in.json", "out"], "'a' is given twice"),
        (["a=in.json", "out", "--weight", "a=much"], "'much' is not a number"),
        (["a=in.json", "out", "--count", "b=1"], "the mix has no part 'b'"),
        (["a=in.json", "out", "--count", "a=-1"], "parts.a.count: a count is a number of rows"),
        (["a=missing.json", "out"], "there is no such file"),
        (["a=in.json", "b=two.json", "out"], "some of these files are of stage 1 and others of stage 2"),
        (["a=odd.json", "out"], "odd.json:1: no column"),
        (["a=in.json", "out", "--rejected", "./out"], "'out' is both the output and --rejected"),
        (["a=in.json", "in.json"], "'in.json' is both the part a and the output"),
        (["a=in.json", "out", "--rejected", "in.json"], "'in.json' is both the part a and --rejected"),
    ],
)
def test_files_that_cannot_be_mixed(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    one = {"instruction": "Solve.", "input": "1+1?", "output": "2"}
    two = {"query": "Solve.\n1+1?", "responses": ["2"], "origin": ["gold"], "scores": [20], "answer": ["2"]}
    for name, row in (("in", one), ("two", two), ("odd", {"input": "1+1?"})):
        Path(f"{name}.json").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert main(["mix", *arguments, "-q"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_splits_are_cut_from_others_and_share_no_row(tmp_path: Path) -> None:
    cut = {"train": "train[:50%]", "test": "train[50%:]"}
    data = sums_data(tmp_path / "questions", dataset__splits=cut)
    result = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    assert list(result.configs["stage1"]["test"]["id"]) == [f"Sums-train-{n}" for n in range(4, 8)]
    for spec, message in (
        ("train[:5]", "row 4 of train is in"),
        ("tran", "not a slice of train"),
        ("x[", "not a slice of"),
    ):
        wrong = sums_data(tmp_path / "questions", dataset__splits={"test": "train[4:]", "train": spec})
        with pytest.raises(DataError, match=message):
            plan(Recipe.parse(wrong), Workspace(tmp_path / "cache", progress=False))
