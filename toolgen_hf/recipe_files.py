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

from toolgen_hf.errors import ConfigError
from toolgen_hf.mistakes import nearest


def read_recipe(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    """A recipe as plain data, not validated yet, and where it stands: one that ships, by name, or a YAML file.

    Raises:
        ConfigError: there is no such recipe, or it is no YAML mapping.
    """
    path = _find(name_or_path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, not {type(data).__name__}")
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str))  # or YAML aliases would change together
    return plain, str(path)


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
