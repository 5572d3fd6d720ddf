"""What a file of weights says of itself in its first bytes, read without loading any of it.

    gguf_licence(Path("smollm2.gguf"))       # "apache-2.0"
    parameters(Path("smollm2.gguf"))         # 134515008
    parameters(Path("models/smollm2"))       # the same, of a folder of safetensors

The file may be anybody's: no length in it is trusted, and no more is read than there is. safetensors are read by their
own library, which checks them; the ``gguf`` library does not, and takes seconds to list a vocabulary.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

from toolgen_hf.errors import ConfigError, ToolgenError

_KEY: Final = "general.license"
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes by type of a value (github.com/ggml-org/ggml, docs/gguf.md)."""
_STRING: Final = 8
_ARRAY: Final = 9
_START: Final = 24  # bytes: magic, version, number of tensors, number of pairs
_MOST: Final = 1 << 24  # values in all: a vocabulary has a million at most
_DEEPEST: Final = 4
_DIMENSIONS: Final = 8
_BITS: Final = 1  # of a weight, at least: what a tensor of so many weights takes


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a GGUF file says. ``parameters``: numbers in its tensors."""

    licence: str | None
    parameters: int


def gguf_header(path: Path) -> Header:
    """The header of a GGUF file.

    Raises:
        ConfigError: it is damaged, or no GGUF file; says what is wrong, and at which byte.
    """
    try:
        with path.open("rb") as file, _mapped(file.fileno()) as content:
            return _Gguf(content).header()
    except OSError as error:
        raise ConfigError(f"cannot read the GGUF file {str(path)!r}: {error.strerror or error}") from error
    except _DamagedError as error:
        raise ConfigError(
            f"{str(path)!r} is no whole GGUF file: {error}; download or convert it again"
        ) from error


def safetensors_parameters(path: Path) -> int:
    """Numbers in the tensors of a safetensors file.

    Raises:
        ConfigError: it is damaged, or no such file; names what is wrong.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError, UnicodeError, ValueError) as error:
        raise ConfigError(
            f"{str(path)!r} is no whole safetensors file: {error}; download or save it again"
        ) from error


def gguf_licence(path: Path) -> str | None:
    """``general.license`` of a GGUF file; None if it states none, or cannot be read."""
    try:
        return gguf_header(path).licence
    except ToolgenError:
        return None


def parameters(path: Path) -> int | None:
    """Numbers in the tensors of a GGUF file, or of a folder's safetensors; None if its headers cannot be read."""
    try:
        if path.is_file():
            return gguf_header(path).parameters
        return sum(safetensors_parameters(file) for file in path.glob("*.safetensors")) or None
    except (ToolgenError, ImportError):
        return None


class _DamagedError(Exception):
    """What is wrong with a header."""


@contextmanager
def _mapped(file: int) -> Iterator[mmap.mmap | bytes]:
    """A file's content, of which only what is looked at is read."""
    try:
        content = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file
        yield b""
        return
    with content:
        yield content


class _Gguf:
    """Reads a header from its start to its end; ``at`` is where it has got to."""

    def __init__(self, content: mmap.mmap | bytes) -> None:
        self.content, self.size, self.at, self.left = content, len(content), 0, _MOST

    def header(self) -> Header:
        magic = self.bytes(4, "the magic")
        if magic != b"GGUF":
            raise _DamagedError(f"it begins with {magic!r}, not with b'GGUF'")
        version, tensors, pairs = struct.unpack("<IQQ", self.bytes(_START - 4, "the start"))
        if version not in (2, 3):
            raise _DamagedError(f"its version is {version}, and 2 and 3 are known")
        for what, count in (("tensors", tensors), ("pairs of metadata", pairs)):
            if count > min(self.size, _MOST):
                raise _DamagedError(f"it says that it has {count} {what}, in {self.size} bytes")
        licence = None
        for _ in range(pairs):
            key, kind = self.text("a key"), self.number("<I", "a type")
            if key == _KEY and kind == _STRING:
                licence = self.text(key)
            else:
                self.skip(kind, key)
        return Header(licence, sum(self.tensor() for _ in range(tensors)))

    def tensor(self) -> int:
        """How many numbers the tensor has that is described here; they must fit into the file."""
        name = self.text("the name of a tensor")
        dimensions = self.number("<I", name)
        if dimensions > _DIMENSIONS:
            raise _DamagedError(f"the tensor {_shown(name)} has {dimensions} dimensions")
        shape = [self.number("<Q", name) for _ in range(dimensions)]
        _type, offset = struct.unpack("<IQ", self.bytes(12, name))
        count = prod(shape)
        if offset > self.size or count * _BITS > 8 * (self.size - offset):
            raise _DamagedError(
                f"the tensor {_shown(name)} of shape {_shown(shape)} at {offset} does not fit into {self.size} bytes"
            )
        return count

    def skip(self, kind: int, key: str, depth: int = 0) -> None:
        """Go over a value."""
        if kind == _STRING:
            self.bytes(self.number("<Q", key), key, keep=False)
        elif kind == _ARRAY:
            kind, count = self.number("<I", key), self.number("<Q", key)
            if depth == _DEEPEST:
                raise _DamagedError(f"{_shown(key)} has arrays in arrays, {depth} deep")
            if kind in _SIZES:
                self.bytes(_SIZES[kind] * count, key, keep=False)
                return
            if count > (self.size - self.at) // 8:
                raise _DamagedError(f"{_shown(key)} says that it has {count} items, and the file ends before")
            for _ in range(count):
                self.skip(kind, key, depth + 1)
        elif kind in _SIZES:
            self.bytes(_SIZES[kind], key, keep=False)
        else:
            raise _DamagedError(f"{_shown(key)} is of type {kind}, which there is not")

    def text(self, what: str) -> str:
        size = self.number("<Q", what)
        if size > 1 << 20:
            raise _DamagedError(f"{_shown(what)} is said to be {size} bytes long, at byte {self.at}")
        try:
            return self.bytes(size, what).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _DamagedError(f"{_shown(what)} is no UTF-8 text, at byte {self.at - size}") from error

    def number(self, form: str, what: str) -> int:
        (value,) = struct.unpack(form, self.bytes(struct.calcsize(form), what))
        return int(value)

    def bytes(self, count: int, what: str, keep: bool = True) -> bytes:
        """The next bytes, or none where they are only gone over."""
        self.left -= 1
        if self.left < 0:
            raise _DamagedError(f"it has more than {_MOST} values")
        begin, self.at = self.at, self.at + count
        if self.at > self.size:
            raise _DamagedError(
                f"it ends within {_shown(what)}: {count} bytes from {begin} on, and it has {self.size}"
            )
        return self.content[begin : self.at] if keep else b""


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, str) or not value.startswith(("a ", "the ")) else value
    return text if len(text) <= 60 else f"{text[:57]}..."
