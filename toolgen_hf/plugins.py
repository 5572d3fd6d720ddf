"""Tasks and tools from outside this package: an installed package's entry point, or a file.

    task: dates                  "dates = my_package.dates:Dates" among the entry points toolgen_hf.tasks
    task: ./dates.py:Dates       a file, and which of its names is the task (an object, or a class without arguments)

Nothing is imported before its name is asked for. To load a file is to run it: only what a user names in a recipe, a
command or code of their own comes here (``find``). What a data set says of its task is a name, no path (``named``).
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from toolgen_hf._utils import bytes_sha256, expanded, file_sha256
from toolgen_hf.errors import ConfigError, closest

T = TypeVar("T")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What is looked for: what it is called, the group of its entry points, those that ship, and how one is checked."""

    what: str
    group: str
    built_in: Mapping[str, T]
    check: Callable[[object, str], T]


@dataclass(frozen=True)
class Source:
    """Where a task or tool from outside is written. No path: it goes into published results."""

    file: str
    sha256: str
    package: str | None = None

    def facts(self) -> dict[str, str]:
        """As plain JSON data."""
        return {key: value for key, value in vars(self).items() if value is not None}


_FILES: dict[Path, tuple[str, ModuleType]] = {}
"""The modules of the files that were loaded, each with its digest."""
_MADE: dict[tuple[str, str, str], tuple[Any, Source]] = {}
"""The objects, by module (or package and value), name and kind. They are kept, so that their ids stay theirs."""


def is_path(reference: str) -> bool:
    """Whether this is a file's path and a name in it, and no name alone: ``./dates.py:Dates``."""
    path = reference.rpartition(":")[0]
    return path.endswith(".py") or reference.endswith(".py") or "/" in path


def find(kind: Kind[T], reference: str, beside: str | Path | None = None) -> T:
    """What a user asks for: by name, or by a path, which is relative to the folder of ``beside`` or where we are.

    Raises:
        ConfigError: there is none, two have the name, it cannot be loaded, or it is none of this kind.
    """
    if not is_path(reference):
        return named(kind, reference)
    path, _, name = reference.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise ConfigError(
            f"{kind.what} {reference!r}: say which name of the file it is, as in 'dates.py:Dates'; the file ends in .py"
        )
    file = Path(beside or ".").parent.joinpath(expanded(path)) if beside else expanded(path)
    return _from_file(kind, file, name)


def named(kind: Kind[T], name: str) -> T:
    """What has this name, in any case: one that ships, or of an installed package. No file is ever loaded.

    Raises:
        ConfigError: as ``find``.
    """
    found = _look_up(kind, name)
    return kind.built_in[found] if isinstance(found, str) else _from_point(kind, found)


def known_name(kind: Kind[T], name: str) -> str:
    """How what has this name, in any case, is called. Nothing is imported.

    Raises:
        ConfigError: there is none, or two have the name.
    """
    found = _look_up(kind, name)
    return found if isinstance(found, str) else found.name


def _look_up(kind: Kind[T], name: str) -> str | EntryPoint:
    """The key of one that ships, or the entry point of a package's."""
    key = name.lower()
    points = [point for point in _points(kind.group, tuple(sys.path)) if point.name.lower() == key]
    owners = [f"{point.value!r} of the package {_package(point)!r}" for point in points]
    if key in kind.built_in:
        if points:
            raise ConfigError(
                f"{kind.what} {name!r} is one that ships with toolgen_hf, and also {' and '.join(owners)}: "
                "the package must give it another name; uninstall it until then"
            )
        return key
    if len(points) > 1:
        raise ConfigError(
            f"{kind.what} {name!r} is {' and '.join(owners)}: uninstall one of them, or name the file that you mean "
            f"({kind.what}: path/to/file.py:NAME)"
        )
    if points:
        return points[0]
    known = [*kind.built_in, *sorted(point.name for point in _points(kind.group, tuple(sys.path)))]
    near = closest(name, known)
    raise ConfigError(
        f"unknown {kind.what} {name!r}; known {kind.what}s: {', '.join(known)}"
        f"{f'; did you mean {near!r}?' if near else ''} (one of your own is named by its file, path/to/file.py:NAME)"
    )


def is_known(kind: Kind[T], name: str) -> bool:
    """Whether there is one of this name, that ships or of a package."""
    points = _points(kind.group, tuple(sys.path))
    return name.lower() in {*kind.built_in, *(point.name.lower() for point in points)}


