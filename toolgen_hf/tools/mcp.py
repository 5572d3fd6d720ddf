"""Tools of an MCP server, through the official client.

    tools:
      weather: {kind: mcp, command: [python, weather_server.py], tools: [forecast, history]}

Only the server that a recipe names is started, and only the tools that it names are offered and called. A call has a
time limit and its output a bound. What the server says is wrong with a call is a result of the call; a server that
cannot be started, hangs or breaks off is an error of the run.
"""

from __future__ import annotations

import atexit
import json
import os
import shlex
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from threading import RLock
from typing import Any, TypeVar

from toolgen_hf.errors import ConfigError, GenerationError, ToolgenError, UndefinedError
from toolgen_hf.secrets import redact, without_keys
from toolgen_hf.tools.arguments import SchemaTool
from toolgen_hf.tools.config import McpConfig, McpToolConfig
from toolgen_hf.tools.service import Service

MAX_OUTPUT = 100_000
"""Characters of a result."""
_MAX_ERROR = 2000
_MAX_DESCRIPTION, _MAX_SCHEMA, _MAX_TOOLS = 10_000, 50_000, 1000
_TYPES = {"string", "integer", "number", "boolean", "array", "object", "null"}

T = TypeVar("T")


class McpTool(SchemaTool):
    """A tool as a server lists it."""

    def run(self, argument: str) -> str:
        """Raises: ConfigError: always; the server is asked in place of this."""
        raise ConfigError(
            f"{self.name} is a tool of an MCP server: name the server in the recipe's key tools"
        )


class McpService(Service):
    """One tool of a server. The server is shared by all tools of one config in a process."""

    def __init__(self, config: McpToolConfig) -> None:
        self.config = config

    @property
    def tool(self) -> McpTool:
        """The tool as the server lists it."""
        return _server(self.config.server).tool(self.config.tool)

    def identity(self) -> dict[str, Any]:
        """The server by its own name and version, and the tool by its schema."""
        name = _server(self.config.server).listing()[0]
        return {"kind": "mcp", "server": list(name), "tool": self.tool.schema()}

    def check(self) -> None:
        """Start the server and find the tool. Raises ConfigError or GenerationError where that cannot be."""
        self.identity()

    def describe(self) -> str:
        name, version = _server(self.config.server).listing()[0]
        return f"`{self.config.tool}` of the MCP server `{name}` {version}".rstrip()

    def result(self, argument: str) -> str:
        """The text that the server gives; its structured content as JSON if there is no text."""
        found = _server(self.config.server).call(self.config.tool, self.tool.arguments(argument))
        texts = [part.text for part in found.content if part.type == "text"]
        if not texts and found.structured_content is not None:
            texts = [json.dumps(found.structured_content, ensure_ascii=False)]
        text = without_keys("\n".join(texts), _passed(self.config.server).values())
        if found.is_error:
            raise UndefinedError(text[:_MAX_ERROR] or "the tool failed and gave no reason")
        if not texts and found.content:
            raise UndefinedError(f"the result is no text but {found.content[0].type}")
        return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]} ... (cut: {len(text):,} characters)"


