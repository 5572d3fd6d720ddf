"""Let the LM answer every question without a tool, and split right from wrong (described by the method in words)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_engine, add_local, add_task, main

EXAMPLE = """answer_questions.py --input ../data/raw/GSM8K/GSM8K.json --base_model PLMs/vicuna-7b \\
    --prompt_template vicuna"""
MODERN = "toolgen-hf answer raw.jsonl answered.jsonl"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--input", Path, "questions with answers, such as GSM8K.json", required=True)
    made.add("--output", Path, "the folder for GSM8K_right.json and GSM8K_wrong.json (default: the input's)")
    add_task(made)
    add_local(made, required=False)
    add_engine(made, None)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.errors import ConfigError
    from toolgen_hf.published.ask import answer_questions

    if (options.engine is None) == (options.base_model is None):
        raise ConfigError(
            "who answers? Give --base_model (a local model) or --engine (behind an API), and not both"
        )
    student = command.local(options) if options.engine is None else command.engine(options)
    folder = options.output or options.input.parent
    return answer_questions(options.input, folder, student, workspace, options.task)


if __name__ == "__main__":
    sys.exit(main(parser(), step))
