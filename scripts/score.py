"""Score each response, and write the RLEF set (the method's script of this name)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_task, add_tools, main

EXAMPLE = """score.py --task math --model vicuna --lora_weights vicuna-stage1-lora \\
    --data_path ../data/stage2/GSM8K --target_path ../data/stage2/GSM8K"""
MODERN = "toolgen-hf score executed stage2.jsonl --set score.strategy=distance"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--data_path", Path, "a folder with NAME_SOURCE_response.json, gold too", required=True)
    made.add("--target_path", Path, "a folder, or a .json file (default: the folder)")
    sources = "only these, in this order (default: all)"
    made.add_argument("--sources", nargs="+", default=[], help=sources)
    strategies = ("distance", "consistency")
    made.add_argument("--strategy", choices=strategies, default="distance", help="default: distance")
    made.without_effect("--model", "the model that reads a tool's result is named in --tools, as reader")
    made.without_effect("--lora_weights", "as --model")
    add_task(made)
    add_tools(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.assemble import score

    target = options.target_path or options.data_path
    settings = (command.task(options), options.strategy, options.sources)
    return score(options.data_path, target, workspace, *settings)


if __name__ == "__main__":
    sys.exit(main(parser(), step))
