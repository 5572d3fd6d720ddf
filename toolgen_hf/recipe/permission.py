"""What a recipe that came with a data set may do: it reaches its own folder, models on the Hub and known servers.

    task: e.py:X                      refused: the file would be run
    base_url: https://else.where/v1   refused; OpenAI's, Azure OpenAI's and this machine's servers are fine
    data_files: ../private.csv        refused: it lies outside of the recipe's folder

It is decided once, of the whole recipe as it is after every change and before anything is imported, read or asked. What
the user gives with ``--set``, or writes in a file that came with no data set, is the user's own wish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolgen_hf._utils import expanded
from toolgen_hf.errors import ConfigError
from toolgen_hf.hub.repo import HUB, is_produced
from toolgen_hf.models.config import Config, Reach
from toolgen_hf.models.format import template_path
from toolgen_hf.models.openai.keys import is_known
from toolgen_hf.models.weights import local_path
from toolgen_hf.plugins import is_path
from toolgen_hf.recipe.files import Draft, Keys
from toolgen_hf.recipe.origin import Origin

_TODO = "If you trust it, copy the recipe elsewhere and run the copy, or give the key yourself, with --set {key}=VALUE"


def require_allowed(recipe: Config, draft: Draft) -> None:
    """Check what a validated recipe wants to do against where each of its keys is written.

    Raises:
        ConfigError: a key that came with a data set may not do what it would; names each.
    """
    refused = []
    for reached in _reaching(recipe, ()):
        origin = draft.origin(reached.keys)
        if origin is not None and origin.came_with_data and (why := _RULES[reached.reach](reached, origin)):
            key = ".".join(map(str, reached.keys))
            refused.append(
                f"{origin.file}: this recipe lies in a data set and names {why} ({key}). {_TODO.format(key=key)}"
            )
    if refused:
        raise ConfigError("\n".join(refused))


@dataclass(frozen=True, slots=True)
class _Reached:
    """A value that reaches something: of which field of which config, and where in the recipe."""

    value: Any
    reach: Reach
    config: Config
    field: str
    keys: Keys


def _reaching(config: Config, keys: Keys) -> Iterator[_Reached]:
    """The values of the marked fields of a config and of those within it."""
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


def _runs(task: _Reached, _: Origin) -> str | None:
    is_file = is_path(task.value)
    return f"the file {task.value!r} as its task, which would be run: a data set is data" if is_file else None


def _model(model: _Reached, origin: Origin) -> str | None:
    is_trained = model.field == "adapter" and model.value.startswith("finetune:")
    return None if is_trained else _strays(local_path(model.value), model.value, origin)


def _template(template: _Reached, origin: Origin) -> str | None:
    return _strays(template_path(template.value), template.value, origin)


def _file(file: _Reached, origin: Origin) -> str | None:
    """Of a dataset's files where they are looked for: ``data_files`` in ``data_dir``, and that in ``folder``."""
    if file.field == "folder" and Path(file.value) == origin.folder:
        return None  # what is read in it is data_dir and data_files
    order = ("folder", "data_dir", "data_files")
    before = order[: order.index(file.field)] if file.field in order else ()
    path = Path(*(getattr(file.config, key) or "" for key in before), file.value)
    return _strays(expanded(path), file.value, origin)


def _set(source: _Reached, origin: Origin) -> str | None:
    if source.value.startswith(HUB) or source.value in ("bundled", "hub"):
        return None
    place = source.value.rpartition("#")[0] if is_produced(source.value) else source.value
    return _strays(expanded(place), source.value, origin)


def _strays(place: Path | None, shown: str, origin: Origin) -> str | None:
    is_elsewhere = place is not None and not origin.holds(place)
    return f"{shown!r}, which lies outside of its folder" if is_elsewhere else None


def _server(url: _Reached, _: Origin) -> str | None:
    known = is_known(url.value)
    return None if known else f"the server {url.value!r}, which would get your key and every question"


def _keys(file: _Reached, _: Origin) -> str | None:
    return f"the file {file.value!r}, whose content would be sent as a key"


def _unencrypted(wanted: _Reached, _: Origin) -> str | None:
    return "allow_http, so that a key may travel without encryption" if wanted.value else None


def _output(output: _Reached, _: Origin) -> str | None:
    is_here = Path(output.value).resolve().is_relative_to(Path.cwd())
    return None if is_here else f"{output.value!r} as its output, a folder outside of where you are"


_RULES: Mapping[Reach, Callable[[_Reached, Origin], str | None]] = {
    Reach.RUNS: _runs,
    Reach.MODEL: _model,
    Reach.TEMPLATE: _template,
    Reach.FILE: _file,
    Reach.SET: _set,
    Reach.SERVER: _server,
    Reach.KEYS: _keys,
    Reach.UNENCRYPTED: _unencrypted,
    Reach.OUTPUT: _output,
}
"""Of each reach why it is refused (what it names, and what would come of it); None: it is fine."""
