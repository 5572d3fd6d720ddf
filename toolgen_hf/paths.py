"""Where this library keeps what it can always make again, and that no command writes over what it reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import constants

from toolgen_hf.errors import ConfigError


def cache_home() -> Path:
    """The cache folder: ``$TOOLGEN_HF_HOME``, else ``toolgen_hf`` beside the Hub's own cache.

    Safe to delete at any time.
    """
    home = os.environ.get("TOOLGEN_HF_HOME")
    return Path(home).expanduser() if home else Path(constants.HF_HOME) / "toolgen_hf"


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with the user's home in the place of ``~``; ``~name`` of no user of this machine stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - which raises of ~name


def is_there(path: Path) -> bool:
    """Whether there is a file or folder; there is none at what cannot be a path, such as one that is too long."""
    return os.path.exists(path)  # noqa: PTH110 - which raises of a path that is too long


def check_apart(inputs: Mapping[str, Path], outputs: Mapping[str, Path | None]) -> None:
    """Check, before any work, that nothing is written over an input or another output, or into a folder of inputs.

    Args:
        inputs, outputs: by what a message calls them; an output that is not wanted is None.

    Raises:
        ConfigError: two of them are one path, however it is written, or an output is in an input; names both.
    """
    taken = {path.resolve(): what for what, path in inputs.items()}
    for what, path in outputs.items():
        if path is None:
            continue
        other = taken.setdefault(path.resolve(), what)
        if other != what:
            raise ConfigError(
                f"{str(path)!r} is both {other} and {what}, and one would be lost: choose another output path"
            )
        for source, folder in inputs.items():
            if folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
                raise ConfigError(
                    f"{str(path)!r}, {what}, is in {str(folder)!r}, {source}, where the next run would read it: choose "
                    "an output path outside"
                )
