"""What a recipe may do if it came with a data set: use its own folder, models on the Hub and known servers.

    task: e.py:X                      refused: the file would be run
    base_url: https://else.where/v1   refused; OpenAI's, Azure OpenAI's and this machine's servers are fine
    data_files: ../private.csv        refused: it lies outside of the recipe's folder

The check looks at the whole recipe, after every change, before any code is imported, any file read or any model asked.
Values from ``--set``, and from a file that came with no data set, are the user's own and always allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from toolgen_hf._utils import expanded
from toolgen_hf.errors import ConfigError
from toolgen_hf.hub.repo import HUB, is_produced
from toolgen_hf.models.config import Config, Reach
from toolgen_hf.models.format import template_path
from toolgen_hf.models.openai.keys import is_known
from toolgen_hf.models.weights import local_path
from toolgen_hf.plugins import is_path
from toolgen_hf.recipe.files import Draft, Keys, RecipeFile
from toolgen_hf.tools.config import FACTBOOK

_TODO = "If you trust it, copy the recipe elsewhere and run the copy, or give the key yourself, with --set {key}=VALUE"


def require_allowed(recipe: Config, draft: Draft) -> None:
    """Check every value of a validated recipe that came with a data set.

    Raises:
        ConfigError: some are not allowed; names each.
    """
    refused = []
    for reached in _reaching(recipe, ()):
        origin = draft.origin(reached.keys)
        if origin is not None and origin.came_with_data and (why := _refusal(reached, origin)):
            key = ".".join(map(str, reached.keys))
            refused.append(
                f"{origin.file}: this recipe lies in a data set and names {why} ({key}). {_TODO.format(key=key)}"
            )
    if refused:
        raise ConfigError("\n".join(refused))


@dataclass(frozen=True, slots=True)
class _Reached:
    """A value that reaches something outside of the recipe, such as a file or a server."""

    value: Any
    reach: Reach
    config: Config
    field: str
    """The field of ``config`` that holds the value."""
    keys: Keys


def _reaching(config: Config, keys: Keys) -> Iterator[_Reached]:
    """The values of all fields that are marked with `Reach`, also in the configs inside this one."""
    for name, field in type(config).model_fields.items():
        for at, value in _leaves(getattr(config, name), (*keys, name)):
            if isinstance(value, Config):
                yield from _reaching(value, at)
            for reach in (mark for mark in field.metadata if isinstance(mark, Reach)):
                yield _Reached(value, reach, config, name, at)


def _leaves(value: Any, keys: Keys) -> Iterator[tuple[Keys, Any]]:
    inside: Sequence[tuple[str | int, Any]]
    if isinstance(value, Mapping):
        inside = list(value.items())
    elif isinstance(value, list | tuple):
        inside = list(enumerate(value))
    else:
        if value is not None:
            yield keys, value
        return
    for key, one in inside:
        yield from _leaves(one, (*keys, key))


def _refusal(reached: _Reached, origin: RecipeFile) -> str | None:
    """Why a value is refused: what it names, and what would happen. None if it is allowed."""
    value, place = reached.value, None
    match reached.reach:
        case Reach.RUNS:
            if reached.field == "command":
                return f"the program {value!r}, which would be started: a data set is data"
            what = "a tool" if reached.field == "path" else "its task"
            return (
                f"the file {value!r} as {what}, which would be run: a data set is data"
                if is_path(value)
                else None
            )
        case Reach.SERVER:
            known = is_known(value)
            return None if known else f"the server {value!r}, which would get your key and every question"
        case Reach.KEYS:
            return f"the file {value!r}, whose content would be sent as a key"
        case Reach.UNENCRYPTED:
            return "allow_http, so that a key may travel without encryption" if value else None
        case Reach.OUTPUT:
            is_here = Path(value).resolve().is_relative_to(Path.cwd())
            return None if is_here else f"{value!r} as its output, a folder outside of where you are"
        case Reach.CLUSTER:
            return f"{value!r} for its runner, where other machines would get the questions"
        case Reach.MODEL:
            is_trained = reached.field == "adapter" and value.startswith("finetune:")
            place = None if is_trained else local_path(value)
        case Reach.TEMPLATE:
            place = template_path(value)
        case Reach.FILE:
            place = _file(reached, origin)
        case Reach.SET:
            if not value.startswith(HUB) and value not in ("bundled", "hub"):
                place = expanded(value.rpartition("#")[0] if is_produced(value) else value)
        case Reach.CORPUS:
            place = None if value.startswith((HUB, "pip:")) or value == FACTBOOK else expanded(value)
        case _:
            assert_never(reached.reach)
    is_outside = place is not None and not origin.holds(place)
    return f"{value!r}, which lies outside of its folder" if is_outside else None


def _file(file: _Reached, origin: RecipeFile) -> Path | None:
    """The path that is read. In a dataset, ``data_files`` is inside ``data_dir``, and that is inside ``folder``."""
    if file.field == "folder" and Path(file.value) == origin.folder:
        return None  # only data_dir and data_files are read in it, and they are checked too
    order = ("folder", "data_dir", "data_files")
    before = order[: order.index(file.field)] if file.field in order else ()
    return expanded(Path(*(getattr(file.config, key) or "" for key in before), file.value))
