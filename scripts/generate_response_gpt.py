"""Let an engine respond to every question, shown a few examples (the method's script of this name)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_engine, add_mode, add_task, add_tools, main

EXAMPLE = """generate_response_gpt.py --input ../data/raw/GSM8K/GSM8K.json \\
    --output ../data/stage2/GSM8K/GSM8K_davinci_response.json --task math --mode w --multi_api_keys \\
    --example_num 4 --engine text-davinci-003 --api_key_file ./openai_api_keys.txt"""
MODERN = "toolgen-hf respond raw.jsonl responses/chatgpt.jsonl --recipe mine.yaml --name chatgpt"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--input", Path, "questions, such as GSM8K.json", required=True)
    made.add("--output", Path, "the same rows with their response, and its pred", required=True)
    made.add("--example_num", int, "how many examples are shown (default: 4)", default=4)
    file = "a file of examples, or a folder with TASK.json (default: the published ones)"
    made.add("--example_file", Path, file)
    made.add("--output_text", str, "the response's field (default: response)", default="response")
    add_task(made)
    add_tools(made)
    add_mode(made)
    add_engine(made, "gpt-3.5-turbo")
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.ask import examples, generate_response
    from toolgen_hf.stages.respond import SourceConfig

    prompts = examples(options.example_file, options.task) if options.example_file else None
    settings = {"generator": command.engine(options), "prompt": "few_shot", "examples": options.example_num}
    source = command.checked(SourceConfig, **settings)
    given = (options.input, options.output, source, workspace, command.task(options), options.mode)
    return generate_response(*given, options.output_text, prompts)


if __name__ == "__main__":
    sys.exit(main(parser(), step))
