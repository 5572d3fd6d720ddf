"""Files that people have: ids of their own or none, question or input, answers of every kind, extra fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf import Workspace
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.given import match
from toolgen_hf.published.assemble import gold_response, merge
from toolgen_hf.published.files import kept, read
from toolgen_hf.published.mixing import mix
from toolgen_hf.published.scoring import response_files, score
from toolgen_hf.published.tasks import examples, source_name, task_of

Row = dict[str, Any]
INSTRUCTION = "Given a math problem, please answer it and you can use a calculator for help."


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path / "cache", progress=False) as workspace:
        yield workspace


def write(path: Path, rows: list[Row], head: str = "", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + end for row in rows)
    path.write_bytes((head + lines).encode())
    return path


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def reasons(path: Path) -> list[tuple[str, str]]:
    return [(row["id"], row["reason"]) for row in lines(path)]


def test_a_file_of_any_hand(tmp_path: Path) -> None:
    given = [
        {"question": "How many?", "answer": "1,000"},
        {"input": "¿Cuánto?", "answer": 5.0, "id": 7, "source": ["mine"], "correct": "yes"},
        {"id": None, "question": "And?", "answer": ["3", 4], "reason": 1},
    ]
    rows = read(write(tmp_path / "G_test.json", given, head="\ufeff", end="\r\n"), "raw")
    assert rows.table["train"].to_list() == [
        {"id": "G_test-train-0", "question": "How many?", "answer": ["1,000"], "solution": None},
        {"id": "7", "question": "¿Cuánto?", "answer": ["5"], "solution": None},
        {"id": "G_test-train-2", "question": "And?", "answer": ["3", "4"], "solution": None},
    ]
    assert rows.given == [
        {"id": "G_test-train-0", **given[0]},
        given[1],
        {**given[2], "id": "G_test-train-2"},
    ]
    assert rows.extras()[1] == {"source": ["mine"], "correct": "yes"}
    assert len(rows.without([{"id": 7}])) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": "1"}, r"G.json:2: no column 'question'"),
        ({"question": "Q"}, r"G.json:2: no column 'answer'"),
        ({"question": "Q", "answer": [], "id": 1}, "empty list"),
        ({"question": "Q", "answer": "1", "id": "a"}, r"G.json:2: the id 'a' is already that of .*G.json:1"),
    ],
)
def test_what_no_step_can_use_is_named_with_its_line(tmp_path: Path, row: Row, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "G.json", [{"id": "a", "question": "P", "answer": "2"}, row]), "raw")


def test_mode_a_refuses_an_output_of_other_questions(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "G.json", [{"id": 1, "question": "P", "answer": "2"}]), "raw")
    out = write(tmp_path / "out.json", [{"id": 1, "input": "Another", "answer": "2"}])
    assert kept(out, "w", rows) == []
    assert kept(tmp_path / "none.json", "a", rows) == []
    with pytest.raises(
        ConfigError, match="another question under the id '1': give another output, or --mode w"
    ):
        kept(out, "a", rows)


def test_merge_checks_what_it_is_given(tmp_path: Path, workspace: Workspace) -> None:
    right = [
        {"id": "a", "question": "2+2?", "answer": "4", "response": "It is 4.", "type": "sum", "pred": 4},
        {"id": "b", "input": "3+3?", "answer": 6, "output": "It is 7."},
    ]
    wrong = [
        {"id": "c", "question": "5+5?", "answer": ["10"], "response": "11", "tool": " calculator(5+5)"},
        {"id": "a", "question": "2+2?", "answer": "4", "tool": "calculator(2+2)"},
        {"id": "d", "question": "6+6?", "answer": "12", "tool": "calculator(6+7)"},
    ]
    done = merge(
        write(tmp_path / "G_right.json", right),
        write(tmp_path / "G_wrong.json", wrong),
        tmp_path / "stage1" / "G.json",
        workspace,
    )
    told = {"instruction": INSTRUCTION}
    assert lines(tmp_path / "stage1" / "G.json") == [
        {**told, "input": "2+2?", "output": "It is 4.", "id": "a", "answer": ["4"], "type": "sum"},
        {**told, "input": "5+5?", "output": " calculator(5+5)", "id": "c", "answer": ["10"]},
    ]
    assert reasons(tmp_path / "stage1" / "G_rejected.json") == [
        ("b", "the output does not give the answer"),
        ("a", "another row has this id"),
        ("d", "the output does not give the answer"),
    ]
    assert (done.rows_in, done.rows_out) == (5, 2)
    write(tmp_path / "G_right.json", right[:1])
    merge(
        tmp_path / "G_right.json",
        write(tmp_path / "G_wrong.json", []),
        tmp_path / "stage1" / "G.json",
        workspace,
    )
    assert not (tmp_path / "stage1" / "G_rejected.json").exists()


def test_gold_of_the_three_published_fields(tmp_path: Path, workspace: Workspace) -> None:
    """A stage 1 file as the instructions show it gets its ids and answers from the questions."""
    raw = write(tmp_path / "G.json", [{"id": "x", "question": "2+2?", "answer": "4", "level": 1}])
    stage1 = [
        {"instruction": "I", "input": "2+2?", "output": "calculator(2+2)", "note": "n"},
        {"instruction": "I", "input": "2+2?", "output": "calculator(2+2)"},
        {"instruction": "I", "input": "9+9?", "output": "calculator(9+9)"},
    ]
    source, output = write(tmp_path / "stage1.json", stage1), tmp_path / "G_gold_response.json"
    with pytest.raises(
        DataError, match=r"the row about '2\+2\?' has no answer; give the questions with --raw"
    ):
        gold_response(source, output, workspace)
    gold_response(source, output, workspace, raw)
    row = {"id": "x", "instruction": "I", "input": "2+2?", "output": "calculator(2+2)", "answer": ["4"]}
    assert lines(output) == [{**row, "pred": "4.0", "note": "n"}]
    assert [reason for _, reason in reasons(tmp_path / "G_gold_response_rejected.json")] == [
        "another row has this id",
        "the question is not among the raw ones",
    ]


QUESTIONS = {"G-0": "2+2?", "G-1": "3 + 3?", "G-2": "2+2?"}


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"id": "G-1", "response": "6"}, "G-1"),
        ({"id": "G-1", "question": " 3 +  3? ", "output": "6"}, "G-1"),
        ({"id": "theirs-9", "input": "3 + 3?", "response": "6"}, "G-1"),
        ({"input": "3 + 3?", "response": 6}, "G-1"),
        ({"id": "G-0", "input": "3 + 3?", "response": "6"}, "G-1"),  # another's ids
        ({"id": "G-2", "input": "2+2?", "response": "6"}, "G-2"),
    ],
)
def test_a_response_finds_its_question(row: Row, key: str) -> None:
    assert match([("f:1", row)], QUESTIONS, "mine").responses == {key: "6"}


def test_what_finds_none_is_left_over() -> None:
    rows: list[Row] = [
        {"input": "2+2?", "response": "4"},
        {"input": "2+2?", "response": "5"},  # the second question of these words
        {"input": "2+2?", "response": "6"},
        {"id": "G-1", "input": "8+8?", "response": "7"},
        {"id": "none", "response": "8"},
        {"response": "9"},
    ]
    found = match(((f"f:{at}", row) for at, row in enumerate(rows)), QUESTIONS, "mine")
    assert found.responses == {"G-0": "4", "G-2": "5"}
    assert [(row["id"], row["reason"]) for row in found.rejected] == [
        ("G-0", "mine: a second response to this question"),
        ("G-1", "mine: another question under this id"),
        ("none", "mine: no such question"),
        ("f:5", "mine: no such question"),
    ]
    assert json.loads(found.rejected[0]["detail"]) == {"id": "G-0", **rows[2]}
    assert [row["id"] for row in found.missing(QUESTIONS)] == ["G-1"]
    with pytest.raises(DataError, match="f:0: no column 'response'"):
        match([("f:0", {"id": "G-1"})], QUESTIONS, "mine")


def stage2(folder: Path, names: Mapping[str, str]) -> Path:
    for name, response in names.items():
        row = {"id": "a", "input": "2+2?", "answer": "4", "response": response}
        write(folder / f"{name}_response.json", [row])
    return folder


def test_score_takes_every_split_and_source_in_order(tmp_path: Path, workspace: Workspace) -> None:
    names = ["my_model", "alpaca", "chatgpt", "gold"]
    folder = stage2(
        tmp_path, {f"G_{name}": "It is 4." for name in names} | {"G_test_gold": "4", "G_test_x": "5"}
    )
    found = response_files(folder)
    assert {name: list(files) for name, files in found.items()} == {
        "G": ["gold", "chatgpt", "alpaca", "my_model"],
        "G_test": ["gold", "x"],
    }
    score(folder, tmp_path / "out", workspace)
    assert lines(tmp_path / "out" / "G_test.json")[0]["scores"] == [20, 15]
    assert lines(tmp_path / "out" / "G.json")[0]["origin"] == ["gold", "chatgpt", "alpaca", "my_model"]
    with pytest.raises(ConfigError, match=r"is one file, but .* holds G, G_test: give a folder"):
        score(folder, tmp_path / "out.json", workspace)
    with pytest.raises(ConfigError, match=r"no file G_davinci_response.json in .*; there are \["):
        response_files(folder, ["davinci"])


def test_only_chosen_sources_are_scored(tmp_path: Path, workspace: Workspace) -> None:
    folder = stage2(tmp_path, {"G_gold": "4", "G_b": "5", "G_a": "4", "G_c": "6"})
    score(folder, tmp_path / "one.json", workspace, "Math", "consistency", ["b", "a"])
    (row,) = lines(tmp_path / "one.json")
    assert (row["origin"], row["scores"]) == (["gold", "b", "a"], [20, 10, 20])


def test_a_response_without_a_text_is_one(tmp_path: Path, workspace: Workspace) -> None:
    folder = stage2(tmp_path, {"G_gold": "4", "G_b": "5"})
    write(folder / "G_b_response.json", [{"id": "a", "input": "2+2?", "response": None}])
    (done,) = score(folder, tmp_path / "one.json", workspace)
    assert lines(tmp_path / "one.json")[0]["scores"] == [20, 0]
    assert not done.rejected


def test_mix_of_files(tmp_path: Path, workspace: Workspace) -> None:
    def rows(name: str, count: int) -> Path:
        made = [
            {
                "instruction": "I",
                "input": f"{name} {n}?",
                "output": f"{n}",
                **({"id": n, "x": 1} if name == "B" else {}),
            }
            for n in range(count)
        ]
        return write(tmp_path / f"{name}.json", [*made, *made[:1]] if name == "A" else made)

    sources = [rows("A", 4), rows("B", 2)]
    done = mix(sources, tmp_path / "mix" / "mix.json", [], workspace, "concatenate")
    mixed = lines(tmp_path / "mix" / "mix.json")
    assert [row["input"] for row in mixed] == ["A 0?", "A 1?", "A 2?", "A 3?", "B 0?", "B 1?"]
    assert list(mixed[0]) == ["instruction", "input", "output"]
    assert mixed[-1] == {"instruction": "I", "input": "B 1?", "output": "1", "id": 1, "x": 1}
    assert (done.rows_in, done.rows_out, sum(done.rejected.values())) == (7, 6, 1)
    assert "duplicate" in lines(tmp_path / "mix" / "mix_rejected.json")[0]["reason"]
    mix(sources, tmp_path / "mix.json", [{"count": 1}, {"count": 2}], workspace)
    assert len(lines(tmp_path / "mix.json")) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("A", "is both an input and the output"), ("A_rejected", "is both an input and where rejected rows go")],
)
def test_no_step_writes_over_its_input(tmp_path: Path, workspace: Workspace, name: str, message: str) -> None:
    path = write(tmp_path / f"{name}.json", [{"instruction": "I", "input": "1+1?", "output": "2"}] * 2)
    before = path.read_bytes()
    for step in (
        lambda output: mix([path], output, [], workspace),
        lambda output: merge(path, path, output, workspace),
        lambda output: gold_response(path, output, workspace),
    ):
        with pytest.raises(ConfigError, match=message):
            step(tmp_path / "A.json")
    assert path.read_bytes() == before


def test_mix_of_stage2(tmp_path: Path, workspace: Workspace) -> None:
    row = {"query": "I\n2+2?", "responses": ["4"], "origin": ["gold"], "scores": [20], "answer": ["4.0"]}
    sources = [write(tmp_path / "A.json", [row]), write(tmp_path / "B.json", [{**row, "query": "I\n3+3?"}])]
    mix(sources, tmp_path / "mix.json", [], workspace)
    assert lines(tmp_path / "mix.json") == [row, {**row, "query": "I\n3+3?"}]


def test_names(tmp_path: Path) -> None:
    assert source_name(Path("GSM8K_davinci_response.json")) == "davinci"
    assert task_of("ASDiv") == task_of("my own") == "math"
    with pytest.raises(ConfigError, match="'webq' is of the task 'QA', which is not here yet"):
        task_of("webq")
    shown = [{"instruction": "Do.", "input": "1+1?", "output": "calculator(1+1)"}]
    write(tmp_path / "math.json", shown)
    assert examples(tmp_path, "Math").examples[0].question == "1+1?"
    assert examples(tmp_path / "math.json", "Math").system == "Do."
