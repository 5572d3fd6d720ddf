"""Get a verified tool call for every question that the LM got wrong (the method's script of this name)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_engine, add_mode, add_tools, main

EXAMPLE = """generate_tool_api.py --input ../data/raw/GSM8K/GSM8K_wrong.json \\
    --output ../data/stage1/GSM8K/GSM8K_wrong.json --dataset_name GSM8K --model w --multi_api_keys \\
    --engine gpt-turbo-0301 --api_keys_file ./openai_api_keys.txt"""
MODERN = """toolgen-hf tool-api answered.jsonl called.jsonl \\
    --set 'tool_api.teachers=[{kind: openai, engine: gpt-6-luna}]'"""


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--input", Path, "questions with answers, such as GSM8K_wrong.json", required=True)
    made.add("--output", Path, "the same rows with their call in the field tool", required=True)
    names = "decides the task: GSM8K, SVAMP, ASDiv, WebQ, NaturalQ, TriviaQA, T-REx, MLQA (default: GSM8K)"
    made.add("--dataset_name", str, names, default="GSM8K")
    add_tools(made)
    made.add("--max_attempts", int, "how often one question is asked (default: 2)", default=2)
    add_mode(made)
    add_engine(made, "gpt-3.5-turbo-0301")
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.models.config import AnnotationsConfig
    from toolgen_hf.published.ask import generate_tool_api

    teacher = AnnotationsConfig() if options.engine == "annotations" else command.engine(options)
    given = (options.input, options.output, [teacher], workspace, command.task(options))
    return generate_tool_api(*given, options.mode, options.max_attempts)


if __name__ == "__main__":
    sys.exit(main(parser(), step))
