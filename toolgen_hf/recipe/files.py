"""Recipes as files: those that ship and anybody's, and changes to single keys of them.

read_recipe("quickstart")
-> {"name": "quickstart", ..., "score": {"strategy": "distance"}}, "{...}/recipes/quickstart.yaml"
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.constants import HF_HUB_CACHE

from toolgen_hf.errors import ConfigError
from toolgen_hf.generators.api.keys import is_known
from toolgen_hf.outside import is_path
from toolgen_hf.recipe.mistakes import nearest


def read_recipe(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    """A recipe as plain data, not validated yet, and where it stands: one that ships, by name, or a YAML file.

    The task's file is seen from the recipe's folder; so are data files that are not where we are.

    Raises:
        ConfigError: there is no such recipe, it is no YAML mapping, or it came with a data set and names
            a file to run or a server to ask.
    """
    path = _find(name_or_path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, not {type(data).__name__}")
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str))  # or YAML aliases would change together
    if _came_with_data(path.parent):
        _refuse_what_acts(plain, path.parent)
    _anchor(plain, path.parent)
    return plain, str(path)


def _anchor(recipe: Any, folder: Path) -> None:
    """Lead a recipe's task, and data files that are not here, to its own folder, in place; so in the parts of a mix."""
    mix = recipe.get("mix") if isinstance(recipe, dict) else None
    parts = mix.get("parts") if isinstance(mix, dict) else None
    for part in parts.values() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            _anchor(part.get("recipe"), folder)
    if not isinstance(recipe, dict):
        return
    task, dataset = recipe.get("task"), recipe.get("dataset")
    if isinstance(task, str) and is_path(task):
        recipe["task"] = str(folder / Path(task).expanduser())
    if isinstance(dataset, dict) and _lies_there(dataset, folder):
        dataset["folder"] = str(folder)


def _refuse_what_acts(data: Any, folder: Path) -> None:
    """A recipe that came with a data set runs no file of its own, and sends nobody's keys anywhere.

    Raises:
        ConfigError: it names a task's file, a file of keys, or a server that is neither OpenAI's nor this machine.
    """
    for value in data if isinstance(data, list) else data.values() if isinstance(data, dict) else ():
        _refuse_what_acts(value, folder)
    if not isinstance(data, dict):
        return
    lies = f"{folder}: this recipe lies in a data set and names"
    task, url = data.get("task"), data.get("base_url")
    if isinstance(task, str) and is_path(task):
        raise ConfigError(
            f"{lies} the file {task!r} as its task, which would be run: a data set is data. Look at the file, and if "
            "you trust it, copy both elsewhere"
        )
    if isinstance(url, str) and not is_known(url):
        raise ConfigError(
            f"{lies} the server {url!r}, which would get your key and every question. If you trust it, copy the "
            "recipe elsewhere and run the copy"
        )
    if data.get("keys_file") is not None:
        raise ConfigError(
            f"{lies} the file {data['keys_file']!r}, whose content would be sent as a key. If you trust it, copy the "
            "recipe elsewhere and run the copy"
        )


def _came_with_data(folder: Path) -> bool:
    """Whether a folder is (within) a produced set, or was fetched from the Hub."""
    path = folder.resolve()
    for place in (path, *path.parents):
        if (
            place / ".cache" / "huggingface" / "download"
        ).is_dir():  # what the Hub's client leaves beside files
            return True
        try:
            manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(manifest, dict) and "toolgen_hf" in manifest:
            return True
    return path.is_relative_to(Path(HF_HUB_CACHE).resolve())


def _lies_there(dataset: dict[str, Any], folder: Path) -> bool:
    """Whether the data files of a recipe are in its own folder, and not where we are."""
    given = dataset.get("data_files") or ()
    files = [given] if isinstance(given, str) else list(given.values()) if isinstance(given, dict) else []
    within = dataset.get("data_dir") or ""
    places = [Path(str(within), str(file)) for file in files] or ([Path(str(within))] if within else [])
    return bool(places) and all(
        not place.is_absolute() and not place.exists() and (folder / place).exists() for place in places
    )


def shipped() -> list[str]:
    """The names of the recipes that come with the library."""
    found = (file.name for file in files("toolgen_hf.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def override(data: dict[str, Any], overrides: Sequence[str]) -> None:
    """Change single keys of a recipe, in place: ``"score.strategy=consistency"``, values in YAML.

    Raises:
        ConfigError: one is no ``KEY=VALUE``, or its key leads nowhere.
    """
    for change in overrides:
        _override(data, change)


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped():
        return Path(str(files("toolgen_hf.recipes").joinpath(f"{name_or_path}.yaml")))
    raise ConfigError(
        f"no recipe {str(name_or_path)!r}: not a file, and not one that ships ({', '.join(shipped())})"
        f"{nearest(str(name_or_path), shipped())}"
    )


def _override(data: dict[str, Any], change: str) -> None:
    key, sign, value = change.partition("=")
    if not sign or not key:
        raise ConfigError(f"--set {change!r}: write KEY=VALUE, such as score.strategy=consistency")
    *parents, last = key.split(".")
    target: Any = data
    try:
        for parent in parents:
            target = target[int(parent)] if isinstance(target, list) else _child(target, parent)
            if not isinstance(target, dict | list):
                raise ValueError(f"{parent!r} is {target!r}, which has no keys")
        target[int(last) if isinstance(target, list) else last] = yaml.safe_load(value)
    except (ValueError, IndexError, yaml.YAMLError) as error:
        raise ConfigError(f"--set {change!r}: {error}") from error


def _child(target: Any, key: str) -> Any:
    if target.get(key) is None:
        target[key] = {}
    return target[key]
