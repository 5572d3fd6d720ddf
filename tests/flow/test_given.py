"""A recipe over files that people have: the questions, the student's answers, the sources' responses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict

from tests.scripts.conftest import GIVEN
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.data.produced import load_summary
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.flow import Result, plan
from toolgen_hf.hub.check import check_release

SOURCES = ("chatgpt", "davinci", "vicuna")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recipes name their files relative to where they are run."""
    shutil.copytree(GIVEN, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe(**changes: Any) -> Recipe:
    files = {name: f"data/stage2/GSM8K/GSM8K_{name}_response.json" for name in SOURCES}
    student = [f"data/raw/GSM8K/GSM8K_{verdict}.json" for verdict in ("right", "wrong")]
    return Recipe.parse(
        {
            "name": "given",
            "dataset": {"source": "data#raw"},
            "answer": {"generator": {"kind": "file", "path": student}},
            "sources": {name: {"generator": {"kind": "file", "path": path}} for name, path in files.items()},
            **changes,
        }
    )


def build(made: Recipe) -> Result:
    with Workspace(Path("cache"), progress=False) as workspace:
        return run(made, "out", workspace)


def rejected(configs: Any) -> list[tuple[str, str, str]]:
    table: DatasetDict = configs["rejected"]
    return [(row["id"], row["stage"], row["reason"]) for row in table["train"]]


def test_everything_is_given(home: Path) -> None:
    solved = [json.loads(line) for line in (home / "data/raw/GSM8K/GSM8K.json").read_text().splitlines()]
    solved[1]["solution"] = "50/60 = <<50/60=0.83>>0.83, so 12/60*50 = <<12/60*50=10>>10."
    solved[2]["solution"] = "3+1 = <<3+1=4>>4, 76/4 = <<76/4=19>>19, 19*3 = <<19*3=57>>57"
    (home / "data/raw/GSM8K/GSM8K.json").write_text("".join(json.dumps(row) + "\n" for row in solved))
    made = build(recipe())
    assert list(made.configs["stage1"]["train"]["id"]) == ["GSM8K-train-0", "GSM8K-train-1", "GSM8K-train-2"]
    scored = made.configs["stage2"]["train"].to_list()
    assert [row["id"] for row in scored] == ["GSM8K-train-0", "GSM8K-train-2"]
    assert scored[1]["responses"][1:] == [
        "calculator(3*19)",
        " calculator(76/4*3)",
        "Jean has $76 / 3 = $<<76/3=25>>25",
    ]
    fallen = rejected(made.configs)
    assert fallen[:2] == [
        (f"GSM8K-train-{n}", "tool_api", "no verified tool call (annotations: no worked solution)")
        for n in (3, 4)
    ]
    assert fallen[2:] == [
        ("GSM8K-train-1", "respond", "vicuna: no response to this question"),
        ("GSM8K-train-1", "respond", "chatgpt: a second response to this question"),
    ]
    assert load_summary(made.directory).rejected["vicuna: no response to this question"] == 1
    manifest = check_release(made.directory)
    assert manifest.models["davinci"].startswith("responses that were given, `GSM8K_davinci_response.json` (")
    assert set(manifest.prompts) == {"student"}
    assert build(recipe()).summary.up_to_date


def test_what_is_left_over_of_a_file_is_part_of_the_result(home: Path) -> None:
    made = build(recipe())
    path = home / "data/stage2/GSM8K/GSM8K_davinci_response.json"
    with path.open("a") as file:
        file.write('{"id": "theirs", "response": "4"}\n')
    again = build(recipe())
    assert not again.summary.up_to_date
    assert rejected(again.configs)[-1] == ("theirs", "respond", "davinci: no such question")
    assert again.configs["stage2"]["train"].to_list() == made.configs["stage2"]["train"].to_list()


def test_a_response_without_a_text_is_empty_in_what_is_written(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = home / "data/stage2/GSM8K/GSM8K_davinci_response.json"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, "output": None}) + "\n" for row in rows))
    made = build(recipe())
    assert {row["responses"][2] for row in made.configs["stage2"]["train"]} == {""}
    assert "davinci: 4 without a text, scored as no answer" in caplog.text
    for name, column in (("GSM8K", "responses"), ("GSM8K_davinci_response", "response")):
        written = (Path("out/data/stage2/GSM8K") / f"{name}.json").read_text().splitlines()
        assert "" in json.loads(written[0])[column]
        assert all(None not in (row[column], *row[column]) for row in map(json.loads, written))


