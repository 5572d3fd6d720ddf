"""Recipes as files: those that ship and anybody's, the recipes that a mix names, and changes to single keys.

read_recipe("quickstart", ["score.strategy=consistency"])
-> Draft(data={"name": "quickstart", ..., "score": {"strategy": "consistency"}}, where="{...}/quickstart.yaml with ...")

A draft is plain data and not validated; nothing that it names was read, run or asked. It knows of each value in which
file it is written, so that one that came with a data set can be told from the user's own (permission.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

from toolgen_hf._utils import expanded, is_there
from toolgen_hf.errors import ConfigError
from toolgen_hf.plugins import is_path
from toolgen_hf.recipe.mistakes import nearest
from toolgen_hf.recipe.origin import Origin
from toolgen_hf.safe_yaml import parse_yaml, read_yaml

Keys: TypeAlias = tuple[str | int, ...]
"""Where a value is: ``("tool_api", "teachers", 0, "kind")``."""
_SHIPPED = Path(str(files("toolgen_hf.recipes")))


@dataclass
class Draft:
    """A recipe as plain data, where it stands, and where its parts are written."""

    data: dict[str, Any]
    where: str
    layers: list[tuple[Keys, Origin | None]] = field(default_factory=list)
    """What was written over what was there before, the last on top; None: what the user wants here and now."""

    def origin(self, keys: Keys) -> Origin | None:
        """The file in which a value is written; None if the user gave it apart from any."""
        return next(origin for at, origin in reversed(self.layers) if keys[: len(at)] == at)

    def change(self, change: str, value: Any, origin: Origin | None, at: Keys = ()) -> None:
        """Give the key ``change`` (``"dataset.rows.train"``) of what is at ``at`` a value.

        Raises:
            ConfigError: the key leads nowhere.
        """
        target: Any = self.data
        for key in at:
            target = target[key]
        *parents, last = change.split(".")
        keys = list(at)
        for parent in parents:
            keys.append(_key_in(target, parent))
            if isinstance(target, dict) and target.get(parent) is None:
                target[parent] = {}
            target = target[keys[-1]]
        keys.append(_key_in(target, last))
        target[keys[-1]] = value
        self.layers.append((tuple(keys), origin))


def read_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Draft:
    """A recipe that ships, by name, or a YAML file; of a mix with the recipes that it names; with changes.

    A task's file is seen from the folder of the recipe that names it; so are data files that are not where we are.

    Args:
        overrides: ``"score.strategy=consistency"``: what the user wants, values in YAML. Paths are seen from here.

    Raises:
        ConfigError: there is no such recipe, it is no YAML mapping, a key leads nowhere, or it came with a data set
            and names a recipe outside of its folder.
    """
    path = _find(name_or_path)
    draft = Draft(_read(path), str(path), [((), Origin.of(path))])
    for name, part in _parts(draft.data):
        _write_out(draft, name, part)
    for change in overrides:
        key, sign, value = change.partition("=")
        if not sign or not key:
            raise ConfigError(f"--set {key}: write KEY=VALUE, such as score.strategy=consistency")
        try:
            draft.change(key, parse_yaml(value, "its value"), None)
        except ConfigError as error:
            raise ConfigError(f"--set {key}: {error}") from error
    if overrides:
        draft.where += f" with --set {', '.join(change.partition('=')[0] for change in overrides)}"
    _anchor(draft, draft.data, ())
    for name, part in _parts(draft.data):
        _anchor(draft, part.get("recipe"), ("mix", "parts", name, "recipe"))
    return draft


def shipped() -> list[str]:
    """The names of the recipes that come with the library."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def _read(path: Path) -> dict[str, Any]:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, not {type(data).__name__}")
    return data


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if is_there(path) and path.is_file():
        return path
    if str(name_or_path) in shipped():
        return _SHIPPED / f"{name_or_path}.yaml"
    raise ConfigError(
        f"no recipe {str(name_or_path)!r}: not a file, and not one that ships ({', '.join(shipped())})"
        f"{nearest(str(name_or_path), shipped())}"
    )


