"""SHA-256 of files, remembered by path, size and time so that gigabytes are not read again every run."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from toolgen_hf._utils import cache_home, file_sha256

_WORTH_REMEMBERING = 1 << 20  # bytes: anything smaller is read faster than looked up
_SETTLED = 2.0  # seconds: a file younger than this may change again within one tick of its clock


def file_digest(path: Path) -> str:
    """SHA-256 of the file's content, in hexadecimal."""
    stat = path.stat()
    if stat.st_size < _WORTH_REMEMBERING:
        return file_sha256(path)
    memory, key = cache_home() / "digests.json", str(path.resolve())
    stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    known = _read(memory).get(key)
    if isinstance(known, list) and known[:-1] == stamp:
        return str(known[-1])
    digest = file_sha256(path)
    if time.time() - stat.st_mtime > _SETTLED:
        _remember(memory, key, [*stamp, digest])
    return digest


def _remember(memory: Path, key: str, entry: list[object]) -> None:
    """Losing an entry, to another process or a full disk, costs a second reading and nothing else."""
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        scratch = memory.with_name(f"{memory.name}.{os.getpid()}")
        scratch.write_text(json.dumps({**_read(memory), key: entry}, indent=0), encoding="utf-8")
        scratch.replace(memory)


def _read(memory: Path) -> dict[str, object]:
    try:
        entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