def test_from_a_stage_1_of_the_published_layout(home: Path) -> None:
    row = {"instruction": "I", "input": "2+2?", "output": "calculator(2+2)"}
    folder = home / "data/stage1/Mine"
    folder.mkdir(parents=True)
    (folder / "Mine.json").write_text(json.dumps(row) + "\n")
    (home / "said.csv").write_text("input,response\n2+2?,It is 4.\n")
    start = {
        "dataset": {"source": "data#stage1"},
        "answer": None,
        "sources": {"csv": {"generator": {"kind": "file", "path": "said.csv"}}},
    }
    with pytest.raises(DataError, match="has rows without an answer, and nothing to grade"):
        build(recipe(**start))
    (folder / "Mine.json").write_text(json.dumps({**row, "answer": 4}) + "\n")
    made = build(recipe(**start))
    assert made.configs["stage2"]["train"][0]["scores"] == [20, 15]
    assert made.configs["stage2"]["train"][0]["id"] == "Mine-train-0"


@pytest.mark.parametrize(
    ("output", "gives"),
    [("calculator(2+3)", r"'5\.0'"), ("calculator(2/0)", "'.*zero.*'"), ("Nothing.", "no answer")],
)
def test_a_row_of_a_stage_1_that_does_not_give_its_answer_is_named(
    home: Path, output: str, gives: str
) -> None:
    row = {"instruction": "I", "input": "2+2?", "output": "calculator(2+2)", "answer": "4", "id": "one"}
    (home / "data/stage1/Mine").mkdir(parents=True)
    (home / "data/stage1/Mine/Mine.json").write_text(
        "".join(json.dumps(r) + "\n" for r in (row, {**row, "input": "And?", "output": output, "id": "two"}))
    )
    (home / "said.csv").write_text("input,response\n2+2?,It is 4.\n")
    start = {
        "dataset": {"source": "data#stage1"},
        "answer": None,
        "sources": {"csv": {"generator": {"kind": "file", "path": "said.csv"}}},
    }
    said = rf"source 'data#stage1': 1 of its rows .* 'two' of split 'train': its output '{re.escape(output)}' gives"
    with Workspace(Path("cache"), progress=False) as workspace:
        with pytest.raises(DataError, match=rf"{said} {gives}, and its answer is \['4'\]\. Mend such rows"):
            run(recipe(**start), "out", workspace)
        assert not any(report.stage.startswith("respond") for report in workspace.reports)  # nobody was paid


def test_several_datasets_need_a_name(home: Path) -> None:
    (home / "data/raw/Other").mkdir()
    shutil.copy(home / "data/raw/GSM8K/GSM8K.json", home / "data/raw/Other/Other.json")
    with pytest.raises(DataError, match="several datasets: give dataset_name"):
        build(recipe())
    assert (
        build(recipe(dataset={"source": "data#raw", "name": "GSM8K"})).configs["raw"]["train"].num_rows == 5
    )


def test_a_dry_run_asks_nobody(home: Path) -> None:
    with Workspace(Path("cache"), progress=False) as workspace:
        planned = plan(recipe(), workspace)
    assert planned.cost == 0


def test_a_file_that_is_not_there(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"sources\.x\.generator: none.json: there is no such file"):
        build(recipe(sources={"x": {"generator": {"kind": "file", "path": "none.json"}}}))
    with pytest.raises(ConfigError, match=r"tool_api\.teachers\.0\.kind: 'files' is not one of"):
        recipe(tool_api={"teachers": [{"kind": "files", "path": "none.json"}]})
    with pytest.raises(ConfigError, match=r"sources\.x\.generator\.paths: unknown key; did you mean 'path'"):
        recipe(sources={"x": {"generator": {"kind": "file", "paths": "none.json"}}})
