"""What changed between two produced sets. Each is a version on the Hub or a directory.

diff("user/set@1.0.0", "outputs/quickstart").rows["stage2"]["train"]
-> {"added": 8, "removed": 0, "changed": 3, "same": 37, "columns": {"scores": 3}, "examples": {...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.hub.fetch import Found, find
from toolgen_hf.hub.repo import HUB, RepoRef
from toolgen_hf.hub.row_changes import moved, row_changes, shifts
from toolgen_hf.safe_yaml import read_yaml

_Shift = dict[str, Any]
"""``{"from": ..., "to": ...}``; None on the side that lacks it."""


@dataclass(frozen=True)
class Diff:
    """Plain data about two sets.

    ``rows``: by config and split, how many rows were added, removed, changed and are the same, by id; the columns that
    changed, each with its number of rows; and the first ids. ``student``: accuracy by split. ``sources``: accuracy,
    tool use rate and mean score by source. ``rejected``: counts by reason. ``recipe``: values by key.
    """

    old: dict[str, Any]
    new: dict[str, Any]
    rows: dict[str, dict[str, dict[str, Any]]]
    student: dict[str, _Shift]
    sources: dict[str, dict[str, _Shift]]
    rejected: dict[str, _Shift]
    recipe: dict[str, _Shift]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def diff(old: str | Path, new: str | Path, token: str | None = None) -> Diff:
    """Compare two produced sets. Each is a directory or ``user/repo@version`` (without a version: the newest).

    Raises:
        ConfigError: it is neither.
        DataError: a table or a recipe cannot be read.
        HubError: a version cannot be read.
    """
    sets = [_locate(place, token) for place in (old, new)]
    one, other = (found.manifest.data["summary"] for found in sets)
    before, after = (found.directory for found in sets)
    return Diff(
        old=_label(old, sets[0]),
        new=_label(new, sets[1]),
        rows={config: _rows(before, after, config) for config in _keys(one["configs"], other["configs"])},
        student=shifts(_student(one), _student(other)),
        sources={
            name: shifts(_source(one["sources"].get(name)), _source(other["sources"].get(name)))
            for name in _keys(one["sources"], other["sources"])
        },
        rejected=moved(one["rejected"], other["rejected"]),
        recipe=moved(_recipe(before), _recipe(after)),
    )


def _locate(place: str | Path, token: str | None) -> Found:
    if Path(place).is_dir():
        return find(str(place))
    try:
        ref = RepoRef.parse(str(place))
    except ConfigError as error:
        raise ConfigError(f"{str(place)!r} is not a directory here, and not a user/repo@version") from error
    return find(f"{HUB}{ref._replace(config=None)}", token=token)


def _label(asked: str | Path, found: Found) -> dict[str, Any]:
    return {
        "asked": str(asked),
        "name": found.manifest.name,
        "version": found.manifest.version,
        "commit": found.commit,
        "created_at": found.manifest.created_at,
    }


def _rows(old: Path, new: Path, config: str) -> dict[str, dict[str, Any]]:
    """By split; a split without rows on both sides is left out."""
    one, other = _files(old / config), _files(new / config)
    found = {split: row_changes(one.get(split, []), other.get(split, [])) for split in _keys(one, other)}
    return {split: counts for split, counts in found.items() if counts["rows"] != {"from": 0, "to": 0}}


def _files(folder: Path) -> dict[str, list[Path]]:
    """The Parquet files of a config by split."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.parquet")):
        found.setdefault(path.name.split("-")[0], []).append(path)
    return found


def _student(summary: Mapping[str, Any]) -> dict[str, float]:
    splits = summary["student"]["splits"]
    return {split: n["correct"] / n["asked"] for split, n in splits.items() if n["asked"]}


def _source(source: Mapping[str, Any] | None) -> dict[str, float]:
    if not source or not source["responses"]:
        return {}
    found = {
        "accuracy": source["correct"] / source["responses"],
        "tool_use_rate": source["tool"] / source["responses"],
    }
    if total := sum(source["scores"].values()):
        found["mean_score"] = sum(int(score) * n for score, n in source["scores"].items()) / total
    return found


def _recipe(directory: Path) -> dict[str, Any]:
    """``{"score.strategy": "distance", ...}``"""
    path = directory / "recipe.yaml"
    try:
        return dict(_flat(read_yaml(path))) if path.is_file() else {}
    except ConfigError as error:
        raise DataError(
            f"the recipe of a set cannot be read: {error}; run the recipe or pull again"
        ) from error


def _flat(value: Any, key: str = "") -> list[tuple[str, Any]]:
    inside = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inside, Mapping) or not inside:
        return [(key, value)]
    return [
        pair for name, item in inside.items() for pair in _flat(item, f"{key}.{name}" if key else str(name))
    ]


def _keys(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> list[Any]:
    return list({**old, **new})