class _Server:
    """A server that is started when it is first asked. Its session has a thread with an event loop of its own."""

    def __init__(self, config: McpConfig) -> None:
        self.config = config
        self.where = f"the MCP server {(config.url or shlex.join(config.command))[:200]!r}"
        self._lock = RLock()
        self._listed: tuple[tuple[str, str], dict[str, McpTool]] | None = None
        self._portal: Any = None
        self._client: Any = None
        self._closing: Callable[[], None] = lambda: None
        self._errors: Any = None

    def listing(self) -> tuple[tuple[str, str], dict[str, McpTool]]:
        """The server's name and version, and the tools of the config."""
        with self._lock:
            if self._listed is None:
                self._listed = self._list()
            return self._listed

    def tool(self, name: str) -> McpTool:
        tools = self.listing()[1]
        if name not in tools:
            known = ", ".join(sorted(tools)) or "none of those that the recipe names"
            raise ConfigError(f"{self.where} has no tool {name!r}; it has {known}")
        return tools[name]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The server's answer to a call. A server that breaks off is started again, once."""
        from mcp import MCPError
        from mcp.types import INVALID_PARAMS

        try:
            return self._ask(
                lambda client: client.call_tool(name, dict(arguments)), self.config.timeout, "timeout"
            )
        except MCPError as error:
            if error.code == INVALID_PARAMS:
                raise UndefinedError(
                    without_keys(str(error), _passed(self.config).values())[:_MAX_ERROR]
                ) from error
            raise self._failed(error) from error

    def _list(self) -> tuple[tuple[str, str], dict[str, McpTool]]:
        _import()
        from mcp import MCPError

        async def everything(client: Any) -> tuple[Any, list[Any]]:
            listed = await client.list_tools()
            tools = list(listed.tools)
            while listed.next_cursor and len(tools) < _MAX_TOOLS:
                listed = await client.list_tools(cursor=listed.next_cursor)
                tools += listed.tools
            return client.server_info, tools

        try:
            info, listed = self._ask(everything, self.config.start_timeout, "start_timeout")
        except MCPError as error:
            raise self._failed(error) from error
        tools: dict[str, McpTool] = {}
        for one in listed:
            if one.name not in self.config.tools:
                continue
            description = one.description or ""
            if fault := "it is listed twice" if one.name in tools else _fault(description, one.input_schema):
                raise ConfigError(f"{self.where}: its tool {one.name!r} cannot be offered: {fault}")
            tools[one.name] = McpTool(one.name, description, one.input_schema)
        return (_word(info and info.name) or "?", _word(info and info.version)), tools

    def _ask(self, question: Callable[[Any], Awaitable[T]], seconds: float, setting: str) -> T:
        """Raises: MCPError: the server's own error."""
        import anyio
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        async def within() -> T:
            with anyio.fail_after(seconds):
                return await question(self._client)

        with self._lock:
            for is_last in (False, True):
                try:
                    if self._client is None:
                        self._start()
                    made: T = self._portal.call(within)
                    return made
                except ToolgenError:
                    raise
                except TimeoutError as error:
                    self.close()
                    raise self._failed(f"no answer in {seconds:g} seconds ({setting})") from error
                except (ValueError, RuntimeError) as error:
                    self.close()
                    raise self._failed(f"its answer is not valid: {error}") from error
                except Exception as error:  # the client's transports have exceptions of their own
                    if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED:
                        raise
                    self.close()
                    if is_last:
                        raise self._failed(_first(error)) from error
        raise AssertionError("unreachable")

    def _start(self) -> None:
        import anyio
        from anyio.from_thread import start_blocking_portal
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        config = self.config
        server: Any = config.url
        if config.command:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - read when the server fails
            program, *arguments = config.command
            environment = {**config.env, **_passed(config)}  # besides PATH, HOME and the like
            started = StdioServerParameters(command=program, args=arguments, env=environment)
            server = stdio_client(started, errlog=self._errors)
        manager = start_blocking_portal()
        portal = manager.__enter__()
        stop = portal.call(anyio.Event)
        ready: Future[Any] = Future()

        async def session() -> None:
            async with Client(server) as client:
                ready.set_result(client)
                await stop.wait()

        def closing() -> None:
            try:
                portal.call(stop.set)
            finally:
                manager.__exit__(None, None, None)

        running = portal.start_task_soon(session)
        wait((ready, running), config.start_timeout, FIRST_COMPLETED)
        if ready.done():
            self._portal, self._client, self._closing = portal, ready.result(), closing
            return
        is_late = running.cancel()
        manager.__exit__(None, None, None)
        if is_late:
            raise self._failed(f"it did not start in {config.start_timeout:g} seconds (start_timeout)")
        running.result()

    def close(self) -> None:
        """End the server that runs, if one does."""
        closing, self._closing, self._portal, self._client = self._closing, lambda: None, None, None
        with suppress(Exception):  # it is gone already
            closing()

    def _failed(self, why: object) -> GenerationError:
        said = ""
        if self._errors is not None:
            self._errors.seek(max(0, os.fstat(self._errors.fileno()).st_size - 300))
            said = self._errors.read().decode(errors="replace").strip()
        told = f"; it wrote: {said}" if said else ""
        text = redact(f"{' '.join(str(why).split())[:500]}{told}", _passed(self.config).values())
        return GenerationError(f"{self.where}: {text}. Results that arrived are stored; run again")


def _import() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise ConfigError("tools of kind: mcp need a package: pip install 'toolgen_hf[mcp]'") from error


def _passed(config: McpConfig) -> dict[str, str]:
    """The variables that a program gets from the environment."""
    return {name: os.environ[name] for name in config.pass_env if name in os.environ}


def _first(error: BaseException) -> BaseException:
    """The first error of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _word(text: object) -> str:
    """A server's name or version, as it can stand in a card."""
    return " ".join(str(text or "").replace("`", "'").split())[:100]


def _fault(description: str, schema: Mapping[str, Any]) -> str | None:
    """Why a tool cannot be offered as it is listed."""
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except ValueError as error:
        return f"its schema is no JSON: {error}"
    if len(description) > _MAX_DESCRIPTION or size > _MAX_SCHEMA:
        return f"it has more than {_MAX_DESCRIPTION:,} characters of description or {_MAX_SCHEMA:,} of schema"
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if schema.get("type", "object") != "object" or not isinstance(properties, Mapping):
        return "its schema has no named arguments"
    if not isinstance(required, list) or not all(name in properties for name in map(str, required)):
        return f"its schema requires {required!r}, which it does not describe"
    return next(
        (f"the schema of {name!r} is not valid" for name in properties if not _is_schema(properties[name])),
        None,
    )


def _is_schema(one: object) -> bool:
    """Whether the schema of one argument has types and choices as JSON Schema writes them."""
    if not isinstance(one, Mapping):
        return isinstance(one, bool)
    types, options = one.get("type", []), one.get("anyOf", [])
    types = [types] if isinstance(types, str) else types
    are_types = isinstance(types, list) and all(isinstance(kind, str) and kind in _TYPES for kind in types)
    are_options = isinstance(options, list) and all(map(_is_schema, options))
    return are_types and are_options and isinstance(one.get("enum", []), list)


_SERVERS: dict[tuple[int, str], _Server] = {}
"""The servers, by process and config: a forked process starts its own."""


def _server(config: McpConfig) -> _Server:
    return _SERVERS.setdefault((os.getpid(), config.model_dump_json()), _Server(config))


@atexit.register
def close_servers() -> None:
    """End the servers of this process. Those of the process that it was forked from are left alone."""
    for key in [key for key in _SERVERS if key[0] == os.getpid()]:
        _SERVERS.pop(key).close()
