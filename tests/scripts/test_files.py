"""Files that people have: ids of their own or none, question or input, answers of every kind, extra fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf import Workspace
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.models.config import AnnotationsConfig
from toolgen_hf.models.file import match
from toolgen_hf.published.ask import examples, generate_tool_api, source_name, task_of
from toolgen_hf.published.assemble import gold_response, merge, mix, response_files, score
from toolgen_hf.published.files import extras, kept, read

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
    assert rows.rows.to_list() == [
        {"id": "G_test-train-0", "question": "How many?", "answer": ["1,000"], "solution": None},
        {"id": "7", "question": "¿Cuánto?", "answer": ["5"], "solution": None},
        {"id": "G_test-train-2", "question": "And?", "answer": ["3", "4"], "solution": None},
    ]
    assert rows.given == [
        {"id": "G_test-train-0", **given[0]},
        given[1],
        {**given[2], "id": "G_test-train-2"},
    ]
    assert extras(rows)[1] == {"source": ["mine"], "correct": "yes"}
    assert len(rows.without({"7"})) == 2


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
    assert kept(out, "w", rows) is None
    assert kept(tmp_path / "none.json", "a", rows) is None
    with pytest.raises(
        ConfigError, match="another question under the id '1': give another output, or --mode w"
    ):
        kept(out, "a", rows)
    with pytest.raises(DataError, match=r"out.json:1: no column 'id'; there is 'input'"):
        kept(write(out, [{"input": "P"}]), "a", rows)


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
        {**told, "input": "5+5?", "output": "calculator(5+5)", "id": "c", "answer": ["10"]},
    ]
    assert reasons(tmp_path / "stage1" / "G_rejected.json") == [
        ("b", "the output does not give the answer"),
        ("a", "another row has this id"),
        ("d", "the output does not give the answer"),
    ]
    assert (done.rows_in, done.rows_out) == (5, 2)


def test_of_texts_by_others_the_response_alone_is_merged_and_scored(
    tmp_path: Path, workspace: Workspace
) -> None:
    right = [
        {
            "id": "a",
            "question": "2+2?",
            "answer": "4",
            "response": "<think>or 5?</think>\n\nIt is 4.<|im_end|>",
        },
        {"id": "b", "question": "3+3?", "answer": "6", "response": "<think>6, or"},
    ]
    call = "<think>calculator(9)?</think>calculator('5+5')\nQuestion: 7?\nOutput: calculator(7)"
    wrong = [{"id": "c", "question": "5+5?", "answer": "10", "tool": call}]
    out = tmp_path / "stage1" / "G.json"
    merge(write(tmp_path / "G_right.json", right), write(tmp_path / "G_wrong.json", wrong), out, workspace)
    assert [row["output"] for row in lines(out)] == ["It is 4.", "calculator(5+5)"]
    assert reasons(out.with_stem("G_rejected")) == [("b", "the output does not give the answer")]
    folder = stage2(tmp_path / "two", {"G_gold": "4", "G_b": "<think>5?</think>4\nInput: 9?\nOutput: 9"})
    score(folder, tmp_path / "scored", workspace)
    for row in lines(tmp_path / "scored" / "G.json"):
        assert row["responses"] == ["4", "4"]
        assert row["scores"] == [20, 20]
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
    assert match([("f:1", row)], QUESTIONS.items(), "mine").responses == {key: "6"}


def test_what_finds_none_is_left_over() -> None:
    rows: list[Row] = [
        {"input": "2+2?", "response": "4"},
        {"input": "2+2?", "response": "5"},  # the second question of these words
        {"input": "2+2?", "response": "6"},
        {"id": "G-1", "input": "8+8?", "response": "7"},
        {"id": "none", "response": "8"},
        {"response": "9"},
    ]
    found = match(((f"f:{at}", row) for at, row in enumerate(rows)), QUESTIONS.items(), "mine")
    assert found.responses == {"G-0": "4", "G-2": "5"}
    assert [(row["id"], row["reason"]) for row in found.rejected] == [
        ("G-0", "mine: a second response to this question"),
        ("G-1", "mine: another question under this id"),
        ("none", "mine: no such question"),
        ("f:5", "mine: no such question"),
    ]
    assert json.loads(found.rejected[0]["detail"]) == {"id": "G-0", **rows[2]}
    assert {*QUESTIONS} - {*found.responses} == {"G-1"}
    with pytest.raises(DataError, match="f:0: no column 'response'"):
        match([("f:0", {"id": "G-1"})], QUESTIONS.items(), "mine")


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


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_response_without_a_text_is_one(tmp_path: Path, workspace: Workspace, text: str | None) -> None:
    """The model was asked and said nothing: a wrong answer, and a text to which a trainer can add its end token."""
    folder = stage2(tmp_path, {"G_gold": "4", "G_b": "5"})
    write(folder / "G_b_response.json", [{"id": "a", "input": "2+2?", "response": text}])
    (done,) = score(folder, tmp_path / "one.json", workspace)
    (row,) = lines(tmp_path / "one.json")
    assert (row["responses"], row["scores"]) == (["4", text or ""], [20, 0])
    assert not done.rejected
    assert str(done).endswith("; b: 1 without a text, scored as no answer")


EMPTY = r"G_b_response.json' holds no row; generate_response_gpt.py or generate_response_llama.py writes it"
FOREIGN = r"no row came out \(1 rejected \(b: no response .* \(b: no gold .*G.json' holds rows, which stay"


@pytest.mark.parametrize(("text", "told"), [("", EMPTY), ('{"id": "z", "response": "4"}\n', FOREIGN)])
def test_no_rows_never_replace_a_result(tmp_path: Path, workspace: Workspace, text: str, told: str) -> None:
    folder = stage2(tmp_path, {"G_gold": "4", "G_b": "5"})
    score(folder, folder, workspace)
    before = (folder / "G.json").read_bytes()
    (folder / "G_b_response.json").write_text(text)
    with pytest.raises(DataError, match=told):
        score(folder, folder, workspace)
    assert (folder / "G.json").read_bytes() == before
    assert not (folder / "G_rejected.json").exists()


def test_where_every_row_is_rejected_the_reasons_are_near(tmp_path: Path, workspace: Workspace) -> None:
    folder = stage2(tmp_path, {"G_gold": "4"})
    write(folder / "G_b_response.json", [{"id": "z", "response": "4"}])
    (done,) = score(folder, folder, workspace)
    assert (done.rows_in, done.rows_out) == (1, 0)
    assert str(done).endswith(f"each with its reason in {folder / 'G_rejected.json'}")


def test_an_empty_input_names_the_step_that_writes_it(tmp_path: Path, workspace: Workspace) -> None:
    empty, output = write(tmp_path / "empty.json", []), tmp_path / "out.json"
    with pytest.raises(DataError, match=r"empty.json' holds no row; merge.py writes it"):
        gold_response(empty, output, workspace)
    with pytest.raises(
        DataError, match=r"hold no row; answer_questions.py and generate_tool_api.py write them"
    ):
        merge(empty, write(tmp_path / "also.json", []), output, workspace)
    folder = stage2(tmp_path / "two", {"G_gold": "4", "G_b": "5"})
    write(folder / "G_gold_response.json", [])
    with pytest.raises(DataError, match=r"G_gold_response.json' holds no row; gold_response.py writes it"):
        score(folder, output, workspace)
    assert not output.exists()


def test_a_student_that_got_everything_right_needs_no_call(tmp_path: Path, workspace: Workspace) -> None:
    output = tmp_path / "stage1" / "G_wrong.json"
    done = generate_tool_api(write(tmp_path / "G_wrong.json", []), output, [AnnotationsConfig()], workspace)
    assert done is not None
    assert (done.rows_in, done.rows_out) == (0, 0)
    assert lines(output) == []


def test_a_worked_answer_is_read_as_gsm8k_has_it(tmp_path: Path, workspace: Workspace) -> None:
    """The annotations make a call of its worked solution; no model is asked about an answer that is not a number."""
    worked = {"id": "a", "question": "1+2?", "answer": "1+2=<<1+2=3>>3\n#### 3"}
    rows = [worked, {"id": "b", "question": "Which?", "answer": "blue"}]
    source, output = write(tmp_path / "G_wrong.json", rows), tmp_path / "stage1" / "G_wrong.json"
    generate_tool_api(source, output, [AnnotationsConfig()], workspace)
    assert lines(output) == [{**worked, "tool": "calculator(1+2)"}]
    no_answer = "the gold answer is no answer of the task 'math'"
    assert reasons(output.with_stem("G_wrong_rejected")) == [("b", no_answer)]
    write(source, [{**rows[1], "response": "It is blue."}])
    merge(source, output, tmp_path / "G.json", workspace)
    assert [(row["output"], row["answer"]) for row in lines(tmp_path / "G.json")] == [
        ("calculator(1+2)", ["3"])
    ]
    assert reasons(tmp_path / "G_rejected.json") == [("b", no_answer)]


def test_merge_takes_calls_alone(tmp_path: Path, workspace: Workspace) -> None:
    right = write(tmp_path / "G_right.json", [])
    texts = {"a": "So calculator(20+2) it is.", "b": "22", "c": None}
    wrong = [{"id": key, "question": "?", "answer": "22", "tool": text} for key, text in texts.items()]
    merge(right, write(tmp_path / "G_wrong.json", wrong), tmp_path / "G.json", workspace)
    assert [row["output"] for row in lines(tmp_path / "G.json")] == ["calculator(20+2)"]
    reason = "the tool is no call of 'calculator'"
    assert reasons(tmp_path / "G_rejected.json") == [("b", reason), ("c", reason)]
    assert json.loads(lines(tmp_path / "G_rejected.json")[0]["detail"])["tool_call"] == "22"


def test_a_column_is_missed_in_the_words_of_the_file(tmp_path: Path, workspace: Workspace) -> None:
    path = write(tmp_path / "G.json", [{"id": "a", "question": "Q", "answer": "1", "note": 1}])
    there = "there is 'id', 'question', 'answer', 'note'; generate_tool_api.py writes it"
    with pytest.raises(DataError, match=rf"G.json:1: no column 'tool'; {there}$"):
        merge(write(tmp_path / "right.json", []), path, tmp_path / "out.json", workspace)
    write(path, [{"id": "a", "input": "Q"}])
    with pytest.raises(DataError, match=r"no column 'answer'; there is 'id', 'input'$"):
        read(path, "raw")
    write(path, [{"id": "a", "response": "Q", "answer": 1}])
    with pytest.raises(
        DataError, match=r"no column 'question' or 'input'; there is 'id', 'response', 'answer'"
    ):
        read(path, "raw")


def test_files_and_folders_are_told_apart(tmp_path: Path, workspace: Workspace) -> None:
    folder = stage2(tmp_path / "two", {"G_gold": "4", "G_b": "5"})
    file = folder / "G_gold_response.json"
    with pytest.raises(DataError, match=r"is a file: give the folder that it is in"):
        score(file, tmp_path, workspace)
    with pytest.raises(DataError, match=r"two' is a folder: give the file in it that you mean"):
        merge(folder, file, tmp_path / "out.json", workspace)
    with pytest.raises(
        ConfigError, match=r"the output '.*two' is a folder: give a file, such as '.*two/GSM8K.json'"
    ):
        gold_response(file, folder, workspace)
    (folder / "G_c_response.json").mkdir()
    with pytest.raises(DataError, match=r"G_c_response.json' is a folder"):
        score(folder, tmp_path, workspace)


def test_responses_without_gold_are_told_of(
    tmp_path: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    folder = stage2(tmp_path, {"G_gold": "4", "G_b": "5", "SVAMP_davinci": "4"})
    score(folder, folder, workspace)
    assert "SVAMP_davinci_response.json is left out: there is no SVAMP_gold_response.json" in caplog.text


def test_a_dataset_that_is_not_known_is_taken_for_math_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert task_of("gsm8k") == "math"
    assert not caplog.records
    assert task_of("GSM9K") == "math"
    assert "'GSM9K' is none of GSM8K, SVAMP, ASDiv" in caplog.text
    assert "taken as one of math problems. Did you mean 'GSM8K'?" in caplog.text


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
    assert [task_of(name) for name in ("webq", "T-REx", "MLQA")] == ["qa", "lama", "mlqa"]
    shown = [{"instruction": "Do.", "input": "1+1?", "output": "calculator(1+1)"}]
    write(tmp_path / "math.json", shown)
    assert examples(tmp_path, "Math").examples[0].question == "1+1?"
    assert examples(tmp_path / "math.json", "Math").system == "Do."


def test_a_response_that_was_cut_is_known_again_in_a_file(tmp_path: Path) -> None:
    question = {"id": "a", "question": "What is 2 + 3?", "answer": "5"}
    gold = {**question, "instruction": "?", "input": question["question"], "output": "calculator(2+3)"}
    write(tmp_path / "Mine_gold_response.json", [gold])
    for source, end in (("cut", "length"), ("whole", "stop"), ("published", None)):
        row = {**question, "response": "It is 5"} | ({"finish_reason": end} if end else {})
        write(tmp_path / f"Mine_{source}_response.json", [row])
    score(tmp_path, tmp_path, Workspace(tmp_path / "cache", progress=False))
    row = json.loads((tmp_path / "Mine.json").read_text())
    assert dict(zip(row["origin"], row["answer"], strict=True)) == {
        "gold": "5.0", "cut": "", "published": "5.0", "whole": "5.0",
    }  # fmt: skip
