"""The package has layers, and a module imports only from its own layer's folder or from lower layers.

``tools`` knows nothing of ``stages``, ``stages`` nothing of recipes, and no two files or folders import each other.
All imports count: at the top of a file, within functions and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "toolgen_hf"

LAYERS = (
    {"cli", "published", "check"},
    {"flow"},
    {"recipe"},
    {"hub"},
    {"report", "finetune", "metrics"},
    {"data"},
    {"stages"},
    {"tasks", "runtime"},
    {"tools", "models", "builders"},
    {"plugins", "secrets", "safe_yaml", "schemas", "ask", "testing", "recipes", "_utils", "errors"},
)
"""From top to bottom. Folders of one layer may import one another, in one direction."""

Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name; ``builders/`` ships as ``toolgen_hf.builders``."""
    found = {}
    for folder, prefix in ((root / PACKAGE, PACKAGE), (root / "builders", f"{PACKAGE}.builders")):
        for path in folder.rglob("*.py"):
            names = path.relative_to(folder).with_suffix("").parts
            found[".".join([prefix, *(name for name in names if name != "__init__")])] = path
    return found


def imported(module: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the package that a file imports."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in known:  # a name within a module
                name = name.rpartition(".")[0]
            if name and name != module:
                yield name


def file_graph(root: Path) -> Graph:
    """Every module, and the modules that it imports."""
    known = modules(root)
    return {module: set(imported(module, path, known)) for module, path in known.items()}


def folder_graph(files: Graph) -> Graph:
    """The folders and single files below the package, and which of them each imports."""
    graph: Graph = {}
    for module, others in files.items():
        if module != PACKAGE:  # its __init__ gives the public names of every layer
            targets = {other.split(".")[1] for other in others if other != PACKAGE}
            graph.setdefault(module.split(".")[1], set()).update(targets)
    return {folder: targets - {folder} for folder, targets in graph.items()}


def circle(graph: Graph) -> list[str] | None:
    """One circle of imports, from the importing end, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return None


def upward(files: Graph) -> list[str]:
    """Imports from a lower layer to a higher one."""
    height = {name: -row for row, layer in enumerate(LAYERS) for name in layer}
    return [
        f"{module} imports {other}"
        for module, others in sorted(files.items())
        for other in sorted(others)
        if PACKAGE not in (module, other) and height[module.split(".")[1]] < height[other.split(".")[1]]
    ]


def test_no_files_import_each_other() -> None:
    assert circle(file_graph(ROOT)) is None


def test_no_folders_import_each_other() -> None:
    assert circle(folder_graph(file_graph(ROOT))) is None


def test_every_folder_has_a_layer_and_imports_only_downwards() -> None:
    files = file_graph(ROOT)
    assert set(folder_graph(files)) == set().union(*LAYERS)
    assert upward(files) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"tools/a.py": "import toolgen_hf.tools.b", "tools/b.py": "from .a import x"}, "files"),
        ({"tools/a.py": "def f():\n    from toolgen_hf.stages import b", "stages/b.py": ""}, "layers"),
        (
            {
                "models/a.py": "import typing\nif typing.TYPE_CHECKING:\n    from toolgen_hf.runtime.b import X",
                "runtime/b.py": "from ..models import c",
                "models/c.py": "",
            },
            "folders",
        ),
        ({"stages/a.py": "from toolgen_hf import tools", "tools/__init__.py": "X = 1"}, "nothing"),
    ],
)
def test_a_circle_and_an_upward_import_are_found(tmp_path: Path, files: dict[str, str], found: str) -> None:
    for name, source in files.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    graph = file_graph(tmp_path)
    assert (circle(graph) is not None) == (found == "files")
    assert (circle(folder_graph(graph)) is not None) == (found == "folders")
    assert bool(upward(graph)) == (found in ("folders", "layers"))
