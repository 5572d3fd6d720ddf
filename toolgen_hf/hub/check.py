"""What must hold before a produced directory leaves this machine: it is whole, valid, and holds no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from datasets import Features

from toolgen_hf.errors import DataError
from toolgen_hf.hashing import file_sha256
from toolgen_hf.builders.produced import kind_of
from toolgen_hf.produced import MANIFEST, read_manifest

_SECRETS = {
    "an OpenAI API key": re.compile(r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{20,}"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}"),
    "an AWS access key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
_ABOUT_US = ("recipe.yaml", MANIFEST, "README.md")
"""Files that this library writes about a run: no path of this machine belongs there."""


def check_release(directory: Path) -> dict[str, Any]:
    """The manifest of a directory that may be released.

    Raises:
        DataError: names everything that is wrong with it.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        raise DataError(f"{str(directory)!r} is no produced directory: it has no readable {MANIFEST}")
    problems = [*_digests(directory, manifest)]
    if not problems:
        problems = [*_counts(directory, manifest), *_card(directory), *_secrets(directory, manifest)]
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems[:20])
        raise DataError(f"{str(directory)!r} cannot be released:{listed}")
    return manifest


def _digests(directory: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Every file as it was written."""
    for name, digest in manifest["files"].items():
        path = directory / name
        if not path.is_file():
            yield f"{name} is missing; run the recipe again"
        elif file_sha256(path) != digest:
            yield f"{name} was changed after it was written; run the recipe again (a card is edited on the Hub)"


def _counts(directory: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """As many rows as the summary says, with the features of their config."""
    for config, splits in manifest["summary"]["configs"].items():
        kind = kind_of(config)
        for split, rows in splits.items():
            files = sorted((directory / config).glob(f"{split}-*.parquet"))
            there = sum(pq.read_metadata(path).num_rows for path in files)
            if there != rows:
                yield f"{config}/{split} has {there} rows; the manifest says {rows}"
            for path in files:
                found = Features.from_arrow_schema(pq.read_schema(path))
                if kind is not None and found != kind.features:
                    yield f"{path.relative_to(directory)} has the columns {list(found)}, not {list(kind.features)}"


def _card(directory: Path) -> Iterator[str]:
    """The card's metadata is YAML, and names files that are there."""
    header = (
        (directory / "README.md").read_text(encoding="utf-8").removeprefix("---\n").partition("\n---\n")[0]
    )
    try:
        configs = yaml.safe_load(header)["configs"]
        patterns = [(c["config_name"], file["path"]) for c in configs for file in c["data_files"]]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        yield f"README.md: its YAML header cannot be read: {error!r}"
        return
    for config, pattern in patterns:
        if not list(directory.glob(pattern)):
            yield f"README.md: config {config!r} names {pattern!r}, and there is no such file"


def _secrets(directory: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Nothing that looks like a key in any file, nor one of this process's own; no path of this machine."""
    own = {value for name, value in os.environ.items() if _names_a_secret(name) and len(value) >= 16}
    home = str(Path.home())
    for name in (*manifest["files"], MANIFEST):
        for text in _texts(directory / name):
            for what, pattern in _SECRETS.items():
                if found := pattern.search(text):
                    yield f"{name} holds what looks like {what}: …{found[0][-4:]}"
            if any(value in text for value in own):
                yield f"{name} holds the value of a secret environment variable of this process"
            if name in _ABOUT_US and len(home) > 1 and home in text:
                yield f"{name} holds a path of this machine ({home}/…); write paths in the recipe relative to where you run"


def _names_a_secret(variable: str) -> bool:
    return any(word in variable.upper() for word in ("TOKEN", "API_KEY", "SECRET", "PASSWORD"))


def _texts(path: Path) -> Iterator[str]:
    """A file's text; of Parquet, every string in it, some rows at a time."""
    if path.suffix != ".parquet":
        if path.suffix not in (".png", ".gz"):
            yield path.read_text(encoding="utf-8", errors="replace")
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1000):
            yield str(batch.to_pylist())
