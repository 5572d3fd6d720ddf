"""Tasks and tools from outside this package: from an installed package's entry point, or from a file.

    task: dates                  "dates = my_package.dates:Dates" among the entry points toolgen_hf.tasks
    task: ./dates.py:Dates       a file, and the name of the task in it (an object, or a class without arguments)

A module is imported only when its name is asked for. Loading a file runs it, so ``Registry.find`` takes only references
that a user writes in a recipe, a command or code. A data set names its task without a path (``Registry.named``).
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
from toolgen_hf.errors import ConfigError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """The file of a task or tool from outside. It holds no path, since it goes into published results."""

    file: str
    sha256: str
    package: str | None = None

    def facts(self) -> dict[str, str]:
        """The fields that are set, as plain JSON data."""
        return {key: value for key, value in vars(self).items() if value is not None}


_FILES: dict[Path, tuple[str, ModuleType]] = {}
"""The loaded files, each with its digest and its module."""
_MADE: dict[tuple[str, str, str], tuple[Any, Source]] = {}
"""The loaded objects by module (or package and value), name and kind. They stay, so that their ids stay theirs."""


def is_path(reference: str) -> bool:
    """Whether a reference names a file, as ``./dates.py:Dates`` does, and not only a task or tool."""
    path = reference.rpartition(":")[0]
    return path.endswith(".py") or reference.endswith(".py") or "/" in path


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The tasks or the tools: those that ship, those of installed packages, and those in files.

    ``kind`` is their name in messages, ``group`` that of their entry points. ``check`` returns an object that is one of
    them, and raises a ConfigError for others.
    """

    kind: str
    group: str
    built_in: Mapping[str, T]
    check: Callable[[object, str], T]

    def find(self, reference: str, beside: str | Path | None = None) -> T:
        """The task or tool with this name, or at this path, which is relative to the folder of ``beside``.

        Without ``beside`` a path is relative to the current folder.

        Raises:
            ConfigError: there is none, two have the name, it cannot be loaded, or ``check`` refuses it.
        """
        if not is_path(reference):
            return self.named(reference)
        path, _, name = reference.rpartition(":")
        if not path.endswith(".py") or not name.isidentifier():
            raise ConfigError(
                f"{self.kind} {reference!r}: say which name of the file it is, as in 'dates.py:Dates'; "
                "the file ends in .py"
            )
        return self._from_file(Path(beside).parent / expanded(path) if beside else expanded(path), name)

    def named(self, name: str) -> T:
        """The task or tool with this name, in any case. It never loads a file.

        Raises:
            ConfigError: as ``find``.
        """
        found = self._look_up(name)
        return self.built_in[found] if isinstance(found, str) else self._from_package(found)

    def known_name(self, name: str) -> str:
        """The name as it is registered; ``name`` may be in any case. It imports nothing.

        Raises:
            ConfigError: there is none, or two have the name.
        """
        found = self._look_up(name)
        return found if isinstance(found, str) else found.name

    def is_known(self, name: str) -> bool:
        """Whether a task or tool that ships, or one of a package, has this name."""
        return name.lower() in {*self.built_in, *(point.name.lower() for point in self._points())}

    def _points(self) -> tuple[EntryPoint, ...]:
        return _entry_points(self.group, tuple(sys.path))

    def _look_up(self, name: str) -> str | EntryPoint:
        """The key of one that ships, or the entry point of a package."""
        key = name.lower()
        points = [point for point in self._points() if point.name.lower() == key]
        owners = " and ".join(f"{point.value!r} of the package {_package(point)!r}" for point in points)
        if key in self.built_in and not points:
            return key
        if key in self.built_in:
            raise ConfigError(
                f"{self.kind} {name!r} is one that ships with toolgen_hf, and also {owners}: "
                "the package must give it another name; uninstall it until then"
            )
        if len(points) > 1:
            raise ConfigError(
                f"{self.kind} {name!r} is {owners}: uninstall one of them, or name the file that you mean "
                f"({self.kind}: path/to/file.py:NAME)"
            )
        if points:
            return points[0]
        known = [*self.built_in, *sorted(point.name for point in self._points())]
        raise ConfigError(
            f"unknown {self.kind} {name!r}; known {self.kind}s: {', '.join(known)}{did_you_mean(name, known)} "
            "(for your own, give its file: path/to/file.py:NAME)"
        )

    def _from_package(self, point: EntryPoint) -> T:
        package = _package(point)
        where = f"{self.kind} {point.name!r}, {point.value!r} of the package {package!r}"
        key = (f"{package} {point.value}", point.name, self.kind)
        if key not in _MADE:
            try:
                found = point.load()
                module = import_module(point.module)
            except Exception as error:  # a foreign module may raise anything
                raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
            made = self._made(found, where)
            name = getattr(made, "name", "")
            if name.lower() != point.name.lower():
                raise ConfigError(f"{where} calls itself {name!r}: both must have one name")
            at = _module_source(module.__name__)
            sha256 = at.sha256 if at else hashlib.sha256(package.encode()).hexdigest()
            _MADE[key] = made, Source(at.file if at else point.module, sha256, package)
        part: T = _MADE[key][0]
        return part

    def _from_file(self, file: Path, name: str) -> T:
        module, sha256 = _module(self.kind, file)
        where = f"{self.kind} '{file}:{name}'"
        key = (module.__name__, name, self.kind)
        if key not in _MADE:
            if not hasattr(module, name):
                near = did_you_mean(name, [other for other in vars(module) if not other.startswith("_")])
                raise ConfigError(f"{where}: the file has no {name!r}{near}")
            made = self._made(getattr(module, name), where)
            own = getattr(made, "name", "")
            if own.lower() in self.built_in:
                raise ConfigError(f"{where} is called {own!r}, as one that ships: give it another name")
            _MADE[key] = made, Source(file.name, sha256)
        part: T = _MADE[key][0]
        return part

    def _made(self, found: object, where: str) -> T:
        """Checks an object. A class is called without arguments first."""
        if isinstance(found, type):
            try:
                found = found()
            except Exception as error:  # such as a TypeError that names the abstract methods
                raise ConfigError(f"{where} cannot be made: {type(error).__name__}: {error}") from error
        return self.check(found, where)


