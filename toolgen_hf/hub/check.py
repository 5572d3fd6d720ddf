"""Checks before a push: the directory is complete and valid, and contains no secret."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from toolgen_hf import schemas
from toolgen_hf._utils import file_sha256, processes_for, run_jobs
from toolgen_hf.builders.produced import kind_of
from toolgen_hf.data.manifest import MANIFEST, Manifest
from toolgen_hf.data.produced import open_manifest
from toolgen_hf.errors import DataError
from toolgen_hf.hub.card import YAML_ERRORS, split_card
from toolgen_hf.secrets import Scanner

_ABOUT_THE_RUN = ("recipe.yaml", MANIFEST, "README.md")
"""Files about the run itself. No path of this machine belongs there; rows may mention any path."""
_SHOWN = 20
_AT_ONCE = 1 << 20
"""Characters of a text file that are read together."""


def check_release(directory: Path) -> Manifest:
    """The manifest of a directory that may be released.

    Raises:
        DataError: it may not; lists all problems, and what to do.
    """
    try:
        manifest = open_manifest(directory)
    except DataError as error:
        raise DataError(
            f"{str(directory)!r} is not a produced directory: {error}. Give the directory that 'toolgen-hf run' wrote"
        ) from error
    problems = list(_check_digests(directory, manifest))
    if not problems:
        problems = [
            *_check_tables(directory, manifest),
            *_check_card(directory),
            *_check_private(directory, manifest),
        ]
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems[:_SHOWN])
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DataError(f"{str(directory)!r} cannot be released:{listed}{more}")
    return manifest


def _check_digests(directory: Path, manifest: Manifest) -> Iterator[str]:
    for name, digest in manifest.files.items():
        path = directory / name
        if not path.is_file():
            yield f"{name} is missing; run the recipe again"
        elif file_sha256(path) != digest:
            yield f"{name} was changed after it was written; run the recipe again (a card is edited on the Hub)"


def _check_tables(directory: Path, manifest: Manifest) -> Iterator[str]:
    """Row counts as in the summary, and the features of each config."""
    for config, splits in manifest.summary.configs.items():
        kind = kind_of(config)
        for split, rows in splits.items():
            files = sorted((directory / config).glob(f"{split}-*.parquet"))
            try:
                there = sum(pq.read_metadata(path).num_rows for path in files)
            except (OSError, ValueError) as error:  # raised by pyarrow
                yield f"{config}/{split} is not a whole Parquet file ({error}); run the recipe again"
                continue
            if there != rows:
                yield f"{config}/{split} has {there} rows; {MANIFEST} says {rows}; run the recipe again"
            for path in files:
                found = Features.from_arrow_schema(pq.read_schema(path))
                if kind is not None and found not in _known_features(kind.features):
                    yield (
                        f"{path.relative_to(directory).as_posix()} does not have the features of {config!r} but "
                        f"{found}; another version of this library wrote it: run the recipe again"
                    )


def _known_features(features: Features) -> list[Features]:
    """A config's columns, with and without those that newer versions and mixes add."""
    first = [features, schemas.SCORED] if features == schemas.STAGE2 else [features]
    own = [*first, *map(schemas.with_near, first)]
    return [*own, *map(schemas.mixed, own)]


def _check_card(directory: Path) -> Iterator[str]:
    """The YAML header can be read, and the files that it names are there."""
    try:
        header, _ = split_card((directory / "README.md").read_text(encoding="utf-8"))
        patterns = [(c["config_name"], file["path"]) for c in header["configs"] for file in c["data_files"]]
        missing = [(config, pattern) for config, pattern in patterns if not any(directory.glob(pattern))]
    except (*YAML_ERRORS, OSError, NotImplementedError) as error:
        yield f"README.md: its YAML header cannot be read ({error!r}); run the recipe again"
        return
    for config, pattern in missing:
        yield f"README.md: config {config!r} names {pattern!r}, and there is no such file; run the recipe again"


def _check_private(directory: Path, manifest: Manifest) -> Iterator[str]:
    """No file holds what looks like a key, or one of this process's own; no path of this machine."""
    scanner = Scanner.here()

    def found_in(name: str) -> list[str]:
        found: dict[str, None] = {}
        for text in _texts(directory / name):
            found |= dict.fromkeys(scanner.secrets(text))
            if name in _ABOUT_THE_RUN:
                found |= dict.fromkeys(scanner.paths(text))
        return [f"{name} holds {what}" for what in found]

    names = sorted((*manifest.files, MANIFEST), key=lambda name: -(directory / name).stat().st_size)
    rows = max(
        (count for splits in manifest.summary.configs.values() for count in splits.values()), default=0
    )
    for found in run_jobs([partial(found_in, name) for name in names], processes_for(rows)):
        yield from found


def _texts(path: Path) -> Iterator[str]:
    """A file's text, some lines at a time; the strings of a Parquet file, a thousand rows at a time."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1000):
                yield "\n".join(text for column in batch.columns for text in _strings(column))
    elif path.suffix != ".png":
        with path.open(encoding="utf-8", errors="replace") as lines:
            while some := lines.readlines(_AT_ONCE):
                yield "".join(some)


def _strings(column: pa.Array) -> Iterator[str]:
    """All different strings of a column, however deep. Numbers have none."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _strings(column.storage)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _strings(column.flatten())
    elif pa.types.is_struct(kind):
        for field in column.flatten():
            yield from _strings(field)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from column.drop_null().unique().to_pylist()
    elif not pa.types.is_primitive(kind):
        yield from map(str, column.drop_null().to_pylist())
