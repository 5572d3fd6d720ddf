"""The file that a recipe, or a part of one, is written in: the user's own, or one that came with a data set.

What came with a data set may be anybody's. permission.py says what such a recipe may not do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from toolgen_hf._utils import is_there

_DOWNLOADED = Path(".cache", "huggingface", "download")
"""What the Hub's client leaves beside the files that it downloads to a folder."""
_CACHED = ("datasets--", "models--", "spaces--")
"""How the folders of the Hub's cache begin, wherever the cache is."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A recipe's file, and whether it came with a data set."""

    file: Path
    came_with_data: bool

    @property
    def folder(self) -> Path:
        """From where the recipe's own paths are seen."""
        return self.file.parent

    @classmethod
    def of(cls, path: Path) -> Origin:
        """Of a file: one that leads to a data set or out of one by a link came with it, as one that lies in it."""
        places = {_absolute(step).parent for step in _steps(path)} | {_real(path).parent}
        places |= {_real(place) for place in places}
        return cls(path, any(_is_in_data(place) for place in places))

    def holds(self, path: Path) -> bool:
        """Whether a file or folder, and each file that a link in it leads to, lies in this folder.

        In the Hub's cache every file is a link to one that its repository keeps beside all its versions.
        """
        home = _real(self.folder)
        homes = [home, *(place / "blobs" for place in home.parents if place.name.startswith(_CACHED))]
        return all(any(real.is_relative_to(place) for place in homes) for real in _real_paths(path))


def _absolute(path: Path) -> Path:
    """Without ``..``, but with the links that it goes through."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _real(path: Path) -> Path:
    """Without links; of links in a circle, the path up to them."""
    return Path(os.path.realpath(path))


def _steps(path: Path) -> Iterator[Path]:
    """A path, and where each link that it is leads to."""
    yield path
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


def _real_paths(path: Path) -> Iterator[Path]:
    """A path without links, with what it matches as a pattern, and the links in it as a folder."""
    yield _real(path)
    for match in [path] if is_there(path) else _matches(Path.cwd() / path):
        yield _real(match)
        for folder, folders, names in os.walk(match):
            yield from (
                _real(place) for name in (*folders, *names) if (place := Path(folder, name)).is_symlink()
            )


def _matches(pattern: Path) -> Iterator[Path]:
    with suppress(OSError, ValueError):  # of what is no pattern: then nothing is read by it
        yield from Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def _is_in_data(folder: Path) -> bool:
    """Whether a folder is (within) a produced set, or was fetched from the Hub."""
    return folder.is_relative_to(_real(Path(constants.HF_HUB_CACHE))) or any(
        place.name.startswith(_CACHED) or (place / _DOWNLOADED).is_dir() or _is_produced(place)
        for place in (folder, *folder.parents)
    )


def _is_produced(folder: Path) -> bool:
    """Whether a folder has a manifest of this library, be it a damaged one."""
    try:
        content = (folder / "manifest.json").read_bytes()
    except OSError:
        return False
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        return b"toolgen_hf" in content
    return isinstance(manifest, dict) and "toolgen_hf" in manifest
