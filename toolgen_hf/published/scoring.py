"""Scores: a folder of responses, whoever wrote them, to stage 2.

    data/stage2/GSM8K/GSM8K_gold_response.json        {"id": ..., "input": ..., "output": ..., "answer": ...}
    data/stage2/GSM8K/GSM8K_davinci_response.json     {"id": ..., "input": ..., "response": ...}
    ->  data/stage2/GSM8K/GSM8K.json                  {"query", "responses", "origin", "scores", "answer"}

Only questions with a response of every source are scored, for the trainers want rows of one length. What is missing,
comes twice or belongs to no question is counted, and kept in ``GSM8K_rejected.json``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolgen_hf import schemas
from toolgen_hf.builders.inputs import listing, names
from toolgen_hf.builders.layout import RESPONSE
from toolgen_hf.builders.rows import Row
from toolgen_hf.data.export import PUBLISHED
from toolgen_hf.data.published import (
    WRITERS,
    Outcome,
    check_output,
    finish,
    placed_rows,
    read,
    rows_of,
    table,
)
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.models.given import Given, match, rejected
from toolgen_hf.published.assemble import TWICE, unverified
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.execute import execute
from toolgen_hf.stages.score import Strategy, gather
from toolgen_hf.stages.score import score as score_stage
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task

logger = logging.getLogger(__name__)

ENDING = f"{RESPONSE}.json"
ORDER = ("gold", "chatgpt", "davinci", "vicuna", "alpaca")
"""The published sources come first, in this order; others after them by name."""


def score(
    folder: Path,
    target: Path,
    workspace: Workspace,
    task: str = "math",
    strategy: Strategy = "distance",
    sources: Sequence[str] = (),
) -> list[Outcome]:
    """Score every set of responses in a folder: the train split's, and those of other splits if there are any.

    Args:
        target: a file, or a folder in which the file is called after the dataset.
        sources: which to score besides gold; default all that have a file.

    Raises:
        ConfigError: a source has no file, or several splits are to go into one file.
        DataError: there are no gold responses, or a file is malformed.
    """
    found = response_files(folder, sources)
    is_file = target.suffix in (".json", ".jsonl")
    if is_file and len(found) > 1:
        raise ConfigError(
            f"{str(target)!r} is one file, but {str(folder)!r} holds {', '.join(found)}: give a folder"
        )
    return [
        _score_one(files, target if is_file else target / f"{name}.json", workspace, task, strategy)
        for name, files in found.items()
    ]


def response_files(folder: Path, wanted: Sequence[str] = ()) -> dict[str, dict[str, Path]]:
    """The files of responses by dataset name and source: ``{"GSM8K": {"gold": ..., "davinci": ...}}``.

    Raises:
        ConfigError: one that is wanted has no file.
        DataError: there are no gold responses.
    """
    if folder.is_file():
        raise DataError(f"{str(folder)!r} is a file: give the folder that it is in, with the gold responses")
    there = {path.name.removesuffix(ENDING): path for path in listing(folder) if path.name.endswith(ENDING)}
    found: dict[str, dict[str, Path]] = {
        stem.removesuffix("_gold"): {} for stem in there if stem.endswith("_gold")
    }
    if not found:
        raise DataError(
            f"{str(folder)!r} holds no NAME_gold{ENDING}, which gold_response.py writes; it holds {names(folder)}"
        )
    for stem, path in there.items():
        for name in sorted(found, key=len, reverse=True):  # GSM8K_test before GSM8K
            if stem.startswith(f"{name}_"):
                found[name][stem.removeprefix(f"{name}_")] = path
                break
        else:
            gold = path.with_name(f"{stem.rpartition('_')[0]}_gold{ENDING}").name
            logger.warning(
                "%s is left out: there is no %s beside it (%s)", path.name, gold, WRITERS["responses"]
            )
    for name, files in found.items():
        if missing := [source for source in wanted if source not in files]:
            raise ConfigError(
                f"no file {name}_{missing[0]}{ENDING} in {str(folder)!r}; there are {list(files)}"
            )
        rank = {source: at for at, source in enumerate(wanted or ORDER)}
        chosen = sorted(files, key=lambda source: (source != "gold", rank.get(source, len(rank)), source))
        found[name] = {s: files[s] for s in chosen if not wanted or s in (*wanted, "gold")}
    return found


def _score_one(
    files: Mapping[str, Path], target: Path, workspace: Workspace, task: str, strategy: Strategy
) -> Outcome:
    check_output(target, *files.values())
    grader = get_task(task)
    gold, count, fallen = _gold(files["gold"], workspace, grader)
    questions = {key: row["question"] for key, row in gold.items()}
    sources: list[Given] = []
    notes: list[str] = []
    for source, path in files.items():
        if source != "gold":
            given = match(
                placed_rows(path, "sources"), questions, source, "no gold response to this question"
            )
            fallen += [*given.missing(questions), *given.rejected]
            sources.append(given)
            notes += [note] if (note := given.empty()) else []
    whole = [key for key in gold if all(key in given.responses for given in sources)]
    responses = {"gold": {key: gold[key]["response"] for key in whole}}
    responses |= {given.source: given.responses for given in sources}
    ends = {given.source: given.ends for given in sources}
    executed = {}
    for source, texts in responses.items():
        columns = {
            **{name: [gold[key][name] for key in whole] for name in ("id", "question", "answer")},
            "source": [source] * len(whole),
            "response": [texts[key] for key in whole],
            "finish_reason": [ends.get(source, {}).get(key) for key in whole],
        }
        executed[source] = execute(table(columns, schemas.RESPONSES), workspace, grader, f"execute {source}")
    scored = score_stage(gather(executed, grader), workspace, grader, strategy)
    rows = [{name: row[name] for name in PUBLISHED["stage2"]} for row in rows_of(scored)]
    return finish(count, {target: rows}, fallen, target, notes)


def _gold(path: Path, workspace: Workspace, task: Task) -> tuple[dict[str, Row], int, list[Row]]:
    """The gold responses by id, each with its question and the accepted answers; how many rows there are; the others.

    Raises:
        DataError: the file is malformed.
    """
    rows = read(path, "responses", ids_are_unique=False, source="gold")
    ran = execute(rows.table, workspace, task, "execute gold")
    gold: dict[str, Row] = {}
    fallen: list[Row] = []
    for row in rows_of(ran):
        reason = unverified(row["correct"], row["answer"], task) or (TWICE if row["id"] in gold else None)
        if reason is None:
            gold[row["id"]] = row
        else:
            fallen.append(rejected(row["id"], "score", f"gold: {reason}", row))
    return gold, len(rows), fallen
