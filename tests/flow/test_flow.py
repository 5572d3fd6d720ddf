"""The whole flow: what comes out, what a rerun costs, what a change reruns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, get_dataset_config_names, load_dataset

from tests.support import scripted
from tests.support.recipes import ROWS, sums_data, sums_recipe, write_questions
from toolgen_hf import Recipe, Workspace, execute, gather, run, schemas
from toolgen_hf.errors import ConfigError, DataError, GenerationError
from toolgen_hf.flow import Result
from toolgen_hf.models import weights as models
from toolgen_hf.report.screen import print_summary

pytestmark = pytest.mark.usefixtures("scripted_models")

ALL_STAGES = {
    "answer", "tool_api", "stage1", "gold", "execute gold", "respond talker", "execute talker", "respond caller",
    "execute caller", "respond failer", "execute failer", "score", "sft", "tool_calling", "preference",
}  # fmt: skip


def ran(result: Result) -> set[str]:
    return {stage["stage"] for stage in result.summary.stages if not stage["cached"]}


def build(tmp_path: Path, **changes: Any) -> Result:
    recipe = sums_recipe(tmp_path / "questions", **changes)
    return run(recipe, tmp_path / "out" / recipe.name, Workspace(tmp_path / "cache", progress=False))


def test_every_question_is_kept_or_rejected_and_counts_add_up(tmp_path: Path) -> None:
    result = build(tmp_path)
    sizes = {
        config: {split: len(rows) for split, rows in splits.items()}
        for config, splits in result.configs.items()
    }
    assert sizes["raw"] == sizes["stage1"] == sizes["stage2"] == {"train": 8, "test": 4}
    assert sizes["rejected"] == {"train": 0, "test": 0}
    asked = result.summary.student["splits"]
    assert sum(split["asked"] for split in asked.values()) == 12
    assert sum(result.summary.teachers.values()) == result.summary.calls_needed > 0
    assert ran(result) == ALL_STAGES


def test_stage1_has_the_response_where_right_and_the_call_where_wrong(tmp_path: Path) -> None:
    result = build(tmp_path)
    for row, raw in zip(result.configs["stage1"]["train"], ROWS, strict=False):
        total = int(raw["answer"])
        first, second = [word for word in str(raw["question"]).split() if word.isdigit()]
        right = f"That makes {total}. The answer is {total}."
        assert row["output"] == (right if total % 2 == 0 else f"calculator({first}+{second})")
        assert row["input"] == raw["question"]


def test_stage2_has_the_responses_in_order_with_gold_first(tmp_path: Path) -> None:
    for row in build(tmp_path).configs["stage2"]["train"]:
        assert row["origin"] == ["gold", "talker", "caller", "failer"]
        gold_calls = row["responses"][0].startswith("calculator(")
        assert row["scores"] == ([20, 15, 20, 0] if gold_calls else [20, 20, 15, 0])
        assert row["answer"][3] == ""
        assert row["query"].startswith(
            "Given a math problem, please solve it and you can use a calculator for help.\n"
        )


def test_the_directory_loads_with_datasets_alone_and_exact_features(tmp_path: Path) -> None:
    data = sums_data(tmp_path / "questions")
    write_questions(
        tmp_path / "questions", [{**row, "answer": "?"} if n in (0, 9) else row for n, row in enumerate(ROWS)]
    )
    result = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    expected = {
        "raw": schemas.with_near(schemas.RAW),
        "stage1": schemas.with_near(schemas.STAGE1),
        "stage2": schemas.with_near(schemas.SCORED),
        "rejected": schemas.REJECTED,
    }
    for config, features in expected.items():
        loaded = load_dataset(str(result.directory), config, cache_dir=str(tmp_path / "hf"))
        assert list(loaded) == ["train", "test"]
        for split, rows in loaded.items():
            assert rows.features == features
            assert rows.to_list() == result.configs[config][split].to_list()
    assert load_dataset(str(result.directory), cache_dir=str(tmp_path / "hf"))[
        "train"
    ].features == schemas.with_near(schemas.SCORED)


def test_a_config_or_split_without_rows_is_not_listed(tmp_path: Path) -> None:
    result = build(tmp_path)
    trained_on, sources = ["sft", "tool_calling", "preference"], ("gold", "talker", "caller", "failer")
    names = ["stage2", "stage1", *trained_on, "raw", *(f"responses-{source}" for source in sources)]
    assert get_dataset_config_names(str(result.directory)) == names
    assert (result.directory / "rejected" / "train-00000-of-00001.parquet").is_file()
    data = sums_data(tmp_path / "questions")
    write_questions(tmp_path / "questions", [{**ROWS[0], "answer": "?"}, *ROWS[1:]])
    result = run(Recipe.parse(data), tmp_path / "out" / "sums", Workspace(tmp_path / "cache", progress=False))
    loaded = load_dataset(str(result.directory), "rejected", cache_dir=str(tmp_path / "hf"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 1}


def test_a_rebuilt_directory_never_loads_stale_rows(tmp_path: Path) -> None:
    def origins(directory: Path) -> list[str]:
        loaded = load_dataset(str(directory), "stage2", split="train", cache_dir=str(tmp_path / "hf"))
        return list(loaded[0]["origin"])

    first = build(tmp_path)
    assert origins(first.directory) == ["gold", "talker", "caller", "failer"]
    again = build(tmp_path, sources__late={"generator": {"model": "right"}})
    assert again.directory == first.directory
    assert origins(again.directory) == ["gold", "talker", "caller", "failer", "late"]
    twin = tmp_path / "elsewhere" / first.directory.name  # another directory of the same basename
    run(sums_recipe(tmp_path / "questions"), twin, Workspace(tmp_path / "cache", progress=False))
    assert origins(twin) == ["gold", "talker", "caller", "failer"]


def test_a_rerun_asks_nothing_and_executes_nothing(tmp_path: Path) -> None:
    first = build(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in first.directory.rglob("*") if path.is_file()}
    scripted.CALLS.clear()
    again = build(tmp_path)
    assert scripted.CALLS == []
    assert ran(again) == set()
    assert (again.summary.generated, again.summary.reused, again.summary.transforms_run) == (0, 0, 0)
    assert again.summary.up_to_date
    assert {path: path.stat().st_mtime_ns for path in first.directory.rglob("*") if path.is_file()} == written


SCORED = {"score", "preference"}
AFTER_ANSWER = {"answer", "tool_api", "stage1", "sft", "tool_calling", "gold", "execute gold", *SCORED}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"answer__generator__temperature": 0.5}, AFTER_ANSWER),
        ({"answer__instruction": "Think, then answer."}, AFTER_ANSWER),
        ({"tool_api__max_attempts": 3}, AFTER_ANSWER - {"answer"}),
        ({"sources__talker__generator__temperature": 0.5}, {"respond talker", "execute talker", *SCORED}),
        ({"sources__talker__generator__adapter": "other"}, {"respond talker", "execute talker", *SCORED}),
        ({"sources__caller__examples": 2}, {"respond caller", "execute caller", *SCORED}),
        ({"score__strategy": "consistency"}, SCORED),
        ({"answer__generator__batch_size": 2}, set()),
        ({"preference__margin": 10}, {"preference"}),
        ({"description": "other words"}, set()),
    ],
)
def test_a_change_reruns_exactly_what_depends_on_it(
    tmp_path: Path, change: dict[str, Any], stages: set[str]
) -> None:
    build(tmp_path)
    assert ran(build(tmp_path, **change)) == stages


def test_a_stage_of_another_version_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from toolgen_hf.stages import score

    build(tmp_path)
    monkeypatch.setattr(score, "STAGE", replace(score.STAGE, version=score.STAGE.version + 1))
    assert ran(build(tmp_path)) == SCORED


def _zeroed(file: Path) -> None:
    content = file.read_bytes()
    at = len(content) // 2
    file.write_bytes(content[:at] + bytes(64) + content[at + 64 :])


DAMAGE = {
    "zeros within": (".arrow", _zeroed),
    "cut short": (".arrow", lambda file: file.write_bytes(file.read_bytes()[:-100])),
    "emptied": (".arrow", lambda file: file.write_bytes(b"")),
    "of another run": (".arrow", lambda file: file.write_bytes(file.read_bytes() + b"\0")),
    "a note without its end": (".json", lambda file: file.write_text('{"digest": "0')),
    "a note that is no object": (".json", lambda file: file.write_text("[]")),
    "a note of another run": (".json", lambda file: file.write_text('{"digest": "0"}')),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_output_is_made_again_and_nothing_is_asked(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = build(tmp_path)
    before = {name: table["train"].to_list() for name, table in first.configs.items()}
    suffix, spoil = DAMAGE[damage]
    files = [file for file in (tmp_path / "cache" / "stages").iterdir() if file.suffix == suffix]
    for file in files:
        spoil(file)
    scripted.CALLS.clear()
    again = build(tmp_path)
    assert scripted.CALLS == []
    assert {name: table["train"].to_list() for name, table in again.configs.items()} == before
    assert again.summary.used == first.summary.used
    assert len([line for line in caplog.messages if "is damaged and is made again" in line]) == len(files)
    assert ran(build(tmp_path)) == set()


def test_an_output_of_a_version_without_digests_is_taken(tmp_path: Path) -> None:
    first = build(tmp_path)
    notes = list((tmp_path / "cache" / "stages").glob("*.json"))
    for note in notes:
        used = {name: value for name, value in json.loads(note.read_text()).items() if name != "digest"}
        note.unlink() if not used else note.write_text(json.dumps(used))
    again = build(tmp_path)
    assert (ran(again), again.summary.used) == (set(), first.summary.used)
    assert all("digest" in json.loads(note.read_text()) for note in notes)


def test_one_more_question_costs_one_request_a_model(tmp_path: Path) -> None:
    build(tmp_path)
    scripted.CALLS.clear()
    extra = {**ROWS[0], "question": "Bob has 70 pens and buys 4 more. How many pens has he?", "answer": "74"}
    data = sums_data(tmp_path / "questions")
    write_questions(tmp_path / "questions", [extra, *ROWS])
    run(Recipe.parse(data), tmp_path / "out" / "sums", Workspace(tmp_path / "cache", progress=False))
    assert len(scripted.CALLS) == 1 + 3  # the student and three sources


SCRIPT = """
import json, sys
from pathlib import Path
from tests.support import scripted
from toolgen_hf import Recipe, Workspace, models, run
models.GENERATORS["local"] = scripted.HOME
recipe = Recipe.parse(json.loads(Path(sys.argv[1]).read_text()))
result = run(recipe, sys.argv[2], Workspace(Path(sys.argv[3]), progress=False))
print(json.dumps({**result.summary.to_dict(), "requests": len(scripted.CALLS)}))
"""


def in_a_process(
    tmp_path: Path, name: str = "script.py", **environment: str
) -> subprocess.CompletedProcess[str]:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(sums_data(tmp_path / "questions")), encoding="utf-8")
    folder = tmp_path / f"cwd-of-{name}"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(SCRIPT, encoding="utf-8")
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, name, str(recipe), str(tmp_path / "out" / "sums"), str(tmp_path / "cache")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_another_process_hash_seed_folder_and_script_is_still_a_hit(tmp_path: Path) -> None:
    first = json.loads(in_a_process(tmp_path, "one.py", PYTHONHASHSEED="1").stdout)
    again = json.loads(in_a_process(tmp_path, "two.py", PYTHONHASHSEED="2").stdout)
    assert first["requests"] == 12 + 3 * 12
    assert again["requests"] == again["transforms_run"] == 0
    assert again["up_to_date"]


@pytest.mark.parametrize("after", [4, 16, 40])  # within the student's texts, the first and the last source's
def test_a_killed_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path, after: int) -> None:
    killed = in_a_process(tmp_path, SCRIPTED_DIE_AFTER=str(after))
    assert killed.returncode == -9
    assert not (tmp_path / "out" / "sums").exists()
    summary = json.loads(in_a_process(tmp_path).stdout)
    assert after + summary["requests"] == 48
    assert {split["asked"] for split in summary["student"]["splits"].values()} == {8, 4}


def test_a_failing_model_leaves_the_previous_result_whole(tmp_path: Path) -> None:
    first = build(tmp_path)
    manifest = (first.directory / "manifest.json").read_bytes()
    with pytest.raises(GenerationError, match="the backend is gone"):
        build(tmp_path, sources__talker__generator__model="fails")
    assert (first.directory / "manifest.json").read_bytes() == manifest
    assert {path.name for path in first.directory.parent.iterdir()} == {".sums.lock", "sums"}


def test_a_row_whose_answer_is_no_number_is_rejected_with_a_reason(tmp_path: Path) -> None:
    data = sums_data(tmp_path / "questions")
    write_questions(tmp_path / "questions", [{**ROWS[0], "answer": "plenty"}, *ROWS[1:]])
    result = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    (row,) = result.configs["rejected"]["train"]
    assert (row["id"], row["stage"]) == ("Sums-train-0", "answer")
    assert row["reason"] == "the gold answer is no answer of the task 'math'"
    assert json.loads(row["detail"])["answer"] == ["plenty"]
    assert len(result.configs["stage1"]["train"]) == 7


def test_a_question_that_no_teacher_can_do_is_rejected_with_every_attempt(tmp_path: Path) -> None:
    data = sums_data(tmp_path / "questions", answer__generator__model="wrong")
    data["tool_api"] = {"teachers": [{"kind": "annotations"}, {"kind": "local", "model": "wrong"}]}
    write_questions(tmp_path / "questions", [{**ROWS[0], "solution": "It is obvious."}, *ROWS[1:]])
    result = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    (row,) = result.configs["rejected"]["train"]
    assert (
        row["reason"]
        == "no verified tool call (annotations: no arithmetic steps; wrong: the teacher wrote no tool call)"
    )
    attempts = json.loads(row["detail"])["attempts"]
    assert [attempt["teacher"] for attempt in attempts] == ["annotations", "wrong", "wrong"]


def test_no_usable_question_at_all_is_an_error_that_says_what_to_look_at(tmp_path: Path) -> None:
    data = sums_data(tmp_path / "questions")
    write_questions(tmp_path / "questions", [{**row, "answer": "plenty"} for row in ROWS])
    with pytest.raises(DataError, match=r"no question can be used.*\['plenty'\] of 'Sums-train-0'.*'answer'"):
        run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))


def test_a_directory_that_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("dear reader")
    with pytest.raises(ConfigError, match=r"not ours to replace"):
        run(sums_recipe(tmp_path / "questions"), tmp_path / "thesis", Workspace(tmp_path / "cache"))
    assert scripted.CALLS == []


@pytest.mark.parametrize(
    "name", ["{a,b}", "trail ", "h#1", "p%20q", "a:b", "é中😀", "ü" * 60, 'dq"', "a\\b", "link"]
)
def test_an_output_of_any_name_opens_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    recipe = sums_recipe(tmp_path / "questions", sources={})
    run(recipe, name, Workspace(tmp_path / "cache", progress=False))
    assert load_dataset(name, "stage2", cache_dir=str(tmp_path / "hf"))["train"].num_rows == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a[1]", r"'a\[1\]' holds '\[', which load_dataset takes for a pattern"),
        ("a[1]/b", "takes for a pattern"),
        ("b*", "takes for a pattern"),
        ("c?", "takes for a pattern"),
        ("k::v", "takes for a chain of URLs"),
        ("$HOME", "takes for a variable"),
        ("s3://bucket/set", "looks like a URL"),
        ("json", "is the name of a file format, .* such as 'outputs/json'"),
        ("~no-such-user/x", "takes '~' for a home folder"),
        ("x" * 121, "is a name of 121 bytes"),
        ("é" * 61, "is a name of 122 bytes"),
        ("a\udcff", "is not UTF-8"),
        ("a\0b", "cannot be an output directory"),
        ("file", "'file' is a file"),
        ("file/x", "cannot be written"),
        ("file/x/y", "cannot be written"),
        ("dangling", "is a link that leads nowhere"),
        ("loop/x", "cannot be an output directory"),
        ("..", "is not ours to replace|is a mount point"),
    ],
)
def test_an_output_that_could_not_be_opened_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    Path("file").touch()
    Path("dangling").symlink_to("nowhere/at-all")
    Path("loop").symlink_to("loop")
    before = set(Path().iterdir())
    with pytest.raises(ConfigError, match=message):
        run(sums_recipe(tmp_path / "questions"), name, Workspace(tmp_path / "cache", progress=False))
    assert scripted.CALLS == []
    assert set(Path().iterdir()) == before


def test_rows_are_drawn_by_the_seed_and_keep_their_order(tmp_path: Path) -> None:
    def ids(seed: int) -> list[str]:
        rows = build(tmp_path, dataset__rows={"train": 4}, dataset__seed=seed).configs["raw"]["train"]
        return list(rows["id"])

    assert ids(0) == ids(0) == sorted(ids(0))
    assert ids(0) != ids(1)


def test_what_is_valid_and_gives_little_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes: dict[str, Any] = {
        "sources": {},
        "finetune": {"idle": {"model": "ann/nowhere"}},
        "dataset__rows": {"train": 100, "test": 4},
    }
    result = run(
        sums_recipe(tmp_path, **changes), tmp_path / "out", Workspace(tmp_path / "cache", progress=False)
    )
    assert result.summary.configs["preference"] == {"train": 0, "test": 0}
    empty, idle, fewer = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert empty.startswith("sources: there is none, so stage 2 will hold the gold responses alone")
    assert idle.startswith("finetune.idle: no source has this adapter, so it is not trained")
    assert fewer == "dataset.rows.train: 100 are asked for, and there are only 8"


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\['dev'\].*\['train', 'test'\]"):
        build(tmp_path, dataset__rows={"dev": 4})


def test_a_workspace_can_be_used_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "cache", progress=False)
    run(sums_recipe(tmp_path / "questions"), tmp_path / "out", workspace)
    again = run(sums_recipe(tmp_path / "questions"), tmp_path / "out", workspace)
    assert (len(again.summary.stages), again.summary.transforms_run, again.summary.generated) == (30, 0, 0)
    with workspace:
        pass
    warmer = sums_recipe(tmp_path / "questions", answer__generator__temperature=0.5)
    assert run(warmer, tmp_path / "out", workspace).summary.generated == 12


def test_a_response_that_calls_the_tool_by_itself_is_not_right(tmp_path: Path) -> None:
    result = build(tmp_path, answer__generator__model="babbling")
    assert all(split["correct"] == 0 for split in result.summary.student["splits"].values())
    assert all(row["output"].startswith("calculator(") for row in result.configs["stage1"]["train"])


def test_a_rerun_with_an_emptied_split_runs_no_transform(tmp_path: Path) -> None:
    data = sums_data(tmp_path / "questions", answer__generator__model="wrong")
    rows = [{**row, "solution": "It is obvious."} if n > 7 else row for n, row in enumerate(ROWS)]
    for transforms in (24, 0):  # what follows from stage 1 has nothing to do for the test split
        write_questions(tmp_path / "questions", rows)
        result = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
        assert result.summary.transforms_run == transforms
    assert len(result.configs["stage2"]["test"]) == 0


def test_a_linked_output_keeps_its_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sums").symlink_to(tmp_path / "disk" / "sums")
    build(tmp_path)
    build(tmp_path, score__strategy="consistency")
    assert (tmp_path / "out" / "sums").is_symlink()
    assert (tmp_path / "disk" / "sums" / "manifest.json").is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sums"]


def test_what_a_person_put_beside_the_result_is_not_lost(tmp_path: Path) -> None:
    first = build(tmp_path)
    (first.directory / "notes.md").write_text("dear diary")
    with pytest.raises(ConfigError, match=r"did not write and would lose: notes\.md"):
        build(tmp_path, score__strategy="consistency")
    assert (first.directory / "notes.md").read_text() == "dear diary"


def test_a_swap_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    first = build(tmp_path)
    first.directory.rename(first.directory.parent / ".sums.previous")
    assert build(tmp_path).summary.up_to_date


def test_without_an_atomic_exchange_the_result_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    monkeypatch.setattr("toolgen_hf._utils._exchange", lambda one, other: False)
    result = build(tmp_path, score__strategy="consistency")
    assert json.loads((result.directory / "manifest.json").read_text())["strategy"] == "consistency"
    assert {path.name for path in result.directory.parent.iterdir()} == {".sums.lock", "sums"}


def test_the_manifest_knows_how_long_it_took(tmp_path: Path) -> None:
    manifest = json.loads((build(tmp_path).directory / "manifest.json").read_text())
    assert manifest["summary"]["seconds"] > 0


def test_gather_names_what_is_missing() -> None:
    with pytest.raises(DataError, match=r"no gold responses among the sources \['x'\]"):
        gather({"x": DatasetDict()})
    part = DatasetDict(train=Dataset.from_dict({}))
    with pytest.raises(DataError, match=r"source 'x' has no split 'train'"):
        gather({"gold": part, "x": DatasetDict()})


def test_a_dataset_in_place_of_a_datasetdict_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs a DatasetDict, not a Dataset"):
        execute(Dataset.from_dict({}), Workspace(tmp_path))  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["/proc/out", "questions.csv/out"])
def test_an_output_that_cannot_be_written_is_named_before_any_work(tmp_path: Path, where: str) -> None:
    (tmp_path / "questions.csv").write_text("")
    with pytest.raises(ConfigError, match=r"(/proc|questions\.csv)/out' cannot be written"):
        run(sums_recipe(tmp_path / "questions"), tmp_path / where, Workspace(tmp_path / "cache"))
    assert scripted.CALLS == []


def test_everything_rejected_is_said_and_still_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sums_data(tmp_path / "questions", answer__generator__model="wrong")
    write_questions(tmp_path / "questions", [{**row, "solution": "It is obvious."} for row in ROWS])
    result = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    print_summary(result.summary, result.directory)
    printed = capsys.readouterr().out
    assert "Every question was rejected" in printed
    assert "not to be loaded: stage2, stage1" in printed.replace("\n", " ").replace("│", "").replace(
        "  ", " "
    )
    assert get_dataset_config_names(str(result.directory)) == [
        "raw",
        "rejected",
        *(f"responses-{source}" for source in ("talker", "caller", "failer")),
    ]
    assert '"stage2")' not in (result.directory / "README.md").read_text()


def test_a_run_looks_up_unpinned_models_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(name: str, *_: object) -> Path:
        asked.append(name)
        return tmp_path / f"commit-{len(asked)}"

    monkeypatch.setattr(models, "download", download)
    assert [models._commit("org/model", None, models.MODEL) for _ in range(2)] == ["commit-1"] * 2
    run(sums_recipe(tmp_path / "q"), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    assert models._commit("org/model", None, models.MODEL) == "commit-2"
    models.forget_commits()


def test_two_teachers_of_one_name_both_have_a_prompt(tmp_path: Path) -> None:
    teacher = {"kind": "local", "model": "call"}
    recipe = sums_recipe(tmp_path, tool_api__teachers=[teacher, {**teacher, "max_new_tokens": 64}])
    manifest = json.loads((run(recipe, tmp_path / "out").directory / "manifest.json").read_text())
    names = [role for role in manifest["models"] if role.startswith("teacher ")]
    assert names == ["teacher call", "teacher call-2"]
    assert manifest["prompts"].keys() == manifest["models"].keys()
