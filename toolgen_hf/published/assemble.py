"""The published steps that make training sets out of files.

merge          GSM8K_right.json, stage1's GSM8K_wrong.json -> {"instruction", "input", "output", "id", "answer"}
gold_response  stage1's GSM8K.json     -> {"id", "instruction", "input", "output", "answer", "pred"}
score          GSM8K_*_response.json   -> {"query", "responses", "origin", "scores", "answer"}
mix            several files of one stage -> one file of that stage
finetune_lora  stage1's GSM8K.json     -> an adapter
release        data/stage1/GSM8K/GSM8K.json, data/stage2/GSM8K/*_response.json -> a produced directory
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolgen_hf import schemas
from toolgen_hf._utils import check_apart, words
from toolgen_hf.builders.inputs import from_files, listing, names
from toolgen_hf.builders.layout import RESPONSE, name_and_split
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.data.export import PUBLISHED, stem
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.finetune import FinetuneConfig, finetune
from toolgen_hf.flow import Result, run
from toolgen_hf.flow.mix_files import beside, by_split, mix_files, read_parts
from toolgen_hf.models.config import unique
from toolgen_hf.models.file import Given, match, rejected, unanswered
from toolgen_hf.published.command import checked
from toolgen_hf.published.files import (
    WRITERS,
    Outcome,
    as_split,
    check_output,
    extras,
    finish,
    read,
    rows_in,
    rows_of,
    splits_of,
)
from toolgen_hf.recipe import Recipe
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.answer import unusable_answer
from toolgen_hf.stages.draw import MixConfig
from toolgen_hf.stages.execute import Asked, execute, execute_texts
from toolgen_hf.stages.score import Strategy, gather
from toolgen_hf.stages.score import score as score_stage
from toolgen_hf.stages.stage1 import gold, stage1
from toolgen_hf.stages.tool_api import COPIED
from toolgen_hf.tasks import Equipped, TaskLike, get_task
from toolgen_hf.tasks.base import Task

_UNVERIFIED = "the output does not give the answer"
_TWICE = "another row has this id"
_ENDING = f"{RESPONSE}.json"
_ORDER = ("gold", "chatgpt", "davinci", "vicuna", "alpaca")
"""The published sources come first, in this order; others follow by name."""

logger = logging.getLogger(__name__)


def merge(right: Path, wrong: Path, output: Path, workspace: Workspace, task: TaskLike = "math") -> Outcome:
    """Put right responses and tool calls together as stage 1, right ones first.

    Every call is run, and the answer of every response is read; each must be an accepted one. As in the published
    code, which graded such files, the last number of a response counts as its answer. A row has the three published
    fields first, then ``id``, ``answer`` and its other fields.

    Raises:
        DataError: an input is malformed.
    """
    check_output(output, right, wrong)
    grader = get_task(task)
    parts = {
        "response": read(right, "right", ids_are_unique=False, may_be_empty=True),
        "tool_call": read(wrong, "stage1_wrong", ids_are_unique=False, may_be_empty=True),
    }
    if not any(parts.values()):
        raise DataError(
            f"{str(right)!r} and {str(wrong)!r} hold no row; "
            f"{WRITERS['right']} and {WRITERS['stage1_wrong']} write them"
        )
    taken: dict[str, Row] = {}
    more: dict[str, Row] = {}
    dropped: list[Row] = []
    for column, rows in parts.items():
        asked = [Asked(row[column], row["question"]) for row in rows.rows]
        ran_texts = execute_texts(asked, task, workspace)
        for row, extra, ran in zip(rows.rows, extras(rows), ran_texts, strict=True):
            call = ran.verified(row["question"], row["answer"], grader) if column == "tool_call" else None
            is_right = call is not None or (
                column == "response" and grader.is_correct(ran.prediction, row["answer"])
            )
            reason = _unverified(is_right, row["answer"], grader)
            if column == "tool_call" and not ran.uses_tool and reason in (None, _UNVERIFIED):
                reason = f"the tool is no call of {grader.tool.name!r}"
            if call is None and column == "tool_call" and ran.right(row["answer"], grader):
                reason = COPIED
            reason = _TWICE if row["id"] in taken else reason
            if reason is not None:
                dropped.append(rejected(row["id"], "merge", reason, row))
                continue
            whole = {**dict.fromkeys(schemas.CALLED), **row, "attempts": []}
            called = {"tool_call": ran.taught(call, grader)} if call else {}  # without a text around it
            taken[row["id"]] = {**whole, **called, "correct": column == "response"}
            more[row["id"]] = extra
    cloned = stage1(as_split(list(taken.values()), schemas.CALLED), workspace, grader.name)
    first = ("instruction", "input", "output", "id", "answer")
    made = [{name: row[name] for name in first} | more[row["id"]] for row in rows_of(cloned)]
    return finish(sum(map(len, parts.values())), {output: made}, dropped, output)


def gold_response(
    source: Path, output: Path, workspace: Workspace, raw: Path | None = None, task: TaskLike = "math"
) -> Outcome:
    """Turn stage 1's outputs into the responses of the source ``gold``.

    Args:
        raw: the questions; they give id and answer to rows that have only the three published fields.

    Raises:
        DataError: an input is malformed, or a row has no answer and there is no ``raw``.
    """
    check_output(output, source, *([raw] if raw is not None else []))
    rows = read(source, "stage1", ids_are_unique=False)
    named = list(rows.rows)
    if raw is not None:
        questions = {words(row["question"]): row for row in read(raw, "raw").rows}
        for row in named:
            found = questions.get(words(row["input"]), {})
            row |= {"id": found.get("id", ""), "answer": found.get("answer")}
    elif without := [str(row["input"])[:60] for row in named if row["answer"] is None]:
        raise DataError(
            f"{str(source)!r}: the row about {without[0]!r} has no answer; give the questions with --raw"
        )
    grader = get_task(task)
    cloned = as_split([row for row in named if row["id"]], schemas.STAGE1)
    ran = rows_of(execute(gold(cloned, workspace), workspace, task, "execute gold"))
    made: dict[str, Row] = {}
    dropped: list[Row] = []
    for row, extra in zip(named, extras(rows), strict=True):
        done = next(ran) if row["id"] else {}
        reason = "the question is not among the raw ones"
        if done:
            reason = _unverified(done["correct"], done["answer"], grader) or (
                _TWICE if row["id"] in made else ""
            )
        if reason:
            dropped.append(rejected(row["id"] or row["input"], "gold", reason, row))
        else:
            fields = {name: row[name] for name in ("id", "instruction", "input", "output", "answer")}
            made[row["id"]] = {**fields, "pred": done["prediction"], **extra}
    return finish(len(rows), {output: list(made.values())}, dropped, output)


def _unverified(is_right: bool, accepted: Sequence[str], task: Task) -> str | None:
    """Why an output cannot be used; None if it can.

    Args:
        is_right: the output gives one of the ``accepted`` answers.
    """
    return unusable_answer(accepted, task) or (None if is_right else _UNVERIFIED)


def score(
    folder: Path,
    target: Path,
    workspace: Workspace,
    task: TaskLike = "math",
    strategy: Strategy = "distance",
    sources: Sequence[str] = (),
) -> list[Outcome]:
    """Score every set of responses in a folder: the train split's, and those of other splits if there are any.

    Only questions with a response of every source are scored, since trainers need rows of one length. Missing and
    second responses, and those without a question, are counted and kept in ``GSM8K_rejected.json``.

    Args:
        target: a file, or a folder in which the file is called after the dataset.
        sources: the sources to score besides gold; default all that have a file.

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
        ConfigError: one of the ``wanted`` sources has no file.
        DataError: there are no gold responses.
    """
    if folder.is_file():
        raise DataError(f"{str(folder)!r} is a file: give the folder that it is in, with the gold responses")
    there = {path.name.removesuffix(_ENDING): path for path in listing(folder) if path.name.endswith(_ENDING)}
    found: dict[str, dict[str, Path]] = {
        full.removesuffix("_gold"): {} for full in there if full.endswith("_gold")
    }
    if not found:
        raise DataError(
            f"{str(folder)!r} holds no NAME_gold{_ENDING}, which gold_response.py writes; it holds {names(folder)}"
        )
    for full, path in there.items():
        datasets = [name for name in found if full.startswith(f"{name}_")]
        if datasets:
            longest = max(datasets, key=len)  # GSM8K_test before GSM8K
            found[longest][full.removeprefix(f"{longest}_")] = path
        else:
            missing = path.with_name(f"{full.rpartition('_')[0]}_gold{_ENDING}").name
            logger.warning(
                "%s is left out: there is no %s beside it (%s)", path.name, missing, WRITERS["responses"]
            )
    for name, files in found.items():
        if absent := [source for source in wanted if source not in files]:
            raise ConfigError(
                f"no file {name}_{absent[0]}{_ENDING} in {str(folder)!r}; there are {list(files)}"
            )
        rank = {source: at for at, source in enumerate(wanted or _ORDER)}
        chosen = sorted(files, key=lambda source: (source != "gold", rank.get(source, len(rank)), source))
        found[name] = {s: files[s] for s in chosen if not wanted or s in (*wanted, "gold")}
    return found


def _score_one(
    files: Mapping[str, Path], target: Path, workspace: Workspace, task: TaskLike, strategy: Strategy
) -> Outcome:
    check_output(target, *files.values())
    grader = get_task(task)
    rows = read(files["gold"], "responses", ids_are_unique=False, source="gold")
    right: dict[str, Row] = {}
    dropped: list[Row] = []
    for row in rows_of(execute(splits_of(rows), workspace, task, "execute gold")):
        reason = _unverified(row["correct"], row["answer"], grader) or (
            _TWICE if row["id"] in right else None
        )
        if reason is None:
            right[row["id"]] = row
        else:
            dropped.append(rejected(row["id"], "score", f"gold: {reason}", row))
    questions = {key: row["question"] for key, row in right.items()}
    sources: list[Given] = []
    for source, path in files.items():
        if source != "gold":
            unknown = "no gold response to this question"
            given = match(rows_in(path, "sources"), questions.items(), source, unknown)
            dropped += [
                unanswered(source, key, question)
                for key, question in questions.items()
                if key not in given.responses
            ]
            dropped += given.rejected
            sources.append(given)
    whole = [key for key in right if all(key in given.responses for given in sources)]
    responses = {"gold": {key: right[key]["response"] for key in whole}}
    responses |= {given.source: given.responses for given in sources}
    ends = {given.source: given.ends for given in sources}
    executed = {}
    for source, texts in responses.items():
        asked = [
            {
                **{name: right[key][name] for name in ("id", "question", "answer")},
                "source": source,
                "response": texts[key],
                "finish_reason": ends.get(source, {}).get(key),
            }
            for key in whole
        ]
        executed[source] = execute(as_split(asked, schemas.RESPONSES), workspace, task, f"execute {source}")
    scored = score_stage(gather(executed, grader), workspace, grader, strategy)
    made = [{name: row[name] for name in PUBLISHED["stage2"]} for row in rows_of(scored)]
    notes = [note for given in sources if (note := given.empty())]
    return finish(len(rows), {target: made}, dropped, target, notes)


def mix(
    sources: Sequence[Path],
    output: Path,
    takes: Sequence[Mapping[str, Any]],
    workspace: Workspace,
    order: str = "interleave",
    seed: int = 0,
    task: str = "math",
) -> Outcome:
    """Mix files of stage 1, or files of stage 2, each split by itself; a row stays as it is in its file.

    A file's split is the end of its name: ``GSM8K_test.json`` goes to ``mix_test.json``. No question of a test file
    enters another split, even if the test file is not given but lies beside a train file that is.

    Args:
        output: the file of the split that its name says; those of other splits are beside it.
        takes: the ``weight`` or ``count`` of each file; an empty list takes every row.

    Raises:
        ConfigError: the number of takes differs from that of the files, a take makes no sense, or no file is of the
            output's split.
        DataError: a file is malformed, or one is of stage 1 and another of stage 2.
    """
    if takes and len(takes) != len(sources):
        raise ConfigError(f"{len(takes)} weights or counts for {len(sources)} files: give one for each")
    parts = dict(zip(unique([path.stem for path in sources]), sources, strict=True))
    unmixed = beside(parts)
    outputs = _mix_outputs(output, sources)
    for path in outputs.values():
        check_output(path, *sources, *unmixed.values())
    asked = dict(zip(parts, takes, strict=False))
    config = checked(MixConfig, parts=asked, order=order, seed=seed)
    found = read_parts(parts)
    mixed = mix_files(found, workspace, config, task, unmixed)
    given = {
        (name, key): row
        for name, part in found.items()
        for table in part.tables.values()
        for key, row in zip(table.rows["id"], table.given, strict=True)
    }
    (stage,) = (name for name in mixed.configs if name != "rejected")
    drawn = {path: list(mixed.configs[stage][split]) for split, path in outputs.items()}
    made = {path: [given[row["dataset"], row["id"]] for row in rows] for path, rows in drawn.items()}
    dropped = [row for row in rows_of(mixed.configs["rejected"]) if row["dataset"] in parts]
    notes = [f"the questions of {path}, which is not mixed, were kept out" for path in unmixed.values()]
    for name, take in asked.items():
        count = sum(row["dataset"] == name for rows in drawn.values() for row in rows)
        if isinstance(take.get("count"), int) and count < take["count"]:
            notes.append(f"{name}: {count} of {take['count']}")
    if (left := len(given) - sum(map(len, made.values())) - len(dropped)) > 0:
        notes.append(f"{left} not drawn")
    return finish(len(given), made, dropped, output, notes)


def _mix_outputs(output: Path, sources: Sequence[Path]) -> dict[str, Path]:
    """The output of each split.

    Raises:
        ConfigError: the output has the name of a split, and no file is of that split.
    """
    name, own = name_and_split(output)
    paths = {
        split: output if split == own else output.with_stem(stem(name, split) if name else split)
        for split in by_split(sources)
    }
    if own not in paths:
        what = ", ".join(map(repr, map(str, sources)))
        raise ConfigError(
            f"the output {str(output)!r} has the name of the {own} split, and by its name no input is of it: {what}; "
            f"give the output {str(next(iter(paths.values())))!r}"
        )
    return paths


def release(
    data: Path,
    dataset: str,
    output: Path,
    workspace: Workspace,
    task: TaskLike = "math",
    strategy: Strategy = "distance",
) -> Result:
    """Build a produced directory (Parquet, card, manifest) from one dataset's files, without asking a model.

    It runs a recipe that starts from the folder's stage 1 and takes its responses from the folder's files.

    Raises:
        ConfigError: the output holds files of others.
        DataError: there is no stage 1 or no source, or a file is malformed.
    """
    sources: dict[str, list[str]] = {}
    for files in response_files(data / "stage2" / dataset).values():
        for source, path in files.items():
            if source != "gold":
                sources.setdefault(source, []).append(str(path))
    if not sources:
        raise DataError(f"{str(data / 'stage2' / dataset)!r} holds no responses of a source besides gold")
    equipped = Equipped.of(task)
    recipe = Recipe.parse(
        {
            "name": dataset,
            "task": equipped.task,
            "tools": equipped.tools,
            "reader": equipped.reader,
            "dataset": {"source": f"{data}#stage1", "name": dataset},
            "sources": {
                source: {"generator": {"kind": "file", "path": paths}} for source, paths in sources.items()
            },
            "score": {"strategy": strategy},
        },
        f"{str(data)!r} with its sources",
    )
    return run(recipe, output, workspace)


def finetune_lora(
    source: Path,
    output: Path,
    settings: Mapping[str, Any],
    epochs: int | None = None,
    progress: bool = True,
) -> Path:
    """Train an adapter for a few steps on a merged file; returns the checkpoint to use.

    Args:
        settings: of `FinetuneConfig`.
        epochs: how often each row is seen, where ``settings`` has no ``max_steps``.
        progress: show the progress bar.

    Raises:
        ConfigError: a setting, the model or the output cannot be used.
        DataError: the input is malformed, or has no row.
        GenerationError: the training failed.
    """
    check_apart({"--data_path": source}, {"--output_dir": output})
    ((path,),) = from_files(source, "train").values()
    rows = [{"id": where, **row} for where, row in read_rows(path)]
    if epochs is not None and "max_steps" not in settings:
        rows_a_step = settings.get("batch_size", FinetuneConfig.model_fields["batch_size"].default)
        settings = {**settings, "max_steps": max(1, epochs * math.ceil(len(rows) / rows_a_step))}
    return finetune(rows, checked(FinetuneConfig, **settings), output, output.name, progress).adapter
