"""One spelling for equal values, and digests of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import xxhash

_CHUNK = 2**20


def canonical_json(value: Any) -> str:
    """JSON with one spelling for equal values: sorted keys, no spaces, UTF-8 kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a plain JSON value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_xxh3(path: Path) -> str:
    """XXH3 (32 hex digits) of a file's bytes: finds damage, at several GB a second; stops no forger."""
    total = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def bytes_sha256(data: bytes) -> str:
    """SHA-256 (hex) of bytes, as of a file that holds them."""
    return hashlib.sha256(data).hexdigest()
