"""Where a builder's rows come from: local files, by split, and the digest of their bytes.

    {"train": (PosixPath("data/train.jsonl"),), "test": (PosixPath("data/test.jsonl"),)}

The digest names the cached rows: an edited file gives new rows, whatever its clock says, and an unchanged
one is not read twice, wherever it lies.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from toolgen_hf.errors import DataError
from toolgen_hf.hashing import file_sha256
from toolgen_hf.paths import expanded

StrPath = str | os.PathLike[str]
DataFiles = StrPath | Sequence[StrPath] | Mapping[str, StrPath | Sequence[StrPath]]
Inputs = dict[str, tuple[Path, ...]]

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
SPLITS = ("train", "validation", "valid", "val", "dev", "test")

_BUNDLED = Path(__file__).parent / "data"
_SHARD = re.compile(r"-(?P<index>\d{5})-of-(?P<total>\d{5})$")
_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")


def bundled(name: str) -> Path:
    """The path of a data file that ships with this package, such as ``"gsm8k/train.parquet"``."""
    return _BUNDLED / name


def from_files(
    data_files: DataFiles, default_split: str | None = None, data_dir: StrPath | None = None
) -> Inputs:
    """The inputs that ``data_files`` names, in ``data_dir`` if given: ``{split: path(s)}``, or paths alone.

    A path alone belongs to the split it is called after (``test.jsonl``, ``train-00000-of-00002.parquet``),
    else to ``default_split``. A path may be a pattern (``"data/*.jsonl"``). Raises `DataError` if a file is
    missing, is of an unknown kind, or belongs to no split.
    """
    splits: dict[str, list[Path]] = {}
    if isinstance(data_files, Mapping):
        for split, paths in data_files.items():
            splits[split] = _expand(paths, data_dir)
    else:
        for path in _expand(data_files, data_dir):
            splits.setdefault(_split_of(path, default_split), []).append(path)
    return ordered(splits)


def from_folder(data_dir: StrPath, default_split: str | None = None) -> Inputs:
    """The inputs in a folder: each data file directly in it, by split as in `from_files`."""
    paths = [path for path in listing(data_dir) if path.suffix in SUFFIXES]
    if not paths:
        raise DataError(
            f"{data_dir}: no data file ({', '.join(SUFFIXES)}) in this folder, which holds {names(data_dir)}"
        )
    return from_files(paths, default_split)


def digest(inputs: Inputs) -> str:
    """32 hex digits that change with the files' bytes, names, order and splits, and with nothing else."""
    total = hashlib.sha256()
    for split, paths in inputs.items():
        for path in paths:
            try:
                content = file_sha256(path)
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error.strerror})") from error
            total.update(f"{split}\0{path.name}\0{content}\n".encode())
    return total.hexdigest()[:32]


def listing(folder: StrPath) -> list[Path]:
    """What a folder holds, sorted. Raises `DataError` if it is no folder."""
    path = expanded(folder)
    if not path.is_dir():
        what = "is a file: give it as data_files" if path.exists() else "there is no such folder"
        raise DataError(f"{folder}: {what}")
    return sorted(path.iterdir())


def names(folder: StrPath, limit: int = 10) -> str:
    """What a folder holds, for a message: ``'a.txt', 'b'``."""
    found = [repr(path.name) for path in listing(folder)]
    more = [f"and {len(found) - limit} more"] if len(found) > limit else []
    return ", ".join([*found[:limit], *more]) or "nothing"


def unsharded(path: Path) -> str:
    """A file's name without its suffix and shard: ``train-00000-of-00002.parquet -> "train"``."""
    return _SHARD.sub("", path.stem)


def whole(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The shards of one split, in order. Raises `DataError` unless they are all there, and once each."""
    shards = sorted(paths)
    marks = [mark for path in shards if (mark := _SHARD.search(path.stem))]
    expected = [(i, len(marks)) for i in range(len(marks))]
    if [(int(mark["index"]), int(mark["total"])) for mark in marks] != expected:
        have = ", ".join(repr(path.name) for path in shards)
        raise DataError(
            f"{shards[0].parent}: these shards are not one whole set: {have}. "
            "Copy the missing ones, or delete those of an older version"
        )
    return tuple(shards)


def _expand(paths: StrPath | Sequence[StrPath], data_dir: StrPath | None) -> list[Path]:
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not listed:
        raise DataError("data_files names no file: give a path, a list of paths, or {split: paths}")
    remote = [item for item in listed if "://" in os.fspath(item)]
    if remote:
        raise DataError(f"{remote[0]}: only local files are read: download it first")
    return [path for item in listed for path in _matches(expanded(Path(data_dir or "", item)))]


def _matches(path: Path) -> list[Path]:
    if path.is_dir():
        raise DataError(f"{path}: is a folder: give it as data_dir, or name the files in it")
    found = [path] if path.exists() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not found:
        near = f"; {path.parent} holds {names(path.parent)}" if path.parent.is_dir() else ""
        raise DataError(f"{path}: there is no such file{near}")
    for match in found:
        if match.suffix not in SUFFIXES:
            raise DataError(f"{match}: unknown suffix {match.suffix!r}; known are {', '.join(SUFFIXES)}")
    return found


def _split_of(path: Path, default: str | None) -> str:
    name = unsharded(path)
    if name in SPLITS:
        return name
    if default is None:
        raise DataError(f"{path}: which split is this? Give data_files={{'train': {str(path)!r}}}, or 'test'")
    return default


def ordered(splits: Mapping[str, Sequence[Path]]) -> Inputs:
    """The same, splits in their usual order. Raises `DataError` if one is called what no split can be."""
    for split in splits:
        if not isinstance(split, str) or not _SPLIT_NAME.fullmatch(split) or split == "all":
            raise DataError(f"{split!r} cannot name a split; use letters, digits and '_', and not 'all'")
    rank = {split: i for i, split in enumerate(SPLITS)}
    return {
        split: tuple(splits[split]) for split in sorted(splits, key=lambda name: (rank.get(name, 99), name))
    }
