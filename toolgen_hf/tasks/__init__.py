"""The tasks: what is asked, and how an answer is read and graded. A new one is a file and a line here."""

from __future__ import annotations

from typing import Final

from toolgen_hf.errors import ConfigError
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math import MATH

__all__ = ["TASKS", "Task", "get_task"]

TASKS: Final[dict[str, Task]] = {
    "math": MATH,
}


def get_task(name: str) -> Task:
    """The task called ``name``, in any case: the method's published scripts write ``Math``.

    Raises:
        ConfigError: there is none; the message names those there are.
    """
    try:
        return TASKS[name.lower()]
    except KeyError:
        raise ConfigError(f"unknown task {name!r}; known tasks: {', '.join(TASKS)}") from None
