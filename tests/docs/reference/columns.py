"""Files and their columns, from the schemas."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from datasets import Features, List, Value

from tests.docs.reference.markdown import table
from toolgen_hf import schemas
from toolgen_hf.builders.columns import ALIASES
from toolgen_hf.data import export
from toolgen_hf.data.tables import OPTIONAL
from toolgen_hf.stages import STAGES

CONFIGS = {
    "raw": schemas.RAW,
    "stage1": schemas.STAGE1,
    "stage2": schemas.SCORED,
    "sft": schemas.SFT,
    "tool_calling": schemas.TOOL_CALLING,
    "preference": schemas.PREFERENCE,
    "rejected": schemas.REJECTED,
    "responses-NAME": schemas.EXECUTED,
}
STAGE_FILES = {
    "ANSWERED": "`toolgen-hf answer` writes it, `tool-api` reads it",
    "CALLED": "`toolgen-hf tool-api` writes it, `stage1` reads it",
    "RESPONSES": "`toolgen-hf gold` and `respond` write it, `execute` reads it",
    "EXECUTED": "`toolgen-hf execute` writes it, `score` reads a folder of them",
}
ATTEMPTS = "every try of a teacher: `result` is what its call gave, `reason` why it was not accepted"


def configs() -> str:
    """One table for each config of a produced directory."""
    parts = []
    for name, features in CONFIGS.items():
        wide = schemas.marked(features) if name in schemas.MARKED else features
        rows = [[f"`{c}`", spell(wide[c]), schemas.COLUMNS[name][c]] for c in wide]
        parts.append(f"### {name}\n\n{_sentence(schemas.CONFIGS[name])}\n\n{_table(rows)}")
    rows = [[f"`{c}`", "string", meaning] for c, meaning in schemas.MIXED.items()]
    return "\n\n".join([*parts, f"### In a mix\n\nEvery config also has:\n\n{_table(rows)}"])


def stage_files() -> str:
    """One table for each file between two commands, and what each stage gives."""
    parts = []
    for name, what in STAGE_FILES.items():
        features: Features = getattr(schemas, name)
        asks = name in ("ANSWERED", "CALLED")
        told = schemas.COLUMNS["raw" if asks else "responses-NAME"] | {"fewshot_overlap": schemas._MARK}
        if asks:
            told |= _comments("ANSWERED") | _comments("CALLED") | {"attempts": ATTEMPTS}
        rows = [[f"`{c}`", spell(features[c]), told[c]] for c in features]
        parts.append(f"### {name.lower()}\n\n{_sentence(what)}\n\n{_table(rows)}")
    optional = ", ".join(f"`{name}`" for name in OPTIONAL)
    versions = table(
        ["stage", "version", "does"], [[n, str(s.version), does] for n, (s, does) in STAGES.items()]
    )
    return "\n\n".join([*parts, f"May be absent from a file, and is null then: {optional}.", versions])


def exports() -> str:
    """The published layout."""
    found = re.search(r"\n\n((?:    .*\n)+)", export.__doc__ or "")
    assert found
    layout = inspect.cleandoc(found[1])
    rows = [
        [f"`data/{stage}`", ", ".join(f"`{c}`" for c in columns)]
        for stage, columns in export.PUBLISHED.items()
    ]
    return f"```text\n{layout}\n```\n\n{table(['its main file', 'columns'], rows)}"


def names() -> str:
    """What the published files call a column of ours."""
    return table(
        ["column", "also read as"], [[f"`{ours}`", f"`{theirs}`"] for ours, theirs in ALIASES.items()]
    )


def spell(feature: Any) -> str:
    """A feature as `datasets` names it: ``list of string``."""
    if isinstance(feature, Value):
        return str(feature.dtype)
    if isinstance(feature, List):
        return f"list of {spell(feature.feature)}"
    if isinstance(feature, dict):
        return "{" + ", ".join(f"{name}: {spell(one)}" for name, one in feature.items()) + "}"
    return type(feature).__name__.lower()


def _comments(name: str) -> dict[str, str]:
    """What stands beside the columns of a schema in its source."""
    source = inspect.getsource(schemas)
    nodes = [
        n for n in ast.parse(source).body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name
    ]
    lines = source.splitlines()[nodes[0].lineno - 1 : nodes[0].end_lineno]
    found = (re.match(r'\s+"(\w+)": .*?,?\s+# (.*)', line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _table(rows: list[list[str]]) -> str:
    assert all(meaning for *_, meaning in rows), rows
    return table(["column", "type", "holds"], rows)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
