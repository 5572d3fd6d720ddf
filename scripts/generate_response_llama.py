"""Let a local model with a LoRA adapter respond to every question (the method's script of this name)."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_local, add_mode, add_task, add_tools, main

EXAMPLE = """generate_response_llama.py --base_model PLMs/vicuna-7b --task math \\
    --data_path ../data/raw/GSM8K/GSM8K.json --lora_weights vicuna-stage1-lora-step-39 \\
    --prompt_template vicuna --output_path ../data/stage2/GSM8K/GSM8K_vicuna_response.json"""
MODERN = """toolgen-hf respond raw.jsonl responses/vicuna.jsonl --recipe mine.yaml --name vicuna \\
    --set sources.vicuna.generator.adapter=adapters/vicuna/checkpoint-6"""


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--data_path", Path, "questions, such as GSM8K.json", required=True)
    made.add("--output_path", Path, "the same rows with their response, and its pred", required=True)
    add_task(made)
    add_tools(made)
    add_mode(made, "w")  # the published script has no mode, and writes anew
    add_local(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.ask import generate_response
    from toolgen_hf.stages.respond import SourceConfig

    source = SourceConfig(generator=command.local(options))
    files = (options.data_path, options.output_path)
    return generate_response(*files, source, workspace, command.task(options), options.mode)


if __name__ == "__main__":
    sys.exit(main(parser(), step))
