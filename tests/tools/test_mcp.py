"""Tools of a real MCP server, which is started as a program or answers over HTTP."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.errors import CallSyntaxError, ConfigError, GenerationError, UndefinedError
from toolgen_hf.models.config import FileConfig
from toolgen_hf.tasks import Equipped
from toolgen_hf.testing import ApiRequest, ApiServer
from toolgen_hf.tools.config import McpConfig
from toolgen_hf.tools.mcp import McpService, close_servers

pytestmark = pytest.mark.enable_socket

SUPPORT = Path(__file__).parent.parent / "support"
SERVER = SUPPORT / "mcp_server.py"
KEY = "k-123456789-abcdefgh"


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    close_servers()


def config(*log: Path, **settings: Any) -> McpConfig:
    command = (sys.executable, str(SERVER), *map(str, log))
    return McpConfig(command=command, **{"tools": ("forecast", "history", "act", "facts"), **settings})


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
    assert service("facts", log).result('["Åse", "b)"], unit=null') == '{"names": ["Åse", "b)"]}'
    with pytest.raises(UndefinedError, match="Error executing tool forecast"):
        forecast.result('"Oslo", 9')
    with pytest.raises(CallSyntaxError, match="there is no argument 'town'"):
        forecast.result('town="Oslo"')
    assert log.read_text().splitlines() == [
        "forecast Oslo 2",
        "forecast Oslo 1",
        "history 1998",
        "facts ['Åse', 'b)'] None",
        "forecast Oslo 9",
    ]  # and no call whose arguments do not fit


def test_what_a_server_may_do_wrong(tmp_path: Path) -> None:
    log = tmp_path / "log"
    act = service("act", log, timeout=2)
    assert act.result("huge").endswith("... (cut: 300,000 characters)")
    with pytest.raises(UndefinedError, match="the result is no text but image"):
        act.result("image")
    with pytest.raises(UndefinedError, match="what: give a kind word"):
        act.result("refuse")
    with pytest.raises(GenerationError, match="no disk"):
        act.result("broken")
    with pytest.raises(GenerationError, match=r"no answer in 2 seconds \(timeout\)"):
        act.result("hang")
    with pytest.raises(GenerationError, match="it wrote: a last word"):
        act.result("crash")
    assert log.read_text().splitlines().count("act crash") == 2  # it was started again, once
    assert act.result("hello") == "not set"


def test_a_server_gets_only_what_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", "any")
    act = service("act", pass_env=("WEATHER_KEY",), env={"UNITS": "mm"})
    assert act.result("length of WEATHER_KEY") == str(len(KEY))
    assert [act.result(name) for name in ("OTHER_KEY", "UNITS")] == ["not set", "mm"]
    assert KEY not in json.dumps(act.identity()) + act.config.model_dump_json()
    assert act.result("WEATHER_KEY") == "…efgh"  # results are recorded
    with pytest.raises(UndefinedError, match="the key is …efgh"):
        act.result("fail")
    with pytest.raises(GenerationError, match="it wrote: the key is …efgh"):
        act.result("die")


def test_what_cannot_be_started() -> None:
    with pytest.raises(ConfigError, match="has no tool 'sun'; it has forecast"):
        service("sun", tools=("sun", "forecast")).check()
    with pytest.raises(GenerationError, match="the MCP server 'no-such-program'"):
        McpService(McpConfig(command=("no-such-program",), tools=("a",)).engines["a"]).check()
    with pytest.raises(ValueError, match="either a command to start, or the url"):
        McpConfig(tools=("a",))
    secret = "sk-proj-" + "a1B2c3D4" * 6
    for saved in ({"env": {"NAME": secret}}, {"command": ("server", secret)}):
        with pytest.raises(ValueError, match="name the variable in pass_env"):
            McpConfig(**{"command": ("server",), "tools": ("a",), **saved})
    with pytest.raises(ValueError, match="a tool is named twice"):
        config(tools=("forecast", "Forecast"))
    began = time.monotonic()
    with pytest.raises(GenerationError, match=r"it did not start in 1 seconds \(start_timeout\)"):
        service("act", env={"HANG": "1"}, start_timeout=1).check()
    assert time.monotonic() - began < 10


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ConfigError, match=r"pip install 'toolgen_hf\[mcp\]'"):
        service("act").check()


TEXT = {"type": "string"}


def listing(schema: Any, **changes: Any) -> list[dict[str, Any]]:
    return [{"name": "a", "inputSchema": schema, **changes}]


def of(properties: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


@pytest.mark.parametrize(
    ("tools", "error", "message"),
    [
        (listing(of({"a": TEXT})) * 2, ConfigError, "it is listed twice"),
        (listing(of({"a": TEXT}), name="b"), ConfigError, "has no tool 'a'"),
        (listing(of({"a": TEXT}), description="x" * 10_001), ConfigError, "more than 10,000 characters"),
        (listing(of({f"a{n}": TEXT for n in range(10_000)})), ConfigError, "or 50,000 of schema"),
        (listing(of({"a": TEXT}, required=["b"])), ConfigError, "which it does not describe"),
        (listing(of({"a": {"type": "text"}})), ConfigError, "the schema of 'a' is not valid"),
        (listing(of({"a": {"type": [{}]}})), ConfigError, "the schema of 'a' is not valid"),
        (listing(of({"a": {"enum": 7}})), ConfigError, "the schema of 'a' is not valid"),
        (listing(of({"a": {"anyOf": [{"type": 1}]}})), ConfigError, "the schema of 'a' is not valid"),
        (listing(of({"a": {"default": float("nan")}})), ConfigError, "its schema is no JSON"),
        (listing(of(["a"])), GenerationError, "its answer is not valid"),
        (listing({"type": "array"}), GenerationError, "its answer is not valid"),
        (listing([1]), GenerationError, "its answer is not valid"),
        ("no list", GenerationError, "its answer is not valid"),
        (None, GenerationError, r"no answer in 2 seconds \(start_timeout\)"),
    ],
)
def test_a_forged_listing(tmp_path: Path, tools: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        forged(tmp_path, "}{" if tools is None else json.dumps({"tools": tools})).check()


def test_a_listing_without_an_end(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="start_timeout"):
        forged(tmp_path, '{"tools": [], "nextCursor": "more"}').check()


def test_a_forged_name_is_a_word_in_a_card(tmp_path: Path) -> None:
    made = forged(tmp_path, json.dumps({"tools": listing(of({"a": TEXT}))})).describe()
    assert made.startswith("`a` of the MCP server `'](x) # Title xxx")
    assert len(made) < 200
    assert "\n" not in made


def forged(folder: Path, listing: str) -> McpService:
    (folder / "listing").write_text(listing)
    command = (sys.executable, str(SUPPORT / "mcp_forged.py"), str(folder / "listing"))
    return McpService(McpConfig(command=command, tools=("a",), start_timeout=2).engines["a"])


def test_one_server_for_the_tools_of_a_process(tmp_path: Path) -> None:
    log = tmp_path / "log"
    act = service("act", log)
    process = act.result("pid")
    assert pickle.loads(pickle.dumps(act)).result("pid") == process
    assert service("act", log).result("pid") == process
    if (child := os.fork()) == 0:  # it starts its own
        code = int(act.result("pid") == process)
        close_servers()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    os.kill(int(process), signal.SIGKILL)
    assert act.result("pid") != process  # it was started again


def test_a_server_ends_with_the_process_that_started_it() -> None:
    script = (
        "from toolgen_hf.tools.config import McpConfig\n"
        "from toolgen_hf.tools.mcp import McpService\n"
        f"config = McpConfig(command={(sys.executable, str(SERVER))!r}, tools=('act',))\n"
        "print(McpService(config.engines['act']).result('pid'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


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


SOURCES = {
    "right": 'forecast("Oslo", 2) history(year=1998)',
    "refused": 'forecast("Oslo", 9)',
    "wrong-arguments": 'forecast(town="Oslo")',
}


def weather(folder: Path, url: str, sources: Mapping[str, str], **server: Any) -> Recipe:
    """A recipe with a task in a file, whose models are the scripted server's."""
    (folder / "weather.py").write_text(TASK)
    question = "How much did it rain in 1998, in mm?"
    (folder / "questions.jsonl").write_text(json.dumps({"question": question, "answer": "980"}) + "\n")

    def model(name: str) -> dict[str, Any]:
        price = {"input": 0, "output": 0}
        return {"generator": {"kind": "openai", "engine": name, "base_url": url, "price": price}}

    command = [sys.executable, str(SERVER), str(folder / "log")]
    recipe = {
        "name": "weather",
        "task": "weather.py:Weather",
        "dataset": {"builder": "qa", "data_files": {"train": str(folder / "questions.jsonl")}},
        "answer": model("student"),
        "tool_api": {"teachers": [model("student")["generator"]]},
        "tools": {"server": {"kind": "mcp", "command": command, "tools": ["forecast", "history"], **server}},
        "sources": {name: model(name) for name in sources},
    }
    (folder / "weather.yaml").write_text(yaml.safe_dump(recipe))
    return Recipe.load(folder / "weather.yaml")


