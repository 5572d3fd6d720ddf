"""The mix of several files of one stage: ``stage1/GSM8K/GSM8K.json`` and others to ``stage1/mix/mix.json``.

What is drawn, and what is rejected, says the library's own mix (mix_files.py); here a row stays as it is in its file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolgen_hf.builders.columns import as_text
from toolgen_hf.builders.inputs import from_files
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.errors import ConfigError
from toolgen_hf.generators.config import unique
from toolgen_hf.mixing.files import mix_files
from toolgen_hf.published.command import checked
from toolgen_hf.published.files import Outcome, check_output, finish, rows_of
from toolgen_hf.stages.draw import MixConfig
from toolgen_hf.workspace import Workspace


def mix(
    sources: Sequence[Path],
    output: Path,
    takes: Sequence[Mapping[str, Any]],
    workspace: Workspace,
    order: str = "interleave",
    seed: int = 0,
    task: str = "math",
) -> Outcome:
    """Mix files of stage 1, or files of stage 2.

    Args:
        takes: for each file its ``weight`` or ``count``; none at all takes every row.

    Raises:
        ConfigError: there are not as many takes as files, or one of them cannot be.
        DataError: a file is malformed, or one is of stage 1 and another of stage 2.
    """
    check_output(output, *sources)
    if takes and len(takes) != len(sources):
        raise ConfigError(f"{len(takes)} weights or counts for {len(sources)} files: give one for each")
    parts = dict(zip(unique([path.stem for path in sources]), sources, strict=True))
    given = {(name, key): row for name, path in parts.items() for key, row in _given(name, path)}
    config = checked(MixConfig, parts=dict(zip(parts, takes, strict=False)), order=order, seed=seed)
    mixed = mix_files(parts, workspace, config, task)
    (stage,) = (name for name in mixed.configs if name != "rejected")
    made = [given[row["dataset"], row["id"]] for row in rows_of(mixed.configs[stage])]
    return finish(len(given), {output: made}, list(rows_of(mixed.configs["rejected"])), output)


def _given(name: str, path: Path) -> list[tuple[str, Row]]:
    """A file's rows as they came, by the ids that the mix knows them by."""
    ((split, (file,)),) = from_files(path, "train").items()
    return [
        (f"{name}-{split}-{n}" if row.get("id") is None else as_text(row["id"], "id", where), row)
        for n, (where, row) in enumerate(read_rows(file))
    ]