def source_of(part: object) -> Source | None:
    """Where a task or tool is written; None of one that ships, or that was typed into a console."""
    for made, source in _MADE.values():
        if made is part:
            return source
    return _module_source(type(part).__module__)


@cache
def _module_source(name: str) -> Source | None:
    """Read once a process: a file that changes after its module was imported is not what runs."""
    if name.partition(".")[0] == __name__.partition(".")[0]:
        return None
    file = getattr(sys.modules.get(name), "__file__", None)
    return (
        None if file is None or not Path(file).is_file() else Source(Path(file).name, file_sha256(Path(file)))
    )


@cache
def _points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of a group; ``path`` is where they are looked for, and stands here for the cache."""
    found = {(_package(point), point.name, point.value): point for point in entry_points(group=group)}
    return tuple(found[key] for key in sorted(found))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "?"


def _from_point(kind: Kind[T], point: EntryPoint) -> T:
    package = _package(point)
    where = f"{kind.what} {point.name!r}, {point.value!r} of the package {package!r}"
    key = (f"{package} {point.value}", point.name, kind.what)
    if key not in _MADE:
        try:
            found = point.load()
            module = import_module(point.module)
        except Exception as error:  # somebody else's module may raise anything
            raise ConfigError(f"{where} cannot be loaded: {_said(error)}") from error
        made = _made(kind, found, where)
        if getattr(made, "name", "").lower() != point.name.lower():
            raise ConfigError(
                f"{where} calls itself {getattr(made, 'name', None)!r}: both must have one name"
            )
        at = _module_source(module.__name__)
        sha256 = at.sha256 if at else hashlib.sha256(package.encode()).hexdigest()
        _MADE[key] = made, Source(at.file if at else point.module, sha256, package)
    found_part: T = _MADE[key][0]
    return found_part


def _from_file(kind: Kind[T], file: Path, name: str) -> T:
    module, sha256 = _module(kind.what, file)
    where = f"{kind.what} '{file}:{name}'"
    key = (module.__name__, name, kind.what)
    if key not in _MADE:
        if not hasattr(module, name):
            near = closest(name, [other for other in vars(module) if not other.startswith("_")])
            raise ConfigError(
                f"{where}: the file has no {name!r}{f'; did you mean {near!r}?' if near else ''}"
            )
        made = _made(kind, getattr(module, name), where)
        if str(getattr(made, "name", "")).lower() in kind.built_in:
            raise ConfigError(
                f"{where} is called {made.name!r}, as one that ships: give it another name"  # type: ignore[attr-defined]
            )
        _MADE[key] = made, Source(file.name, sha256)
    found: T = _MADE[key][0]
    return found


def _module(what: str, file: Path) -> tuple[ModuleType, str]:
    """The module of a file, loaded anew once any file that was loaded has changed."""
    try:
        source = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{what} '{file}': no such file ({error.strerror}); a path in a recipe is relative to the recipe's own "
            "folder, elsewhere to where you are"
        ) from error
    if any(not path.is_file() or file_sha256(path) != sha256 for path, (sha256, _) in _FILES.items()):
        _FILES.clear()  # a file may have taken its tool from another one
    path, sha256 = file.resolve(), bytes_sha256(source)
    if path not in _FILES:
        _FILES[path] = sha256, _run(what, path, source, f"outside_{len(_MADE)}_{path.stem}_{sha256[:12]}")
    return _FILES[path][1], sha256


def _run(what: str, path: Path, source: bytes, name: str) -> ModuleType:
    spec = spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None  # only a name that is none gives none
    module = module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except Exception as error:  # a user's own file may raise anything
        del sys.modules[name]
        if isinstance(error, ConfigError):  # of a file that this one takes its tool from
            raise
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
        ]
        at = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        hint = (
            "; a file stands alone: put it into one, take a tool from beside it with "
            "get_tool('tool.py:NAME', beside=__file__), or make a package with entry points"
            if isinstance(error, ModuleNotFoundError)
            else ""
        )
        raise ConfigError(
            f"{what} '{path.name}', line {at}: cannot be loaded: {_said(error)}{hint}"
        ) from error
    return module


def _made(kind: Kind[T], found: object, where: str) -> T:
    """An object; of a class, one that is made without arguments."""
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:  # such as a TypeError that names the abstract methods
            raise ConfigError(f"{where} cannot be made: {_said(error)}") from error
    return kind.check(found, where)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
