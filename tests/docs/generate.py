"""The parts of the pages that the code itself says: recipe keys, columns, commands, errors.

    python -m tests.docs.generate        writes them anew

They stand on a page between ``<!-- generated: recipe -->`` and ``<!-- end -->``; what is around them, by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.docs.pages import ROOT
from tests.docs.reference import columns, commands, errors, recipe

PARTS: dict[str, Callable[[], str]] = {
    "recipe": recipe.recipe_keys,
    "generators": recipe.generator_keys,
    "mix": recipe.mix_keys,
    "configs": columns.configs,
    "stage files": columns.stage_files,
    "exports": columns.exports,
    "names": columns.names,
    "commands": commands.commands,
    "errors": errors.tree,
    "exit codes": errors.exit_codes,
    "tool errors": errors.tool_errors,
}

_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(text: str) -> str:
    """A page with its generated parts as the code has them now."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", text)


def generated() -> dict[Path, str]:
    """The pages with generated parts, as they should be."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
    return {path: renewed(text) for path, text in texts.items() if _PART.search(text)}


if __name__ == "__main__":
    for path, text in generated().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
