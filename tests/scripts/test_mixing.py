"""mix.py, file to file: which split a file is of, and that no test question enters another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf import Workspace
from toolgen_hf.builders.layout import name_and_split
from toolgen_hf.cli import main
from toolgen_hf.errors import ConfigError
from toolgen_hf.published.assemble import mix

LEAK = "What is 2 + 2?"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path / "cache", progress=False) as workspace:
        yield workspace


def write(path: Path, *questions: str) -> Path:
    rows = [{"id": n, "instruction": "I", "input": q, "output": "4"} for n, q in enumerate(questions)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def inputs(path: Path) -> list[str]:
    return [row["input"] for row in rows(path)]


def without_ids(path: Path) -> Path:
    lines = ({name: value for name, value in row.items() if name != "id"} for row in rows(path))
    path.write_text("".join(json.dumps(row) + "\n" for row in lines), encoding="utf-8")
    return path


def test_what_is_not_drawn_or_not_there_is_said(tmp_path: Path, workspace: Workspace) -> None:
    a = without_ids(write(tmp_path / "A.json", "a", "b", "c", "d"))
    b = without_ids(write(tmp_path / "B.json", "e", "f"))
    said = str(mix([a, b], tmp_path / "mix.json", [{"count": 1}, {"count": 100}], workspace))
    assert "B: 2 of 100" in said
    assert "3 not drawn" in said
    said = str(mix([a, b], tmp_path / "mix.json", [], workspace))
    assert "not drawn" not in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GSM8K.json", ("GSM8K", "train")),
        ("GSM8K_test.json", ("GSM8K", "test")),
        ("my_set_validation.jsonl", ("my_set", "validation")),
        ("test-00000-of-00001.parquet", ("", "test")),
        ("contest.json", ("contest", "train")),
    ],
)
def test_a_file_is_of_the_split_that_its_name_ends_with(name: str, expected: tuple[str, str]) -> None:
    assert name_and_split(Path(name)) == expected


def test_test_files_are_mixed_beside_and_stay_out_of_train(tmp_path: Path, workspace: Workspace) -> None:
    own = without_ids(write(tmp_path / "Own.json", "1 + 1?", "what is 2+2"))
    test = without_ids(write(tmp_path / "G_test.json", LEAK, "3 + 3?"))
    done = mix([own, test], tmp_path / "mix.json", [], workspace)
    assert inputs(tmp_path / "mix.json") == ["1 + 1?"]
    assert inputs(tmp_path / "mix_test.json") == [LEAK, "3 + 3?"]
    assert done.outputs == (tmp_path / "mix.json", tmp_path / "mix_test.json")
    assert done.rejected == {"kept out of train: it is in the test split of G_test (normalised text)": 1}
    assert (done.rows_in, done.rows_out) == (4, 3)


def test_a_test_file_beside_a_train_file_is_heeded(tmp_path: Path, workspace: Workspace) -> None:
    """Its ids may be those of other questions in train: people number both from 0."""
    own, other = write(tmp_path / "Own.json", "1 + 1?", LEAK), tmp_path / "Own_test.json"
    write(other, LEAK, LEAK, "3 + 3?")
    done = mix([own], tmp_path / "mix" / "mix.json", [{"weight": 1}], workspace)
    assert inputs(tmp_path / "mix" / "mix.json") == ["1 + 1?"]
    assert sorted(path.name for path in (tmp_path / "mix").iterdir()) == ["mix.json", "mix_rejected.json"]
    assert str(done).endswith(f"the questions of {other}, which is not mixed, were kept out")
    assert (done.rows_in, done.rows_out, sum(done.rejected.values())) == (2, 1, 1)


def test_the_output_is_named_as_what_goes_there(tmp_path: Path, workspace: Workspace) -> None:
    train, test = write(tmp_path / "A.json", "1 + 1?"), write(tmp_path / "B_test.json", LEAK)
    for sources, output, right in (
        ([train], "mix_test.json", "mix.json"),
        ([test], "mix.json", "mix_test.json"),
    ):
        with pytest.raises(ConfigError, match=rf"no input is of it: .*; give the output '.*/{right}'"):
            mix(sources, tmp_path / output, [], workspace)
        mix(sources, tmp_path / right, [], workspace)
    assert inputs(tmp_path / "mix_test.json") == [LEAK]


def test_the_command_heeds_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("Own.json"), "1 + 1?", LEAK)
    write(Path("Own_test.json"), LEAK)
    assert main(["mix", "own=Own.json", "mixed.json", "-q"]) == 0
    assert inputs(Path("mixed.json")) == ["1 + 1?"]
    assert "1 of own, train: also in test of Own_test" in capsys.readouterr().out
