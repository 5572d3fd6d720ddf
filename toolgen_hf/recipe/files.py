"""Reading recipe files: recipes that ship or the user's own, with the recipes that a mix names and changes to keys.

read_recipe("quickstart", ["score.strategy=consistency"])
-> Draft(data={"name": "quickstart", ..., "score": {"strategy": "consistency"}}, where="{...}/quickstart.yaml with ...")

A draft is plain data that is not validated yet. Reading it runs no code and opens nothing that it names, except the
recipes of a mix. It records for each value which file it is from, so that permission.py can tell what the user wrote
from what came with a data set, which anyone may have written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

from huggingface_hub import constants

from toolgen_hf._utils import expanded, is_there
from toolgen_hf.errors import ConfigError, did_you_mean
from toolgen_hf.plugins import is_path
from toolgen_hf.safe_yaml import parse_yaml, read_yaml

Keys: TypeAlias = tuple[str | int, ...]
"""The place of a value in a recipe: ``("tool_api", "teachers", 0, "kind")``."""
_SHIPPED = Path(str(files("toolgen_hf.recipes")))
_DOWNLOADED = Path(".cache", "huggingface", "download")
"""The Hub client creates this folder inside a folder that it downloads files to."""
_CACHED = ("datasets--", "models--", "spaces--")
"""The names of folders in the Hub's cache begin with one of these."""


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """The file in which a recipe, or a part of one, is written."""

    file: Path
    came_with_data: bool

    @property
    def folder(self) -> Path:
        """Relative paths in the recipe are relative to this folder."""
        return self.file.parent

    @classmethod
    def of(cls, path: Path) -> RecipeFile:
        """The origin for a file. It came with data also if a link on the way to it lies in a data set."""
        # abspath, unlike resolve, keeps links
        places = {Path(os.path.abspath(step)).parent for step in _links(path)}  # noqa: PTH100
        places |= {_real(place) for place in places} | {_real(path).parent}
        return cls(path, any(_is_in_data(place) for place in places))

    def holds(self, path: Path) -> bool:
        """Whether a file or folder, and the target of every link in it, lies in this folder.

        In the Hub's cache every file is a link to ``blobs``, a folder that all versions of a repository share.
        """
        home = _real(self.folder)
        homes = [home, *(place / "blobs" for place in home.parents if place.name.startswith(_CACHED))]
        return all(any(real.is_relative_to(place) for place in homes) for real in _real_paths(path))


@dataclass
class Draft:
    """A recipe as plain data, and which file each part of it is from."""

    data: dict[str, Any]
    where: str
    """Names the recipe in messages."""
    layers: list[tuple[Keys, RecipeFile | None]] = field(default_factory=list)
    """Each place that was written, in order: a later entry overrides an earlier one. None is the user's own
    change."""

    def origin(self, keys: Keys) -> RecipeFile | None:
        """The file that a value is from; None if the user gave it outside of any file."""
        return next(origin for at, origin in reversed(self.layers) if keys[: len(at)] == at)

    def change(self, change: str, value: Any, origin: RecipeFile | None, at: Keys = ()) -> None:
        """Set the key ``change`` (``"dataset.rows.train"``) below ``at`` to a value.

        Raises:
            ConfigError: the place does not exist.
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
    """Read a recipe that ships, by name, or a YAML file; for a mix also the recipes that it names.

    The path of a task is relative to the folder of the recipe. So are data files that are not in the current folder.

    Args:
        overrides: ``"score.strategy=consistency"``: the user's changes, values in YAML. Their paths are relative to
            the current folder.

    Raises:
        ConfigError: the recipe does not exist, it is not a YAML mapping, a key does not exist, or it came with a data
            set and names a recipe outside of its folder.
    """
    path = _find(name_or_path)
    draft = Draft(_read(path), str(path), [((), RecipeFile.of(path))])
    for name, part in _parts(draft.data):
        _insert_recipe(draft, name, part)
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
        f"{did_you_mean(str(name_or_path), shipped())}"
    )


def _parts(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of a mix; nothing for any other recipe."""
    mix = data.get("mix")
    parts = mix.get("parts") if isinstance(mix, dict) else None
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            yield name, part


