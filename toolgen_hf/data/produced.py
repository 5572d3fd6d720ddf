"""The result on disk: a dataset repository that ``load_dataset`` opens, here and from the Hub.

    outputs/quickstart/
      README.md         the card; its YAML names the configs, with a digest of each one's content
      raw/ stage1/ stage2/ rejected/     one Parquet file a split
      data/             the JSON exports in the published layout
      plots/            PNGs that the card shows, if matplotlib is installed
      recipe.yaml       what was asked for, with every default
      manifest.json     what was done: versions, models, digests, counts, timings

A run writes it beside its place and swaps it in whole, so a killed run leaves the previous result as it was. Readers
need the digests too: ``load_dataset`` keys its cache of a local directory on the card's YAML and not on the Parquet
bytes, so without them it would show the rows of an earlier result.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from toolgen_hf._utils import check_openable, recover_directory
from toolgen_hf.data.manifest import MANIFEST, Manifest, parse_manifest
from toolgen_hf.errors import FULL, ConfigError, DataError
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.safe_yaml import read_yaml

_CLUTTER = (".cache", ".DS_Store")
"""Files of the Hub's client and of file managers, which may be lost."""


def open_manifest(directory: Path) -> Manifest:
    """The manifest of a produced directory.

    Raises:
        DataError: it is missing, cannot be read, or is not a manifest of this library; says what is wrong.
    """
    path = directory / MANIFEST
    try:
        return parse_manifest(path.read_bytes(), str(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"it has no readable {MANIFEST} ({reason})") from error


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a produced directory; None if it has none, or a damaged one."""
    try:
        return open_manifest(directory)
    except DataError:
        return None


def task_of(directory: Path) -> str | None:
    """The name of the task that a produced directory was made for; None if nothing says it."""
    try:
        recipe = read_yaml(directory / "recipe.yaml")
    except ConfigError:
        recipe = None
    if isinstance(recipe, dict) and isinstance(recipe.get("task"), str) and recipe["task"]:
        return str(recipe["task"])
    manifest = read_manifest(directory)  # the recipe of a mix names none
    return manifest.task or None if manifest is not None else None


def load_manifest(directory: Path) -> Manifest:
    """The manifest of a directory that a user names.

    Raises:
        ConfigError: the directory holds no result.
    """
    try:
        return open_manifest(directory)
    except DataError as error:
        raise ConfigError(
            f"{str(directory)!r} is not a produced directory: {error}; give the output directory of a run, or run it "
            "again"
        ) from error


def load_summary(directory: Path) -> Summary:
    """The summary of a produced directory. Raises as ``load_manifest`` does."""
    return load_manifest(directory).summary


def check_target(directory: Path) -> None:
    """Check, before any work, that the result can be written there. Complete a swap that was interrupted.

    Raises:
        ConfigError: the directory holds something that this library did not write, cannot be written, or could not
            be opened with ``load_dataset``.
        OSError: the disk is full.
    """
    check_openable(directory)
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{str(directory)!r} is a file; choose another output directory")
    if directory.is_symlink() and not directory.resolve().parent.is_dir():  # else it is made there
        raise ConfigError(f"{str(directory)!r} is a link that leads nowhere; choose another output directory")
    try:
        recover_directory(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory.resolve().parent):  # now, not after hours
            pass
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ConfigError(
            f"{str(directory)!r} cannot be written ({error.strerror}: {str(directory.parent)!r}); choose another "
            "output directory"
        ) from error
    if directory.resolve().is_mount():
        raise ConfigError(f"{str(directory)!r} is a mount point and cannot be swapped; choose a folder in it")
    if directory.is_dir() and any(directory.iterdir()) and read_manifest(directory) is None:
        raise ConfigError(
            f"{str(directory)!r} is not empty and holds no {MANIFEST} of ours, so it is not ours to replace; "
            "choose another output directory, or empty it"
        )
    manifest = read_manifest(directory)
    if manifest is None:
        return
    there = (path.relative_to(directory) for path in directory.rglob("*") if not path.is_dir())
    foreign = {path.as_posix() for path in there if path.parts[0] not in _CLUTTER} - {
        MANIFEST,
        *manifest.files,
    }
    if foreign:
        raise ConfigError(
            f"{str(directory)!r} holds what this library did not write and would lose: "
            f"{', '.join(sorted(foreign)[:5])}; move it away, or choose another output directory"
        )


def parquet_path(config: str, split: str) -> str:
    """The path of a split, by the Hub's naming convention."""
    return f"{config}/{split}-00000-of-00001.parquet"
