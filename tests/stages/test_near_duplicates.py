"""Near duplicates: the same story is found, and another story with a similar question is not."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recipes import sums_data
from toolgen_hf import Workspace
from toolgen_hf.builders import GSM8K, QA, load
from toolgen_hf.check import check
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.flow import run
from toolgen_hf.recipe import DatasetConfig, Recipe
from toolgen_hf.recipe.questions import load_raw
from toolgen_hf.stages.near_duplicates import (
    NearDuplicates,
    find,
    in_words,
    near_counts,
    normalise,
    with_near_column,
)

TULIPS = (
    "Rosa planted 24 red tulips and 18 yellow tulips in her garden. A deer ate 7 of the red ones. How many red tulips "
    "are left?"
)
FERRY = (
    "A ferry carries 40 cars and 6 trucks on every crossing. It crosses the river 9 times a day. How many cars does it "
    "carry in a day?"
)


def likeness(one: str, other: str) -> float | None:
    """The similarity of two questions, or None if they are not near duplicates."""
    found = find([one, other])
    return 1.0 if found.groups[0] == found.groups[1] else found.links.get((0, 1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TULIPS, TULIPS.upper()),
        (TULIPS, TULIPS.replace("24", "1,300").replace("18", "two hundred")),
        (TULIPS, TULIPS.replace("Rosa", "Mr. Okafor").replace("her", "his")),
        (FERRY, FERRY.replace("a day", "an hour")),
        (FERRY, FERRY.replace(" and 6 trucks", "")),
        (
            TULIPS,
            TULIPS.replace("How many red tulips are left?", "How many tulips did she plant altogether?"),
        ),
        (TULIPS, "Ann " + TULIPS[5:].replace("24", "9").replace(" A deer ate 7 of the red ones.", "")),
        (
            "A recipe needs 3 cups of rice and 2 liters of broth for 6 guests. How much rice do 15 guests need?",
            "A recipe needs 4 cups of rice and 3 pints of broth for 8 guests. How much broth do 20 guests need?",
        ),
        (
            "In 6 years, Tomas will be 3 times as old as Lena. If Lena is 4 years old now, how old is Tomas?",
            "In 11 years, Aki will be twice as old as Jo. If Jo is 9 years old now, how old is Aki?",
        ),
        (
            "小明有12个苹果和5个梨，他给了小红3个苹果。小明还剩多少个苹果？",
            "小刚有20个苹果和8个梨，他给了小红7个苹果。小刚还剩多少个苹果？",
        ),
    ],
)
def test_the_same_story(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2 + 3?", "What is 4 * 5?"),
        (
            "Maria had 14 stamps and gave 5 to her cousin. How many stamps does she have left?",
            "Lucy picked 30 plums and baked 12 into a cake. How many plums does she have left?",
        ),
        (
            "Tom has 3 times as many marbles as Ann. If Ann has 6 marbles, how many marbles does Tom have?",
            "Bea has 4 times as many stickers as Gus. If Gus has 9 stickers, how many stickers does Bea have?",
        ),
        (
            "A baker sells bread for $4 and cake for $9. He sold 12 breads and 5 cakes. How much money did he make?",
            "A mechanic charges $60 for brakes and $35 for oil. He did 4 brakes, 8 oils. How much money did he make?",
        ),
        (
            "Jan ran 5 miles on Monday and 7 miles on Friday. How many miles did Jan run this week?",
            "Jan read 5 pages on Monday and 7 pages on Friday. How many pages did Jan read this week?",
        ),
        (TULIPS, FERRY),
        ("", TULIPS),
        ("", "?"),
    ],
)
def test_another_story(one: str, other: str) -> None:
    assert likeness(one, other) is None


def test_equal_texts_are_near_duplicates_however_short() -> None:
    assert likeness("What is 2 + 3?", "what is 2+3 ?") == 1


@pytest.fixture(scope="module")
def svamp() -> list[str]:
    return list(load(QA("svamp"))["test"]["question"])


def test_what_is_found_does_not_depend_on_the_order(svamp: list[str]) -> None:
    shuffled = list(svamp)
    random.Random(3).shuffle(shuffled)

    def told(texts: list[str]) -> set[frozenset[str]]:
        found: dict[int, set[str]] = {}
        for text, chain in zip(texts, find(texts).chains(), strict=True):
            found.setdefault(chain, set()).add(text)
        return {frozenset(texts) for texts in found.values()}

    assert told(svamp) == told(shuffled)


def test_nor_on_the_process(tmp_path: Path) -> None:
    """Two processes with other hash seeds, each without a cache, find the same."""
    code = (
        "import hashlib, json; from toolgen_hf.builders import QA, load;"
        "from toolgen_hf.stages.near_duplicates import find;"
        "found = find(list(load(QA('svamp'))['test']['question']));"
        "told = json.dumps([found.groups, sorted([*k, v] for k, v in found.links.items())]);"
        "print(hashlib.sha256(told.encode()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "TOOLGEN_HF_HOME": str(tmp_path / seed)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


def test_families_of_svamp_are_its_stories(svamp: list[str]) -> None:
    """SVAMP was made of about 100 stories, each varied about ten times."""
    sizes = Counter(find(svamp).chains())
    assert sum(size for size in sizes.values() if size > 1) > 850
    assert max(sizes.values()) < 40


def test_gsm8k_has_few_and_no_chain_joins_many() -> None:
    questions = list(load(GSM8K())["train"]["question"])[:2000]
    sizes = Counter(find(questions).chains())
    assert 0 < sum(size > 1 for size in sizes.values()) < 20
    assert max(sizes.values()) <= 3


def test_a_frame_that_all_questions_have_makes_none(svamp: list[str]) -> None:
    frame = "You are a careful assistant. Read the following problem, think about it step by step, and answer it. "
    apart = list(dict(zip(find(svamp).chains(), svamp, strict=True)).values())
    found = find([frame + text for text in apart])
    assert len(set(found.chains())) > 0.95 * len(apart)


def test_many_texts_of_one_template_are_one_group() -> None:
    texts = [TULIPS.replace("24", str(n)) for n in range(5000)]
    found = find(texts)
    assert (set(found.groups), dict(found.links)) == ({0}, {})


def splits(**questions: list[str]) -> DatasetDict:
    made = {}
    for split, rows in questions.items():
        columns = {"id": [f"Q-{split}-{n}" for n in range(len(rows))], "question": rows}
        made[split] = Dataset.from_dict(columns, split=split)
    return DatasetDict(made)


OTHER_TULIPS = TULIPS.replace("24", "31").replace("Rosa", "Ines")


def test_a_question_is_marked_with_its_near_duplicate_in_another_split() -> None:
    rows = splits(
        train=[FERRY, TULIPS, TULIPS.replace("7", "8")], test=["Another one?", OTHER_TULIPS], validation=[]
    )
    found = NearDuplicates(rows).between_splits()
    table = with_near_column(rows, found)
    assert list(table["train"]["near_duplicate_of"]) == [None, "Q-test-1", "Q-test-1"]
    assert list(table["test"]["near_duplicate_of"]) == [None, "Q-train-1"]
    assert table["validation"].column_names == ["id", "question", "near_duplicate_of"]
    assert with_near_column(table, found)["train"].to_list() == table["train"].to_list()  # again
    (fact,) = near_counts(rows, found)
    assert fact == {
        "split": "test", "of_split": "train", "count": 1, "rows": 2, "example": ["Q-test-1", "Q-train-1"]
    }  # fmt: skip
    assert in_words(fact).startswith("1 of 2 questions of test have a near duplicate in train")


def test_a_rejected_question_is_no_near_duplicate() -> None:
    rows = splits(train=[TULIPS], test=[OTHER_TULIPS])
    assert NearDuplicates(rows).leaks() == {
        "Q-train-0": "kept out of train: the test split has a near duplicate"
    }
    found = NearDuplicates(rows).between_splits(NearDuplicates(rows).leaks())
    assert {split: dict(there) for split, there in found.items()} == {
        "train": {"Q-train-0": ("test", "Q-test-0")},
        "test": {},
    }
    with pytest.raises(DataError, match="'a' is an id in several splits"):
        NearDuplicates(
            DatasetDict({split: rows[split].remove_columns("id").add_column("id", ["a"]) for split in rows})
        ).leaks()


CUT = {"train": "test[:700]", "test": "test[700:]"}


@pytest.mark.parametrize("wanted", [CUT, {"a": "test[:50%]", "b": "test[50%:80%]", "c": "test[80%:]"}])
def test_splits_that_are_cut_keep_a_story_on_one_side(wanted: dict[str, str]) -> None:
    def cut(**options: str) -> DatasetDict:
        config = DatasetConfig.model_validate(
            {"builder": "qa", "config": "svamp", "splits": wanted, **options}
        )
        return load_raw(config)[0]

    written, made = cut(near_duplicates="keep"), cut()
    assert any(near_counts(written, NearDuplicates(written).between_splits()))
    assert near_counts(made, NearDuplicates(made).between_splits()) == []
    ids = [key for rows in made.values() for key in rows["id"]]
    assert sorted(ids) == sorted(key for rows in written.values() for key in rows["id"])
    for split, rows in written.items():
        assert abs(len(made[split]) - len(rows)) <= 10
        assert list(made[split]["id"]) == sorted(made[split]["id"], key=lambda key: int(key.split("-")[-1]))


def test_a_cut_without_near_duplicates_is_as_it_is_written() -> None:
    config = {"builder": "gsm8k", "splits": {"train": "train[:40]", "test": "train[40:60]"}}
    made = {
        kind: load_raw(DatasetConfig.model_validate({**config, "near_duplicates": kind}))[0]
        for kind in ("apart", "keep")
    }
    for split in ("train", "test"):
        assert made["apart"][split]._fingerprint == made["keep"][split]._fingerprint


def test_a_cut_of_questions_that_all_tell_one_story_is_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [json.dumps({"question": TULIPS.replace("24", str(n)), "answer": "1"}) for n in range(30, 40)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    cut = {"train": "train[:6]", "test": "train[6:]"}
    made, origin = load_raw(DatasetConfig(builder="qa", data_files=str(path), splits=cut))
    assert ({split: len(table) for split, table in made.items()}, origin.moved) == (
        {"train": 6, "test": 4},
        0,
    )
    (fact,) = near_counts(made, NearDuplicates(made).between_splits())
    assert (fact["count"], fact["rows"]) == (4, 4)


def tulip_data(folder: Path, **options: object) -> dict[str, object]:
    """A published train and test split, of which one question tells one story."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    told = {
        "train": [(TULIPS, "24-7=17"), (FERRY, "40*9=360"), ("What is 30 + 4?", "30+4=34")],
        "test": [(OTHER_TULIPS, "31-7=24"), ("What is 2 + 3?", "2+3=5")],
    }
    for split, rows in told.items():
        files[split] = str(folder / f"{split}.jsonl")
        lines = [json.dumps({"question": q, "answer": s.split("=")[1], "solution": s}) for q, s in rows]
        Path(files[split]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = sums_data(folder.parent / "sums")
    dataset = {"builder": "qa", "name": "Tulips", "data_files": files, "columns": {"solution": "solution"}}
    dataset |= options
    return {**data, "dataset": dataset}


@pytest.mark.usefixtures("scripted_models")
def test_a_run_marks_published_splits_and_says_so(tmp_path: Path) -> None:
    recipe = Recipe.parse(tulip_data(tmp_path / "q"))
    workspace = Workspace(tmp_path / "cache", progress=False)
    result = run(recipe, tmp_path / "out", workspace)
    for config in ("raw", "stage1", "stage2", "sft", "tool_calling"):
        near = {
            row["id"]: row["near_duplicate_of"] for rows in result.configs[config].values() for row in rows
        }
        assert near["Tulips-train-0"] == "Tulips-test-0"
        assert near["Tulips-test-0"] == "Tulips-train-0"
        assert sum(value is not None for value in near.values()) == 2
    (fact,) = result.summary.near_duplicates or []
    assert (fact["split"], fact["of_split"], fact["count"], fact["rows"]) == ("test", "train", 1, 2)
    said = "1 of 2 questions of test have a near duplicate in train"
    assert said in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert any(said in note for note in check(recipe, workspace).notes)


@pytest.mark.usefixtures("scripted_models")
def test_a_run_drops_them_where_it_is_asked_to(tmp_path: Path) -> None:
    recipe = Recipe.parse(tulip_data(tmp_path / "q", near_duplicates="drop"))
    result = run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    (row,) = (row for row in result.configs["rejected"]["train"] if row["id"] == "Tulips-train-0")
    assert row["reason"] == "kept out of train: the test split has a near duplicate"
    assert "Tulips-train-0" not in result.configs["stage1"]["train"]["id"]
    assert set(result.configs["stage1"]["test"]["near_duplicate_of"]) == {None}
    assert result.summary.near_duplicates == []


def test_a_stage_1_is_taken_as_it_is() -> None:
    with pytest.raises(ConfigError, match="near_duplicates: a stage 1 is taken as it is"):
        Recipe.parse(
            {"name": "x", "dataset": {"source": "outputs/x#stage1", "near_duplicates": "drop"}, "sources": {}}
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2+3?", "what  is 2 + 3 ."),
        ("She has $1,000.", "she has $ 1000"),
        ("Jean’s “best” book", 'Jean\'s "best" book'),
        ("２ pens", "2 pens"),
        ("STRASSE", "Straße"),
        ("pages 5–10", "pages 5-10"),
        ("a twenty-five year old", "a twenty five year-old"),
    ],
)
def test_texts_that_are_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5", "35"),
        ("3.5", "3 5"),
        ("-5", "5"),
        ("5²", "52"),
        ("2*3", "2+3"),
        ("2/3", "23"),
        ("5!", "5"),
        ("1,2", "12"),
        ("50%", "50"),
        ("$5", "€5"),
        ("कि", "की"),
        ("???", "..."),
    ],
)
def test_texts_that_differ_in_what_is_asked(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(text=st.one_of(st.text(), st.text(alphabet="0123456789.,-+ ab!?$'%²½", max_size=12)))
def test_case_and_blanks_make_no_difference(text: str) -> None:
    assert normalise(text.casefold()) == normalise(text)
    assert normalise(f"  {text.replace(' ', '  ')} ") == normalise(text)