def _parts(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of a mix; none of any other recipe."""
    mix = data.get("mix")
    parts = mix.get("parts") if isinstance(mix, dict) else None
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            yield name, part


def _write_out(draft: Draft, name: str, part: dict[str, Any]) -> None:
    """Put the recipe that a part names in its name's place, with the changes that ``set`` makes.

    What a mix of the user's changes is what the user wants; the recipe itself is as its own file is.
    """
    if not isinstance(named := part.get("recipe"), str):
        return
    at: Keys = ("mix", "parts", name, "recipe")
    where = f"{draft.where}: mix.parts.{name}"
    mix = draft.origin(at)
    changes = part.pop("set", None) or {}
    if not isinstance(changes, dict):
        raise ConfigError(f"{where}.set: write keys with their values, such as {{dataset.rows.train: 8}}")
    try:
        path = _find(named)
        is_ours = path.parent == _SHIPPED
        if mix is not None and mix.came_with_data and not is_ours and not mix.holds(path):
            raise ConfigError(
                f"this mix lies in a data set and names the recipe {named!r}, which lies outside of its folder. "
                "If you trust it, copy the mix elsewhere and run the copy"
            )
        part["recipe"] = _read(path)
        if "mix" in part["recipe"]:
            raise ConfigError(
                f"{named!r} is a mix itself: name its parts here, or run it and give its directory as source"
            )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    draft.layers.append((at, Origin.of(path)))
    for key, value in changes.items():
        try:
            draft.change(key, value, mix if mix is not None and mix.came_with_data else None, at)
        except ConfigError as error:
            raise ConfigError(f"{where}.set: {key}: {error}") from error


def _key_in(target: Any, key: str) -> str | int:
    """A key as what it is in a mapping or a list.

    Raises:
        ConfigError: there is no such place.
    """
    if isinstance(target, list):
        if not (key.isascii() and key.isdigit() and len(key) < 9 and int(key) < len(target)):
            raise ConfigError(f"{key!r} is none of the {len(target)} places in the list, which begin with 0")
        return int(key)
    if not isinstance(target, dict):
        raise ConfigError(f"{key!r} leads nowhere: what stands before it has no keys")
    if not key:
        raise ConfigError("write keys with a dot between them, such as dataset.rows.train")
    return key


def _anchor(draft: Draft, recipe: Any, at: Keys) -> None:
    """Lead a recipe's task, and data files that are not here, to the folder of the file that names them, in place."""
    if not isinstance(recipe, dict):
        return
    task, origin = recipe.get("task"), draft.origin((*at, "task"))
    if isinstance(task, str) and is_path(task) and origin is not None and not origin.came_with_data:
        recipe["task"] = str(origin.folder / expanded(task))
    dataset = recipe.get("dataset")
    if not isinstance(dataset, dict):
        return
    named = [key for key in ("data_dir", "data_files") if dataset.get(key) is not None]
    origins = {draft.origin((*at, "dataset", key)) for key in named}
    if len(origins) == 1 and (origin := origins.pop()) is not None and _lies_there(dataset, origin):
        dataset["folder"] = str(origin.folder)


def _lies_there(dataset: dict[str, Any], origin: Origin) -> bool:
    """Whether the data files of a recipe are in its own folder, and not where we are.

    Those of a recipe that came with data are looked for in its own folder first.
    """
    given = dataset.get("data_files") or ()
    names = [given] if isinstance(given, str) else list(given.values()) if isinstance(given, dict) else []
    within = dataset.get("data_dir") or ""
    places = [Path(str(within), str(name)) for name in names] or ([Path(str(within))] if within else [])
    return bool(places) and all(
        not place.is_absolute()
        and (origin.came_with_data or not is_there(place))
        and is_there(origin.folder / place)
        for place in places
    )