def speaking(sources: Mapping[str, str]) -> ApiServer:
    def speak(request: ApiRequest) -> str:
        is_teacher = "Golden" in request.prompt
        return "history(1998)" if is_teacher else sources.get(request.body["model"], "I do not know.")

    return ApiServer(speak)


def test_a_run_whose_sources_call_two_tools_of_a_server(tmp_path: Path) -> None:
    """Results are recorded: the second run asks the server for the listing alone."""
    log = tmp_path / "log"
    with speaking(SOURCES) as api, Workspace(tmp_path / "work", progress=False) as workspace:
        made = weather(tmp_path, api.base_url, SOURCES)
        result = run(made, tmp_path / "out", workspace)
        calls = log.read_text().splitlines()
        shutil.rmtree(tmp_path / "work/stages")
        run(made, tmp_path / "again", workspace)
    assert sorted(calls) == ["forecast Oslo 2", "forecast Oslo 9", "history 1998"]  # and none twice
    assert log.read_text().splitlines() == calls
    assert result.configs["stage1"]["train"]["output"] == ["history(1998)"]
    [right], [refused], [wrong] = (result.configs[f"responses-{name}"]["train"] for name in SOURCES)
    assert [call["result"] for call in right["calls"]] == ["Oslo: rain for 2 days", "980"]
    assert right["correct"]
    assert refused["calls"][0]["error"] == "undefined: Error executing tool forecast"
    assert "there is no argument 'town'" in wrong["calls"][0]["error"]
    [calling] = result.configs["tool_calling"]["train"]
    assert [tool["function"]["name"] for tool in calling["tools"]] == ["calculator", "forecast", "history"]
    [call] = calling["messages"][1]["tool_calls"]
    assert call["function"] == {"name": "history", "arguments": {"year": 1998}}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["models"]["tool server.history"] == "`history` of the MCP server `weather` 1.2"
    assert os.environ["PATH"] not in json.dumps(manifest)
    written = (tmp_path / "out" / "recipe.yaml").read_text()
    saved = yaml.safe_load(written)["tools"]["server"]["command"]
    assert saved == [Path(sys.executable).name, "mcp_server.py", "log"]
    assert str(SERVER) not in written + json.dumps(manifest)


