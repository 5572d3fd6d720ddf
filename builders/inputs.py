"""The input files of a builder by split, and the digest of their bytes.

    {"train": (PosixPath("data/train.jsonl"),), "test": (PosixPath("data/test.jsonl"),)}

The digest is the key of the cached rows: an edited file gives new rows, whatever its modification time, and the same
bytes are not read twice, wherever the file lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from toolgen_hf._utils import expanded, file_sha256, file_xxh3
from toolgen_hf.builders.content import COMPRESSED, FORMS, ending
from toolgen_hf.errors import DataError

StrPath = str | os.PathLike[str]
DataFiles = StrPath | Sequence[StrPath] | Mapping[str, StrPath | Sequence[StrPath]]
Inputs = dict[str, tuple[Path, ...]]

_SUFFIXES = tuple(FORMS)
SPLITS = ("train", "validation", "valid", "val", "dev", "test")

_BUNDLED = Path(__file__).parent / "data"
_SHARD = re.compile(r"-(?P<index>\d{5})-of-(?P<total>\d{5})$")
_SEAL = "toolgen_hf.json"
_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")


def bundled(name: str) -> Path:
    """The path of a data file that ships with this package, such as ``"gsm8k/train.parquet"``."""
    return _BUNDLED / name


def from_files(
    data_files: DataFiles, default_split: str | None = None, data_dir: StrPath | None = None
) -> Inputs:
    """The files that ``data_files`` names, in ``data_dir`` if given: ``{split: path(s)}``, or paths alone.

    A path alone belongs to the split in its name (``test.jsonl``, ``train-00000-of-00002.parquet``), else to
    ``default_split``. A path may be a pattern (``"data/*.jsonl"``).

    Raises:
        DataError: a file is missing, is not a regular file, or belongs to no split.
    """
    if isinstance(data_files, Mapping):
        return ordered({split: _expand(paths, data_dir) for split, paths in data_files.items()})
    splits: dict[str, list[Path]] = {}
    for path in _expand(data_files, data_dir):
        name = unsharded(path).lower()
        split = name if name in SPLITS else default_split
        if split is None:
            raise DataError(
                f"{path}: which split is this? Give data_files={{'train': {str(path)!r}}}, or 'test'"
            )
        splits.setdefault(split, []).append(path)
    return ordered(splits)


def from_folder(data_dir: StrPath, default_split: str | None = None) -> Inputs:
    """Each data file directly in a folder, by split as in `from_files`."""
    paths = [path for path in listing(data_dir) if is_data(path)]
    if not paths:
        raise DataError(
            f"{data_dir}: no data file ({', '.join(_SUFFIXES)}) in this folder, which holds {names(data_dir)}"
        )
    return from_files(paths, default_split)


def is_data(path: Path) -> bool:
    """Whether a file's name is that of data: it has a known ending, or it is the name of a split alone."""
    return ending(path) in _SUFFIXES or path.name in SPLITS


def digest(inputs: Inputs) -> str:
    """32 hex digits that depend on the files' bytes, names, order and splits alone."""
    total = hashlib.sha256()
    for split, paths in inputs.items():
        for path in paths:
            try:
                content = file_sha256(path)
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error.strerror})") from error
            total.update(f"{split}\0{path.name}\0{content}\n".encode())
    return total.hexdigest()[:32]


def seal(folder: StrPath) -> None:
    """Write the digests of the Arrow files in a folder to a file beside them."""
    digests = {path.name: file_xxh3(path) for path in sorted(Path(folder).glob("*.arrow"))}
    Path(folder, _SEAL).write_text(json.dumps(digests), encoding="utf-8")


def is_damaged(folder: StrPath) -> bool:
    """Whether an Arrow file has changed since `seal`; False for a folder that was never sealed."""
    note = Path(folder, _SEAL)
    if not note.exists():
        return False
    try:
        digests = dict(json.loads(note.read_text(encoding="utf-8")))
        return any(file_xxh3(Path(folder, name)) != digest for name, digest in digests.items())
    except (FileNotFoundError, ValueError, TypeError):
        return True


def discard(folder: StrPath) -> None:
    """Delete a folder."""
    shutil.rmtree(folder)


def listing(folder: StrPath) -> list[Path]:
    """The entries of a folder, sorted. Raises `DataError` if it is not a folder."""
    path = expanded(folder)
    if not path.is_dir():
        what = "is a file: give it as data_files" if path.exists() else "there is no such folder"
        raise DataError(f"{folder}: {what}")
    return sorted(path.iterdir())


def names(folder: StrPath, limit: int = 10) -> str:
    """The names in a folder for a message: ``'a.txt', 'b'``."""
    found = [repr(path.name) for path in listing(folder)]
    more = [f"and {len(found) - limit} more"] if len(found) > limit else []
    return ", ".join([*found[:limit], *more]) or "nothing"


def unsharded(path: Path) -> str:
    """A file's name without its endings and shard: ``train-00000-of-00002.parquet``, ``train.csv.gz -> "train"``."""
    is_compressed = path.suffix.lower() in COMPRESSED and ending(path) in _SUFFIXES
    return _SHARD.sub("", Path(path.stem).stem if is_compressed else path.stem)


def whole(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The shards of one split, in order. Raises `DataError` unless each shard is there exactly once."""
    shards = sorted(paths)
    marks = [mark for path in shards if (mark := _SHARD.search(path.stem))]
    found = [(int(mark["index"]), int(mark["total"])) for mark in marks]
    if found != [(i, len(marks)) for i in range(len(marks))]:
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
    for item in (os.fspath(item) for item in listed):
        if "://" in item:
            raise DataError(f"{item}: only local files are read: download it first")
        if "\0" in item:
            raise DataError(f"{item!r}: a path holds no NUL")
    try:
        return [path for item in listed for path in _matches(expanded(Path(data_dir or "", item)))]
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{listed[0]!r}: this path cannot be looked up ({error})") from None


def _matches(path: Path) -> list[Path]:
    """The file at a path, or the files that match it as a pattern."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder: give it as data_dir, or name the files in it")
    if path.exists():
        found = [path]
    else:
        folder = next(above for above in path.parents if above.exists())  # its name is not a pattern
        pattern = str(path.relative_to(folder))
        found = sorted(match for match in folder.glob(pattern) if not match.is_dir())
    if not found:
        near = f"; {path.parent} holds {names(path.parent)}" if path.parent.is_dir() else ""
        raise DataError(f"{path}: there is no such file{near}")
    for match in found:
        if not match.is_file():
            raise DataError(f"{match}: is a pipe or a device: save what it gives to a file")
    return found


def ordered(splits: Mapping[str, Sequence[Path]]) -> Inputs:
    """The splits in their usual order. Raises `DataError` if a name cannot be that of a split."""
    for split in splits:
        if not isinstance(split, str) or not _SPLIT_NAME.fullmatch(split) or split == "all":
            raise DataError(f"{split!r} cannot name a split; use letters, digits and '_', and not 'all'")
    rank = {split: i for i, split in enumerate(SPLITS)}
    return {name: tuple(splits[name]) for name in sorted(splits, key=lambda name: (rank.get(name, 99), name))}
