"""Which task grades a row: that of its set or, in a mix of several tasks, its own.

Graders(None, "math", "outputs/quickstart").of(None)                 # the set's task
Graders(None, "dates and math", "outputs/mixed").of("dates")         # the row's task, from its column ``task``
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from toolgen_hf.tasks import get_task, task_named
from toolgen_hf.tasks.base import Task

DEFAULT = "math"
"""The task of rows that name no task, in a set that names none."""


@dataclass(frozen=True)
class Graders:
    """The tasks of one set.

    ``asked``: the task that the user gives. It grades all rows except those that name another task.
    ``own``: the task that the set names, or None. ``where``: the set, for messages.
    """

    asked: Task | None
    own: str | None
    where: str

    @lru_cache(maxsize=64)  # noqa: B019 - called for every row; a few small objects are kept
    def of(self, label: str | None) -> Task:
        """The task of a row that names ``label``, or names none (None).

        Raises:
            ConfigError: the task is unknown here. The message says how to give it.
        """
        if self.asked is not None and label in (None, self.asked.name):
            return self.asked
        name = label or self.own
        return get_task(DEFAULT) if name is None else task_named(name, self.where)
