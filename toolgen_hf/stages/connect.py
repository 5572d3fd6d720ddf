"""What the rows of a stage may ask beside their models: the tools of a recipe, and the reader of tool results.

connect(Equipped("qa", {"WikiSearch": SearchConfig(corpus="pages.jsonl")}, reader), workspace, "execute gold")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolgen_hf.ask import Ask, Connection, Prompt, ToolResult
from toolgen_hf.errors import ConfigError, ToolError
from toolgen_hf.models import build
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.tasks import Equipped, TaskLike, get_task, identity
from toolgen_hf.tasks.responses import read_response
from toolgen_hf.tools import get_tool
from toolgen_hf.tools.base import Declared, Tool
from toolgen_hf.tools.config import FunctionConfig, McpConfig, QAModelConfig, ToolConfig, TranslatorConfig
from toolgen_hf.tools.service import recorded

QA_PROMPT = "Answer the question in a few words."
TRANSLATOR_PROMPT = "Translate the text into {language}. Write the translation alone."


@dataclass(frozen=True)
class Connected:
    """The tools that rows may call, and what is asked for their results."""

    tools: tuple[Tool, ...]
    connections: Mapping[str, Connection]
    texts: tuple[Texts, ...]
    """Of all engines of the tools, and of the reader at the end."""
    reader: Texts | None
    settings: Mapping[str, Any]
    """What the output of a stage owes to them, and to the task."""

    def ask(self) -> Ask:
        """What a row gets."""
        return Ask(self.reader, self.tools, self.connections)


def connect(task: TaskLike, workspace: Workspace, label: str) -> Connected:
    """Open what the calls of a stage need.

    Raises:
        ConfigError: a tool of the task is a service that nothing answers, or the task needs a reader.
    """
    equipped = Equipped.of(task)
    equipped.require()
    task, tools, reader = get_task(equipped.task), equipped.tools, equipped.reader
    offered = list(task.tools)
    connections: dict[str, Connection] = {}
    asked: dict[str, Texts] = {}
    for name, config in tools.items():
        if isinstance(config, FunctionConfig):
            own = get_tool(config.path)
            if own.name != name:
                raise ConfigError(
                    f"tools.{name}: {config.path!r} is called {own.name!r}: use this name as the key"
                )
            offered = [*(tool for tool in offered if tool.name != name), own]
            continue
        engines = {
            key: workspace.texts(build(engine), f"{label} {'.'.join(filter(None, (name, key)))}", None)
            for key, engine in config.engines.items()
        }
        if isinstance(config, McpConfig):
            for texts in engines.values():
                service: Any = texts.generator
                listed: Tool = service.tool
                offered = [*(tool for tool in offered if tool.name.lower() != listed.name.lower()), listed]
                connections[listed.name] = _of_server(texts, listed)
        else:
            connections[name] = _connection(config, engines)
            if name not in {tool.name for tool in offered}:
                offered.append(_declared(name, config))
        asked |= {f"{name}.{key}": texts for key, texts in engines.items()}
    read_by = None if reader is None else workspace.texts(build(reader), f"{label} reader", None)
    settings = {
        "task": identity(task),
        "tool": [[*identity(tool), tool.schema()] for tool in offered],
        "tools": {name: texts.settings for name, texts in asked.items()},
        "reader": read_by and read_by.settings,
    }
    every = (*asked.values(), *([] if read_by is None else [read_by]))
    return Connected(tuple(offered), connections, every, read_by, settings)


def _declared(name: str, config: ToolConfig) -> Tool:
    """How a tool is offered that the task does not know."""
    match config:
        case QAModelConfig():
            told = ("Asks a question answering model.", "question", "A whole question.")
        case TranslatorConfig():
            told = (f"Translates a text into {config.language}.", "text", "The text in its own language.")
        case _:
            told = (
                "Searches a collection of texts, and returns the passages that fit best.",
                "term",
                "What to look for.",
            )
    return Declared(name, *told)


def _of_server(texts: Texts, tool: Tool) -> Connection:
    """Calls that are recorded in one form, however they are written. Arguments that do not fit are not sent."""
    send = recorded(texts)

    async def call(argument: str, ask: Ask) -> ToolResult:
        try:
            written = tool.written(tool.arguments(argument))
            tool.arguments(written)  # it may be longer
        except ToolError as error:
            return ToolResult(error=f"{error.code}: {error}")
        return await send(written, ask)

    return call


def _connection(config: ToolConfig, engines: Mapping[str, Texts]) -> Connection:
    match config:
        case QAModelConfig():
            return _qa(engines.get("search"), engines["reader"])
        case TranslatorConfig():
            return _model(engines["generator"], TRANSLATOR_PROMPT.format(language=config.language))
    return recorded(engines[""])


def _qa(search: Texts | None, reader: Texts) -> Connection:
    read = _model(reader, QA_PROMPT)
    find = None if search is None else recorded(search)

    async def call(argument: str, ask: Ask) -> ToolResult:
        if find is None:
            return await read(argument, ask)
        found = await find(argument, ask)
        return found if found.result is None else await read(f"{found.result}\n{argument}", ask)

    return call


def _model(texts: Texts, instruction: str) -> Connection:
    async def call(argument: str, ask: Ask) -> ToolResult:
        made = await ask.text(texts, Prompt(instruction, argument))
        text = read_response(made.text).text.strip()
        return (
            ToolResult(text)
            if text
            else ToolResult(error=f"undefined: {made.failure or 'the model gave no text'}")
        )

    return call
