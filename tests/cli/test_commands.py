"""The command line: what it prints, what it writes, how it fails."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tqdm import tqdm

from tests.support import scripted
from tests.support.recipes import sums_data
from toolgen_hf.cli import attempt, main
from toolgen_hf.runtime.store import SqliteStore

EXAMPLE = {
    "query": "Given a math problem, please solve it and you can use a calculator for help.\nJean has three times "
    "as much money as Jane. They have a combined total of $76. How much money does Jean have?",
    "responses": [
        "calculator(3*19)",
        "calculator(3*19)",
        " calculator(76/4*3)",
        "Jean has $76 / 3 = $<<76/3=25>>25",
        "Jean has $54.",
    ],
    "origin": ["gold", "chatgpt", "davinci", "vicuna", "alpaca"],
}


def write_recipe(tmp_path: Path) -> str:
    data = sums_data(tmp_path / "questions")
    data["output"] = str(tmp_path / "out")
    (tmp_path / "sums.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return str(tmp_path / "sums.yaml")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_published_example_comes_out_exactly(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps(EXAMPLE) + "\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "in.json"), str(tmp_path / "out.json"), "-q"]) == 0
    (scored,) = rows(tmp_path / "out.json")
    assert list(scored) == ["query", "responses", "origin", "scores", "answer"]
    assert scored == {
        **EXAMPLE,
        "scores": [20, 20, 20, 10, 15],
        "answer": ["57.0", "57.0", "57.0", "25.0", "54.0"],
    }


def test_the_published_example_by_the_papers_strategy(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps(EXAMPLE) + "\n", encoding="utf-8")
    arguments = [
        "score",
        str(tmp_path / "in.json"),
        str(tmp_path / "out.json"),
        "--set",
        "score.strategy=consistency",
    ]
    assert main(arguments) == 0
    assert rows(tmp_path / "out.json")[0]["scores"] == [20, 20, 20, 5, 5]


@pytest.mark.usefixtures("scripted_models")
def test_run_prints_a_summary_and_show_prints_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", write_recipe(tmp_path)]) == 0
    first = capsys.readouterr().out
    for words in ("right without a tool", "verified by running", "one stage1 example", "one stage2 example"):
        assert words in first
    assert f'load_dataset("{tmp_path / "out"}", "stage2")' in first.replace("\n", "").replace(
        "│", ""
    ).replace("  ", "")
    assert "answer[train]" not in first  # stage lines go to stderr
    assert main(["show", str(tmp_path / "out")]) == 0
    assert "one stage2 example" in capsys.readouterr().out
    assert main(["run", write_recipe(tmp_path)]) == 0
    assert "no LM call and no transform" in capsys.readouterr().out


@pytest.mark.usefixtures("scripted_models")
def test_json_summary_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", write_recipe(tmp_path), "--json", "-q"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["directory"] == str(tmp_path / "out")
    assert sum(split["asked"] for split in summary["student"]["splits"].values()) == 12


@pytest.mark.usefixtures("scripted_models")
def test_stage_by_stage_gives_what_run_gives(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    assert main(["run", recipe, "-q"]) == 0
    raw = tmp_path / "out" / "data" / "raw" / "Sums" / "Sums.json"

    def stage(name: str, source: Path, target: str, *more: str) -> Path:
        assert main([name, str(source), str(tmp_path / target), "--recipe", recipe, "-q", *more]) == 0
        return tmp_path / target

    called = stage("tool-api", stage("answer", raw, "answered.jsonl"), "called.parquet")
    made = rows(stage("stage1", called, "stage1.json"))
    assert [row["output"] for row in made] == [
        row["output"] for row in rows(raw.parents[2] / "stage1/Sums/Sums.json")
    ]
    stage("execute", stage("gold", tmp_path / "stage1.json", "responses/gold.json"), "executed/gold.json")
    for source in ("talker", "caller", "failer"):
        responses = stage("respond", raw, f"responses/{source}.json", "--name", source)
        stage("execute", responses, f"executed/{source}.json")
    scored = rows(stage("score", tmp_path / "executed", "stage2.json"))
    whole = rows(raw.parents[2] / "stage2/Sums/Sums.json")
    for row, expected in zip(scored, whole, strict=True):
        by_source = dict(zip(expected["origin"], expected["scores"], strict=True))
        assert dict(zip(row["origin"], row["scores"], strict=True)) == by_source


def test_raw_writes_the_questions_of_a_recipe(tmp_path: Path) -> None:
    assert main(["raw", str(tmp_path / "raw.jsonl"), "--set", "dataset.rows={test: 3}"]) == 0
    assert [row["id"].split("-")[:2] for row in rows(tmp_path / "raw.jsonl")] == [["GSM8K", "test"]] * 3


def test_an_adapter_that_only_a_whole_run_trains_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["raw", str(tmp_path / "raw.jsonl"), "--set", "dataset.rows={test: 3}"])
    assert (
        main(
            ["respond", str(tmp_path / "raw.jsonl"), str(tmp_path / "out.jsonl"), "--name", "smollm2-vicuna"]
        )
        == 2
    )
    assert "--set sources.smollm2-vicuna.generator.adapter=ITS_CHECKPOINT" in capsys.readouterr().err


@pytest.mark.usefixtures("scripted_models")
def test_show_prints_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", write_recipe(tmp_path), "-q"]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "out"), "--config", "stage2", "--id", "Sums-test-1"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "Sums-test-1"
    assert main(["show", str(tmp_path / "out"), "--config", "stage2", "--id", "nobody"]) == 2
    assert "no row 'nobody'" in capsys.readouterr().err


@pytest.mark.usefixtures("scripted_models")
def test_show_knows_the_configs_that_a_directory_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path)
    train = tmp_path / "questions" / "train.jsonl"
    bad = {"question": "How tall is Ann?", "answer": "tall", "solution": None}
    train.write_text(f"{train.read_text()}{json.dumps(bad)}\n", encoding="utf-8")
    assert main(["run", recipe, "-q", "--set", "sources={}"]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "out"), "--config", "responses-gold", "-n", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "gold"
    assert main(["show", str(tmp_path / "out"), "--config", "respones-gold"]) == 2
    errors = capsys.readouterr().err
    assert "'responses-gold'" in errors
    assert "'rejected'" in errors
    assert "called" not in errors  # which is a table, but none of this directory
    assert main(["show", str(tmp_path / "out"), "--config", "preference"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"'preference' of {str(tmp_path / 'out')!r} has no rows\n")
    assert main(["show", str(tmp_path / "out"), "--config", "rejected"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out)["detail"], dict)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quickstrat"], "did you mean 'quickstart'?"),
        (["show", "."], "is not a produced directory"),
        (["respond", "x.json", "y.json", "--name", "nobody"], "no sources.nobody; it has: smollm2-fewshot"),
        (["score", "missing.json", "out.json"], "missing.json"),
    ],
)
def test_a_wrong_command_says_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


BAD_FILES = {
    "malformed": (
        '{"id": "a", "question": "1+1?", "answer": "2"}\n{"id": "b", ',
        r"in.json:2: not valid JSON",
    ),
    "missing column": ('{"id": "a", "question": "1+1?"}\n', "no column 'answer'; there is 'id', 'question'"),
    "duplicate id": ('{"id": "a", "question": "q", "answer": "2"}\n' * 2, "id 'a'"),
    "empty": ("", "in.json"),
    "not a row": ("[1, 2]\n", "in.json:1"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.usefixtures("scripted_models")
def test_bad_input_is_named_and_nothing_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD_FILES[name]
    (tmp_path / "in.json").write_text(text, encoding="utf-8")
    assert main(["answer", str(tmp_path / "in.json"), str(tmp_path / "out.json"), "-q"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
    assert scripted.CALLS == []


@pytest.mark.usefixtures("scripted_models")
def test_mode_a_keeps_the_rows_of_every_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        given = [{"id": f"{split}-{n}", "question": f"{n}+1?", "answer": str(n + 1)} for n in range(3)]
        (tmp_path / "raw").mkdir(exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in given)
        (tmp_path / "raw" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    command = ["answer", str(tmp_path / "raw"), str(out), "--recipe", write_recipe(tmp_path), "-q"]
    assert main(command) == 0
    (out / "test.jsonl").unlink()
    mine = [{**row, "response": "my own"} for row in rows(out / "train.jsonl")[1:]]
    (out / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mine), encoding="utf-8")
    assert main([*command, "--mode", "a"]) == 0
    kept = rows(out / "train.jsonl")
    assert (kept[:2], [row["id"] for row in kept]) == (mine, ["train-1", "train-2", "train-0"])
    assert [row["id"] for row in rows(out / "test.jsonl")] == ["test-0", "test-1", "test-2"]


@pytest.mark.usefixtures("scripted_models")
def test_a_failing_backend_exits_1_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path)
    assert main(["run", recipe, "--set", "answer.generator.model=fails"]) == 1
    assert "error: the backend is gone" in capsys.readouterr().err


SLOW = """
import sys, time
from tests.support import scripted
from toolgen_hf import models
from toolgen_hf.cli import main
models.GENERATORS["local"] = scripted.HOME
text = scripted.ScriptedGenerator.text
def slow(self, request):
    time.sleep(0.2)
    return text(self, request)
