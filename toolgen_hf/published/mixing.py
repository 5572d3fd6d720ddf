"""The mix of several files of one stage: ``stage1/GSM8K/GSM8K.json`` and others to ``stage1/mix/mix.json``.

What is drawn, and what is rejected, says `toolgen_hf.flow.mix_files`; here a row stays as it is in its file.
A file is of the split that its name ends with, and so is what comes of it: with ``GSM8K_test.json``, ``mix_test.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolgen_hf.builders.columns import as_text
from toolgen_hf.builders.inputs import from_files
from toolgen_hf.builders.layout import name_and_split
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.data.export import stem
from toolgen_hf.data.published import Outcome, check_output, finish, rows_of
from toolgen_hf.errors import ConfigError
from toolgen_hf.flow.mix_files import beside, by_split, mix_files
from toolgen_hf.models.config import unique
from toolgen_hf.published.command import checked
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.draw import MixConfig


def mix(
    sources: Sequence[Path],
    output: Path,
    takes: Sequence[Mapping[str, Any]],
    workspace: Workspace,
    order: str = "interleave",
    seed: int = 0,
    task: str = "math",
) -> Outcome:
    """Mix files of stage 1, or files of stage 2, each split by itself.

    No question of a test file is in another split. That holds for test files too that are not given but lie beside a
    train file that is.

    Args:
        output: of the split that its name says; the other splits' files are beside it.
        takes: for each file its ``weight`` or ``count``; none at all takes every row.

    Raises:
        ConfigError: there are not as many takes as files, one of them cannot be, or no file is of the output's split.
        DataError: a file is malformed, or one is of stage 1 and another of stage 2.
    """
    if takes and len(takes) != len(sources):
        raise ConfigError(f"{len(takes)} weights or counts for {len(sources)} files: give one for each")
    parts = dict(zip(unique([path.stem for path in sources]), sources, strict=True))
    held = beside(parts)
    outputs = _outputs(output, sources)
    for path in outputs.values():
        check_output(path, *sources, *held.values())
    given = {(name, key): row for name, path in parts.items() for key, row in _given(name, path)}
    config = checked(MixConfig, parts=dict(zip(parts, takes, strict=False)), order=order, seed=seed)
    mixed = mix_files(parts, workspace, config, task, held)
    (stage,) = (name for name in mixed.configs if name != "rejected")
    made = {
        path: [given[row["dataset"], row["id"]] for row in mixed.configs[stage][split]]
        for split, path in outputs.items()
    }
    rejected = [row for row in rows_of(mixed.configs["rejected"]) if row["dataset"] in parts]
    notes = [f"the questions of {path}, which is not mixed, were kept out" for path in held.values()]
    notes += _short(
        parts, takes, [row["dataset"] for split in outputs for row in mixed.configs[stage][split]]
    )
    if (left := len(given) - sum(map(len, made.values())) - len(rejected)) > 0:
        notes.append(f"{left} not drawn")
    return finish(len(given), made, rejected, output, notes)


def _short(parts: Iterable[str], takes: Sequence[Mapping[str, Any]], drawn: Sequence[str]) -> list[str]:
    """The files of which there are fewer rows than were asked for."""
    return [
        f"{name}: {drawn.count(name)} of {take['count']}"
        for name, take in zip(parts, takes, strict=False)
        if isinstance(take.get("count"), int) and drawn.count(name) < take["count"]
    ]


def _outputs(output: Path, sources: Sequence[Path]) -> dict[str, Path]:
    """Where each split goes.

    Raises:
        ConfigError: the output has the name of a split of which there is no file.
    """
    splits = list(by_split(sources))
    name, own = name_and_split(output)
    paths = {
        split: output if split == own else output.with_stem(stem(name, split) if name else split)
        for split in splits
    }
    if own not in paths:
        what = ", ".join(map(repr, map(str, sources)))
        raise ConfigError(
            f"the output {str(output)!r} has the name of the {own} split, and by its name no input is of it: {what}; "
            f"give the output {str(paths[splits[0]])!r}"
        )
    return paths


def _given(name: str, path: Path) -> list[tuple[str, Row]]:
    """A file's rows as they came, by the ids that the mix knows them by."""
    (files,) = from_files(path, "train").values()
    ((split, (file,)),) = by_split(files).items()
    return [
        (f"{name}-{split}-{n}" if row.get("id") is None else as_text(row["id"], "id", where), row)
        for n, (where, row) in enumerate(read_rows(file))
    ]
