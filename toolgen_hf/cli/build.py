"""``run``, ``show``, ``report``, ``stages``: build a result, and look at it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from toolgen_hf.cli.options import (
    Commands,
    add_command,
    add_common,
    add_spending,
    open_workspace,
    positive,
    show_plan,
)
from toolgen_hf.errors import DataError


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    _add_run(commands)
    _add_show(commands)
    _add_report(commands)
    add_command(
        commands, "stages", _list_stages, "list the stages, their versions and their columns", "stages"
    )


def run(arguments: argparse.Namespace) -> None:
    from toolgen_hf import flow
    from toolgen_hf.recipe import Recipe
    from toolgen_hf.report.screen import print_summary

    recipe = Recipe.load(arguments.recipe, [*arguments.set, *_runner(arguments)])
    with open_workspace(arguments) as workspace:
        if arguments.dry_run:
            show_plan(flow.plan(recipe, workspace), as_json=arguments.json)
            return
        result = flow.run(recipe, arguments.output, workspace)
    if arguments.json:
        print(
            json.dumps({**result.summary.to_dict(), "directory": str(result.directory)}, ensure_ascii=False)
        )
    else:
        print_summary(result.summary, result.directory)


def _runner(arguments: argparse.Namespace) -> list[str]:
    """The recipe's keys that ``--runner`` and ``--address`` set."""
    if arguments.runner == "map":
        return ["runner=null"]
    keys = ["runner.kind=ray"] if arguments.runner or arguments.address else []
    return [*keys, f"runner.address={arguments.address}"] if arguments.address else keys


def show(arguments: argparse.Namespace) -> None:
    from toolgen_hf.builders import Produced, load
    from toolgen_hf.builders.layout import locate
    from toolgen_hf.data.produced import load_summary
    from toolgen_hf.data.tables import show_row
    from toolgen_hf.report.screen import print_summary

    if arguments.config is None and arguments.id is None:
        print_summary(load_summary(arguments.directory), arguments.directory)
        return
    config = arguments.config or "stage2"
    locate(arguments.directory, config)  # raises an error that names the configs there are
    splits = load(Produced(config, data_dir=arguments.directory))
    rows = (row for split in splits.values() for row in split if arguments.id in (None, row["id"]))
    shown = [row for row, _ in zip(rows, range(arguments.rows), strict=False)]
    if arguments.id is not None and not shown:
        raise DataError(f"no row {arguments.id!r} in {config!r} of {str(arguments.directory)!r}")
    if not shown:
        print(f"{config!r} of {str(arguments.directory)!r} has no rows", file=sys.stderr)
    for row in shown:
        print(show_row(row))


def report(arguments: argparse.Namespace) -> None:
    from toolgen_hf.report.html import write_report

    print(write_report(arguments.directory, arguments.output, arguments.task))


def _list_stages(arguments: argparse.Namespace) -> None:
    from toolgen_hf.stages import STAGES

    for name, entry in STAGES.items():
        stage = entry.stage
        print(f"{name:<10} v{stage.version}  {entry.does}\n{'':<14} -> {', '.join(stage.features)}")


def _add_run(commands: Commands) -> None:
    parser = add_command(
        commands,
        "run",
        run,
        "build everything a recipe asks for",
        "run quickstart",
        "run my.yaml -o outputs/mine --json",
        "run my.yaml --dry-run",
        "run my.yaml --max-cost 2.50",
        "run my.yaml --runner ray --address auto --store postgresql://me@host/texts",
        description="Build everything a recipe asks for. Running it again goes on where it stopped.",
    )
    parser.add_argument("recipe", help="a YAML file, or the name of a recipe that ships")
    parser.add_argument(
        "-o", "--output", type=Path, help="where the result goes (default: the recipe's, or outputs/NAME)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one line of JSON")
    parser.add_argument(
        "--runner",
        choices=("map", "ray"),
        help="where stages run: in this process, or on Ray (default: the recipe's)",
    )
    parser.add_argument(
        "--address", help="the Ray cluster to use, such as auto (default: Ray on this machine)"
    )
    add_spending(parser)
    add_common(parser)


def _add_show(commands: Commands) -> None:
    parser = add_command(
        commands,
        "show",
        show,
        "show the summary or the rows of a result",
        "show outputs/quickstart",
        "show outputs/quickstart --config rejected -n 5",
    )
    parser.add_argument("directory", type=Path, help="a produced directory")
    parser.add_argument(
        "--config",
        help="which rows: stage2, stage1, sft, tool_calling, preference, raw, rejected, or responses-SOURCE, of those "
        "that the directory has (default: the summary)",
    )
    parser.add_argument("-n", "--rows", type=positive, default=3, help="how many rows (default: 3)")
    parser.add_argument("--id", help="only the row with this id")


def _add_report(commands: Commands) -> None:
    parser = add_command(
        commands,
        "report",
        report,
        "write a result as one HTML file to look through",
        "report outputs/quickstart",
        "report outputs/quickstart -o quickstart.html",
        description="Write a result as one HTML file that needs no network: where the questions went, the sources side "
        "by side, and every question with all its responses, to search and filter.",
    )
    parser.add_argument("directory", type=Path, help="a produced directory")
    parser.add_argument(
        "-o", "--output", type=Path, help="where to (default: DIRECTORY-report.html, beside the directory)"
    )
    parser.add_argument(
        "--task",
        help="the task that marks calls and grades answers: a name or FILE.py:NAME (default: the directory's own)",
    )
