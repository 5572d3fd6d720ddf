"""A model's licence is what its own files say, or nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from tests.models.test_models import COMMIT, adapter_folder, model_folder
from toolgen_hf.models.config import LocalConfig, OpenAIConfig
from toolgen_hf.models.gguf import gguf_licence
from toolgen_hf.models.licences import licence_of
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.weights import resolve_adapter, resolve_model


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: apache-2.0\n---\nA model.", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: llama3\n---\n", "llama3"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\nlicense: |\n  mit\n  | x\n---\n", "mit | x"),
        ("---\nlicense: {a: [}\n---\n", None),
        ("---\nlicense:\n---\n", None),
        ("Nothing is said.", None),
        (None, None),
    ],
)
def test_of_a_folder(tmp_path: Path, card: str | None, expected: str | None) -> None:
    folder = model_folder(tmp_path / "model")
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    assert licence_of(resolve_model(str(folder))) == expected


def test_of_a_hub_model_that_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = model_folder(tmp_path / "hub" / "models--org--model" / "snapshots" / COMMIT)
    model = resolve_model("org/model", COMMIT)
    assert licence_of(model) is None
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    assert licence_of(model) == "mit"


def gguf(path: Path, *pairs: tuple[str, int, bytes], magic: bytes = b"GGUF") -> Path:
    body = b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in pairs)
    path.write_bytes(magic + struct.pack("<IQQ", 3, 0, len(pairs)) + body)
    return path


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


BEFORE: list[tuple[str, int, bytes]] = [
    ("general.architecture", 8, text("llama")),
    ("general.file_type", 4, struct.pack("<I", 3)),
    ("a.words", 9, struct.pack("<IQ", 8, 2) + text("one") + text("two")),
    ("a.numbers", 9, struct.pack("<IQ", 6, 3) + bytes(12)),
    ("a.lists", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 5) + bytes(5)),
    ("a.flag", 7, b"\x01"),
]


def test_of_a_gguf_file_wherever_it_stands(tmp_path: Path) -> None:
    said: tuple[str, int, bytes] = ("general.license", 8, text("apache-2.0"))
    assert gguf_licence(gguf(tmp_path / "a.gguf", *BEFORE, said)) == "apache-2.0"
    assert licence_of(resolve_model(str(gguf(tmp_path / "b.gguf", said, *BEFORE)))) == "apache-2.0"
    assert gguf_licence(gguf(tmp_path / "c.gguf", *BEFORE)) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:40],
        lambda data: b"nothing",
        lambda data: data.replace(struct.pack("<I", 8), struct.pack("<I", 99), 1),
        lambda data: data[:24] + b"\xff" * 8 + data[32:],
    ],
)
def test_of_a_damaged_gguf_file_nothing_is_known(tmp_path: Path, damage: Any) -> None:
    path = gguf(tmp_path / "a.gguf", *BEFORE, ("general.license", 8, text("mit")))
    path.write_bytes(damage(path.read_bytes()))
    assert gguf_licence(path) is None


def test_a_generator_says_under_whose_terms_its_texts_are(tmp_path: Path) -> None:
    from toolgen_hf.models.openai.engine import OpenAIGenerator

    folder, adapter = model_folder(tmp_path / "model"), adapter_folder(tmp_path / "adapter")
    (adapter / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n", encoding="utf-8")
    assert licence_of(resolve_adapter(str(adapter))) == "cc-by-4.0"
    config = LocalConfig(model=str(folder), adapter=str(adapter), template="completion")
    assert LocalGenerator(config).terms() == "not stated by its files; adapter: cc-by-4.0"
    assert OpenAIGenerator(OpenAIConfig(engine="gpt-4o-mini")).terms() == "the terms of api.openai.com"
    own = OpenAIConfig(engine="mine", base_url="http://127.0.0.1:8000/v1")
    assert OpenAIGenerator(own).terms() == "not stated by its server"
