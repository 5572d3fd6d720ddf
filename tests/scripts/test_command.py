"""What every script has: help with an example, both spellings, exit codes, notes on flags without effect."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts.conftest import SCRIPTS, Site
from toolgen_hf.published.command import adapter, main
from toolgen_hf.testing import ApiServer, Reply

ALL = sorted(path.name for path in SCRIPTS.glob("*.py") if path.name != "bundle_data.py")
PUBLISHED_FLAGS = {
    "generate_tool_api.py": "input output api_key dataset_name mode engine max_tokens multi_api_keys api_keys_file",
    "generate_response_gpt.py": "input output api_key mode engine max_tokens example_num example_file task output_text "
    "multi_api_keys api_keys_file",
    "generate_response_llama.py": "load_8bit base_model task data_path lora_weights output_path prompt_template",
    "score.py": "task model lora_weights data_path target_path",
    "finetune_lora.py": "base_model data_path output_dir batch_size micro_batch_size num_epochs learning_rate "
    "cutoff_len val_set_size lora_r lora_alpha lora_dropout lora_target_modules train_on_inputs group_by_length "
    "wandb_project wandb_run_name wandb_watch wandb_log_model resume_from_checkpoint prompt_template_name",
}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{Path(name).stem}", SCRIPTS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def typed(name: str, *arguments: object) -> int:
    module = script(name)
    return main(module.parser(), module.step, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ALL)
def test_help_has_an_example_and_the_modern_way(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        typed(name, "--help")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"example:\n  python {name} --" in told
    assert "the same with this library's own command:\n  toolgen-hf " in told


@pytest.mark.parametrize("name", PUBLISHED_FLAGS)
def test_every_published_flag_is_known_in_both_spellings(name: str) -> None:
    parser = script(name).parser()
    for flag in PUBLISHED_FLAGS[name].split():
        for spelling in (f"--{flag}", f"--{flag.replace('_', '-')}"):
            assert parser._spelled(spelling) in parser._option_string_actions


@pytest.mark.parametrize("name", ALL)
def test_scripts_are_thin(name: str) -> None:
    assert len((SCRIPTS / name).read_text(encoding="utf-8").splitlines()) <= 80


def questions(folder: Path) -> Path:
    path = folder / "Q_wrong.json"
    path.write_text(json.dumps({"question": "1+1?", "answer": 2}) + "\n", encoding="utf-8")
    return path


def test_an_engine_that_is_gone_needs_an_explicit_url(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key-of-these")
    given = ("--input", questions(tmp_path), "--output", tmp_path / "out.json", "--model", "w")
    assert typed("generate_tool_api.py", *given, "--engine", "gpt-turbo-0301") == 2
    told = capsys.readouterr().err
    assert "engine 'gpt-turbo-0301'" in told
    assert "was shut down on" in told
    assert "say so with --base_url https://api.openai.com/v1" in told
    assert " base_url" not in told
    assert not (tmp_path / "out.json").exists()


def test_a_key_goes_by_http_to_this_machine_only_unless_a_flag_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key-of-these")
    given = (
        "--input",
        questions(tmp_path),
        "--output",
        tmp_path / "out.json",
        "--mode",
        "w",
        "--engine",
        "x",
    )
    lan = ("--base_url", "http://10.255.0.9:1/v1")
    assert typed("generate_tool_api.py", *given, *lan) == 2
    told = capsys.readouterr().err
    assert "the key of $OPENAI_API_KEY would be sent to http://10.255.0.9:1/v1 without encryption" in told
    assert "a --api_keys_file that holds EMPTY" in told
    assert told.strip().endswith("set --allow_http true")
    assert typed("generate_tool_api.py", *given, *lan, "--allow_http", "true", "--dry-run") == 0


def test_a_setting_is_named_by_its_flag_and_a_path_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (
        "--input",
        questions(tmp_path),
        "--output",
        tmp_path / "out.json",
        "--base_url",
        "http://127.0.0.1:9/v1",
    )
    assert typed("generate_response_gpt.py", *given, "--api_keys_file", tmp_path / "keys_file.txt") == 2
    assert f"cannot read the API keys in '{tmp_path}/keys_file.txt'" in capsys.readouterr().err


def test_a_url_of_ones_own_and_a_key_as_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-usual-one")
    with ApiServer("calculator(1+1)") as server:
        given = ("--input", questions(tmp_path), "--output", tmp_path / "out.json")
        url = ("--base-url", server.base_url, "--api_key", "sk-of-the-command-line")
        assert typed("generate_tool_api.py", *given, *url, "--engine=gpt-turbo-0301") == 0
        assert [request.key for request in server.requests] == ["sk-of-the-command-line"]
    assert os.environ["OPENAI_API_KEY"] == "sk-of-the-command-line"
    assert json.loads((tmp_path / "out.json").read_text())["tool"] == "calculator(1+1)"


def test_no_call_is_requested_that_could_not_be_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = questions(tmp_path)
    path.write_text(json.dumps({"question": "Which?", "answer": "blue"}) + "\n")
    with ApiServer("calculator(1+1)") as server:
        given = ("--input", path, "--output", tmp_path / "out.json", "--base_url", server.base_url)
        assert typed("generate_tool_api.py", *given) == 0
        assert server.count == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert "1 rejected (the gold answer is no answer of the task 'math')" in last
    assert last.endswith(f"each with its reason in {tmp_path / 'out_rejected.json'}")


def test_a_source_that_says_nothing_is_written_as_an_empty_text(tmp_path: Path) -> None:
    with ApiServer(Reply(text=None, finish_reason="content_filter")) as server:
        given = ("--input", questions(tmp_path), "--output", tmp_path / "out.json")
        assert typed("generate_response_gpt.py", *given, "--base_url", server.base_url) == 0
    assert json.loads((tmp_path / "out.json").read_text())["response"] == ""


def test_a_dry_run_sends_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ApiServer("calculator(1+1)") as server:
        given = (
            "--input",
            questions(tmp_path),
            "--output",
            tmp_path / "out.json",
            "--base_url",
            server.base_url,
        )
        assert typed("generate_tool_api.py", *given, "--dry_run") == 0
        assert server.count == 0
    assert "1+1?" in capsys.readouterr().out
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("generate_tool_api.py", "--input none.json --output out.json", "there is no such file"),
        (
            "generate_tool_api.py",
            "--input Q_wrong.json --output out.json --dataset_name T-REx --engine annotations",
            "tools.QA",
        ),
        (
            "generate_response_gpt.py",
            "--input Q_wrong.json --output o.json --task WEB",
            "unknown task 'WEB'",
        ),
        ("generate_response_gpt.py", "--input Q_wrong.json --output o.json --max_tokens 0", "--max_tokens: "),
        (
            "generate_response_gpt.py",
            "--input Q_wrong.json --output o.json --example_file no",
            "no examples at 'no'",
        ),
        (
            "generate_response_gpt.py",
            "--input Q_wrong.json --output o.json --output_text id",
            "would overwrite",
        ),
        (
            "generate_response_llama.py",
            "--base_model no --data_path Q_wrong.json --output_path o.json",
            "no model at 'no'",
        ),
        ("answer_questions.py", "--input Q_wrong.json", "who answers?"),
        ("score.py", "--data_path .", "holds no NAME_gold_response.json"),
        ("mix.py", "--input Q_wrong.json --output o.json --weight 1 2", "2 weights or counts for 1 files"),
        ("push.py", "--repo_id ann/set --version 1.0.0", "what is pushed?"),
        (
            "finetune_lora.py",
            "--base_model no --data_path Q_wrong.json --output_dir o --lora_r 0",
            "--lora_r: ",
        ),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, arguments: str,
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key-of-these")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    questions(tmp_path)
    assert typed(name, *arguments.split()) == 2
    told = capsys.readouterr().err
    assert told.splitlines()[-1].startswith("error: ")
    assert message in told


def test_a_server_that_fails_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ApiServer(Reply(status=401, error="no such key")) as server:
        given = (
            "--input",
            questions(tmp_path),
            "--output",
            tmp_path / "out.json",
            "--base_url",
            server.base_url,
        )
        assert typed("generate_tool_api.py", *given) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_the_step_of_an_adapter_names_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert adapter("vicuna-stage1-lora-step-39") == "vicuna-stage1-lora-step-39"
    (tmp_path / "vicuna-stage1-lora" / "checkpoint-39").mkdir(parents=True)
    assert adapter("vicuna-stage1-lora-step-39") == "vicuna-stage1-lora/checkpoint-39"
    (tmp_path / "vicuna-stage1-lora-step-39").mkdir()
    assert adapter("vicuna-stage1-lora-step-39") == "vicuna-stage1-lora-step-39"


def test_mode_a_adds_what_is_missing(site: Site) -> None:
    with ApiServer("calculator(3*4)") as server:
        given = ("--input", site.root / "data/raw/GSM8K/GSM8K.json", "--output", site.root / "out.json")
        line = ("--base_url", server.base_url, "--task", "Math")
        assert typed("generate_response_gpt.py", *given, "--mode", "w", *line) == 0
        lines = (site.root / "out.json").read_text().splitlines()
        mine = json.dumps({**json.loads(lines[3]), "response": "my own"}, ensure_ascii=False)
        (site.root / "out.json").write_text(f"{mine}\n{lines[0]}\n")
        assert typed("generate_response_gpt.py", *given, "--mode", "a", *line) == 0
        assert (site.root / "out.json").read_text().splitlines() == [
            mine,
            lines[0],
            lines[1],
            lines[2],
            lines[4],
        ]
        assert server.count == 5
        (site.root / "out.json").write_text(
            json.dumps({**json.loads(lines[0]), "question": "another?"}) + "\n"
        )
        assert typed("generate_response_gpt.py", *given, "--mode", "a", *line) == 2
