"""Who grades a row: the set's task, or in a mix of several tasks the row's own.

Graders(None, "math", "outputs/quickstart").of(None)                 # the set's
Graders(None, "dates and math", "outputs/mixed").of("dates")         # the row's, by its column ``task``
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from toolgen_hf.tasks import get_task, task_named
from toolgen_hf.tasks.base import Task

DEFAULT = "math"
"""The task of rows that nothing tells the task of."""


@dataclass(frozen=True)
class Graders:
    """The tasks of one set.

    ``asked``: what the user says the task is. It grades every row but those that say to be of another.
    ``own``: what the set says, None if nothing. ``where``: the set, for messages.
    """

    asked: Task | None
    own: str | None
    where: str

    @lru_cache(maxsize=64)  # noqa: B019 - asked for every row; a few small objects are kept
    def of(self, label: str | None) -> Task:
        """The task of a row that says to be of ``label``; None where it says nothing.

        Raises:
            ConfigError: it is not known here; says how to give it.
        """
        if self.asked is not None and label in (None, self.asked.name):
            return self.asked
        name = label or self.own
        return get_task(DEFAULT) if name is None else task_named(name, self.where)
