"""The progress bar of a training run: steps, time left, rows and tokens a second, the loss."""

from __future__ import annotations

import time
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback


class Progress(TrainerCallback):  # type: ignore[misc]
    """One bar instead of a line a step. Of a run that goes on, the speed is that of what runs now."""

    bar: Any = None

    def __init__(self, batch_size: int, name: str = "") -> None:
        self.batch_size, self.title = batch_size, f"finetune {name}".rstrip()
        self.started, self.first = 0.0, 0
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer, as the next ones are."""
        self.started, self.first = time.perf_counter(), state.global_step
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc=self.title, unit="step")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        rows = (state.global_step - self.first) * self.batch_size
        self.shown["rows/s"] = f"{rows / (time.perf_counter() - self.started):.2f}"
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.shown["loss"] = f"{float(logs['loss']):.3f}"
            self.bar.set_postfix(self.shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.close()
