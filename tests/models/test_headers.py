"""Files of weights and their settings, of any content: read, or an error that names the file and what is wrong."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.test_licences import BEFORE, gguf, text
from tests.models.test_models import adapter_folder, model_folder
from tests.support.models import safetensors
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.gguf import gguf_header, gguf_licence
from toolgen_hf.models.weights import (
    ADAPTER,
    MODEL,
    check_files,
    parameters,
    resolve_adapter,
    resolve_model,
    safetensors_parameters,
)

U32, U64 = (lambda n: struct.pack("<I", n)), (lambda n: struct.pack("<Q", n))
HUGE = 2**63
QUICK = settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def start(tensors: int = 0, pairs: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def tensor(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + U32(len(shape)) + b"".join(map(U64, shape)) + U32(kind) + U64(offset)


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return text("a.list") + U32(9) + U32(kind) + U64(count) + items


def nested(depth: int) -> bytes:
    return text("a") + U32(9) + (U32(9) + U64(1)) * depth + U32(0) + U64(0)


def test_a_whole_header(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    pairs = [*BEFORE, ("general.license", 8, text("mit"))]
    body = b"".join(text(key) + U32(kind) + value for key, kind, value in pairs)
    path.write_bytes(start(2, len(pairs)) + body + tensor("a", 3, 4) + tensor("b", 5, offset=48) + bytes(80))
    assert gguf_header(path).licence == "mit"
    assert gguf_header(path).parameters == parameters(path) == 17


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot mmap an empty file"),
        (b"GG", "it ends too early"),
        (b"<html><body>Log in", "it begins with b'<htm', not with b'GGUF'"),
        (start()[:12], "it ends too early: 20 bytes must follow byte 4"),
        (start(version=1), "its version is 1"),
        (start(version=3 << 24), "its version is 50331648"),
        (start(tensors=HUGE), "it ends too early"),
        (start(pairs=2**64 - 1), "it ends too early"),
        (start(pairs=1), "it ends too early: 8 bytes must follow byte 24"),
        (start(pairs=1) + U64(HUGE), "at byte 32 it has a name or licence of 9223372036854775808 bytes"),
        (start(pairs=1) + U64(1000) + b"abc", "it ends too early: 1000 bytes must follow byte 32"),
        (start(pairs=1) + U64(2) + b"\xff\xfe" + U32(0), "'utf-8' codec can't decode byte 0xff"),
        (start(pairs=1) + text("k") + U32(99), "at byte 37 it has a value of type 99"),
        (start(pairs=1) + text("k") + U32(13) + bytes(99), "a value of type 13"),
        (start(pairs=1) + text("k") + U32(8) + U64(HUGE), "9223372036854775808 bytes must follow byte 45"),
        (
            start(pairs=1) + text("general.license") + U32(8) + U64(2**40),
            "it has a name or licence of 1099511627776 b",
        ),
        (start(pairs=1) + array(4, HUGE), "it ends too early: 36893488147419103232 bytes must follow"),
        (start(pairs=1) + array(8, HUGE), "it ends too early"),
        (start(pairs=1) + array(9, HUGE, bytes(99)), "it ends too early"),
        (start(pairs=1) + array(77, 3, bytes(99)), "a value of type 77"),
        (start(pairs=1) + nested(100_000), "it has arrays in arrays, 4 deep"),
        (start(tensors=1) + tensor("t", *[1] * 9), "the tensor 't' has 9 dimensions"),
        (start(tensors=1) + text("t") + U32(2**32 - 1), "the tensor 't' has 4294967295 dimensions"),
        (start(tensors=1) + tensor("t", HUGE, HUGE), "does not fit into"),
        (start(tensors=1) + tensor("t", 4, offset=HUGE), "does not fit into"),
        (start(tensors=2) + tensor("t", 1) + b"x", "it ends too early"),
    ],
)
def test_what_is_wrong_with_a_gguf_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        gguf_header(path)
    assert message in str(caught.value)
    assert f"{str(path)!r} is not a whole GGUF file" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert (gguf_licence(path), parameters(path)) == (None, None)


@pytest.mark.timeout(60)
def test_a_large_file_of_nothing_ends_soon(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    with path.open("wb") as file:  # of gigabytes, and no byte of it on the disk
        file.write(start(pairs=2**24 - 1))
        file.truncate(8 << 30)
    with pytest.raises(ConfigError, match="more than 16777216 values"):
        gguf_header(path)


def test_a_folder_called_gguf_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").mkdir()
    with pytest.raises(ConfigError, match="cannot read the GGUF file"):
        gguf_header(tmp_path / "x.gguf")
    with pytest.raises(ConfigError, match="is not a model folder: it lacks"):
        resolve_model(str(tmp_path / "x.gguf"))


@QUICK
@given(st.binary(max_size=400), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_any_bytes_after_the_magic(tmp_path: Path, tail: bytes, tensors: int, pairs: int) -> None:
    for content in (tail, start(tensors, pairs) + tail, start(tensors % 4, pairs % 4) + tail):
        path = tmp_path / "any.gguf"
        path.write_bytes(content)
        read_or_said(lambda path=path: gguf_header(path), str(path))


WHOLE = start(1, 7) + b"".join(
    text(key) + U32(kind) + value for key, kind, value in [*BEFORE, ("general.license", 8, text("mit"))]
) + tensor("t", 3) + bytes(12)  # fmt: skip


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(WHOLE)),
)
def test_whole_headers_with_some_bytes_changed(
    tmp_path: Path, changes: list[tuple[int, int]], end: int
) -> None:
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    path = tmp_path / "changed.gguf"
    for damaged in (content, content[:end]):
        path.write_bytes(damaged)
        read_or_said(lambda: gguf_header(path), str(path))


def read_or_said(read: Callable[[], Any], named: str) -> None:
    """It is read, or an error says which file is wrong, and not at length."""
    said = named
    try:
        read()
    except ConfigError as error:
        said = str(error)
    assert named in said
    assert len(said) < 800


def weights(header: Any, data: bytes = b"", size: int | None = None) -> bytes:
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    return U64(len(told) if size is None else size) + told + data


def one(shape: Any = (2,), offsets: Any = (0, 4), dtype: Any = "BF16") -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_whole_safetensors(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(safetensors(3, 5))
    (tmp_path / "b.safetensors").write_bytes(safetensors(2))
    assert safetensors_parameters(tmp_path / "a.safetensors") == 15
    assert parameters(tmp_path) == 17


BAD_WEIGHTS = {
    "empty": b"",
    "a page": b"<html><body>Log in</body></html>",
    "no header": U64(0),
    "a header longer than the file": weights(one(), bytes(4), size=1 << 20),
    "a header of 2**63 bytes": weights(one(), bytes(4), size=HUGE),
    "no JSON": weights(b"{nothing"),
    "no UTF-8": weights(b'{"\xff\xfe": 1}'),
    "a list": weights([1, 2]),
    "a number": weights(5),
    "deep": weights(b"[" * 100_000),
    "a tensor that is a number": weights({"w": 5}),
    "a tensor without a shape": weights({"w": {"dtype": "F32"}}),
    "a negative size": weights(one(shape=[-2]), bytes(4)),
    "a text for a size": weights(one(shape=["2"]), bytes(4)),
    "a size of 10**400": weights(one(shape=[10**400]), bytes(4)),
    "sizes whose product is too large": weights(one(shape=[2**40, 2**40]), bytes(4)),
    "a kind of number that there is not": weights(one(dtype="F7"), bytes(4)),
    "negative offsets": weights(one(offsets=[-4, 0]), bytes(4)),
    "offsets in reverse": weights(one(offsets=[4, 0]), bytes(4)),
    "offsets beyond the file": weights(one(offsets=[0, HUGE]), bytes(4)),
    "offsets of another size": weights(one(offsets=[0, 2]), bytes(4)),
    "tensors over each other": weights({**one(), "v": one()["w"]}, bytes(4)),
    "cut data": weights(one(), bytes(2)),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_what_is_wrong_with_a_safetensors_file(tmp_path: Path, kind: str) -> None:
    folder = model_folder(tmp_path / "model", weights=BAD_WEIGHTS[kind])
    with pytest.raises(
        ConfigError, match=r"model\.safetensors' is not a whole safetensors file: .*; download or save"
    ):
        check_files(folder, MODEL)
    assert parameters(folder) is None


@QUICK
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_bytes_as_safetensors(tmp_path: Path, content: bytes, size: int) -> None:
    path = tmp_path / "any.safetensors"
    for data in (content, U64(size) + content, U64(len(content)) + content):
        path.write_bytes(data)
        read_or_said(lambda: safetensors_parameters(path), str(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@QUICK
@given(JSON, JSON)
def test_any_json_as_settings(tmp_path: Path, settings_: Any, index: Any) -> None:
    folder = tmp_path / "model"
    if not folder.exists():
        model_folder(folder)
    (folder / "config.json").write_text(json.dumps(settings_))
    for told in (index, {"weight_map": index}):
        (folder / "model.safetensors.index.json").write_text(json.dumps(told))
        read_or_said(lambda: resolve_model(str(folder)), "model")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"[1]", "is not a JSON object, but list: [1]"),
        ("config.json", b"\xff\xfe", "is not JSON: "),
        ("config.json", b"[" * 100_000, "is not JSON: maximum recursion"),
        ("config.json", b'{"a": ' + b"9" * 5000 + b"}", "is not JSON: Exceeds the limit"),
        ("config.json", b"", "is not JSON: Expecting value"),
        ("tokenizer_config.json", b'"text"', "is not a JSON object, but str: 'text'"),
        ("generation_config.json", b"null", "is not a JSON object, but NoneType"),
        ("model.safetensors.index.json", b"{}", "weight_map is None, and must name the file of each weight"),
        ("model.safetensors.index.json", b'{"weight_map": ["a"]}', "weight_map is ['a']"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": 5}}', "weight_map.w is 5; it must be the name"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": ["a"]}}', "weight_map.w is ['a']; it must be"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "../x.safetensors"}}', "in the same folder"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "/etc/x.safetensors"}}', "in the same folder"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "..\\\\x.safetensors"}}', "in the same folder"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "x.bin"}}', "must be the name of a .safetensors file"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "x.safetensors"}}', "it lacks x.safetensors"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_settings_of_a_model(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = model_folder(tmp_path / "model", weights=safetensors(2))
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        check_files(resolve_model(str(folder)).folder(), MODEL)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter", weights=safetensors(2))
    check_files(folder, ADAPTER)
    (folder / "adapter_config.json").unlink()
    (folder / "adapter_config.json").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*adapter_config\.json: Is a directory"):
        resolve_adapter(str(folder))


def test_a_file_as_the_tests_of_licences_make_it(tmp_path: Path) -> None:
    assert gguf_header(gguf(tmp_path / "a.gguf", *BEFORE)).parameters == 0
