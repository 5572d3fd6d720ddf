"""What keys mean whose models say nothing of them, for they go without saying in the code."""

from __future__ import annotations

_REVISION = "The Hub's commit, branch or tag; a commit pins it."
_DEVICE = "`auto`, `cpu`, `mps`, `cuda` or `cuda:N`; `auto` takes a GPU where there is one."
_DTYPE = "Of the weights while computing; `auto` is float32 on a CPU."
_KIND = "Says which generator it is."
_NAME = "Names the result: letters, digits, `.`, `_` and `-`."
_DESCRIPTION = "For the card."

MEANINGS: dict[str, dict[str, str]] = {
    "Recipe": {
        "name": _NAME,
        "description": _DESCRIPTION,
        "dataset": "The questions.",
        "tool_api": "The teachers.",
        "finetune": "The adapters to train on stage 1, by name.",
        "sources": "Who responds to every question, by name. `gold`, stage 1's output, is always there.",
        "score": "How stage 2 ranks responses.",
        "preference": "Which pairs the config `preference` holds.",
    },
    "DatasetConfig": {
        "builder": "`gsm8k`, which ships; `qa`: files of your own, and SVAMP; `produced`: what this library wrote.",
        "revision": "Of `gsm8k` from the Hub: its commit, branch or tag.",
        "data_dir": "A folder with one file a split.",
        "data_files": "One file, or a file for each split: JSON, JSON Lines, CSV or Parquet.",
    },
    "AnswerConfig": {"generator": "Which model or engine is the student."},
    "FinetuneConfig": {
        "revision": _REVISION,
        "max_steps": "Steps to train.",
        "lora_r": "LoRA's rank.",
        "lora_alpha": "LoRA's scale.",
        "lora_dropout": "Dropout within the adapter.",
        "seed": "Order of the rows, dropout, and the adapter's first weights.",
        "dtype": _DTYPE,
        "device": _DEVICE,
    },
    "SourceConfig": {
        "generator": "Which model, engine or file responds.",
        "prompt": "`instruction`: the task's, for a model that was fine-tuned; `few_shot`: worked examples.",
    },
    "ScoreConfig": {"strategy": "`distance`, as the method's released code; `consistency`, as the paper."},
    "LocalConfig": {
        "kind": _KIND + " May be left out.",
        "model": "A folder, a `.gguf` file, a Hub id, or `pip:NAME`.",
        "revision": _REVISION,
        "adapter_revision": "The same of the adapter.",
        "max_new_tokens": "Tokens of a text at most; one that reaches it is cut.",
        "num_beams": "Above 1, beam search.",
        "temperature": "Of sampling.",
        "top_p": "Sample among the likeliest tokens of this share together.",
        "repetition_penalty": "Above 1, tokens that were written already are less likely.",
        "dtype": _DTYPE,
        "device": _DEVICE,
    },
    "OpenAIConfig": {
        "kind": _KIND,
        "top_p": "As the API has it; sent only if given.",
        "frequency_penalty": "As the API has it; sent only if given.",
        "presence_penalty": "As the API has it; sent only if given.",
        "stop": "Where the engine stops.",
        "seed": "As the API has it; sent only if given.",
    },
    "AnnotationsConfig": {"kind": _KIND},
    "FileConfig": {"kind": _KIND},
    "PriceConfig": {
        "input": "Of a prompt.",
        "output": "Of a completion.",
        "cached_input": "Of a prompt's tokens that are billed as cached; default `input`.",
    },
    "MixRecipe": {"name": _NAME, "description": _DESCRIPTION, "mix": "What is mixed, and how."},
}
