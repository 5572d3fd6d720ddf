"""What the published names stand for: datasets, files of examples, files of responses."""

from __future__ import annotations

import logging
from pathlib import Path

from toolgen_hf.builders.columns import nearest, pick, text
from toolgen_hf.builders.rows import read_rows
from toolgen_hf.errors import ConfigError
from toolgen_hf.tasks import TASKS
from toolgen_hf.tasks.prompts import Example, PromptSet

OTHERS = {"t-rex": "LAMA", "webq": "QA", "naturalq": "QA", "triviaqa": "QA", "mlqa": "MLQA"}
"""The published datasets of tasks that are not here."""
OURS = ("GSM8K", "SVAMP", "ASDiv")
"""The published ones of math problems."""

logger = logging.getLogger(__name__)


def task_of(dataset: str) -> str:
    """The task of a dataset. Anyone's own is one of math problems.

    Raises:
        ConfigError: it is a published one of another task.
    """
    if other := OTHERS.get(dataset.lower()):
        raise ConfigError(
            f"{dataset!r} is of the task {other!r}, which is not here yet; known: {', '.join(TASKS)}"
        )
    if dataset.lower() not in map(str.lower, OURS):
        known = (*OURS, *OTHERS)
        logger.warning(
            "--dataset_name %r is none of %s: taken as one of math problems%s",
            dataset,
            ", ".join(known),
            nearest(dataset, known),
        )
    return "math"


def source_name(output: Path) -> str:
    """The source that a file is called after: ``GSM8K_davinci_response.json -> "davinci"``."""
    return output.stem.removesuffix("_response").rpartition("_")[2] or output.stem


def examples(path: Path, task: str) -> PromptSet:
    """A few-shot prompt from a file of the published form: ``{"instruction", "input", "output"}`` a line.

    Args:
        path: the file, or a folder with ``math.json``.

    Raises:
        ConfigError: there is no such file.
        DataError: it is malformed, or holds no example.
    """
    file = path / f"{task.lower()}.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(
            f"no examples at {str(file)!r}; without --example_file, the published ones are shown"
        )
    rows = list(read_rows(file))
    if not rows:
        raise ConfigError(f"{str(file)!r} holds no example")
    where, first = rows[0]
    shown = tuple(Example(text(row, "input", at), text(row, "output", at)) for at, row in rows)
    return PromptSet(str(pick(first, "instruction", where)), shown)
