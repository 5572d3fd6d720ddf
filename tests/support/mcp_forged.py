"""An MCP server that lists its tools as no honest one does: ``python mcp_forged.py FILE``; the listing is the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {
            "initialize": json.dumps(
                {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "`](x)\n# Title " + "x" * 1000, "version": "1"},
                }
            ),
            "tools/list": Path(sys.argv[1]).read_text(),
        }.get(asked["method"])
        if answer is not None:
            print(f'{{"jsonrpc": "2.0", "id": {asked["id"]}, "result": {answer}}}', flush=True)
        elif "id" in asked:
            error = {"code": -32601, "message": "unknown"}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)


if __name__ == "__main__":
    main()