def _insert_recipe(draft: Draft, name: str, part: dict[str, Any]) -> None:
    """Replace the name of a part's recipe by the recipe, changed as ``set`` says.

    The recipe has its own file as origin. Changes are from the mix, or the user's own if the mix is.
    """
    if not isinstance(named := part.get("recipe"), str):
        return
    at: Keys = ("mix", "parts", name, "recipe")
    where = f"{draft.where}: mix.parts.{name}"
    mix = draft.origin(at)
    untrusted = mix if mix is not None and mix.came_with_data else None
    changes = part.pop("set", None) or {}
    if not isinstance(changes, dict):
        raise ConfigError(f"{where}.set: write keys with their values, such as {{dataset.rows.train: 8}}")
    try:
        path = _find(named)
        if untrusted is not None and path.parent != _SHIPPED and not untrusted.holds(path):
            raise ConfigError(
                f"this mix lies in a data set and names the recipe {named!r}, which lies outside of its folder. "
                "If you trust it, copy the mix elsewhere and run the copy"
            )
        part["recipe"] = _read(path)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    draft.layers.append((at, RecipeFile.of(path)))
    for key, value in changes.items():
        try:
            draft.change(key, value, untrusted, at)
        except ConfigError as error:
            raise ConfigError(f"{where}.set: {key}: {error}") from error


def _key_in(target: Any, key: str) -> str | int:
    """A key of a mapping, or the index that it is in a list.

    Raises:
        ConfigError: the place does not exist.
    """
    if isinstance(target, list):
        if not (key.isascii() and key.isdigit() and len(key) < 9 and int(key) < len(target)):
            raise ConfigError(
                f"{key!r} is not one of the {len(target)} places in the list, which begin with 0"
            )
        return int(key)
    if not isinstance(target, dict):
        raise ConfigError(f"{key!r} does not exist: the value before it has no keys")
    if not key:
        raise ConfigError("write keys with a dot between them, such as dataset.rows.train")
    return key


def _anchor(draft: Draft, recipe: Any, at: Keys) -> None:
    """Make paths of code, and of data files that are not in the current folder, relative to the recipe's folder."""
    if not isinstance(recipe, dict):
        return
    places: list[tuple[Any, Keys]] = [(recipe, ("task",))]
    tools = recipe.get("tools")
    for name, tool in tools.items() if isinstance(tools, dict) else ():
        if isinstance(tool, dict) and tool.get("kind") == "function":
            places.append((tool, ("tools", name, "path")))
    for holder, keys in places:
        code, origin = holder.get(keys[-1]), draft.origin((*at, *keys))
        if isinstance(code, str) and is_path(code) and origin is not None and not origin.came_with_data:
            holder[keys[-1]] = str(origin.folder / expanded(code))
    dataset = recipe.get("dataset")
    if not isinstance(dataset, dict):
        return
    named = [key for key in ("data_dir", "data_files") if dataset.get(key) is not None]
    origins = {draft.origin((*at, "dataset", key)) for key in named}
    if len(origins) == 1 and (origin := origins.pop()) is not None and _data_is_beside(dataset, origin):
        dataset["folder"] = str(origin.folder)


def _data_is_beside(dataset: dict[str, Any], origin: RecipeFile) -> bool:
    """Whether the data files are in the recipe's folder, and not in the current one.

    A recipe that came with data never uses files of the current folder.
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


def _real(path: Path) -> Path:
    """The path without links. ``Path.resolve`` would raise an error for links in a circle."""
    return Path(os.path.realpath(path))


def _links(path: Path) -> Iterator[Path]:
    """A path and, if it is a link, each path that it leads to."""
    yield path
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


def _real_paths(path: Path) -> Iterator[Path]:
    """The path without links; for a pattern, each match; for a folder, also the target of each link in it."""
    yield _real(path)
    matches = [path]
    if not is_there(path):
        pattern, matches = Path.cwd() / path, []
        with suppress(OSError, ValueError):  # it is not a valid pattern, so nothing is read by it
            matches = list(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    for match in matches:
        yield _real(match)
        for folder, folders, names in os.walk(match):
            inside = (Path(folder, name) for name in (*folders, *names))
            yield from (_real(place) for place in inside if place.is_symlink())


def _is_in_data(folder: Path) -> bool:
    """Whether a folder lies in a produced directory, or was downloaded from the Hub."""
    return folder.is_relative_to(_real(Path(constants.HF_HUB_CACHE))) or any(
        place.name.startswith(_CACHED) or (place / _DOWNLOADED).is_dir() or _has_manifest(place)
        for place in (folder, *folder.parents)
    )


def _has_manifest(folder: Path) -> bool:
    """Whether a folder has a manifest of this library, even a damaged one."""
    try:
        content = (folder / "manifest.json").read_bytes()
    except OSError:
        return False
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        return b"toolgen_hf" in content
    return isinstance(manifest, dict) and "toolgen_hf" in manifest
