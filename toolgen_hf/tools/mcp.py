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
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from toolgen_hf.errors import ConfigError, GenerationError, UndefinedError
from toolgen_hf.secrets import redact
from toolgen_hf.tools.arguments import check, parse, render
from toolgen_hf.tools.base import Tool
from toolgen_hf.tools.config import McpConfig, McpToolConfig
from toolgen_hf.tools.service import Service

MAX_OUTPUT = 100_000
"""Characters of a result."""
_MAX_DESCRIPTION, _MAX_SCHEMA = 10_000, 50_000
_BAD_ARGUMENTS = -32602
"""JSON-RPC's code for arguments that a method cannot use."""

T = TypeVar("T")


class McpTool(Tool):
    """A tool as a server lists it."""

    takes_text = True
    version = 1

    def __init__(self, name: str, description: str, parameters: Mapping[str, Any]) -> None:
        self.name, self.description, self.parameters = name, description, parameters
        properties = parameters.get("properties") or {}
        self.parameter = next(iter(properties), "")
        self.parameter_description = str((properties.get(self.parameter) or {}).get("description", ""))

    def run(self, argument: str) -> str:
        """Raises: ConfigError: always; the server is asked in place of this."""
        raise ConfigError(
            f"{self.name} is a tool of an MCP server: name the server in the recipe's key tools"
        )

    def bare(self, argument: str) -> str:
        """As it was written: quotes and names tell the arguments apart."""
        return argument

    def arguments(self, argument: str) -> dict[str, Any]:
        """The arguments by name. Raises CallSyntaxError where they do not fit."""
        return parse(argument, self.parameters)

    def written(self, arguments: Mapping[str, Any]) -> str:
        """The arguments as text."""
        return render(check(arguments, self.parameters))

    def schema(self) -> dict[str, Any]:
        """The JSON schema that the server lists."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


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
        return {"kind": "mcp", "server": list(_server(self.config.server).name), "tool": self.tool.schema()}

    def check(self) -> None:
        """Start the server and find the tool. Raises ConfigError or GenerationError where that cannot be."""
        self.identity()

    def describe(self) -> str:
        name, version = _server(self.config.server).name
        return f"`{self.config.tool}` of the MCP server `{name}` {version}".rstrip()

    def result(self, argument: str) -> str:
        """The text that the server gives; its structured content as JSON if there is no text."""
        found = _server(self.config.server).call(self.config.tool, self.tool.arguments(argument))
        texts = [part.text for part in found.content if part.type == "text"]
        text = (
            "\n".join(texts)
            if texts or not found.structured_content
            else json.dumps(found.structured_content)
        )
        if len(text) > MAX_OUTPUT:
            text = f"{text[:MAX_OUTPUT]} ... (cut: {len(text):,} characters)"
        if found.is_error:
            raise UndefinedError(text or "the tool failed and gave no reason")
        if not text and found.content:
            raise UndefinedError(f"the result is no text but {found.content[0].type}")
        return text


class _Server:
    """A running server, in a thread with an event loop of its own."""

    def __init__(self, config: McpConfig) -> None:
        self.config = config
        self.where = f"the MCP server {config.command[0] if config.command else config.url!r}"
        self._portal: Any = None
        self._client: Any = None
        self._closing: Callable[[], None] = lambda: None
        self._errors: Any = None
        self.name, self._tools = self._listing()

    def tool(self, name: str) -> McpTool:
        if name not in self._tools:
            known = ", ".join(sorted(self._tools)) or "none"
            raise ConfigError(f"{self.where} has no tool {name!r}; it has {known}")
        return self._tools[name]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The server's answer to a call. A server that breaks off is started again, once."""
        from mcp import MCPError

        try:
            return self._ask(lambda client: client.call_tool(name, dict(arguments)), self.config.timeout)
        except MCPError as error:
            if error.code == _BAD_ARGUMENTS:
                raise UndefinedError(str(error)[:2000]) from error
            raise self._failed(error) from error

    def _listing(self) -> tuple[tuple[str, str], dict[str, McpTool]]:
        async def everything(client: Any) -> tuple[Any, list[Any]]:
            listed = await client.list_tools()
            tools = list(listed.tools)
            while listed.next_cursor and len(tools) < 1000:
                listed = await client.list_tools(cursor=listed.next_cursor)
                tools += listed.tools
            return client.server_info, tools

        from mcp import MCPError

        try:
            info, listed = self._ask(everything, self.config.start_timeout)
        except MCPError as error:
            raise self._failed(error) from error
        tools: dict[str, McpTool] = {}
        for one in listed:
            if one.name not in self.config.tools:
                continue
            schema, description = one.input_schema, one.description or ""
            size = len(json.dumps(schema))
            is_schema = isinstance(schema, dict) and isinstance(schema.get("properties", {}), dict)
            if (
                one.name in tools
                or not is_schema
                or size > _MAX_SCHEMA
                or len(description) > _MAX_DESCRIPTION
            ):
                raise ConfigError(
                    f"{self.where} lists the tool {one.name!r} twice, without a schema of named arguments, or with "
                    f"more than {_MAX_DESCRIPTION:,} characters of description or {_MAX_SCHEMA:,} of schema"
                )
            tools[one.name] = McpTool(one.name, description, schema)
        name = (str(info.name), str(info.version or "")) if info is not None else ("?", "")
        return name, tools

    def _ask(self, question: Callable[[Any], Awaitable[T]], timeout: float) -> T:
        import anyio
        from mcp import MCPError

        async def within(client: Any) -> T:
            with anyio.fail_after(timeout):
                return await question(client)

        for attempt in (1, 2):
            try:
                if self._portal is None:
                    self._start()
                made: T = self._portal.call(partial(within, self._client))
                return made
            except TimeoutError as error:
                self.close()
                raise self._failed(f"no answer in {timeout:g} seconds (timeout)") from error
            except MCPError as error:
                if "closed" not in str(error).lower():
                    raise
                self.close()
                if attempt == 2:
                    raise self._failed(error) from error
            except (OSError, RuntimeError, ExceptionGroup, anyio.ClosedResourceError) as error:
                self.close()
                if attempt == 2:
                    raise self._failed(error) from error
        raise AssertionError("unreachable")

    def _start(self) -> None:
        try:
            from anyio.from_thread import start_blocking_portal
            from mcp import Client, StdioServerParameters
            from mcp.client.stdio import get_default_environment, stdio_client
        except ImportError as error:
            raise ConfigError("tools of kind: mcp need a package: pip install 'toolgen_hf[mcp]'") from error
        config = self.config
        server: Any = config.url
        if config.command:
            passed = {name: os.environ[name] for name in config.pass_env if name in os.environ}
            environment = {**get_default_environment(), **config.env, **passed}
            self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in close()
            started = StdioServerParameters(
                command=config.command[0], args=list(config.command[1:]), env=environment
            )
            server = stdio_client(started, errlog=self._errors)
        portal_manager = start_blocking_portal()
        portal = portal_manager.__enter__()
        try:
            client_manager = portal.wrap_async_context_manager(
                Client(server, read_timeout_seconds=max(config.timeout, config.start_timeout) + 5)
            )
            self._client = client_manager.__enter__()
        except BaseException:
            portal_manager.__exit__(None, None, None)
            raise

        def closing() -> None:
            try:
                client_manager.__exit__(None, None, None)
            finally:
                portal_manager.__exit__(None, None, None)

        self._portal, self._closing = portal, closing

    def close(self) -> None:
        """End the server that runs, if one does."""
        closing, self._closing, self._portal, self._client = self._closing, lambda: None, None, None
        with suppress(Exception):  # it is gone already
            closing()

    def _failed(self, why: object) -> GenerationError:
        said = ""
        if self._errors is not None:
            self._errors.seek(0)
            said = self._redacted(self._errors.read()[-300:].strip())
        told = f"; it wrote: {said}" if said else ""
        return GenerationError(
            f"{self.where}: {self._redacted(str(why))[:500]}{told}. Results that arrived are stored; run again"
        )

    def _redacted(self, text: str) -> str:
        keys = [os.environ[name] for name in self.config.pass_env if os.environ.get(name)]
        return redact(text, keys)


_SERVERS: dict[tuple[int, str], _Server] = {}
"""The running servers, by process and config."""


def _server(config: McpConfig) -> _Server:
    key = (os.getpid(), config.model_dump_json())
    if key not in _SERVERS:
        _SERVERS[key] = _Server(config)
    return _SERVERS[key]


@atexit.register
def close_servers() -> None:
    """End the servers of this process."""
    for (process, _), server in list(_SERVERS.items()):
        if process == os.getpid():
            server.close()
    _SERVERS.clear()