@pytest.mark.parametrize(
    ("what", "message"), [("crash", "it wrote: a last word"), ("hang", "no answer in 1")]
)
def test_a_server_that_fails_ends_the_run(tmp_path: Path, what: str, message: str) -> None:
    sources = {"one": f"act({what})"}
    with speaking(sources) as api, Workspace(tmp_path / "work", progress=False) as workspace:
        made = weather(tmp_path, api.base_url, sources, tools=["history", "act"], timeout=1)
        with pytest.raises(GenerationError, match=message):
            run(made, tmp_path / "out", workspace)
    assert not (tmp_path / "out").exists()


def test_a_tool_is_offered_once() -> None:
    tools = {"one": config(tools=("act",)), "two": config(tools=("Act", "forecast"))}
    with pytest.raises(ConfigError, match=r"tools\.two: 'Act' is offered by tools\.one too: offer it once"):
        Equipped("math", tools).require()


def test_a_server_may_answer_a_tool_that_a_task_declares() -> None:
    reader = FileConfig(path="texts.jsonl")
    with pytest.raises(ConfigError, match="nothing answers the calls of WikiSearch"):
        Equipped("qa", {"one": config(tools=("act",))}, reader).require()
    Equipped("qa", {"one": config(tools=("act", "WikiSearch"))}, reader).require()
