"""Let an engine respond to every question, shown a few examples (the method's script of this name)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_common, add_engine, add_mode, add_task, main

EXAMPLE = """generate_response_gpt.py --input ../data/raw/GSM8K/GSM8K.json \\
    --output ../data/stage2/GSM8K/GSM8K_davinci_response.json --task math --mode w --multi_api_keys \\
    --example_num 4 --engine text-davinci-003 --api_key_file ./openai_api_keys.txt"""
MODERN = "toolgen-hf respond raw.jsonl responses/chatgpt.jsonl --recipe mine.yaml --name chatgpt"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add_argument("--input", type=Path, required=True, help="questions, such as GSM8K.json")
    made.add_argument(
        "--output", type=Path, required=True, help="the same rows with their response, and its pred"
    )
    made.add_argument("--example_num", type=int, default=4, help="how many examples are shown (default: 4)")
    made.add_argument(
        "--example_file",
        type=Path,
        help="a file of examples, or a folder with TASK.json (default: the published ones)",
    )
    made.add_argument("--output_text", default="response", help="the response's field (default: response)")
    add_task(made)
    add_mode(made)
    add_engine(made, "gpt-3.5-turbo")
    add_common(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.ask import examples, generate_response
    from toolgen_hf.published.command import checked
    from toolgen_hf.stages.respond import SourceConfig

    prompts = examples(options.example_file, options.task) if options.example_file else None
    source = checked(
        SourceConfig, generator=command.engine(options), prompt="few_shot", examples=options.example_num
    )
    return generate_response(
        options.input,
        options.output,
        source,
        workspace,
        options.task,
        options.mode,
        options.output_text,
        prompts,
    )


if __name__ == "__main__":
    sys.exit(main(parser(), step))
