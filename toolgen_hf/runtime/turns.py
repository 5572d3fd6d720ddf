"""Several runs over one store: each generator serves one of them at a time, so that nobody pays for a text twice."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


class Turn:
    """One run's turn at one generator, taken when the first text is missing and kept until the end.

    The system takes it back from a process that dies.

    Args:
        store: the store's file; the locks lie beside it, in ``locks/``.
        generator: the digest of the generator's identity.
        label: what messages call the work.
    """

    def __init__(self, store: Path, generator: str, label: str) -> None:
        self._path = store.parent / "locks" / f"{generator[:32]}.lock"
        self._lock: FileLock | None = None
        self._label = label

    def take(self) -> bool:
        """Wait for the turn; whether that took a while, so that others may have brought what was missing."""
        if self._lock is not None:
            return False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._path)
        try:
            lock.acquire(timeout=0)
            had_to_wait = False
        except Timeout:
            logger.warning(
                "%s: another run is asking the same for this store; waiting for its texts", self._label
            )
            lock.acquire()
            had_to_wait = True
        self._lock = lock
        return had_to_wait

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release()
