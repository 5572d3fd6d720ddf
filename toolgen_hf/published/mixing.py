"""The mix of several files of one stage: ``stage1/GSM8K/GSM8K.json`` and others to ``stage1/mix/mix.json``.

A row stays as it is in its file. A question that stands already is rejected; what is drawn of each file is the
library's own mix (stages/mix.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolgen_hf.builders.inputs import from_files
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.errors import ConfigError
from toolgen_hf.generators.config import unique
from toolgen_hf.published.command import checked
from toolgen_hf.published.files import Outcome, Rows, finish, read, rows_of
from toolgen_hf.stages.draw import MixConfig, Take
from toolgen_hf.stages.mix import MixPart, mix
from toolgen_hf.tasks import get_task
from toolgen_hf.workspace import Workspace


def mix_files(
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
    if takes and len(takes) != len(sources):
        raise ConfigError(f"{len(takes)} weights or counts for {len(sources)} files: give one for each")
    found = {name: _part(path) for name, path in zip(_names(sources), sources, strict=True)}
    parts = {
        name: MixPart({stage: rows.table}, name, get_task(task).name)
        for name, (stage, rows, _) in found.items()
    }
    config = checked(
        MixConfig,
        parts={name: checked(Take, **take) for name, take in zip(found, takes, strict=False)},
        order=order,
        seed=seed,
    )
    mixed = mix(parts, workspace, config)
    as_given = {
        (name, row["id"]): own
        for name, (_, rows, given) in found.items()
        for row, own in zip(rows_of(rows.table), given, strict=True)
    }
    stage = next(iter(found.values()))[0]
    made = [as_given[row["dataset"], row["id"]] for row in rows_of(mixed.configs[stage])]
    rejected = list(rows_of(mixed.configs["rejected"]))
    return finish(sum(len(rows) for _, rows, _ in found.values()), {output: made}, rejected, output)


def _part(path: Path) -> tuple[str, Rows, list[Row]]:
    """Which stage a file is of, its rows, and the same as they came, without the ids that are made for them."""
    ((file,),) = from_files(path, "train").values()
    given = [row for _, row in read_rows(file)]
    stage = "stage2" if given and "query" in given[0] else "stage1"
    return stage, read(path, stage), given


def _names(sources: Sequence[Path]) -> list[str]:
    """What each file's questions are called: as the file; the second of that name gets a number."""
    return unique([path.stem for path in sources])
