"""How many rows are decoded together, and by how many workers: from the memory and the processor at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psutil
import torch

from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding.slots import Slots

CPU_SEQUENCES = 64
"""For each thread at most: more are hardly faster, and a killed run loses what is in the slots."""
GPU_SEQUENCES = 256
GPU_PROMPT_TOKENS = 8192
_SHARE = 0.5  # of the free memory that slots may take; the rest is for what a forward pass needs
_WORKER_SEQUENCES = 8  # fewer are decoded faster by all threads together than apart


@dataclass(frozen=True)
class Capacity:
    """``workers`` times ``rows``; ``threads`` for each worker, None on a GPU."""

    workers: int
    rows: int
    threads: int | None
    is_limited: bool = False
    """Whether more rows were waiting."""
    prompt_tokens: int = 512
    """Of prompts computed at once, padding included: enough for the hardware, and no more for its caches."""

    def halved(self) -> Capacity:
        """With half of the rows."""
        return replace(self, rows=max(1, self.rows // 2), is_limited=True)


def capacity(prefix: Slots, own: int, waiting: int, config: LocalConfig, device: torch.device) -> Capacity:
    """What fits.

    Args:
        prefix: slots that hold some prefix, from whose layers the size of a token is read.
        own: tokens that a sequence may have besides the prefix.
        waiting: rows in all.
    """
    is_cpu, beams = device.type == "cpu", config.num_beams
    threads = torch.get_num_threads() if is_cpu else 1
    limit = config.batch_size
    if limit is None:
        fit = int(free_memory(device) * _SHARE) // max(1, sequence_bytes(prefix, own))
        limit = min(fit, CPU_SEQUENCES * threads if is_cpu else GPU_SEQUENCES)
    rows = max(1, min(limit // beams, waiting))
    # On threads of its own a worker need not wait for the others at every layer.
    workers = max(1, min(threads, rows * beams // _WORKER_SEQUENCES, rows))
    each = -(-rows // workers)
    return Capacity(
        workers,
        each,
        threads // workers if is_cpu else None,
        rows < waiting,
        512 if is_cpu else GPU_PROMPT_TOKENS,
    )


def sequence_bytes(slots: Slots, tokens: int) -> int:
    """Memory of the keys and values of one sequence."""
    parts = [memory for part in slots.prefix.values() for memory in (part.keys, part.values)]
    return tokens * sum(int(part.shape[1] * part.shape[3] * part.element_size()) for part in parts)


def free_memory(device: torch.device) -> int:
    """Bytes that can be had."""
    if device.type != "cuda":
        available: int = psutil.virtual_memory().available
        return available
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    total: int = free + unused
    return total


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is PyTorch's or Python's way to say that memory has run out."""
    is_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return is_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)
