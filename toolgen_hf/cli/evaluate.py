"""``evaluate``: the accuracy of each source, and how well it decides when to call the tool."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolgen_hf.cli.options import Commands, add_command, add_workspace, open_workspace

if TYPE_CHECKING:
    from rich.table import Table

    from toolgen_hf.metrics import Board


_LEGEND = (
    "In brackets: 95% confidence. runs: calls that run. need met: the tool is called exactly where the question "
    "needs it. For comparison: the score of a model that always calls, and of one that always does what most "
    "questions need."
)


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = add_command(
        commands,
        "evaluate",
        evaluate,
        "accuracy and tool use of every source, or of any predictions",
        "evaluate outputs/quickstart",
        "evaluate outputs/quickstart --split test --json",
        "evaluate predictions.jsonl --references outputs/quickstart",
        description="Accuracy, tool use rate, execution success and agreement on which questions need the tool, "
        "by source and split. Every tool call is run.",
    )
    parser.add_argument(
        "target",
        type=Path,
        help="a produced directory, or responses (.json, .jsonl, .csv, .parquet, or a folder of these): "
        "rows with id, response and, without --references, answer; optional: source, needs_tool, finish_reason. "
        "Calls as calculator(3*6) or as a model's own form; also a column tool_calls or messages",
    )
    parser.add_argument(
        "--references",
        type=Path,
        help="where the accepted answers are, by id: a produced directory, or a file with id and answer",
    )
    parser.add_argument("--source", help="only this source")
    parser.add_argument("--split", help="only this split")
    parser.add_argument(
        "--task",
        help="a name or FILE.py:NAME: how answers are graded (default: the directory's own task, in a mix each row's; "
        "else math)",
    )
    parser.add_argument(
        "--recipe",
        help="whose task grades, whose tools answer calls and whose reader reads results; a task with such tools needs "
        "it, and asks them only what is not in the store",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as one line of JSON")
    add_workspace(parser)


def evaluate(arguments: argparse.Namespace) -> None:
    from toolgen_hf.metrics import evaluate_target
    from toolgen_hf.recipe import Recipe

    task = Recipe.load(arguments.recipe).equipped if arguments.recipe else arguments.task
    if arguments.recipe and arguments.task:
        task = replace(task, task=arguments.task)
    with open_workspace(arguments) as workspace:
        board = evaluate_target(
            arguments.target, arguments.references, arguments.source, arguments.split, task, workspace
        )
    if arguments.json:
        print(json.dumps(board.to_dict(), ensure_ascii=False))
    else:
        _print_board(board)


def _print_board(board: Board) -> None:
    """Print a table for all splits, one for each split and each dataset of a mix, and what they leave out."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    splits, datasets = (
        list(dict.fromkeys(name for source in board.sources.values() for name in source[kind]))
        for kind in ("splits", "datasets")
    )
    if len(splits) != 1:
        together = {name: source["overall"] for name, source in board.sources.items()}
        console.print("", _table(" + ".join(splits) or "All responses", together))
    for kind, names in (("splits", splits), ("datasets", datasets if len(datasets) > 1 else [])):
        for name in names:
            part = {n: source[kind][name] for n, source in board.sources.items() if name in source[kind]}
            console.print("", _table(name, part))
    console.print()
    console.print(Text(_LEGEND, style="dim"))
    for remark in _remarks(board):
        console.print(Text(remark, style="yellow"))


def _table(title: str, figures: dict[str, dict[str, Any]]) -> Table:
    from rich.text import Text

    from toolgen_hf.report.screen import plain_table

    table = plain_table(Text(title), ["source"], ["rows", "accuracy", "", "with tool", "runs", "need met"])
    for column in table.columns[1:]:
        column.no_wrap = True
    for source, found in figures.items():
        interval = found["confidence_95"]["accuracy"]
        rates = (found[name] for name in ("tool_use_rate", "execution_success", "tool_need_agreement"))
        table.add_row(
            Text(source),
            str(found["responses"]),
            _percent(found["accuracy"]),
            f"({100 * interval[0]:.1f}–{100 * interval[1]:.1f})" if interval else "",
            *map(_percent, rates),
        )
    if baseline := _baseline(figures):
        table.caption, table.caption_justify = Text(baseline), "left"
    return table


def _baseline(figures: dict[str, dict[str, Any]]) -> str:
    """What "need met" is without looking at the question; empty where no need is known."""
    lines = []
    for name, what in (("always", "always calling"), ("majority", "doing what most questions need")):
        shares = sorted({v for f in figures.values() if (v := f["tool_need_baseline"][name]) is not None})
        if shares:
            lines.append(f"{what} {' to '.join(map(_percent, dict.fromkeys((shares[0], shares[-1]))))}")
    return f"need met by {', '.join(lines)}" if lines else ""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _remarks(board: Board) -> list[str]:
    """What the figures leave out or cannot know, once for all sources with the same remark."""
    remarks: dict[str, list[str]] = {}
    left_out = (
        (board.unknown, "responses have no accepted answer and are in no figure, the first to"),
        (board.missing, "questions have no response and are in no figure, the first being"),
    )
    for counted, what in left_out:
        for name, left in counted.items():
            remarks.setdefault(f"{left['count']} {what} {left['first']!r}", []).append(name)
    for name, source in board.sources.items():
        found = source["overall"]
        if found["ungradable"]:
            what = f"{found['ungradable']} accepted answers cannot be read as answers of {board.task}: counted as wrong"
            remarks.setdefault(what, []).append(name)
        if found["need_known"] < found["responses"]:
            what = f"the need is known for {found['need_known']} of {found['responses']}: met is of those"
            remarks.setdefault(what, []).append(name)
    return [*(f"{', '.join(names)}: {what}" for what, names in remarks.items()), *board.notes]
