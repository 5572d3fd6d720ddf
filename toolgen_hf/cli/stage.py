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

STAGES = {
    "raw": ("write the questions of a recipe", "raw raw.jsonl --set 'dataset.rows={train: 8}'"),
    "answer": ("let the student answer questions without a tool", "answer raw.jsonl answered.jsonl"),
    "tool-api": ("get verified tool calls for the wrong ones", "tool-api answered.jsonl called.jsonl"),
    "stage1": ("assemble the behavior cloning set", "stage1 called.jsonl stage1.jsonl"),
    "finetune": (
        "train a LoRA adapter on stage 1; prints the checkpoint to use",
        "finetune stage1.jsonl adapters/vicuna --name vicuna --max-steps 48 --checkpoint last",
    ),
    "gold": ("turn stage 1's outputs into the gold responses", "gold stage1.jsonl responses/gold.jsonl"),
    "respond": (
        "let one source respond to every question",
        "respond raw.jsonl responses/few.jsonl --name smollm2-fewshot",
    ),
    "execute": ("run the tool calls in responses", "execute responses/few.jsonl executed/few.jsonl"),
    "score": (
        "score the responses to each question (rows of responses, or a folder of executed sources)",
        "score executed stage2.jsonl --set score.strategy=distance",
    ),
}
"""What each stage does, and an example of its command."""


def add(commands: Commands) -> None:
    """Add a command for each stage."""
    others = {"raw": raw, "finetune": finetune}
    for stage, (does, example) in STAGES.items():
        description = f"{does[0].upper()}{does[1:]}: one stage, with the settings of a recipe."
        command = others.get(stage, one_stage)
        _add_flags(add_command(commands, stage, command, does, example, description=description), stage)


def one_stage(arguments: argparse.Namespace) -> None:
    """``toolgen-hf answer``, ``tool-api``, ..."""
    from toolgen_hf.flow.single import run_stage
    from toolgen_hf.recipe import Recipe
    from toolgen_hf.runtime.runner import Rehearsal

    recipe = Recipe.load(arguments.recipe, arguments.set)
    with open_workspace(arguments) as workspace:
        if arguments.dry_run:
            workspace.runner = Rehearsal()
        files = (arguments.input, arguments.output)
        run_stage(arguments.stage, *files, recipe, arguments.name, workspace, arguments.mode)
        if workspace.plan is not None:
            show_plan(workspace.plan)


def raw(arguments: argparse.Namespace) -> None:
    """``toolgen-hf raw``"""
    from toolgen_hf.flow.single import write_raw
    from toolgen_hf.recipe import Recipe

    write_raw(arguments.output, Recipe.load(arguments.recipe, arguments.set))


def finetune(arguments: argparse.Namespace) -> None:
    """``toolgen-hf finetune``"""
    from toolgen_hf.flow.single import train
    from toolgen_hf.recipe import Recipe

    recipe = Recipe.load(arguments.recipe, arguments.set)
    given = {"checkpoint": arguments.checkpoint, "max_steps": arguments.max_steps}
    changes = {setting: value for setting, value in given.items() if value is not None}
    print(train(arguments.input, arguments.output, recipe, arguments.name, changes).adapter)


def _add_flags(parser: argparse.ArgumentParser, stage: str) -> None:
    if stage != "raw":
        table = "JSON Lines (.json, .jsonl), Parquet or CSV, or a folder with one file a split"
        parser.add_argument("input", type=Path, help=table)
    parser.add_argument("output", type=Path, help="a .json, .jsonl or .parquet file, or a folder")
    parser.add_argument(
        "--recipe", default="quickstart", help="where the settings come from (default: quickstart)"
    )
    if stage in ("finetune", "respond"):
        what = "adapter under finetune" if stage == "finetune" else "source under sources"
        parser.add_argument("--name", required=True, help=f"which {what} in the recipe")
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
    if stage in ("answer", "tool-api", "respond"):
        parser.add_argument(
            "--mode",
            choices=("w", "a"),
            default="w",
            help="w: write the output anew; a: keep its rows, add those whose id is not there. Either way a text "
            "that was generated before comes from the store (default: w)",
        )
        add_spending(parser)
    add_common(parser)
    parser.set_defaults(stage=stage, name=None, mode="w", dry_run=False, max_cost=None)


def _checkpoint(text: str) -> str | int:
    if text in ("middle", "last"):
        return text
    try:
        return positive(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not middle, last or a number of steps") from error
