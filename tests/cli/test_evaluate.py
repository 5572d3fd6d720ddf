"""``toolgen-hf evaluate``: what it prints, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolgen_hf.cli import main
from toolgen_hf.metrics import tool_use

TEXTS, ANSWERS, NEEDS = (
    ["calculator(3*19)", "calculator(3/0)", "It is 7."],
    ["57", "5", "6"],
    [True, False, True],
)


@pytest.fixture
def mine(tmp_path: Path) -> str:
    rows = [
        {"id": str(n), "source": "[mine]", "response": text, "answer": answer, "needs_tool": need}
        for n, (text, answer, need) in enumerate(zip(TEXTS, ANSWERS, NEEDS, strict=True))
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(tmp_path / "p.jsonl")


def test_a_table_for_people(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", mine]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[mine]")]
    assert row.split() == ["[mine]", "3", "33.3%", "(6.1–79.2)", "66.7%", "50.0%", "33.3%"]


def test_json_has_full_precision(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", mine, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    board = json.loads(line)
    assert board["sources"]["[mine]"] == {
        "overall": tool_use(TEXTS, ANSWERS, NEEDS),
        "splits": {},
        "datasets": {},
    }
    assert board["target"] == mine


def test_what_is_left_out_is_said(mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "0", "answer": "57"}, {"id": "9", "answer": "1"}]
    (tmp_path / "raw.json").write_text(json.dumps(rows), encoding="utf-8")
    assert main(["evaluate", mine, "--references", str(tmp_path / "raw.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "[mine]: 2 responses have no accepted answer and are in no figure, the first to '1'" in said
    assert "[mine]: 1 questions have no response and are in no figure, the first being '9'" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "[mime]"], "there is no source '[mime]'; there is '[mine]'. Did you mean '[mine]'?"),
        (["--split", "dev"], "there is no split 'dev'; no row of these says its split"),
        (["--task", "chess"], "unknown task 'chess'; known tasks: math"),
        (["--references", "nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
    ],
)
def test_an_error_says_what_to_do(
    mine: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", mine, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_target_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "nothing.jsonl")]) == 2
    assert "there is no such file" in capsys.readouterr().err
