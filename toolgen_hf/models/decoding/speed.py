"""The speed of decoding and what limits it, in one line of the log."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding.capacity import CPU_SEQUENCES, GPU_SEQUENCES, Capacity

logger = logging.getLogger(__name__)

WORTH_TELLING = 5.0
"""Seconds; shorter decoding gets no line in the log."""


@dataclass
class Spent:
    """Where time went, in seconds, and for how much."""

    prompts: float = 0.0
    steps: float = 0.0
    prompt_tokens: int = 0
    sequence_steps: int = 0
    slot_steps: int = 0
    """Steps times the slots that there were."""
    texts: int = 0
    tokens: int = 0
    """Of the texts."""
    made: int = 0
    """Tokens, those of unfinished texts included."""


class Speed:
    """Adds up what all workers spent."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._parts: list[Spent] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Time that is spent on decoding."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    @property
    def made(self) -> int:
        """Tokens so far, those of unfinished texts included."""
        return sum(part.made for part in self._parts)

    def part(self) -> Spent:
        """For one more worker to note what it spends."""
        self._parts.append(Spent())
        return self._parts[-1]

    def tell(self, room: Capacity, device: torch.device, dtype: str, config: LocalConfig) -> None:
        """Log one line, and one more where something simple would make it faster."""
        if self.seconds < WORTH_TELLING:
            return
        logger.info("%s", self.describe(room, device, dtype, config))
        if advice := bottleneck(room, device, dtype, config):
            logger.info("local generation would be faster: %s", advice)

    def describe(self, room: Capacity, device: torch.device, dtype: str, config: LocalConfig) -> str:
        """``64 texts in 20.1 s: 401 tokens/s, 3.2 texts/s; 15% for the prompts; ...``"""
        total = {
            name: sum(getattr(part, name) for part in self._parts) for name in Spent.__dataclass_fields__
        }
        share = total["prompts"] / max(total["prompts"] + total["steps"], 1e-9)
        used = total["sequence_steps"] / max(total["slot_steps"], 1)
        where = f"{device.type}, {dtype}"
        if room.threads:
            where += f", {room.workers * room.threads} threads"
        return (
            f"local generation: {total['texts']} texts in {self.seconds:.1f} s, "
            f"{total['tokens'] / self.seconds:.0f} tokens/s, {total['texts'] / self.seconds:.2f} texts/s; "
            f"{share:.0%} of it for the prompts; {room.workers} x {room.rows * config.num_beams} sequences at once, "
            f"{used:.0%} of the slots in use; {where}"
        )


def bottleneck(room: Capacity, device: torch.device, dtype: str, config: LocalConfig) -> str | None:
    """What would help most, in words; None if nothing simple would."""
    sequences = room.workers * room.rows * config.num_beams
    if device.type == "cpu":
        cores, threads = len(os.sched_getaffinity(0)), room.workers * (room.threads or 1)
        busy = os.getloadavg()[0] - threads
        if threads < cores:
            return f"it uses {threads} of {cores} cores; set OMP_NUM_THREADS={cores}"
        if busy > 0.5 * cores:
            return f"other processes want the {cores} cores, too (load {busy + threads:.1f})"
        if dtype == "bfloat16":
            return "bfloat16 is slower than float32 on most processors; leave dtype at auto"
    elif dtype == "float32":
        return (
            "float32 on a GPU; dtype: bfloat16 takes half the memory traffic, its texts may differ a little"
        )
    best = GPU_SEQUENCES if device.type != "cpu" else CPU_SEQUENCES // 2
    if room.is_limited and sequences < best:
        limit = "the free memory" if config.batch_size is None else f"batch_size={config.batch_size}"
        return f"{limit} allows {sequences} sequences at once"
    return None
