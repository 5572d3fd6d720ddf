"""A result on the Hub: push it as a version, list the versions, pull one, compare two.

from toolgen_hf.hub import diff, pull, push, versions

push("outputs/quickstart", "user/set", "1.2.0")
versions("user/set")[0].rows
pull("user/set", "outputs/pulled", "1.2.0")
diff("user/set@1.1.0", "outputs/quickstart").to_dict()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolgen_hf.hub.compare import Diff, diff
    from toolgen_hf.hub.fetch import Version, pull, versions
    from toolgen_hf.hub.release import Pushed, push

__all__ = ["Diff", "Pushed", "Version", "diff", "pull", "push", "versions"]

_HOMES = {  # none is called as what it holds, or the module would take its place
    "compare": ("Diff", "diff"),
    "fetch": ("Version", "pull", "versions"),
    "release": ("Pushed", "push"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
