"""Turn the behavior cloning set's outputs into the gold responses (described by the method in words)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_task, add_tools, main

EXAMPLE = """gold_response.py --input ../data/stage1/GSM8K/GSM8K.json \\
    --output ../data/stage2/GSM8K/GSM8K_gold_response.json"""
MODERN = "toolgen-hf gold stage1.jsonl responses/gold.jsonl"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--input", Path, "the merged file: instruction, input, output", required=True)
    made.add("--output", Path, "id, instruction, input, output, answer, pred", required=True)
    made.add("--raw", Path, "the questions; they give id and answer to rows without, such as GSM8K.json")
    add_task(made)
    add_tools(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.assemble import gold_response

    return gold_response(options.input, options.output, workspace, options.raw, command.task(options))


if __name__ == "__main__":
    sys.exit(main(parser(), step))
