"""Putting finished files and directories in place of others, without a moment at which neither is there."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def replace_directory(new: Path, target: Path) -> None:
    """Move ``new`` to ``target``; what was there is deleted afterwards. Both lie on one file system.

    On Linux the two are exchanged in one step. Elsewhere the old one is first moved aside, to
    ``.{name}.previous``, from where ``recover_directory`` takes it back after a kill.
    """
    sync_tree(new)
    if target.exists():
        shutil.copymode(target, new)
    if not target.exists():
        new.rename(target)
    elif _exchange(new, target):
        shutil.rmtree(new)
    else:
        previous = _previous(target)
        shutil.rmtree(previous, ignore_errors=True)
        target.rename(previous)
        new.rename(target)
        shutil.rmtree(previous)
    _sync_directory(target.parent)


def recover_directory(target: Path) -> None:
    """Take the old directory back where a run was killed between moving it aside and the new one in."""
    previous = _previous(target)
    if previous.is_dir() and not target.exists():
        previous.rename(target)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch path beside ``path`` that takes its place at the end, unless there was an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _previous(target: Path) -> Path:
    return target.parent / f".{target.name}.previous"


def sync_tree(root: Path) -> None:
    """Push every file below ``root`` to the disk, so that the rename cannot overtake the content."""
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names at once; False where the system or the file system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _sync_directory(path: Path) -> None:
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
