"""One command a stage: from a file to a file, with the settings of a recipe.

toolgen-hf answer raw.jsonl answered.jsonl
toolgen-hf respond raw.jsonl responses/few.jsonl --name smollm2-fewshot
"""

from __future__ import annotations

import argparse
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
from toolgen_hf.stages import STAGES, Command

OTHERS = {
    "raw": Command("write the questions of a recipe", "raw.jsonl --set 'dataset.rows={train: 8}'"),
    "finetune": Command(
        "train a LoRA adapter on stage 1; prints the checkpoint to use",
        "stage1.jsonl adapters/vicuna --name vicuna --max-steps 48 --checkpoint last",
        named="adapter under finetune",
    ),
}
"""The commands that are not stages: they do not make a table from a table."""


def add(commands: Commands) -> None:
    """Add a command for each stage, and for the steps between them."""
    for name, command in steps().items():
        description = (
            f"{command.does[0].upper()}{command.does[1:]}: one stage, with the settings of a recipe."
        )
        function = {"raw": raw, "finetune": finetune}.get(name, _one_stage)
        example = f"{name} {command.example}"
        parser = add_command(commands, name, function, command.does, example, description=description)
        _add_flags(parser, name, command)


def steps() -> dict[str, Command]:
    """The commands in the order of the flow."""
    found = {"raw": OTHERS["raw"]}
    for name, entry in STAGES.items():
        if entry.command is not None:
            found[name.replace("_", "-")] = entry.command
        if name == "stage1":
            found["finetune"] = OTHERS["finetune"]
    return found


def _one_stage(arguments: argparse.Namespace) -> None:
    from toolgen_hf.flow.single import run_stage
    from toolgen_hf.recipe import Recipe
    from toolgen_hf.runtime.workspace import make_runner

    recipe = Recipe.load(arguments.recipe, arguments.set)
    with open_workspace(arguments) as workspace:
        if workspace.plan is None:
            workspace.runner = make_runner(recipe.runner)
        files = (arguments.input, arguments.output)
        run_stage(arguments.stage, *files, recipe, arguments.name, workspace, arguments.mode)
        if workspace.plan is not None:
            show_plan(workspace.plan)


def raw(arguments: argparse.Namespace) -> None:
    from toolgen_hf.flow.single import write_raw
    from toolgen_hf.recipe import Recipe

    write_raw(arguments.output, Recipe.load(arguments.recipe, arguments.set))


def finetune(arguments: argparse.Namespace) -> None:
    from toolgen_hf.flow.single import train
    from toolgen_hf.recipe import Recipe

    recipe = Recipe.load(arguments.recipe, arguments.set)
    given = {"checkpoint": arguments.checkpoint, "max_steps": arguments.max_steps}
    changes = {setting: value for setting, value in given.items() if value is not None}
    files = (arguments.input, arguments.output)
    print(train(*files, recipe, arguments.name, changes, progress=not arguments.quiet).adapter)


def _add_flags(parser: argparse.ArgumentParser, stage: str, command: Command) -> None:
    if stage != "raw":
        table = "JSON Lines (.json, .jsonl), Parquet or CSV, or a folder with one file a split"
        parser.add_argument("input", type=Path, help=table)
    parser.add_argument("output", type=Path, help="a .json, .jsonl or .parquet file, or a folder")
    parser.add_argument(
        "--recipe", default="quickstart", help="where the settings come from (default: quickstart)"
    )
    if command.named:
        parser.add_argument("--name", required=True, help=f"which {command.named} in the recipe")
    if stage == "finetune":
        steps = "how many steps to train (default: the recipe's)"
        parser.add_argument("--max-steps", type=positive, metavar="N", help=steps)
        parser.add_argument(
            "--checkpoint",
            type=_checkpoint,
            metavar="middle|last|N",
            help="which checkpoint to use: the one nearest to half of the steps, the last, or the one after step N, "
            "which must be saved (the recipe's save_every says after how many steps one is; default: the recipe's)",
        )
    if command.asks:
        parser.add_argument(
            "--mode",
            choices=("w", "a"),
            default="w",
            help="w: write the output anew; a: keep its rows, add those whose id is not there. Either way a text "
            "that was generated before comes from the store (default: w)",
        )
        add_spending(parser)
    add_common(parser, has_caches=stage not in OTHERS)
    parser.set_defaults(stage=stage, name=None, mode="w")


def _checkpoint(text: str) -> str | int:
    if text in ("middle", "last"):
        return text
    try:
        return positive(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not middle, last or a number of steps") from error
