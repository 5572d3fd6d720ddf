"""What a file of weights says of itself in its first bytes, read without loading any of it.

    gguf_licence(Path("smollm2.gguf"))       # "apache-2.0"
    parameters(Path("smollm2.gguf"))         # 134515008
    parameters(Path("models/smollm2"))       # the same, of a folder of safetensors

The ``gguf`` library would take seconds to list every token of the vocabulary.
"""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

_KEY: Final = "general.license"
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING: Final = 8
_ARRAY: Final = 9
_LONGEST: Final = 1 << 27  # bytes of a safetensors header: the format's own limit is 100 MB
_DAMAGED = (OSError, struct.error, KeyError, UnicodeDecodeError, OverflowError, MemoryError, ValueError)


def gguf_licence(path: Path) -> str | None:
    """``general.license`` of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md); None if it states none."""
    try:
        with path.open("rb") as file:
            for _ in range(_start(file)[1]):
                key, kind = _text(file), _number(file, "<I")
                if key == _KEY and kind == _STRING:
                    return _text(file)
                _skip(file, kind)
    except _DAMAGED:
        return None
    return None


def parameters(path: Path) -> int | None:
    """Numbers in the tensors of a GGUF file, or of a folder's safetensors; None if its headers cannot be read."""
    try:
        if path.is_file():
            return _of_gguf(path)
        return sum(_of_safetensors(file) for file in path.glob("*.safetensors")) or None
    except _DAMAGED:
        return None


def _of_gguf(path: Path) -> int:
    with path.open("rb") as file:
        tensors, pairs = _start(file)
        for _ in range(pairs):
            _text(file)
            _skip(file, _number(file, "<I"))
        total = 0
        for _ in range(tensors):
            _text(file)
            total += prod(_number(file, "<Q") for _ in range(_number(file, "<I")))
            file.seek(12, 1)  # its type and its place
        return total


def _of_safetensors(path: Path) -> int:
    """Eight bytes with the header's length, then the header as JSON (huggingface.co/docs/safetensors)."""
    with path.open("rb") as file:
        size = _number(file, "<Q")
        if size > _LONGEST:
            raise OverflowError(size)
        header = json.loads(file.read(size))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _start(file: BinaryIO) -> tuple[int, int]:
    """How many tensors and how many pairs of metadata follow."""
    if file.read(4) != b"GGUF":
        raise ValueError("no GGUF file")
    _version, tensors, pairs = struct.unpack("<IQQ", file.read(20))
    return tensors, pairs


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        file.seek(_number(file, "<Q"), 1)
    elif kind == _ARRAY:
        kind, count = _number(file, "<I"), _number(file, "<Q")
        if kind in _SIZES:
            file.seek(_SIZES[kind] * count, 1)
        else:
            for _ in range(count):
                _skip(file, kind)
    else:
        file.seek(_SIZES[kind], 1)


def _text(file: BinaryIO) -> str:
    size = _number(file, "<Q")
    if size > 1 << 20:
        raise OverflowError(size)  # no key and no licence: a damaged file
    return file.read(size).decode("utf-8")


def _number(file: BinaryIO, form: str) -> int:
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(value)
