"""``check``: whether a recipe is valid, and what it needs, before anything runs."""

from __future__ import annotations

import argparse
import json

from toolgen_hf.cli.options import Commands, add_command, add_common


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "check",
        check,
        "validate a recipe and say what it will need",
        "check gsm8k",
        "check my.yaml --set 'dataset.rows={train: 100}'",
        "check my.yaml --tokenizer Qwen/Qwen2.5-0.5B-Instruct",
        "check my.yaml --json",
        description="Validate a recipe and say what it will need: models, memory, disk, keys, requests, cost. "
        "Nothing is loaded, generated or sent. Exit code 0: it can run here now; 1: something is missing, and what to "
        "do is listed; 2: it is not valid.",
    )
    parser.add_argument("recipe", help="a YAML file, or the name of a recipe that ships")
    parser.add_argument(
        "--tokenizer",
        metavar="MODEL",
        help="also check that this model's chat template renders the tool calls of the config tool_calling: a Hub id, "
        "a folder, a .gguf file or pip:NAME",
    )
    parser.add_argument("--json", action="store_true", help="print it as one line of JSON")
    add_common(parser)


def check(arguments: argparse.Namespace) -> int:
    from toolgen_hf import check as needs
    from toolgen_hf.check.report import print_needs
    from toolgen_hf.recipe import Recipe
    from toolgen_hf.runtime.workspace import Workspace

    recipe = Recipe.load(arguments.recipe, arguments.set)
    workspace = Workspace(arguments.cache_dir, arguments.store, progress=False)
    found = needs.check(recipe, workspace, arguments.tokenizer)
    if arguments.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        print_needs(found)
    return 1 if found.missing else 0
