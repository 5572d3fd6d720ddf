"""Paths, output directories, atomic replacement of files, digests, waits before a retry, and small helpers for text."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import uuid
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import xxhash
from huggingface_hub import constants

from toolgen_hf.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset

_SIGNS: Final = {  # what load_dataset takes a part of a path for
    **dict.fromkeys("*?[", "a pattern"),
    "::": "a chain of URLs",
    "$": "a variable",
}
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_LONGEST_NAME: Final = 120  # bytes; `datasets` makes longer names from it


def cache_home() -> Path:
    """The cache folder: ``$TOOLGEN_HF_HOME``, else ``toolgen_hf`` beside the Hub's own cache.

    Safe to delete at any time.
    """
    home = os.environ.get("TOOLGEN_HF_HOME")
    return Path(home).expanduser() if home else Path(constants.HF_HOME) / "toolgen_hf"


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with ``~`` replaced by the home folder; an unknown ``~name`` stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises for ~name


def is_there(path: Path) -> bool:
    """Whether a file or folder exists; False for what cannot be a path, such as a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises for a path that is too long


def check_openable(directory: Path) -> None:
    """Check that ``load_dataset`` can open a directory of this name.

    Raises:
        ConfigError: it would read the name as a pattern, a URL, a variable or a file format; or it is too long.
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
    """The names that `load_dataset` reads as a file format, not as a folder."""
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    return dict(_PACKAGED_DATASETS_MODULES)


def check_parents(path: Path) -> None:
    """Check, before any work, that no parent of an output is a file.

    Raises:
        ConfigError: one is, or the path cannot be looked up.
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
    """Check, before any work, that no output replaces an input or another output, or lies in a folder of inputs.

    Args:
        inputs, outputs: paths by their name in a message ("the input"); an output that is not wanted is None.

    Raises:
        ConfigError: two of them are the same path, or an output lies in an input; names both.
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


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _replace_directory(new: Path, target: Path) -> None:
    """Move ``new`` to ``target`` and delete what was there. Both must be on one file system.

    On Linux the two are exchanged in one step. Elsewhere the old directory is first moved to ``.{name}.previous``;
    after a kill, ``recover_directory`` moves it back.
    """
    _sync_tree(new)
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
    _sync(target.parent)


def recover_directory(target: Path) -> None:
    """Move the old directory back if a run was killed while it was replaced."""
    previous = _previous(target)
    if previous.is_dir() and not target.exists():
        previous.rename(target)


@contextmanager
def replacing_directory(target: Path, kind: str, resumed: str | None = None) -> Iterator[Path]:
    """Lock a directory, and give a folder beside it that takes its place at the end, unless there was an error.

    Folders that killed processes left are deleted.

    Args:
        target: the directory, without links.
        kind: part of the folder's name, ``.{target}.{kind}-...``.
        resumed: the end of the folder's name. After an error the folder stays, and the next call continues with it.
    """
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f".{target.name}.lock"):
        made = target.parent / f".{target.name}.{kind}-{resumed or uuid.uuid4().hex[:8]}"
        for left_over in set(target.parent.glob(f".{target.name}.{kind}-*")) - {made}:
            shutil.rmtree(left_over, ignore_errors=True)
        try:
            yield made
            _replace_directory(made, target)
        finally:
            if resumed is None:
                shutil.rmtree(made, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which is renamed to ``path`` at the end unless there was an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _previous(target: Path) -> Path:
    return target.parent / f".{target.name}.previous"


def _sync_tree(root: Path) -> None:
    """Flush every file below ``root`` to the disk, so that a rename is not durable before the content."""
    for path in root.rglob("*"):
        if path.is_file():
            _sync(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False if the system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _sync(path: Path) -> None:
    if sys.platform == "win32":  # it flushes no handle that was opened to read
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_CHUNK = 2**20


def canonical_json(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces, no escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a plain JSON value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_xxh3(path: Path) -> str:
    """XXH3 (32 hex digits) of a file's bytes. It finds damage at several GB/s; it does not find forgery."""
    total = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def bytes_sha256(data: bytes) -> str:
    """SHA-256 (hex) of bytes."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Hide the progress bars of ``datasets``; most would show for an instant, and generation has its own."""
    import datasets

    if datasets.are_progress_bars_disabled() or datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS is False:
        yield  # disabled already, or the environment asks for them
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def rows_as_tuples(rows: Dataset, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The values of each row in these columns. To iterate over a `Dataset` or a column of it is ten times slower."""
    for batch in rows.select_columns(list(columns)).with_format(None).iter(1000):
        yield from zip(*(batch[name] for name in columns), strict=True)


def column(rows: Dataset, name: str) -> Iterator[Any]:
    """The values of one column; see `rows_as_tuples`."""
    return (value for (value,) in rows_as_tuples(rows, name))


_MANY_ROWS: Final = 10_000
"""From this number of rows on, starting more processes takes less time than it saves."""


def processes_for(rows: int) -> int:
    """How many processes to share these rows: one for each CPU, on Linux, where they can be forked."""
    return len(os.sched_getaffinity(0)) if rows >= _MANY_ROWS and sys.platform == "linux" else 1


Job = Callable[[], Any]
"""Work without arguments."""
_jobs: Sequence[Job] = ()


def run_jobs(jobs: Sequence[Job], processes: int) -> list[Any]:
    """The results of independent jobs, in order. The first error is raised, and the other jobs are stopped.

    Args:
        processes: how many at once. More than one are forked, so that the jobs need not be pickled; results and errors
            are. A driver of Ray does all by itself: a child that is forked beside Ray's threads can wait for ever.
    """
    global _jobs
    ray = sys.modules.get("ray")
    if processes < 2 or len(jobs) < 2 or (ray is not None and ray.is_initialized()):
        return [job() for job in jobs]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    _jobs, others = jobs, active_children()
    # Ctrl-C reaches all processes of a terminal, and only this one reports it.
    arguments = (signal.SIGINT, signal.SIG_DFL)
    pool = ProcessPoolExecutor(min(processes, len(jobs)), get_context("fork"), signal.signal, arguments)
    try:
        return [future.result() for future in [pool.submit(_run_job, at) for at in range(len(jobs))]]
    except BaseException:
        for child in active_children():
            if child not in others:
                child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        _jobs = ()


def _run_job(number: int) -> Any:
    return _jobs[number]()


def shorten(text: str, length: int) -> str:
    """The text, or its beginning with ``…`` if it is longer than ``length``."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def well_formed(text: str) -> str:
    """``text`` with lone surrogates, which UTF-8 cannot encode, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_commit(revision: str) -> bool:
    """Whether a revision on the Hub is a whole commit id. A tag or branch can move; a commit id cannot."""
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def words(text: str) -> str:
    """The words of a question in lower case, with single blanks, to compare questions."""
    return " ".join(text.casefold().split())


_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
MAX_BACKOFF: Final = 60.0
"""Seconds."""


def number_in(text: str) -> float | None:
    """The number in the text, at least 0 (infinite if it has hundreds of digits); None if it is not a number."""
    return max(0.0, float(text)) if _NUMBER.fullmatch(text := text.strip()) else None


def seconds_asked(value: str, now: datetime | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header (a number or an HTTP date, RFC 9110); None if it is neither."""
    if (seconds := number_in(value)) is not None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def backoff(attempt: int, base: float = 0.5) -> float:
    """Seconds before attempt ``attempt`` (1 is the second try): exponential, jittered by half."""
    return min(MAX_BACKOFF, base * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def library_version(package: str) -> str:
    """The version of a package, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
