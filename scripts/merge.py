"""Merge right responses and tool calls into the behavior cloning set (described by the method in words)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_task, add_tools, main

EXAMPLE = """merge.py --right ../data/raw/GSM8K/GSM8K_right.json --wrong ../data/stage1/GSM8K/GSM8K_wrong.json \\
    --output ../data/stage1/GSM8K/GSM8K.json"""
MODERN = "toolgen-hf stage1 called.jsonl stage1.jsonl"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--right", Path, "questions with the LM's response, which is right", required=True)
    made.add("--wrong", Path, "questions with a call in the field tool", required=True)
    made.add("--output", Path, "instruction, input, output; then the row's other fields", required=True)
    add_task(made)
    add_tools(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.assemble import merge

    return merge(options.right, options.wrong, options.output, workspace, command.task(options))


if __name__ == "__main__":
    sys.exit(main(parser(), step))
