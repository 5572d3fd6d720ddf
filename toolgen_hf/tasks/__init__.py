"""The tasks: what is asked, and how an answer is read and graded.

A task that ships is a folder and a line here. Others come from outside, each as one file (``docs/extending.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import GeneratorConfig
from toolgen_hf.plugins import Registry, check_members, is_path, source_of
from toolgen_hf.tasks.base import Annotation, Task
from toolgen_hf.tasks.lama import LAMA
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tasks.mlqa import MLQA
from toolgen_hf.tasks.qa import QA
from toolgen_hf.tools import check_tool
from toolgen_hf.tools.base import Declared, Tool
from toolgen_hf.tools.config import McpConfig, ToolConfig

__all__ = [
    "TASKS",
    "Annotation",
    "Equipped",
    "Task",
    "TaskLike",
    "check_task",
    "get_task",
    "identity",
    "is_service",
    "task_named",
    "task_reference",
]

TASKS: Final[dict[str, Task]] = {
    "math": MATH,
    **{task.name: task for task in (*QA, *LAMA, *MLQA)},
}
TEXTS: Final = ("name", "instruction", "query_instruction")
METHODS: Final = (
    "extract", "stated_answer", "normalize", "conclude", "answer_without", "state", "is_correct", "distance",
    "annotate", "soundness", "leaks",
)  # fmt: skip
PROMPTS: Final = ("answer", "tool_api", "respond")


@dataclass(frozen=True)
class Equipped:
    """A task with what answers the calls of its tools, and the model that reads their results.

    Equipped("qa", {"WikiSearch": SearchConfig(corpus="pages.jsonl")}, OpenAIConfig(engine="gpt-6-luna"))
    """

    task: str | Task
    tools: Mapping[str, ToolConfig] = field(default_factory=dict)
    """By the tool's name. A tool that the task does not know is offered beside its own."""
    reader: GeneratorConfig | None = None

    @classmethod
    def of(cls, task: TaskLike) -> Equipped:
        """The same, or a task with its own tools alone."""
        return task if isinstance(task, Equipped) else cls(task)

    def require(self) -> None:
        """Check that there is all that the task needs.

        Raises:
            ConfigError: names what is missing.
        """
        task = get_task(self.task)
        offered: dict[str, str] = {}  # tool -> key
        for key, config in self.tools.items():
            for name in config.tools if isinstance(config, McpConfig) else (key,):
                if (other := offered.setdefault(name.lower(), key)) != key:
                    raise ConfigError(f"tools.{key}: {name!r} is offered by tools.{other} too: offer it once")
        for tool in task.tools:
            if isinstance(tool, Declared) and tool.name.lower() not in offered:
                tool.run("")
        if task.reads and self.reader is None:
            raise ConfigError(
                f"the task {task.name!r} reads tool results with a model: name it in the recipe's key reader (in "
                "Python: Equipped(task, tools, reader))"
            )


def is_service(task: Task) -> bool:
    """Whether a task's calls need more than this process: a service, or a model that reads their results."""
    return task.reads or any(isinstance(tool, Declared) for tool in task.tools)


TaskLike: TypeAlias = str | Task | Equipped
"""A task, by name or itself; a task whose tools are services needs what answers them."""


def get_task(task: TaskLike) -> Task:
    """The task with a name in any case, the task in a file (which is run), or the task itself.

        get_task("math")
        get_task("docs/examples/dates/dates.py:Dates")

    A name is one that ships, or one of an installed package (entry points ``toolgen_hf.tasks``).

    Raises:
        ConfigError: there is none (the message names the known ones), it cannot be loaded, or it is not a task.
    """
    task = task.task if isinstance(task, Equipped) else task
    return REGISTRY.find(task) if isinstance(task, str) else _check_task(task, "task")


def task_reference(task: str) -> str:
    """A recipe's reference to a task: a path as it is, a name as it is registered. It imports nothing.

    Raises:
        ConfigError: there is none of this name.
    """
    return task if is_path(task) else REGISTRY.known_name(task)


def task_named(name: str, where: str) -> Task:
    """The task that a data set names. A data set is data, so no file that it names is loaded.

    Raises:
        ConfigError: the name is unknown here. The message says how to give the task.
    """
    hint = (
        "give its file with --task FILE.py:NAME (task= in Python), or install the package that it comes with"
    )
    if is_path(name):
        raise ConfigError(f"{where} names the file {name!r} as its task, which is not run: {hint}")
    if not REGISTRY.is_known(name):
        raise ConfigError(f"{where} is of the task {name!r}, which is not known here: {hint}")
    return REGISTRY.named(name)


def _check_task(task: object, where: str) -> Task:
    """``task`` if it has all that a task has; ``where`` begins the message if not.

    Raises:
        ConfigError: names all that it lacks.
    """
    if hasattr(task, "find_call") and not hasattr(task, "tool"):
        name = getattr(task, "name", type(task).__name__)
        raise ConfigError(f"{where}: {name!r} is a tool; name a task that uses it (docs/extending.md)")
    check_members(task, where, TEXTS, METHODS)
    check_tool(getattr(task, "tool", None), f"{where}: its tool")
    prompts: Any = getattr(task, "prompts", None)
    if isinstance(prompts, Mapping):
        lacks = [name for name in PROMPTS if name not in prompts]
    elif callable(getattr(prompts, "joinpath", None)):
        lacks = [name for name in PROMPTS if not prompts.joinpath(f"{name}.json").is_file()]
    else:
        raise ConfigError(
            f"{where}: its prompts are {prompts!r:.80}: give a mapping by name, or a pathlib.Path"
        )
    if lacks:
        raise ConfigError(f"{where}: its prompts lack {', '.join(map(repr, lacks))} (see docs/extending.md)")
    if type(task).__hash__ is None:
        raise ConfigError(f"{where}: it cannot be hashed: define no __eq__, or a frozen dataclass")
    return cast(Task, task)


def identity(part: Task | Tool) -> list[Any]:
    """The name and the version of a task or a tool, for fingerprints. Code from outside adds its digest.

    A task includes the digests of its tools.
    """
    parts = [part, *getattr(part, "tools", ())]
    sources = [source.sha256 for each in parts if (source := source_of(each)) is not None]
    return [part.name, part.version, *sources]


REGISTRY: Final = Registry("task", "toolgen_hf.tasks", TASKS, _check_task)
