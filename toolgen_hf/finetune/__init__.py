"""Teach a model to answer and to call: a few LoRA steps on stage-1 rows. Importing this does not import torch.

config      the settings
run         a training run: its record, whether it is done already
tokens      rows as tokens, and how they become batches
targets     the layers that get an adapter
lora        the training itself, with PEFT and transformers
progress    its bar
card        the adapter's card; loss_plot draws its curve
"""

from toolgen_hf.finetune.config import FinetuneConfig
from toolgen_hf.finetune.record import IMAGE, RECORD, Example, Lengths, Training
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
