"""Where this library keeps its cache, and what a path must be like to be written to and opened again."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Final

from huggingface_hub import constants

from toolgen_hf.errors import ConfigError

_SIGNS: Final = {
    **dict.fromkeys("*?[", "a pattern"),
    "::": "a chain of URLs",
    "$": "a variable",
}
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_LONGEST_NAME: Final = 120  # bytes, to which `datasets` adds its cache's whole path and more


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


def check_openable(directory: Path) -> None:
    """Check that ``load_dataset`` can open a directory of this name.

    Raises:
        ConfigError: it would take the name for a pattern, a URL, a variable or a file format, or the name is too long.
    """
    text, name = str(directory), directory.name
    try:
        whole = str(directory.resolve())
        whole.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{text!r} is not UTF-8: choose an output directory whose path is") from None
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(f"{text!r} cannot be an output directory ({error}): choose another") from None
    for sign, meaning in _SIGNS.items():
        if sign in whole:
            where = repr(text) if sign in text else f"{text!r} is {whole!r}, which"
            raise ConfigError(
                f"{where} holds {sign!r}, which load_dataset takes for {meaning}, so it could not open the result: "
                "choose an output directory without it"
            )
    if _URL.match(text):
        raise ConfigError(f"{text!r} looks like a URL: choose an output directory on this machine")
    if text.startswith("~"):
        raise ConfigError(
            f"{text!r}: load_dataset takes '~' for a home folder: write the directory as './{text}'"
        )
    if text in _formats():
        raise ConfigError(
            f"{text!r} is the name of a file format, for which load_dataset takes it: choose another output "
            f"directory, such as 'outputs/{text}'"
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise ConfigError(
            f"{name[:40]!r}... is a name of {len(name.encode())} bytes, and load_dataset makes longer ones of it: "
            f"choose an output directory of at most {_LONGEST_NAME}"
        )


def _formats() -> Container[str]:
    """What `datasets` takes for the name of a file format and not of a folder."""
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    return dict(_PACKAGED_DATASETS_MODULES)


def check_parents(path: Path) -> None:
    """Check, before any work, that the folders above an output are folders, as far as they are there.

    Raises:
        ConfigError: one is a file, or cannot be looked up; names it.
    """
    try:
        path.exists()
        above = next((folder for folder in path.parents if folder.exists()), None)
        is_folder = above is None or above.is_dir()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the output {str(path)[:80]!r} cannot be written ({error}): choose another"
        ) from None
    if not is_folder:
        raise ConfigError(
            f"the output {str(path)!r} cannot be written: {str(above)!r} is a file; choose another"
        )


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
