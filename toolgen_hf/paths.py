"""Where this library keeps what it can always make again."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import constants


def cache_home() -> Path:
    """The cache folder: ``$TOOLGEN_HF_HOME``, else ``toolgen_hf`` beside the Hub's own cache.

    Safe to delete at any time.
    """
    home = os.environ.get("TOOLGEN_HF_HOME")
    return Path(home).expanduser() if home else Path(constants.HF_HOME) / "toolgen_hf"