scripted.ScriptedGenerator.text = slow
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["run", write_recipe(tmp_path), "--cache-dir", str(tmp_path / "cache")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    store = tmp_path / "cache" / "store.sqlite"
    deadline = time.monotonic() + 60
    while not store.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to go on" in errors
    told = re.search(r"answer: (\d+) of the 12 texts that were missing are stored|answer: (\d+) more", errors)
    assert told
    with SqliteStore(store) as kept:
        assert int(told[1] or told[2]) == len(kept) > 0
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


LIMITED = """
import resource, signal, sys
from toolgen_hf.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("size", [60_000, 800_000])  # in the first the questions' cache does not fit
def test_a_full_disk_is_an_error_without_a_traceback_or_half_a_file(tmp_path: Path, size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), "raw", "raw.jsonl", "--set", "dataset.rows={test: null}"],
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / f"hf-{size}")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != f"hf-{size}"] == []


def test_score_keeps_every_split_of_a_folder_of_sources(tmp_path: Path) -> None:
    for source, response in {"gold": "calculator(1+1)", "other": "It is 2."}.items():
        for split in ("train", "test"):
            row = {
                "id": f"x-{split}-0",
                "question": "1+1?",
                "answer": "2",
                "source": source,
                "response": response,
            }
            path = tmp_path / "responses" / source / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        folders = [str(tmp_path / part / source) for part in ("responses", "executed")]
        assert main(["execute", *folders, "-q"]) == 0
    assert main(["score", str(tmp_path / "executed"), str(tmp_path / "stage2"), "-q"]) == 0
    for split in ("train", "test"):
        assert [row["scores"] for row in rows(tmp_path / "stage2" / f"{split}.jsonl")] == [[20, 15]]


def test_a_folder_of_sources_has_one_file_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "a", "question": "1+1?", "answer": "2", "response": "calculator(1+1)"}
    (tmp_path / "in").mkdir()
    for name in ("gold", "few"):
        path = tmp_path / "in" / f"{name}.jsonl"
        path.write_text(json.dumps({**row, "source": name}) + "\n", encoding="utf-8")
        assert main(["execute", str(path), str(tmp_path / "executed" / path.name), "-q"]) == 0
    (tmp_path / "executed" / ".DS_Store").write_bytes(b"\0")
    command = ["score", str(tmp_path / "executed"), str(tmp_path / "stage2.jsonl"), "-q"]
    assert main(command) == 0
    assert rows(tmp_path / "stage2.jsonl")[0]["origin"] == ["gold", "few"]
    for name in ("stage2.jsonl", "new/stage2.jsonl"):  # the next run would take it for a source
        assert main(["score", str(tmp_path / "executed"), str(tmp_path / "executed" / name), "-q"]) == 2
        error = capsys.readouterr().err
        assert (
            "executed', the input, where the next run would read it: choose an output path outside" in error
        )
    shutil.copy(tmp_path / "executed" / "few.jsonl", tmp_path / "executed" / "few.json")
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "'few.json' and 'few.jsonl' are both of the source 'few'; delete or rename one" in error


def test_a_table_is_not_written_beside_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = ["raw", str(out), "--recipe", write_recipe(tmp_path), "-q"]
    (out / "notes.md").write_text("mine", encoding="utf-8")
    assert [main(command), main(command)] == [0, 0]
    (out / "train.json").write_text("{}\n", encoding="utf-8")
    assert main(command) == 2
    assert "holds files of another table: train.json; choose another folder" in capsys.readouterr().err


def test_no_stage_writes_over_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(EXAMPLE) + "\n", encoding="utf-8")
    assert main(["score", str(path), str(tmp_path / "x" / ".." / "in.json"), "-q"]) == 2
    assert "is both the input and the output" in capsys.readouterr().err
    assert rows(path) == [EXAMPLE]


def test_an_empty_csv_cell_is_null(tmp_path: Path) -> None:
    lines = ["id,question,answer,source,response", "a,1+1?,2,x,calculator(1+1)", "b,1+2?,3,x,"]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["execute", str(tmp_path / "in.csv"), str(tmp_path / "out.jsonl"), "-q"]) == 0
    assert [row["response"] for row in rows(tmp_path / "out.jsonl")] == ["calculator(1+1)", None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sources.smollm2-alpaca.generator.model=/nowhere", "sources.smollm2-alpaca.generator: "),
        ("finetune.alpaca.template=alpaka", "finetune.alpaca: "),
        ("answer.generator.device=cuda", "answer.generator: device 'cuda': PyTorch"),
        ("answer.generator.device=gpu", "answer.generator.device: "),
    ],
)
def test_what_a_later_stage_cannot_use_is_named_before_the_first(
    tmp_path: Path, change: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "cuda'" in message and torch_sees_a_gpu():
        pytest.skip("there is a GPU")
    assert main(["run", "quickstart", "--set", change, "-o", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr().err
    assert message in captured
    assert "answer[" not in captured


def torch_sees_a_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def test_a_message_stands_above_a_bar_not_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    def work(arguments: argparse.Namespace) -> None:
        with tqdm(total=2, desc="work", leave=False) as bar:
            bar.update()
            logging.getLogger("toolgen_hf.anything").info("converted once")

    assert attempt(argparse.Namespace(command=work)) == 0
    printed = capsys.readouterr().err
    assert "\rconverted once\n" in printed
    assert "work:" in printed.partition("converted once\n")[2]


def in_a_terminal(arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m toolgen_hf.cli {arguments}"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1", **environment}
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=env,
        capture_output=True,
        encoding=encoding,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a result whose texts no old code page has."""
    folder = tmp_path_factory.mktemp("foreign")
    questions = ["Ann a 12 stylos à 5 €… 学 😀. How many?", "Bob has 3 and 4 — how many?"]
    (folder / "questions.csv").write_text(
        "".join(["question;answer;solution\n", *(f"{one};7;3+4=<<3+4=7>>7\n" for one in questions)]),
        encoding="utf-8",
    )
    given = [{"question": one, "response": "≈ The answer is 9 😀"} for one in questions]
    (folder / "given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    generator = {"generator": {"kind": "file", "path": "given.jsonl"}}
    dataset = {"builder": "qa", "data_files": "questions.csv", "columns": {"solution": "solution"}}
    recipe = {"name": "foreign", "dataset": dataset, "answer": generator, "sources": {"given": generator}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    ended = in_a_terminal("run recipe.yaml -q -o out", folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"TERM": "dumb", "COLUMNS": "20"},
    ],
    ids=str,
)
def test_any_terminal_will_do(foreign: Path, environment: dict[str, str]) -> None:
    ended = in_a_terminal("run recipe.yaml -o again", foreign, **environment)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    shown = in_a_terminal("show out --config stage2 -n 1", foreign, **environment).stdout
    assert json.loads(shown)["responses"][1] == "≈ The answer is 9 😀"


@pytest.mark.parametrize(
    "ending", ["| true", "--config stage2 | head -1", ">&-", "2>&-", ">&- 2>&-", "</dev/null"]
)
def test_a_reader_that_has_gone_is_no_error(foreign: Path, ending: str) -> None:
    ended = in_a_terminal(f"show out {ending}; exit ${{PIPESTATUS[0]}}", foreign)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_folder_that_is_gone(foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    ended = in_a_terminal(
        f"--version; rmdir ../gone; {sys.executable} -m toolgen_hf.cli show out", tmp_path / "gone"
    )
    assert ended.returncode == 2
    assert "the current folder cannot be used (No such file or directory): change to another" in ended.stderr


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("file/raw.jsonl", "'file' is a file"),
        ("file/raw", "'file' is a file"),
        ("file", "is a file: give one with a suffix"),
        ("folder.jsonl", "is a folder: give a file, such as 'folder.jsonl/rows.jsonl'"),
        ("raw.xml", "unknown suffix '.xml'"),
        ("x" * 300 + ".jsonl", "cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_named_first(
    foreign: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
    message: str,
) -> None:
    monkeypatch.chdir(foreign)
    Path("file").touch()
    Path("folder.jsonl").mkdir(exist_ok=True)
    assert main(["raw", output, "--recipe", "recipe.yaml"]) == 2
    assert message in capsys.readouterr().err
