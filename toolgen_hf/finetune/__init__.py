"""Trains LoRA adapters on stage-1 rows, in a few steps. Importing this package does not import torch.

config      the settings, and what is recorded about a run
run         a training run: finds out whether it is done, and keeps its record
lora        the training itself, with PEFT and transformers: rows as tokens, layers with an adapter, steps
card        the adapter's card, with its loss curve
"""

from toolgen_hf.finetune.config import IMAGE, RECORD, Example, FinetuneConfig, Lengths, Training
from toolgen_hf.finetune.run import FinetuneResult, finetune, training_key

__all__ = [
    "IMAGE",
    "RECORD",
    "Example",
    "FinetuneConfig",
    "FinetuneResult",
    "Lengths",
    "Training",
    "finetune",
    "training_key",
]
