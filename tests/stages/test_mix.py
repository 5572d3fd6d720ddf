"""The mix: no row is lost, no question comes twice, no test question is in train, and draws are stable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf import MixConfig, MixPart, Workspace, mix, schemas
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.stages.base import Batch
from toolgen_hf.stages.draw import Take
from toolgen_hf.stages.mix import UNDRAWN, decide
from toolgen_hf.stages.near_duplicates import normalise

GOLDEN = Path(__file__).parent.parent / "data" / "golden" / "mix.jsonl"
Questions = Mapping[str, Mapping[str, Sequence[str]]]
"""Texts by part and split."""


def make_part(name: str, splits: Mapping[str, Sequence[str]], **tables: DatasetDict) -> MixPart:
    one, two = DatasetDict(), DatasetDict()
    for split, questions in splits.items():
        ids = [f"{name}-{split}-{n}" for n in range(len(questions))]
        rows = zip(ids, questions, strict=True)
        mark = {"fewshot_overlap": False, **dict.fromkeys(schemas.LATER)}
        told = [
            {
                "id": key,
                "instruction": "Solve.",
                "input": q,
                "output": "calculator(1+1)",
                "answer": ["2"],
                **mark,
            }
            for key, q in rows
        ]
        ranked = [
            {"id": row["id"], "query": f"Solve.\n{row['input']}", "responses": ["calculator(1+1)"], "origin": ["gold"],
             "scores": [20], "answer": ["2.0"], **mark}
            for row in told
        ]  # fmt: skip
        for made, new, features in ((one, told, schemas.STAGE1), (two, ranked, schemas.STAGE2)):
            columns = {column: [row[column] for row in new] for column in features}
            made[split] = Dataset.from_dict(columns, features=features, split=split)
    return MixPart({"stage1": one, "stage2": two, **tables}, name.upper())


def pool_of(parts: Questions) -> dict[str, Batch]:
    """What ``decide`` is given."""
    pool: dict[str, Batch] = {}
    for split in dict.fromkeys(split for part in parts.values() for split in part):
        rows = [
            (name, split, f"{name}-{split}-{n}", text)
            for name, part in parts.items()
            for n, text in enumerate(part.get(split, ()))
        ]
        columns = dict(
            zip(("part", "split", "id", "question"), map(list, zip(*rows, strict=True)), strict=False)
        )
        empty: list[None] = [None] * len(rows)
        pool[split] = {"part": [], "split": [], "id": [], "question": [], **columns, "at": list(range(len(rows))),
                       "reason": empty, "lacks": empty}  # fmt: skip
    return pool


def taken(parts: Questions, config: MixConfig) -> dict[str, list[str]]:
    """The ids in the mix by split, in its order."""
    found = {}
    for split, fate in decide(pool_of(parts), config).items():
        placed = sorted((p, key) for p, key in zip(fate["place"], fate["id"], strict=True) if p is not None)
        assert [place for place, _ in placed] == list(range(len(placed)))
        found[split] = [key for _, key in placed]
    return found


TEXTS = st.lists(st.sampled_from([f"What is {a} + {b}?" for a in range(6) for b in range(4)]), max_size=12)
PARTS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.sampled_from(["train", "validation", "test"]), TEXTS, min_size=1),
    min_size=1,
)
TAKES = st.one_of(
    st.just(Take()),
    st.builds(Take, weight=st.sampled_from([0.5, 1, 2, 3.3])),
    st.builds(Take, count=st.integers(0, 8)),
)
CONFIGS = st.builds(
    MixConfig,
    parts=st.fixed_dictionaries(dict.fromkeys("abc", TAKES)),
    order=st.sampled_from(["interleave", "concatenate"]),
    seed=st.integers(0, 3),
    duplicates=st.sampled_from(["drop", "keep"]),
)


@given(parts=PARTS, config=CONFIGS)
def test_every_row_is_in_the_mix_rejected_or_not_drawn(parts: Questions, config: MixConfig) -> None:
    for split, fate in decide(pool_of(parts), config).items():
        assert len(fate["id"]) == sum(len(part.get(split, ())) for part in parts.values())
        for place, reason, is_new in zip(fate["place"], fate["reason"], fate["is_new"], strict=True):
            assert (place is None) == (reason is not None)
            assert is_new == (reason not in (None, UNDRAWN))


@given(parts=PARTS, config=CONFIGS)
def test_no_question_of_a_split_nearer_to_the_test_is_in_train(parts: Questions, config: MixConfig) -> None:
    texts = {
        f"{name}-{split}-{n}": normalise(text)
        for name, part in parts.items()
        for split, rows in part.items()
        for n, text in enumerate(rows)
    }
    found = taken(parts, config)
    held: set[str] = set()
    for split in ("test", "validation", "train"):
        assert not held & {texts[key] for key in found.get(split, ())}
        held |= {normalise(text) for part in parts.values() for text in part.get(split, ())}  # drawn or not
        if config.duplicates == "drop":
            assert max(Counter(texts[key] for key in found.get(split, ())).values(), default=1) == 1


@given(parts=PARTS, config=CONFIGS, data=st.data())
def test_the_order_of_the_parts_chooses_among_duplicates_and_nothing_else(
    parts: Questions, config: MixConfig, data: st.DataObject
) -> None:
    apart = {
        name: {
            split: [f"{text} ({name}{split}{n})" for n, text in enumerate(rows)]
            for split, rows in part.items()
        }
        for name, part in parts.items()
    }
    other = {name: apart[name] for name in data.draw(st.permutations(list(apart)))}
    one, two = taken(apart, config), taken(other, config)
    assert {split: set(ids) for split, ids in one.items()} == {split: set(ids) for split, ids in two.items()}


@given(texts=st.sets(st.integers(0, 500), min_size=3, max_size=30), seed=st.integers(0, 5), data=st.data())
def test_another_part_does_not_change_which_rows_of_this_one_are_drawn(
    texts: set[int], seed: int, data: st.DataObject
) -> None:
    parts: dict[str, Any] = {"a": {"train": [f"a {n}" for n in texts]}}
    count = data.draw(st.integers(1, len(texts)))
    config = MixConfig(parts={"a": Take(count=count)}, seed=seed, order="concatenate")
    alone = taken(parts, config)["train"]
    assert len(alone) == count
    assert [
        key for key in taken({**parts, "b": {"train": ["b 1", "b 2"]}}, config)["train"] if key[0] == "a"
    ] == alone


@pytest.mark.parametrize("line", GOLDEN.read_text(encoding="utf-8").splitlines())
def test_golden_rows(line: str) -> None:
    case = json.loads(line)
    fates = decide(pool_of(case["in"]), MixConfig.model_validate(case["config"]))
    found = {
        key: reason if place is None else place
        for fate in fates.values()
        for key, place, reason in zip(fate["id"], fate["place"], fate["reason"], strict=True)
    }
    assert found == case["out"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "cache", progress=False)


A = {"train": ["a 1", "a 2", "a 3", "Both?"], "test": ["Held out.", "a 9"]}
B = {"train": ["both", "held  out", "b 1"]}


def test_both_stages_have_the_same_questions_in_the_same_order(workspace: Workspace) -> None:
    mixed = mix({"a": make_part("a", A), "b": make_part("b", B)}, workspace)
    one, two = (mixed.configs[stage] for stage in ("stage1", "stage2"))
    for split in ("train", "test"):
        assert list(one[split]["id"]) == list(two[split]["id"])
    assert list(one["train"]["id"]) == ["a-train-0", "a-train-1", "b-train-2", "a-train-2", "a-train-3"]
    assert one["train"].features == schemas.mixed(schemas.with_near(schemas.STAGE1))
    assert two["train"].features == schemas.mixed(schemas.with_near(schemas.STAGE2))
    assert one["train"][2]["dataset"] == "B"
    assert one["train"][2]["task"] == "math"


def test_what_is_rejected_keeps_its_reason_and_its_rows(workspace: Workspace) -> None:
    mixed = mix({"a": make_part("a", A), "b": make_part("b", B)}, workspace)
    rows = {row["id"]: row for row in mixed.configs["rejected"]["train"]}
    assert {key: row["reason"] for key, row in rows.items()} == {
        "b-train-0": "duplicate of a question of a (normalised text)",
        "b-train-1": "kept out of train: it is in the test split of a (normalised text)",
    }
    detail = json.loads(rows["b-train-1"]["detail"])
    assert detail["repeats"] == {"part": "a", "split": "test", "id": "a-test-0", "match": "normalised"}
    assert (detail["question"], detail["stage1"]["output"]) == ("held  out", "calculator(1+1)")
    assert mixed.facts["parts"]["b"]["splits"]["train"] == {
        "questions": 3, "before": 0, "rejected": 2, "undrawn": 0, "rows": 1
    }  # fmt: skip
    assert [(r["of"], r["of_split"], r["count"]) for r in mixed.facts["repeats"]] == [
        ("a", "train", 1),
        ("a", "test", 1),
    ]


def test_a_mix_again_comes_from_the_cache_and_a_change_of_the_seed_does_not(workspace: Workspace) -> None:
    parts = {"a": make_part("a", A), "b": make_part("b", B)}
    config = MixConfig(parts={"a": Take(count=2)})
    first, again = mix(parts, workspace, config), mix(parts, workspace, config)
    assert [report.cached for report in workspace.reports] == [False, False, True, True]
    assert again.facts == first.facts
    for name, table in first.configs.items():
        assert {s: rows.to_list() for s, rows in again.configs[name].items()} == {
            s: rows.to_list() for s, rows in table.items()
        }
    assert again.configs["stage1"]["train"]._fingerprint == first.configs["stage1"]["train"]._fingerprint
    mix(parts, workspace, config.model_copy(update={"seed": 1}))
    assert not any(report.cached for report in workspace.reports[4:])


def test_reports_count_rows_in_out_and_rejected(workspace: Workspace) -> None:
    mix({"a": make_part("a", A), "b": make_part("b", B)}, workspace, MixConfig(parts={"a": Take(count=1)}))
    train, test = workspace.reports
    assert (train.rows_in, train.rows_out, sum(train.rejected.values())) == (
        7,
        2,
        2,
    )  # and 3 that were not drawn
    assert (test.rows_in, test.rows_out, dict(test.rejected)) == (2, 1, {})


def test_a_rejected_question_keeps_the_same_one_out_of_splits_nearer_to_training_only(
    workspace: Workspace,
) -> None:
    raw = {
        split: Dataset.from_dict(
            {"id": [f"a-{split}-9"], "question": [text], "answer": [["1"]], "solution": [None]}, schemas.RAW
        )
        for split, text in (("train", "fell out"), ("test", "fell out too"))
    }
    out = {
        split: Dataset.from_dict(
            {"id": [f"a-{split}-9"], "stage": ["tool_api"], "reason": ["no call"], "detail": ["{}"]},
            schemas.REJECTED,
        )
        for split in ("train", "test")
    }
    part = make_part("a", A, raw=DatasetDict(raw), rejected=DatasetDict(out))
    b = make_part(
        "b", {"train": ["Fell out!", "Fell out, too."]}, raw=DatasetDict({"train": raw["train"].select([])})
    )
    mixed = mix({"a": part, "b": b}, workspace)
    assert "b-train-0" in mixed.configs["stage1"]["train"]["id"]  # it is nowhere else in train
    assert "b-train-1" not in mixed.configs["stage1"]["train"]["id"]
    assert list(mixed.configs["rejected"]["train"]["reason"]) == [
        "no call",
        "kept out of train: it is in the test split of a (normalised text)",
    ]
    assert "a-train-9" not in mixed.configs["raw"]["train"]["id"]  # its twin stands
    assert "a-test-9" in mixed.configs["raw"]["test"]["id"]
    assert mixed.facts["parts"]["a"]["splits"]["test"]["before"] == 1


def test_a_question_in_one_stage_only_is_rejected(workspace: Workspace) -> None:
    part = make_part("a", A)
    shorter = DatasetDict(
        part.configs["stage2"] | {"train": part.configs["stage2"]["train"].select([0, 2, 3])}
    )
    mixed = mix({"a": MixPart({**part.configs, "stage2": shorter}, "A")}, workspace)
    (row,) = mixed.configs["rejected"]["train"]
    assert (row["id"], row["reason"]) == ("a-train-1", "it is not in stage2 of its part")


def test_the_same_row_twice_is_one_and_another_question_of_its_id_is_an_error(workspace: Workspace) -> None:
    again = make_part("a", {"train": ["a 1", "a 2"]})
    mixed = mix({"a": make_part("a", A), "again": again}, workspace, MixConfig(duplicates="keep"))
    assert (
        list(mixed.configs["rejected"]["train"]["reason"]) == ["duplicate of a question of a (same id)"] * 2
    )
    other = make_part("a", {"train": ["something else"]})
    with pytest.raises(
        DataError, match=r"two questions have the id 'a-train-0', 'a 1' in train of 'a' and 'something"
    ):
        mix({"a": make_part("a", A), "other": other}, workspace)


def test_stages_of_different_questions_are_named(workspace: Workspace) -> None:
    part = make_part("a", A)
    other = make_part("a", {**A, "train": A["train"][::-1]})
    twisted = {"stage1": part.configs["stage1"], "stage2": other.configs["stage2"]}
    with pytest.raises(DataError, match=r"'a-train-0' of part 'a' is 'a 1' in stage 1 and 'Solve.\\nBoth\?'"):
        mix({"a": MixPart(twisted, "A")}, workspace)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MixConfig(parts={"c": Take()}), r"no part 'c' \(there is: a, b\)|did you mean"),
        (MixConfig(parts={"b": Take(count={"test": 1})}), r"part 'b' has no split 'test'; it has: train"),
        (MixConfig(parts={"b": Take(weight={"tran": 1})}), r"part 'b' has no split 'tran'"),
    ],
)
def test_a_part_or_split_that_is_not_there_is_named(
    workspace: Workspace, config: MixConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        mix({"a": make_part("a", A), "b": make_part("b", B)}, workspace, config)


def test_parts_of_different_stages_are_named(workspace: Workspace) -> None:
    b = make_part("b", B)
    with pytest.raises(DataError, match=r"'a': \['stage1', 'stage2'\], 'b': \['stage1'\]"):
        mix({"a": make_part("a", A), "b": MixPart({"stage1": b.configs["stage1"]}, "B")}, workspace)
    with pytest.raises(ConfigError, match="nothing to mix"):
        mix({}, workspace)


def test_undrawn_rows_are_neither_kept_nor_rejected() -> None:
    fate = decide(pool_of({"a": {"train": ["x", "y", "z"]}}), MixConfig(parts={"a": Take(count=1)}))["train"]
    assert Counter(fate["reason"]) == {None: 1, UNDRAWN: 2}


STORY = "Rosa planted {} red tulips and 18 yellow tulips in her garden. A deer ate 7 of them. How many tulips are left?"
TOLD = {"train": ["a 1", STORY.format(24)], "test": ["a 2", STORY.format(31)]}
"""A part whose own splits tell one story."""
TOLD_ELSEWHERE = {"train": ["b 1", STORY.format(99)]}


@pytest.mark.parametrize(
    ("kind", "train", "rejected"),
    [
        ("apart", ["a-train-0", "a-train-1", "b-train-0"], {"b-train-1"}),
        ("drop", ["a-train-0", "b-train-0"], {"a-train-1", "b-train-1"}),
        ("keep", ["a-train-0", "a-train-1", "b-train-0", "b-train-1"], set()),
    ],
)
def test_a_story_of_another_parts_test_split_stays_out_of_train(
    kind: Any, train: list[str], rejected: set[str], workspace: Workspace
) -> None:
    parts = {"a": make_part("a", TOLD), "b": make_part("b", TOLD_ELSEWHERE)}
    mixed = mix(parts, workspace, MixConfig(near_duplicates=kind))
    assert sorted(mixed.configs["stage1"]["train"]["id"]) == train
    out = {row["id"]: row for row in mixed.configs["rejected"]["train"]}
    assert set(out) == rejected
    for row in out.values():
        assert row["reason"] == "kept out of train: it is in the test split of a (near duplicate)"
        assert json.loads(row["detail"])["repeats"] == {
            "part": "a", "split": "test", "id": "a-test-1", "match": "near"
        }  # fmt: skip
    near = {row["id"]: row["near_duplicate_of"] for rows in mixed.configs["stage2"].values() for row in rows}
    marked = {key for key, of in near.items() if of is not None}
    assert marked == (
        {"a-test-1", *train} & set(near) - {"a-train-0", "b-train-0"} if len(train) > 2 else set()
    )
    assert [(r["match"], r["count"], r["example"]) for r in mixed.facts["repeats"]] == [
        ("near", 1, [key, "a-test-1"]) for key in sorted(rejected)
    ]


def test_stage_2_of_an_older_version_is_mixed_with_one_that_says_what_is_right(workspace: Workspace) -> None:
    new = make_part("b", {"train": ["b 1"]})
    graded = new.configs["stage2"]["train"].add_column(
        "correct", [[True]], feature=schemas.SCORED["correct"]
    ).select_columns(list(schemas.SCORED))  # fmt: skip
    parts = {
        "a": make_part("a", {"train": ["a 1"]}),
        "b": MixPart({**new.configs, "stage2": DatasetDict(train=graded)}, "B"),
    }
    mixed = mix(parts, workspace).configs["stage2"]["train"]
    assert mixed.features == schemas.mixed(schemas.with_near(schemas.SCORED))
    assert {row["id"]: row["correct"] for row in mixed} == {"a-train-0": None, "b-train-0": [True]}


def test_stage_1_of_an_older_version_is_mixed_with_one_that_says_how_calls_were_verified(
    workspace: Workspace,
) -> None:
    old, new = make_part("a", {"train": ["a 1"]}), make_part("b", {"train": ["b 1"]})
    told = new.configs["stage1"].map(lambda row: {"verified_by": "execution"})
    untold = old.configs["stage1"].remove_columns(["verified_by", "soundness"])
    parts = {
        "a": MixPart({**old.configs, "stage1": untold}, "A"),
        "b": MixPart({**new.configs, "stage1": told}, "B"),
    }
    mixed = mix(parts, workspace).configs["stage1"]["train"]
    assert mixed.features == schemas.mixed(schemas.with_near(schemas.STAGE1))
    assert {row["id"]: row["verified_by"] for row in mixed} == {"a-train-0": None, "b-train-0": "execution"}


def test_other_columns_that_a_part_lacks_are_named(workspace: Workspace) -> None:
    part = make_part("b", B)
    shorter = {**part.configs, "stage1": part.configs["stage1"].remove_columns(["answer", "soundness"])}
    with pytest.raises(
        DataError, match=r"stage1 of part 'b' does not have .* of part 'a': they differ in answer$"
    ):
        mix({"a": make_part("a", A), "b": MixPart(shorter, "B")}, workspace)
