"""Ctrl-C, SIGTERM and ``kill -9`` in the middle of a run, and what the next run then pays for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.engines import splits
from toolgen_hf import Workspace, respond
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.runtime.store import SqliteStore
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

ROWS, CONCURRENCY = 60, 6

RUN = """
import sys
from tests.support.engines import splits
from toolgen_hf import Workspace, respond
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.stages.respond import SourceConfig

url, folder, rows, concurrency = sys.argv[1:]
engine = OpenAIConfig(engine="any", base_url=url, concurrency=int(concurrency))
with Workspace(folder, progress=False) as workspace:
    respond(splits(int(rows)), "any", SourceConfig(generator=engine), workspace)
"""


def start(server: ApiServer, folder: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        [sys.executable, "-c", RUN, server.base_url, str(folder), str(ROWS), str(CONCURRENCY)],
        env={**os.environ, "PYTHONPATH": root},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(server: ApiServer, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while server.count < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stored(folder: Path) -> int:
    with SqliteStore(folder / "store.sqlite") as store:
        return len(store)


def echo(request: ApiRequest) -> Reply:
    return Reply(f"to {request.user}", latency=0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_stopped(number: signal.Signals, tmp_path: Path) -> None:
    with ApiServer(echo) as server:
        process = start(server, tmp_path)
        wait_for(server, 20, process)
        process.send_signal(number)
        errors = process.communicate(timeout=30)[1]
        assert process.returncode == -number
        first = server.count
        assert 20 <= first < ROWS
        kept = stored(tmp_path)
        if number == signal.SIGKILL:
            assert first - CONCURRENCY <= kept <= first
        else:
            assert kept == first  # what was in flight has arrived
            assert "unclosed" not in errors.lower()
        with Workspace(tmp_path, progress=False) as workspace:
            again = OpenAIConfig(engine="any", base_url=server.base_url, concurrency=20)
            made = respond(splits(ROWS), "any", SourceConfig(generator=again), workspace)
        assert made["train"]["response"] == [
            f"to {question}" for question in splits(ROWS)["train"]["question"]
        ]
        assert server.count == ROWS + first - kept
        paid = Counter(request.digest for request in server.requests)
    assert len(paid) == ROWS
    assert sum(paid.values()) - ROWS <= (CONCURRENCY if number == signal.SIGKILL else 0)
    assert stored(tmp_path) == ROWS


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT, signal.SIGTERM)]
)
@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_signals_that_come_together_are_one(
    numbers: tuple[signal.Signals, ...], gap: float, tmp_path: Path
) -> None:
    """``timeout`` and schedulers send the same signal to a process and to its group."""
    with ApiServer(lambda r: Reply(f"to {r.user}", latency=0.8)) as server:
        process = start(server, tmp_path)
        wait_for(server, CONCURRENCY, process)
        for number in numbers:
            process.send_signal(number)
            time.sleep(gap)
        process.communicate(timeout=30)
        assert process.returncode == -numbers[0]
        assert stored(tmp_path) == server.count == CONCURRENCY
        again = OpenAIConfig(engine="any", base_url=server.base_url, concurrency=60)
        with Workspace(tmp_path, progress=False) as workspace:
            respond(splits(ROWS), "any", SourceConfig(generator=again), workspace)
        assert server.count == ROWS  # nothing was paid twice


def test_the_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    with ApiServer(lambda r: echo(r) if r.index < 20 else Reply(fault="hang")) as server:
        process = start(server, tmp_path)
        wait_for(server, 20 + CONCURRENCY, process)
        time.sleep(0.3)  # for those before to be stored
        process.send_signal(signal.SIGINT)
        time.sleep(1.2)  # sooner it would be the same wish
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=10)[1]
        assert process.returncode == -signal.SIGINT
        assert "KeyboardInterrupt" in errors
        assert server.count == 20 + CONCURRENCY
    assert stored(tmp_path) == 20
