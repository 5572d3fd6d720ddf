"""Tools of a real MCP server, which is started as a program or answers over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.errors import CallSyntaxError, ConfigError, GenerationError, UndefinedError
from toolgen_hf.testing import ApiRequest, ApiServer
from toolgen_hf.tools.config import McpConfig
from toolgen_hf.tools.mcp import McpService, close_servers

pytestmark = pytest.mark.enable_socket

SERVER = Path(__file__).parent.parent / "support/mcp_server.py"


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    close_servers()


def config(*log: Path, **settings: Any) -> McpConfig:
    command = (sys.executable, str(SERVER), *map(str, log))
    return McpConfig(command=command, **{"tools": ("forecast", "history", "act"), **settings})


def service(tool: str, *log: Path, **settings: Any) -> McpService:
    return McpService(config(*log, **settings).engines[tool])


def test_a_tool_is_what_the_server_lists() -> None:
    forecast = service("forecast")
    assert forecast.tool.schema()["function"]["parameters"]["required"] == ["city"]
    assert forecast.tool.description == "The weather of the next days."
    assert forecast.tool.arguments('city="Oslo", days=2') == {"city": "Oslo", "days": 2}
    assert forecast.tool.written({"city": "Oslo", "days": 2}) == 'city="Oslo", days=2'
    identity = forecast.identity()
    assert identity["server"] == ["weather", "1.2"]
    assert str(SERVER) not in json.dumps(identity)


def test_calls(tmp_path: Path) -> None:
    log = tmp_path / "log"
    forecast = service("forecast", log)
    assert forecast.result('city="Oslo", days=2') == "Oslo: rain for 2 days"
    assert forecast.result("Oslo") == "Oslo: rain for 1 days"
    assert service("history", log).result("1998") == "980"
    with pytest.raises(UndefinedError, match="Error executing tool forecast"):
        forecast.result('"Oslo", 9')
    with pytest.raises(CallSyntaxError, match="there is no argument 'town'"):
        forecast.result('town="Oslo"')
    assert log.read_text().splitlines() == [
        "forecast Oslo 2",
        "forecast Oslo 1",
        "history 1998",
        "forecast Oslo 9",
    ]


def test_what_a_server_may_do_wrong(tmp_path: Path) -> None:
    log = tmp_path / "log"
    act = service("act", log, timeout=2)
    assert act.result("huge").endswith("... (cut: 300,000 characters)")
    with pytest.raises(UndefinedError, match="the result is no text but image"):
        act.result("image")
    with pytest.raises(GenerationError, match=r"no answer in 2 seconds \(timeout\)"):
        act.result("hang")
    with pytest.raises(GenerationError, match="it wrote: a last word"):
        act.result("crash")
    assert log.read_text().splitlines().count("act crash") == 2  # it was started again, once
    assert act.result("hello") == "not set"


def test_a_server_gets_only_what_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_KEY", "k-1234")
    monkeypatch.setenv("OTHER_KEY", "k-5678")
    act = service("act", pass_env=("WEATHER_KEY",), env={"UNITS": "mm"})
    assert [act.result(name) for name in ("WEATHER_KEY", "OTHER_KEY", "UNITS")] == ["k-1234", "not set", "mm"]
    assert "k-1234" not in json.dumps(act.identity()) + act.config.model_dump_json()


def test_what_cannot_be_started() -> None:
    with pytest.raises(ConfigError, match="has no tool 'sun'; it has forecast"):
        service("sun", tools=("sun", "forecast")).check()
    with pytest.raises(GenerationError, match="the MCP server 'no-such-program'"):
        McpService(McpConfig(command=("no-such-program",), tools=("a",)).engines["a"]).check()
    with pytest.raises(ValueError, match="either a command to start, or the url"):
        McpConfig(tools=("a",))
    with pytest.raises(ValueError, match="name the variable in pass_env"):
        config(env={"KEY": "sk-proj-" + "a1B2c3D4" * 6})


def test_over_http() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = subprocess.Popen([sys.executable, str(SERVER), "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        engines = McpConfig(url=f"http://127.0.0.1:{port}/mcp", tools=("forecast",)).engines
        assert McpService(engines["forecast"]).result("Oslo") == "Oslo: rain for 1 days"
        close_servers()
    finally:
        started.kill()
        started.wait()
    with pytest.raises(GenerationError, match="the MCP server"):
        McpService(engines["forecast"]).result("Oslo")


def _wait(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)


TASK = """
from toolgen_hf.tasks.math import Math
from toolgen_hf.tools import get_tool


class Weather(Math):
    name = "weather"
"""


def test_a_run_whose_sources_call_two_tools_of_a_server(tmp_path: Path) -> None:
    """Results are recorded: the second run asks the server for the listing alone."""
    log = tmp_path / "log"
    (tmp_path / "weather.py").write_text(TASK)
    question = "How much did it rain in 1998, in mm?"
    (tmp_path / "questions.jsonl").write_text(json.dumps({"question": question, "answer": "980"}) + "\n")

    def speak(request: ApiRequest) -> str:
        if "Golden" in request.prompt:
            return "history(1998)"
        return {"gpt-4o": 'forecast("Oslo", 2) history(year=1998)'}.get(
            request.body["model"], "I do not know."
        )

    with ApiServer(speak) as server:
        student, source = (
            {"kind": "openai", "engine": engine, "base_url": server.base_url}
            for engine in ("gpt-4o-mini", "gpt-4o")
        )
        recipe = {
            "name": "weather",
            "task": "weather.py:Weather",
            "dataset": {"builder": "qa", "data_files": {"train": str(tmp_path / "questions.jsonl")}},
            "answer": {"generator": student},
            "tool_api": {"teachers": [student]},
            "tools": {
                "server": {
                    "kind": "mcp",
                    "command": [sys.executable, str(SERVER), str(log)],
                    "tools": ["forecast", "history"],
                }
            },
            "sources": {"other": {"generator": source}},
        }
        (tmp_path / "weather.yaml").write_text(yaml.safe_dump(recipe))
        made = Recipe.load(tmp_path / "weather.yaml")
        with Workspace(tmp_path / "work", progress=False) as workspace:
            result = run(made, tmp_path / "out", workspace)
            calls = log.read_text().splitlines()
            run(made, tmp_path / "again", workspace)
    assert sorted(calls) == ["forecast Oslo 2", "history 1998", "history 1998"]  # written in two ways
    assert log.read_text().splitlines() == calls
    assert result.configs["stage1"]["train"]["output"] == ["history(1998)"]
    [other] = result.configs["responses-other"]["train"]
    assert [call["result"] for call in other["calls"]] == ["Oslo: rain for 2 days", "980"]
    assert other["correct"]
    [calling] = result.configs["tool_calling"]["train"]
    assert [tool["function"]["name"] for tool in calling["tools"]] == ["calculator", "forecast", "history"]
    [call] = calling["messages"][1]["tool_calls"]
    assert call["function"] == {"name": "history", "arguments": {"year": 1998}}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["models"]["tool server.history"] == "`history` of the MCP server `weather` 1.2"
    assert os.environ["PATH"] not in json.dumps(manifest)
