"""Which progress bars are shown: ours on long work, not one of ``datasets`` for every table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import datasets


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Without the bars of ``datasets``: most would flash by, and generation shows one of its own."""
    if datasets.are_progress_bars_disabled() or datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS is False:
        yield  # disabled already, or asked for through the environment
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