def source_of(part: object) -> Source | None:
    """The source of a task or tool; None if it ships, or was typed into a console."""
    for made, source in _MADE.values():
        if made is part:
            return source
    return _module_source(part.__module__)


def check_members(
    part: object, where: str, texts: tuple[str, ...], methods: tuple[str, ...], capitals: bool = False
) -> object:
    """``part`` if it has these texts and methods, a version, and a valid name; ``where`` begins the message.

    Args:
        capitals: the name may have capital letters.

    Raises:
        ConfigError: names all that is missing.
    """
    lacks = [f"the text {key!r}" for key in texts if not isinstance(getattr(part, key, None), str)]
    if not isinstance(getattr(part, "version", None), int):
        lacks.append("'version', a whole number")
    lacks += [f"the method {key!r}" for key in methods if not callable(getattr(part, key, None))]
    if lacks:
        raise ConfigError(f"{where}: {part!r:.80} lacks {', '.join(lacks)} (see docs/extending.md)")
    name = str(getattr(part, "name", ""))
    is_name = name.replace("-", "_").isidentifier() and name.isascii()
    if not is_name or (name != name.lower() and not capitals):
        letters = "letters" if capitals else "small letters"
        raise ConfigError(f"{where}: the name {name!r} must be of {letters}, digits, '-' and '_'")
    return part


@cache
def _module_source(name: str) -> Source | None:
    """Cached for the process: a file that changes after its import is not the code that runs."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if name.partition(".")[0] == __name__.partition(".")[0] or file is None or not Path(file).is_file():
        return None
    return Source(Path(file).name, file_sha256(Path(file)))


@cache
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of a group. ``path`` is ``sys.path``: a key of the cache."""
    found = {(_package(point), point.name, point.value): point for point in entry_points(group=group)}
    return tuple(found[key] for key in sorted(found))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "?"


def _module(kind: str, file: Path) -> tuple[ModuleType, str]:
    """The module of a file and the digest of the file. All files are loaded again once one of them has changed."""
    try:
        code = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{kind} '{file}': no such file ({error.strerror}); a path in a recipe is relative to the recipe's own "
            "folder, elsewhere to the current folder"
        ) from error
    if any(not path.is_file() or file_sha256(path) != sha256 for path, (sha256, _) in _FILES.items()):
        _FILES.clear()  # a file may have taken its tool from another one
    path, sha256 = file.resolve(), bytes_sha256(code)
    if path not in _FILES:
        _FILES[path] = sha256, _run(kind, path, code, f"outside_{len(_MADE)}_{path.stem}_{sha256[:12]}")
    return _FILES[path][1], sha256


def _run(kind: str, path: Path, code: bytes, name: str) -> ModuleType:
    spec = spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(compile(code, str(path), "exec"), vars(module))
    except Exception as error:  # a user's file may raise anything
        del sys.modules[name]
        if isinstance(error, ConfigError):  # from a file that this one takes its tool from
            raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        hint = (
            "; a file stands alone: put everything into one file, take a tool from another file with "
            "get_tool('tool.py:NAME', beside=__file__), or make a package with entry points"
        )
        hint = hint if isinstance(error, ModuleNotFoundError) else ""
        raise ConfigError(
            f"{kind} '{path.name}', line {line}: cannot be loaded: {type(error).__name__}: {error}{hint}"
        ) from error
    return module
