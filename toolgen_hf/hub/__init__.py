"""Produced directories as versions of a dataset repository on the Hub: push, list, pull and compare them.

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

_MODULES = {"Diff": "compare", "diff": "compare", "Pushed": "release", "push": "release"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'fetch')}"), name)
