"""What was written opens again: Parquet with a card, and the published JSON layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features

from tests.builders.conftest import Write
from toolgen_hf import schemas
from toolgen_hf._utils import run_jobs
from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.produced import KINDS
from toolgen_hf.data.export import export_json
from toolgen_hf.errors import ConfigError, DataError

STAGE1 = {"instruction": "Given a math problem, ...", "input": "How many?", "output": "calculator(3*19)"}
STAGE2 = {
    "fewshot_overlap": None,
    "query": "please solve it\nHow many?",
    "responses": ["calculator(3*19)", "Jean has $54."],
    "origin": ["gold", "vicuna"],
    "scores": [20, 15],
    "answer": ["57.0", "54.0"],
}
RESPONSE = {"id": "a", "input": "How many?", "answer": ["57"], "response": "Jean has $54.", "pred": "54"}
GOLD = {**STAGE1, "id": "a", "answer": ["57"], "pred": "57"}

LAYOUT = {
    "data/raw/GSM8K/GSM8K.json": [
        {"question": "Q", "answer": "7"},
        {"question": "R", "answer": ["8"], "id": "x"},
    ],
    "data/raw/GSM8K/GSM8K_test.json": [{"question": "T", "answer": 9.0, "solution": "3*3", "type": "extra"}],
    "data/raw/GSM8K/GSM8K_right.json": [],
    "data/raw/GSM8K/GSM8K_wrong.json": [{"question": "Q", "answer": "7", "response": "It is 6."}],
    "data/raw/GSM8K/GSM8K_test_wrong.json": [{"question": "T", "answer": "9"}],
    "data/stage1/GSM8K/GSM8K.json": [STAGE1, {**STAGE1, "id": "y", "answer": ["57"], "extra": 1}],
    "data/stage1/GSM8K/GSM8K_wrong.json": [{"question": "Q", "answer": ["7"], "tool": "calculator(7)"}],
    "data/stage1/mix/mix.json": [STAGE1, STAGE1],
    "data/stage2/GSM8K/GSM8K.json": [STAGE2],
    "data/stage2/GSM8K/GSM8K_test.json": [STAGE2],
    "data/stage2/GSM8K/GSM8K_holdout.json": [STAGE2],
    "data/stage2/GSM8K/GSM8K_gold_response.json": [GOLD],
    "data/stage2/GSM8K/GSM8K_my_model_response.json": [RESPONSE],
    "data/stage2/GSM8K/GSM8K_test_gold_response.json": [GOLD],
    "data/stage2/GSM8K/GSM8K_holdout_my_model_response.json": [{**RESPONSE, "source": "named"}],
}


@pytest.fixture
def layout(write: Write, tmp_path: Path) -> Path:
    for name, rows in LAYOUT.items():
        write(f"out/{name}", rows)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("config", "name", "ids"),
    [
        ("raw", None, {"train": ["GSM8K-train-0", "x"], "test": ["GSM8K-test-0"]}),
        ("right", None, {"train": []}),
        ("wrong", None, {"train": ["GSM8K-train-0"], "test": ["GSM8K-test-0"]}),
        ("stage1", "GSM8K", {"train": ["GSM8K-train-0", "y"]}),
        ("stage1", "mix", {"train": ["mix-train-0", "mix-train-1"]}),
        ("stage1_wrong", None, {"train": ["GSM8K-train-0"]}),
        (
            "stage2",
            None,
            {"train": ["GSM8K-train-0"], "test": ["GSM8K-test-0"], "holdout": ["GSM8K-holdout-0"]},
        ),
        ("responses", None, {"train": ["a", "a"], "test": ["a"], "holdout": ["a"]}),
    ],
)
def test_json_layout(
    layout: Path, cache: Path, config: str, name: str | None, ids: dict[str, list[str]]
) -> None:
    data = load(Produced(config, data_dir=layout, dataset_name=name, cache_dir=cache))
    assert {split: list(rows["id"]) for split, rows in data.items()} == ids
    assert list(data) == list(ids)
    assert all(rows.features == KINDS[config].features for rows in data.values())


def test_json_rows_take_the_form_of_their_schema(layout: Path, cache: Path) -> None:
    def rows(config: str, split: str = "train", **kwargs: str) -> list[dict[str, Any]]:
        data = load(Produced(config_name=config, data_dir=str(layout), cache_dir=cache, **kwargs))
        return list(data[split].to_list())

    assert rows("raw") == [
        {"id": "GSM8K-train-0", "question": "Q", "answer": ["7"], "solution": None},
        {"id": "x", "question": "R", "answer": ["8"], "solution": None},
    ]
    assert rows("raw", "test")[0] == {
        "id": "GSM8K-test-0",
        "question": "T",
        "answer": ["9"],
        "solution": "3*3",
    }
    assert rows("wrong")[0]["response"] == "It is 6."
    assert rows("wrong")[0]["correct"] is False
    expected = {
        **STAGE1,
        "id": "y",
        "answer": ["57"],
        "fewshot_overlap": None,
        "verified_by": None,
        "soundness": None,
    }
    assert rows("stage1", dataset_name="GSM8K")[1] == expected
    assert rows("stage2", "test") == [{"id": "GSM8K-test-0", **STAGE2}]
    assert rows("stage1_wrong")[0]["tool_call"] == "calculator(7)"
    both = {"id": "a", "question": "How many?", "answer": ["57"], "finish_reason": None}
    assert rows("responses") == [
        {**both, "source": "gold", "response": "calculator(3*19)"},
        {**both, "source": "my_model", "response": "Jean has $54."},
    ]
    assert rows("responses", "test")[0]["source"] == "gold"
    assert rows("responses", "holdout")[0]["source"] == "named"


def test_the_data_folder_itself_will_do(layout: Path, cache: Path) -> None:
    data = load(Produced("stage2", data_dir=layout / "data", cache_dir=cache))
    assert data["train"].num_rows == 1


ATTEMPT = {"teacher": "t", "output": "calculator(1)", "thinking": None, "result": "1", "reason": None}
CALLED: dict[str, Any] = {
    **dict.fromkeys(schemas.CALLED),
    "id": "q-0",
    "question": "Q",
    "answer": ["1"],
    "correct": False,
    "attempts": [ATTEMPT, {**ATTEMPT, "reason": "wrong"}],
}


@pytest.fixture
def produced(tmp_path: Path) -> Path:
    """A directory as it is published: two configs in Parquet, one of them in two shards, and a card."""
    root = tmp_path / "quickstart"
    for path, features, rows in [
        ("called/train-00000-of-00001.parquet", schemas.CALLED, [CALLED]),
        ("stage2/train-00000-of-00002.parquet", schemas.STAGE2, [{"id": "a", **STAGE2}]),
        ("stage2/train-00001-of-00002.parquet", schemas.STAGE2, [{"id": "b", **STAGE2}]),
        ("stage2/test-00000-of-00001.parquet", schemas.STAGE2, []),
    ]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        columns = {name: [row[name] for row in rows] for name in features}
        Dataset.from_dict(columns, features=features).to_parquet(root / path)
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: stage2\n  data_files:\n"
        "  - split: train\n    path: stage2/train-*.parquet\n  - split: test\n    path: [stage2/test-*.parquet]\n"
        "---\n# Quickstart\n"
    )
    return root


@pytest.mark.parametrize("with_card", [True, False])
def test_parquet(produced: Path, cache: Path, with_card: bool) -> None:
    if not with_card:
        (produced / "README.md").unlink()
    data = load(Produced("stage2", data_dir=produced, cache_dir=cache))
    assert {split: list(rows["id"]) for split, rows in data.items()} == {"train": ["a", "b"], "test": []}
    assert data["test"].features == schemas.STAGE2
    assert data["train"][1] == {"id": "b", **STAGE2}
    assert load(Produced("called", data_dir=produced, cache_dir=cache))["train"].to_list() == [CALLED]


def test_a_result_of_an_earlier_version_has_null_in_the_columns_that_came_later(
    tmp_path: Path, cache: Path
) -> None:
    row = {
        **{"id": "a", "question": "Q", "answer": ["1"], "source": "vicuna", "response": "It is 1."},
        **{"finish_reason": "stop", "uses_tool": False, "prediction": "1.0", "error": None, "correct": True},
    }
    path = tmp_path / "old" / "responses-vicuna" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    Dataset.from_list([row]).to_parquet(path)
    found = load(Produced("responses-vicuna", data_dir=tmp_path / "old", cache_dir=cache))["train"]
    assert found.features == schemas.EXECUTED
    assert found[0] == {**row, "thinking": None, "calls": None}


def test_parquet_comes_before_json_unless_a_dataset_is_named(
    produced: Path, write: Write, cache: Path
) -> None:
    write("quickstart/data/stage2/mix/mix.json", [STAGE2])
    assert load(Produced("stage2", data_dir=produced, cache_dir=cache))["train"].num_rows == 2
    named = Produced("stage2", data_dir=produced, dataset_name="mix", cache_dir=cache)
    assert list(load(named)["train"]["id"]) == ["mix-train-0"]


def test_rewritten_data_gives_new_rows(produced: Path, cache: Path) -> None:
    path = produced / "called" / "train-00000-of-00001.parquet"
    load(Produced("called", data_dir=produced, cache_dir=cache))
    Dataset.from_list([{**CALLED, "id": "new"}], features=schemas.CALLED).to_parquet(path)
    assert load(Produced("called", data_dir=produced, cache_dir=cache))["train"][0]["id"] == "new"


def test_a_renamed_source_gives_new_rows(layout: Path, cache: Path) -> None:
    load(Produced("responses", data_dir=layout, cache_dir=cache))
    folder = layout / "data/stage2/GSM8K"
    (folder / "GSM8K_test_gold_response.json").rename(folder / "GSM8K_test_davinci_response.json")
    data = load(Produced("responses", data_dir=layout, cache_dir=cache))
    assert list(data["test"]["source"]) == ["davinci"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**STAGE2, "scores": [20]}, "these must be of one length"),
        ({**STAGE2, "scores": [20, "15"]}, "'scores' holds '15', expected int"),
        ({**STAGE2, "scores": [20, True]}, "'scores' holds True, expected int"),
        ({**STAGE2, "responses": [{}, "b"]}, "'responses' is {}, neither text nor a number"),
        ({name: STAGE2[name] for name in STAGE2 if name != "origin"}, "no column 'origin'; there is"),
    ],
)
def test_rows_that_do_not_fit(write: Write, cache: Path, row: dict[str, Any], message: str) -> None:
    path = write("out/data/stage2/G/G.json", [STAGE2, row])
    with pytest.raises(DataError) as caught:
        load(Produced("stage2", data_dir=path.parents[3], cache_dir=cache))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": " ", "answer": "7"}, "'question' is blank"),
        ({"question": "Q", "answer": []}, "empty list"),
    ],
)
def test_raw_rows_are_checked_as_ever(write: Write, cache: Path, row: dict[str, Any], message: str) -> None:
    path = write("out/data/raw/G/G.json", [row])
    with pytest.raises(DataError, match=message):
        load(Produced("raw", data_dir=path.parents[3], cache_dir=cache))


def test_raw_ids_must_differ(write: Write, cache: Path) -> None:
    row = {"id": "a", "question": "Q", "answer": "7"}
    path = write("out/data/raw/G/G.json", [row, row])
    with pytest.raises(DataError, match=r"G.json:2: the id 'a' is already that of .*G.json:1"):
        load(Produced("raw", data_dir=path.parents[3], cache_dir=cache))


def test_what_is_not_there(layout: Path, produced: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config 'stage3'; there is 'raw', .*Did you mean 'stage"):
        Produced("stage3", data_dir=layout)
    with pytest.raises(DataError, match="there is no 'rejected'; there is 'called', 'stage2'"):
        Produced("rejected", data_dir=produced)
    with pytest.raises(DataError, match="several datasets: give dataset_name, one of 'GSM8K', 'mix'"):
        Produced("stage1", data_dir=layout)
    with pytest.raises(DataError, match=r"no dataset 'gsm8k'; there is 'GSM8K', 'mix'. Did you mean 'GSM8K'"):
        Produced("stage1", data_dir=layout, dataset_name="gsm8k")
    with pytest.raises(DataError, match="no JSON exports of 'stage2'"):
        Produced("stage2", data_dir=produced, dataset_name="GSM8K")
    with pytest.raises(DataError, match="there is no such folder"):
        Produced("stage2", data_dir=tmp_path / "none")


def test_shards_must_be_whole(produced: Path) -> None:
    shard = produced / "stage2" / "train-00001-of-00002.parquet"
    stale = shard.with_name("train-00000-of-00001.parquet")
    stale.write_bytes(shard.read_bytes())
    with pytest.raises(
        DataError, match=r"not one whole set: 'train-00000-of-00001.parquet', 'train-00000-of-00002"
    ):
        Produced("stage2", data_dir=produced)
    stale.unlink()
    shard.unlink()
    with pytest.raises(DataError, match=r"not one whole set: 'train-00000-of-00002.parquet'"):
        Produced("stage2", data_dir=produced)


@pytest.mark.parametrize("configs", ["5", "[{config_name: stage2}]", "[", json.dumps("stage2")])
def test_a_card_that_cannot_be_read(produced: Path, configs: str) -> None:
    (produced / "README.md").write_text(f"---\nconfigs: {configs}\n---\n")
    with pytest.raises(DataError, match=r"README.md: its `configs` cannot be read"):
        Produced("stage2", data_dir=produced)


@pytest.mark.parametrize("pattern", ["/etc/train-*.parquet", "../quickstart/stage2/train-*.parquet", "''"])
@pytest.mark.parametrize("form", ["{{split: train, path: {}}}", "{{split: train, path: [stage2/t*, {}]}}"])
def test_a_card_that_leads_out_of_its_directory(produced: Path, pattern: str, form: str) -> None:
    configs = f"[{{config_name: stage2, data_files: [{form.format(pattern)}]}}]"
    (produced / "README.md").write_text(f"---\nconfigs: {configs}\n---\n")
    with pytest.raises(
        DataError, match=r"README.md: config 'stage2' names '.*', which is not inside this dir"
    ):
        Produced("stage2", data_dir=produced)


def test_what_is_exported_opens_again(tmp_path: Path, cache: Path) -> None:
    """The published JSON of `toolgen_hf.data.export`, read back, is what went in."""

    def both(features: Features, *rows: dict[str, Any]) -> DatasetDict:
        blank = dict.fromkeys(features)
        return DatasetDict(
            {
                split: Dataset.from_list(
                    [{**blank, "id": f"G-{split}-0", **row} for row in rows], features=features
                )
                for split in ("train", "test")
            }
        )

    graded = {"question": "Où?", "answer": ["7"], "response": "It is 6.", "correct": False}
    called = both(schemas.CALLED, {**graded, "tool_call": "calculator(7)", "attempts": []})
    stage1 = both(schemas.STAGE1, {**STAGE1, "answer": ["7"]})
    ran = {"question": "How many?", "answer": ["7"]}
    executed = {
        source: both(schemas.EXECUTED, {**ran, "source": source, "response": response})
        for source, response in {"gold": "calculator(3*19)", "vicuna-7b": "It is 54."}.items()
    }
    stage2 = both(schemas.STAGE2, STAGE2)
    run_jobs(export_json(tmp_path / "data", "G", called, stage1, executed, stage2), 1)

    def opened(config: str) -> DatasetDict:
        return load(Produced(config, data_dir=tmp_path, cache_dir=cache))

    for split in ("train", "test"):
        assert opened("raw")[split].to_list() == called.select_columns(list(schemas.RAW))[split].to_list()
        assert (
            opened("wrong")[split].to_list() == called.select_columns(list(schemas.ANSWERED))[split].to_list()
        )
        assert opened("right")[split].num_rows == 0
        assert opened("stage1_wrong")[split][0]["tool_call"] == "calculator(7)"
        assert opened("stage1")[split][0]["output"] == "calculator(3*19)"
        assert opened("stage2")[split].to_list() == stage2[split].to_list()
        responses = [
            row for rows in executed.values() for row in rows[split].select_columns(list(schemas.RESPONSES))
        ]
        assert opened("responses")[split].to_list() == responses


def test_one_sources_responses_are_a_config_of_their_own(tmp_path: Path, cache: Path) -> None:
    row = {**dict.fromkeys(schemas.EXECUTED), "id": "a", "question": "Q", "answer": ["7"], "response": "7"}
    folder = tmp_path / "responses-my.model"
    folder.mkdir()
    rows = Dataset.from_list([row], features=schemas.EXECUTED)
    rows.to_parquet(folder / "train-00000-of-00001.parquet")
    made = load(Produced("responses-my.model", data_dir=tmp_path, cache_dir=cache))
    assert made["train"][0] == row
    assert made["train"].features == schemas.EXECUTED


def test_files_of_any_hand_in_the_published_layout(write: Write, tmp_path: Path, cache: Path) -> None:
    """Published names for columns, answers of every kind, the first line of evaluate.py, and rejected rows beside."""
    write("out/data/raw/G/G.json", [{"input": "Q", "answer": 7, "type": "extra"}])
    write("out/data/raw/G/G_right.json", [{"input": "Q", "answer": 7, "output": "7.", "pred": 7.0}])
    write("out/data/raw/G/G_rejected.json", [{"id": "G-train-1", "stage": "answer", "reason": "no response"}])
    write(
        "out/data/stage2/G/G_x_response.json",
        "acc: {'GSM8K': 1.0, 'total': 1.0}, tool_rate: 0.5\n"
        + json.dumps({"id": 3, "question": "Q", "answer": "7", "response": "7."})
        + "\n",
    )

    def rows(config: str) -> dict[str, list[dict[str, Any]]]:
        data = load(Produced(config, data_dir=tmp_path / "out", cache_dir=cache))
        return {split: table.to_list() for split, table in data.items()}

    assert rows("raw") == {"train": [{"id": "G-train-0", "question": "Q", "answer": ["7"], "solution": None}]}
    assert {"response": "7.", "prediction": "7", "correct": True}.items() <= rows("right")["train"][0].items()
    assert {"id": "3", "source": "x", "response": "7."}.items() <= rows("responses")["train"][0].items()


def test_columns_that_older_versions_lack_are_null(tmp_path: Path) -> None:
    later = ("chosen_correct", "rejected_correct")
    row = {name: None for name in schemas.PREFERENCE if name not in later} | {"id": "a"}
    path = tmp_path / "out" / "preference" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    features = Features({name: feature for name, feature in schemas.PREFERENCE.items() if name not in later})
    Dataset.from_list([row], features=features).to_parquet(path)
    (made,) = load(Produced("preference", data_dir=tmp_path / "out", cache_dir=tmp_path / "cache"))["train"]
    assert [made[name] for name in later] == [None, None]
