from __future__ import annotations

from typing import Any

import pytest
import torch

from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding import capacity as module
from toolgen_hf.models.decoding import speed
from toolgen_hf.models.decoding.capacity import Capacity, capacity, is_out_of_memory, sequence_bytes
from toolgen_hf.models.decoding.slots import Part, Slots

CPU = torch.device("cpu")


@pytest.fixture
def prefix() -> Slots:
    """Two layers of 3 heads of 64 numbers: 3,072 bytes a token."""
    slots = Slots(0, 1, 0, 0)
    slots.prefix = {layer: Part(torch.zeros(1, 3, 4, 64), torch.zeros(1, 3, 4, 64)) for layer in range(2)}
    return slots


def test_the_memory_of_a_sequence(prefix: Slots) -> None:
    assert sequence_bytes(prefix, 100) == 100 * 2 * 2 * 3 * 64 * 4


@pytest.mark.parametrize(
    ("threads", "free", "waiting", "settings", "workers", "rows", "is_limited"),
    [
        (2, 8 << 30, 1000, {}, 2, 64, True),
        (2, 8 << 30, 64, {}, 2, 32, False),
        (2, 8 << 30, 65, {}, 2, 33, False),
        (2, 8 << 30, 12, {}, 1, 12, False),
        (1, 8 << 30, 1000, {}, 1, 64, True),
        (16, 8 << 30, 1000, {}, 16, 63, False),
        (16, 8 << 30, 40, {}, 5, 8, False),
        (2, 8 << 30, 1000, {"num_beams": 4}, 2, 16, True),
        (2, 8 << 30, 1000, {"batch_size": 20}, 2, 10, True),
        (2, 8 << 30, 1000, {"batch_size": 3, "num_beams": 4}, 1, 1, True),
        (2, 4 << 20, 1000, {}, 1, 6, True),
        (2, 0, 1000, {}, 1, 1, True),
    ],
)
def test_what_fits(
    prefix: Slots,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    free: int,
    waiting: int,
    settings: dict[str, Any],
    workers: int,
    rows: int,
    is_limited: bool,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(module, "free_memory", lambda device: free)
    found = capacity(prefix, 100, waiting, LocalConfig(model="m", **settings), CPU)
    assert (found.workers, found.rows, found.is_limited) == (workers, rows, is_limited)
    assert found.threads == max(1, threads // workers)


def test_free_memory_is_that_of_this_machine() -> None:
    assert 1 << 26 < module.free_memory(CPU) < 1 << 45


def test_which_errors_are_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.parametrize(
    ("device", "dtype", "threads", "load", "limited", "settings", "advice"),
    [
        ("cpu", "float32", 2, 0.0, False, {}, None),
        ("cpu", "float32", 1, 0.0, False, {}, "it uses 1 of 2 cores; set OMP_NUM_THREADS=2"),
        ("cpu", "float32", 2, 5.0, False, {}, "other processes want the 2 cores"),
        ("cpu", "bfloat16", 2, 0.0, False, {}, "bfloat16 is slower"),
        ("cpu", "float32", 2, 0.0, True, {"batch_size": 4}, "batch_size=4 allows 4 sequences"),
        ("cpu", "float32", 2, 0.0, True, {}, "the free memory allows 4 sequences"),
        ("cuda", "float32", None, 0.0, False, {}, "float32 on a GPU"),
        ("cuda", "bfloat16", None, 0.0, False, {}, None),
        ("cuda", "bfloat16", None, 9.0, True, {}, "the free memory allows 4"),
    ],
)
def test_what_would_make_it_faster(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    dtype: str,
    threads: int | None,
    load: float,
    limited: bool,
    settings: dict[str, Any],
    advice: str | None,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    room = (
        Capacity(2, 2, threads and threads / 2, limited) if threads == 2 else Capacity(1, 4, threads, limited)
    )
    found = speed.bottleneck(room, torch.device(device), dtype, LocalConfig(model="m", **settings))
    assert found is None if advice is None else found is not None and found.startswith(advice)


def test_the_line_that_says_how_fast_it_went() -> None:
    found = speed.Speed()
    found.seconds = 20.0
    for texts in (30, 34):
        part = found.part()
        part.texts, part.tokens, part.prompts, part.steps = texts, 4000, 3.0, 17.0
        part.slot_steps, part.sequence_steps = 4096, 3900
    line = found.describe(Capacity(2, 32, 1), CPU, "float32", LocalConfig(model="m"))
    assert line == (
        "local generation: 64 texts in 20.0 s, 400 tokens/s, 3.20 texts/s; 15% of it for the prompts; "
        "2 x 32 sequences at once, 95% of the slots in use; cpu, float32, 2 threads"
    )
