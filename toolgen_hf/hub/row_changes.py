"""Which rows of a table were added, removed or changed, without holding the table.

Every row of both sides is hashed, and rows with equal hashes are the same. Only the others are read as rows. They meet
by id as they come, so two sides in the same order take the memory of a batch.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from filecmp import cmp
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from toolgen_hf.errors import DataError

_BATCH = 10_000
_EXAMPLES = 3
Row = Mapping[str, Any]
Hashes = NDArray[np.uint64]
"""One hash a row."""


def row_changes(old: Sequence[Path], new: Sequence[Path]) -> dict[str, Any]:
    """Compare the rows of two lists of Parquet files by their column ``id``. Several rows may have the same id.

    Returns:
        ``{"rows": {"from": 48, "to": 56}, "added": 8, "removed": 0, "changed": 3, "same": 45, "columns": {"scores": 3},
        "examples": {"added": [ids], "removed": [ids], "changed": [{"id": ..., "columns": {"scores": ...}}]}}``

    Raises:
        DataError: a file is not a Parquet file of rows.
    """
    if len(old) == len(new) and all(cmp(a, b, shallow=False) for a, b in zip(old, new, strict=True)):
        size = sum(len(batch) for batch in _batches(old, columns=["id"]))
        return _counts(size, size, size, ())
    one, other = _hash_rows(old), _hash_rows(new)
    unequal = (_without_equal(one, other), _without_equal(other, one))
    changes = _by_id(*(_Side(paths, at) for paths, at in zip((old, new), unequal, strict=True)))
    return _counts(len(one), len(other), len(one) - len(unequal[0]), changes)


def shifts(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every value on both sides: ``{"scores": {"from": [20, 15], "to": None}}``; None on the side that lacks it."""
    return {key: {"from": old.get(key), "to": new.get(key)} for key in {**old, **new}}


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of the `shifts` whose values differ."""
    return {key: shift for key, shift in shifts(old, new).items() if shift["from"] != shift["to"]}


def _counts(
    old: int, new: int, same: int, changes: Iterable[tuple[str, list[Row], list[Row]]]
) -> dict[str, Any]:
    """``changes``: an id, and its rows on either side that have no equal on the other."""
    counts = Counter[str](added=0, removed=0, changed=0, same=same)
    columns = Counter[str]()
    examples: dict[str, list[Any]] = {"added": [], "removed": [], "changed": []}
    for key, before, after in changes:
        pairs = list(zip(before, after, strict=False))
        sizes = {"changed": len(pairs), "removed": len(before) - len(pairs), "added": len(after) - len(pairs)}
        counts.update(sizes)
        for kind in ("removed", "added"):
            examples[kind] += [key] if sizes[kind] and len(examples[kind]) < _EXAMPLES else []
        for pair in pairs:
            changed = moved(*pair)
            columns.update(list(changed))
            if len(examples["changed"]) < _EXAMPLES:
                examples["changed"].append({"id": key, "columns": changed})
    return {
        "rows": {"from": old, "to": new},
        **counts,
        "columns": dict(columns.most_common()),
        "examples": examples,
    }


class _Side:
    """The rows at some places of a list of files, and how many of them each id has."""

    def __init__(self, paths: Sequence[Path], at: NDArray[np.intp]) -> None:
        self.paths, self.at = paths, at
        self.expected = Counter(str(row.get("id")) for row in self.rows(columns=["id"]))

    def rows(self, columns: list[str] | None = None) -> Iterator[Row]:
        start = 0
        for batch in _batches(self.paths, columns):
            first, last = np.searchsorted(self.at, (start, start + len(batch)))
            yield from batch.take(pa.array(self.at[first:last] - start)).to_pylist()
            start += len(batch)


def _by_id(old: _Side, new: _Side) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Each id with its rows of both sides, as soon as all of them are read."""
    waiting = defaultdict[str, tuple[list[Row], list[Row]]](lambda: ([], []))
    for pair in zip_longest(old.rows(), new.rows()):
        for side, row in enumerate(pair):
            if row is None:
                continue
            key = str(row.get("id"))
            found = waiting[key]
            found[side].append(row)
            if [len(rows) for rows in found] == [old.expected[key], new.expected[key]]:
                yield key, *waiting.pop(key)


def _without_equal(mine: Hashes, theirs: Hashes) -> NDArray[np.intp]:
    """The places of ``mine`` that have no equal in ``theirs``; each of theirs is the equal of one of mine."""
    order = np.argsort(mine, kind="stable")
    mine, theirs = mine[order], np.sort(theirs)
    nth = np.arange(len(mine)) - np.searchsorted(mine, mine)  # among the equal ones of mine
    equals = np.searchsorted(theirs, mine, "right") - np.searchsorted(theirs, mine)
    return np.sort(order[nth >= equals])


def _batches(paths: Sequence[Path], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(_BATCH, columns=columns)
        except (OSError, ValueError, NotImplementedError) as error:  # raised by pyarrow
            raise DataError(
                f"{path} is not a Parquet file of rows: {error}; run the recipe or pull again"
            ) from error


def _hash_rows(paths: Sequence[Path]) -> Hashes:
    found = [_hash_fields(batch.schema.names, batch.columns, len(batch)) for batch in _batches(paths)]
    return np.concatenate([np.empty(0, np.uint64), *found])


def _hash_fields(names: Sequence[str], columns: Sequence[pa.Array], size: int) -> Hashes:
    """Independent of the order of the columns, as a sum."""
    total = np.zeros(size, np.uint64)
    for name, values in zip(names, columns, strict=True):
        total += _mix(_hash_values(values) + _salt(name))
    return total


def _hash_values(values: pa.Array) -> Hashes:
    kind = values.type
    if pa.types.is_struct(kind):
        found = _hash_fields([field.name for field in kind], values.flatten(), len(values))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = _hash_lists(values)
    elif pa.types.is_boolean(kind):
        found = _hash_array(values, pa.bool_(), False)
    elif pa.types.is_integer(kind):
        found = _hash_array(values, pa.int64(), 0)
    elif pa.types.is_floating(kind):
        found = _hash_array(values, pa.float64(), 0.0)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = _hash_array(values, pa.large_string(), "")
    else:
        found = _hash_array(pa.array(map(str, values.to_pylist())), pa.large_string(), "")
    return np.where(values.is_null().to_numpy(zero_copy_only=False), _salt("null"), found)


def _hash_array(values: pa.Array, kind: pa.DataType, empty: Any) -> Hashes:
    plain = pc.fill_null(values.cast(kind), empty).to_numpy(zero_copy_only=False)
    return np.asarray(pd.util.hash_array(plain), np.uint64) + _salt(str(kind))


def _hash_lists(values: pa.Array) -> Hashes:
    sizes = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(sizes)
    items = _hash_values(values.flatten())
    places = np.arange(len(items)) - np.repeat(ends - sizes, sizes)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(items + places.astype(np.uint64)))])
    return _mix(sums[ends] - sums[ends - sizes] + _salt("list"))


def _mix(values: Hashes) -> Hashes:
    """So that sums of hashes are hashes again (the finalizer of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _salt(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
