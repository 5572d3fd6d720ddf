"""Mix the training sets of several datasets into one (described by the method in words)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_task, main

EXAMPLE = """mix.py --input ../data/stage1/GSM8K/GSM8K.json ../data/stage1/SVAMP/SVAMP.json \\
    --output ../data/stage1/mix/mix.json --weight 2 1"""
MODERN = "toolgen-hf mix gsm8k=data/stage1/GSM8K svamp=data/stage1/SVAMP mixed --weight gsm8k=2"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    files = "files of stage 1, or files of stage 2; NAME_test.json is a test split"
    made.add_argument("--input", type=Path, nargs="+", required=True, help=files)
    output = "such as ../data/stage1/mix/mix.json; test files among the input go to mix_test.json beside it"
    made.add("--output", Path, output, required=True)
    amount = made.add_mutually_exclusive_group()
    weight = "each file's share (default: every row of each)"
    amount.add_argument("--weight", type=float, nargs="+", help=weight)
    amount.add_argument("--count", type=int, nargs="+", help="so many rows of each file")
    orders = ("interleave", "concatenate")
    made.add_argument("--order", choices=orders, default="interleave", help="default: interleave")
    made.add("--seed", int, "which rows are drawn where not all are (default: 0)", default=0)
    add_task(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.assemble import mix

    takes = [{"weight": weight} for weight in options.weight or ()]
    takes = takes or [{"count": count} for count in options.count or ()]
    return mix(options.input, options.output, takes, workspace, options.order, options.seed, options.task)


if __name__ == "__main__":
    sys.exit(main(parser(), step))
