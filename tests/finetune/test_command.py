"""``toolgen-hf finetune``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, DatasetDict

from tests.finetune.support import ROWS
from toolgen_hf.cli import main
from toolgen_hf.flow.make import train_adapter
from toolgen_hf.recipe import Recipe
from toolgen_hf.runtime.workspace import Workspace


@pytest.fixture
def command(tiny_model: Path, tmp_path: Path) -> list[str]:
    """On the rows of the other tests, with a recipe whose adapter takes two steps."""
    rows = [{**row, "answer": ["0"], "fewshot_overlap": False} for row in ROWS]
    (tmp_path / "stage1.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    adapter = {"model": str(tiny_model), "max_steps": 2, "batch_size": 2, "save_every": 1, "device": "cpu"}
    recipe = {
        "name": "t",
        "dataset": {"builder": "gsm8k"},
        "answer": {"generator": {"kind": "local", "model": str(tiny_model)}},
        "tool_api": {"teachers": [{"kind": "annotations"}]},
        "sources": {},
        "finetune": {"small": adapter},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("stage1.jsonl", "out")]
    return ["finetune", *files, "--recipe", str(tmp_path / "recipe.yaml"), "--name", "small"]


@pytest.mark.parametrize(
    ("options", "checkpoint"),
    [
        ([], "checkpoint-1"),
        (["--checkpoint", "last"], "checkpoint-2"),
        (["--max-steps", "4"], "checkpoint-2"),
        (["--max-steps", "4", "--checkpoint", "3"], "checkpoint-3"),
    ],
)
def test_it_prints_the_checkpoint_to_use(
    command: list[str], options: list[str], checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *options]) == 0
    out, err = capsys.readouterr()
    assert out == f"{Path(command[2]) / checkpoint}\n"
    assert "finetune small: 5 rows of up to " in err
    assert "finetune small: 100%" in err
    assert "0 cut, 0 left out; LoRA on q_proj, v_proj; " in err
    assert main([*command, *options]) == 0
    assert re.search(r"finetune small: done before: .* took \d+\.\d s then\n", capsys.readouterr().err)


def test_quiet_shows_no_bar(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_it_writes_no_checkpoints_over_or_into_its_input(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Path(command[1])
    before = rows.read_bytes()
    (folder := rows.parent / "rows").mkdir()
    rows.replace(folder / "train.jsonl")
    for source, output, message in (
        (folder / "train.jsonl", folder / "train.jsonl", "is both the input and the output"),
        (folder, folder / "adapter", r"is in '.*rows', the input, where the next run would read it"),
        (
            folder / "train.jsonl",
            rows.parent / "recipe.yaml",
            "is a file: give a folder, for the checkpoints",
        ),
    ):
        assert main(["finetune", str(source), str(output), *command[3:]]) == 2
        assert re.search(message, capsys.readouterr().err)
    assert (folder / "train.jsonl").read_bytes() == before


def test_cut_rows_are_warned_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--set", "finetune.small.cutoff_len=72"]) == 0
    err = capsys.readouterr().err
    assert (
        "of 5 rows, 5 lost a part of their output and 0 were left out, at cutoff_len=72; cutoff_len=" in err
    )
    assert "would hold them all (median " in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "5"], "finetune.small with {'checkpoint': 5}:\n  - "),
        (["--checkpoint", "5"], "checkpoint=5 is not saved; these are: [1, 2]"),
        (["--name", "other"], "the recipe has no finetune.other; it has: small"),
    ],
)
def test_what_cannot_be(
    command: list[str], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize("empty", [{"input": ""}, {"input": None}, {}])
def test_rows_may_be_all_instruction(
    command: list[str], empty: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"instruction": f"What is {n} * 19?", "output": f"calculator({n}*19)", **empty} for n in range(3)]
    Path(command[1]).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert main(command) == 0
    assert "finetune small: 3 rows of up to " in capsys.readouterr().err


@pytest.mark.parametrize("output", ["", "  ", None])
def test_a_row_without_an_output_is_named_by_its_line(
    command: list[str], output: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(command[1])
    source.write_text(source.read_text() + json.dumps({**ROWS[0], "id": "x", "output": output}) + "\n")
    assert main(command) == 2
    assert f"{source}:6: 'output' is {'null' if output is None else 'blank'}" in capsys.readouterr().err
    assert not Path(command[2]).exists()


@pytest.mark.parametrize("given", ["first", "0", "-1", "1.5"])
def test_a_checkpoint_that_is_none(
    command: list[str], given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, f"--checkpoint={given}"])
    assert stop.value.code == 2
    assert "--checkpoint" in capsys.readouterr().err


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    shown = capsys.readouterr().out
    assert "--checkpoint middle|last|N" in shown
    assert "toolgen-hf finetune stage1.jsonl adapters/vicuna --name vicuna" in shown


def test_a_run_reports_the_rows_that_had_no_room(command: list[str], tmp_path: Path) -> None:
    long = {**ROWS[0], "id": "long", "input": "one and " * 200}
    cloned = DatasetDict(train=Dataset.from_list([*ROWS, long]))
    recipe = Recipe.load(command[4], ["finetune.small.cutoff_len=100"])
    with Workspace(tmp_path / "cache", progress=False) as workspace:
        train_adapter("small", recipe, cloned, workspace)
        report = workspace.reports[-1]
    assert (report.rows_in, report.rows_out) == (6, 5)
    assert report.rejected == {"the prompt fills cutoff_len": 1}
