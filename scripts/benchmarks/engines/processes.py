"""Runs the server and the drivers as processes of their own, and counts a driver's CPU time to the last child."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
_open = build_opener(ProxyHandler({})).open  # never through a proxy


class Ended(NamedTuple):
    """What a driver's process did: its whole wall and CPU seconds, and the line it printed."""

    wall: float
    cpu: float
    report: dict[str, Any]


class Server:
    """The scripted server: ``reset`` before a driver, ``stats`` after it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._root = base_url.removesuffix("/v1")

    def reset(self) -> None:
        _open(Request(f"{self._root}/reset", method="POST"), timeout=10).close()

    def stats(self) -> dict[str, int]:
        with _open(f"{self._root}/stats", timeout=10) as response:
            return dict(json.load(response))


@contextmanager
def serve(*options: str) -> Iterator[Server]:
    """The library's scripted server, which answers sums, as a process of its own on a free port.

    Args:
        options: of ``python -m toolgen_hf.testing``.
    """
    command = [sys.executable, "-m", "toolgen_hf.testing", "--answer-sums", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip()
            if not base_url:
                raise SystemExit("the server did not start")
            yield Server(base_url)
        finally:
            process.terminate()


def processor() -> str:
    """What this machine computes with, for the line below a table."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def adopt_orphans() -> None:
    """Have what a driver leaves behind become this process's children, so that its CPU time is counted (Linux)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def run_driver(command: list[str], work: Path, timeout: float) -> Ended:
    """Run a driver in the empty folder ``work``.

    Raises:
        SystemExit: it failed or took longer than ``timeout`` seconds.
    """
    before, begun = _cpu_of_children(), time.perf_counter()
    with (work / "stdout").open("w") as out, (work / "stderr").open("w") as err:
        process = subprocess.Popen(
            command, cwd=work, env=_environment(work), stdout=out, stderr=err, start_new_session=True
        )
        try:
            code: int | str = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = f"no end after {timeout:g} s"
        finally:
            wall = time.perf_counter() - begun
            _reap(process.pid)
    printed = (work / "stdout").read_text(encoding="utf-8", errors="replace").splitlines()
    if code != 0 or not printed:
        told = (work / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()
        raise SystemExit("\n".join([*printed[-20:], *told[-20:], f"failed ({code}): {' '.join(command)}"]))
    return Ended(wall, _cpu_of_children() - before, json.loads(printed[-1]))


def _environment(work: Path) -> dict[str, str]:
    """Nothing cached, nothing sent anywhere but to the server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("OPENAI_", "PYTHONPATH"))
    }
    return kept | {
        "HOME": str(work),
        "XDG_CACHE_HOME": str(work / "cache"),
        "HF_HOME": str(work / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OPENAI_API_KEY": "benchmark",
        "TELEMETRY_ENABLED": "0",  # curator's
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else curator's litellm downloads it
        "DISTILABEL_LOG_LEVEL": "WARNING",
    }


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _reap(group: int) -> None:
    """End what is left of a driver's process group and take in its CPU time."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)
