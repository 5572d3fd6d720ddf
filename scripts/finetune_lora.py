"""Fine-tune a model with LoRA on the behavior cloning set for a few steps, to prepare it for responses."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, main

EXAMPLE = """finetune_lora.py --base_model PLMs/vicuna-7b --data_path ../data/stage1/GSM8K/GSM8K.json \\
    --output_dir vicuna-stage1-lora --prompt_template_name vicuna --max_steps 78"""
MODERN = "toolgen-hf finetune stage1.jsonl adapters/vicuna --name vicuna"
SETTINGS = {
    "batch_size": int,
    "micro_batch_size": int,
    "learning_rate": float,
    "cutoff_len": int,
    "lora_r": int,
    "lora_alpha": int,
    "lora_dropout": float,
    "max_steps": int,
    "save_every": int,
    "seed": int,
    "device": str,
}
WITHOUT_EFFECT = {
    "--val_set_size": "all rows are trained on",
    "--train_on_inputs": "the loss is of the outputs only",
    "--group_by_length": "rows come in an order drawn by the seed",
    "--resume_from_checkpoint": "a run that was cut short goes on by itself",
    "--wandb_project": "nothing is sent anywhere",
    "--wandb_run_name": "nothing is sent anywhere",
    "--wandb_watch": "nothing is sent anywhere",
    "--wandb_log_model": "nothing is sent anywhere",
}


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--base_model", str, "a folder, a .gguf file, pip:NAME or a Hub id", required=True)
    made.add("--data_path", Path, "the merged file: instruction, input, output", required=True)
    made.add("--output_dir", Path, "the folder for checkpoint-1, checkpoint-2, ...", required=True)
    made.add("--prompt_template_name", str, "default: alpaca", "--prompt_template", default="alpaca")
    made.add("--num_epochs", int, "how often each row is seen, if --max_steps is not given")
    made.add_argument("--lora_target_modules", nargs="+", help="layers (default: the attention projections)")
    made.add("--checkpoint", str, "middle, last or a step (default: middle)", default="middle")
    for name, kind in SETTINGS.items():
        made.add(f"--{name}", kind, "default: chosen by the library for a few steps")
    for flag, meaning in WITHOUT_EFFECT.items():
        made.without_effect(flag, meaning)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.published.assemble import finetune_lora

    given = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    if options.lora_target_modules:
        given["target_modules"] = options.lora_target_modules
    chosen = options.checkpoint
    given |= {"model": options.base_model, "template": options.prompt_template_name}
    given["checkpoint"] = int(chosen) if chosen.isdigit() else chosen
    files = (options.data_path, options.output_dir)
    print(finetune_lora(*files, given, options.num_epochs, progress=not options.quiet))
    return None


if __name__ == "__main__":
    sys.exit(main(parser(), step))
