"""An MCP server for the tests: ``python mcp_server.py [LOG]`` on stdio, or with ``--port N`` on HTTP.

Each call is a line in the file LOG.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import INVALID_PARAMS, CallToolResult, ImageContent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path, nargs="?")
    parser.add_argument("--port", type=int)
    args = parser.parse_args()
    time.sleep(60 if "HANG" in os.environ else 0)
    server = MCPServer("weather", version="1.2")

    def note(call: str) -> None:
        if args.log:
            with args.log.open("a") as file:
                file.write(f"{call}\n")

    @server.tool()
    def forecast(city: str, days: int = 1) -> str:
        """The weather of the next days."""
        note(f"forecast {city} {days}")
        if days > 7:
            raise ValueError("at most 7 days")
        return f"{city}: rain for {days} days"

    @server.tool()
    def history(year: int) -> str:
        """The rain of a year in mm."""
        note(f"history {year}")
        return str(year % 100 * 10)

    @server.tool()
    def facts(names: list[str], unit: str | None = None) -> CallToolResult:
        """Structured content without a text."""
        note(f"facts {names} {unit}")
        return CallToolResult(content=[], structured_content={unit or "names": names})

    @server.tool()
    def act(what: str) -> str | list[ImageContent]:
        """Misbehave."""
        note(f"act {what}")
        if what == "hang":
            time.sleep(60)
        if what == "crash":
            print("a last word", file=sys.stderr, flush=True)
            os._exit(3)
        if what == "image":
            return [ImageContent(type="image", data="aGk=", mime_type="image/png")]
        if what == "refuse":
            raise MCPError(code=INVALID_PARAMS, message="what: give a kind word")
        if what == "broken":
            raise MCPError(code=-32603, message="no disk")
        if what == "fail":
            raise ToolError(f"the key is {os.environ['WEATHER_KEY']}")
        if what == "die":
            print(f"the key is {os.environ['WEATHER_KEY']}", file=sys.stderr, flush=True)
            os._exit(3)
        if what == "pid":
            return str(os.getpid())
        if what.startswith("length of "):
            return str(len(os.environ.get(what.removeprefix("length of "), "")))
        return "x" * 300_000 if what == "huge" else os.environ.get(what, "not set")

    if args.port:
        server.run("streamable-http", port=args.port)
    else:
        server.run()


if __name__ == "__main__":
    main()
