"""What the benchmarks of this folder share: prompts, the scripted server, contenders as processes, the checks.

The server answers ``calculator(a+b)`` with the first two integers of a question. Their sum is made the accepted answer,
so that this library's stage verifies every call.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

HERE = Path(__file__).resolve().parent
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
_NUMBER = re.compile(r"\d(?:[\d.,/:]*\d)?")
_open = build_opener(ProxyHandler({})).open  # never through a proxy


def parser(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """A parser with these options: an int, float or list with its default."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in {"concurrency": 64, **defaults}.items():
        many = {"nargs": "+"} if isinstance(default, list) else {}
        kind = type(default[0] if isinstance(default, list) else default)
        made.add_argument(f"--{name}", type=kind, default=default, help=f"default: {default}", **many)
    return made


def write_prompts(path: Path, count: int) -> dict[str, str]:
    """Write ``count`` prompts of GSM8K as JSON Lines; returns the right text by id."""
    from toolgen_hf.builders import GSM8K, load
    from toolgen_hf.tasks.prompts import load_prompts, tool_api_prompt

    def rows() -> Iterator[dict[str, Any]]:
        shown = load_prompts("math", "tool_api")
        for row in load(GSM8K())["train"]:
            numbers = _NUMBER.findall(row["question"])[:2]
            if len(numbers) == 2 and all(number.isdigit() for number in numbers):
                answer = [str(sum(map(int, numbers)))]
                prompt = tool_api_prompt(shown, row["question"], answer)
                asked = {"system": prompt.system.strip(), "user": prompt.user}  # as this library sends it
                yield {"id": row["id"], "question": row["question"], "answer": answer, **asked}

    made = list(islice(rows(), count))
    if len(made) < count:
        raise SystemExit(f"--requests {count}: only {len(made)} questions begin with two integers")
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return {row["id"]: f"calculator({'+'.join(_NUMBER.findall(row['question'])[:2])})" for row in made}


class Server:
    """The scripted server: ``reset`` before a run, ``stats`` after it."""

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
    """The server as a process on a free port; ``options`` are those of ``python -m toolgen_hf.testing``."""
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


class Run(NamedTuple):
    """Wall and CPU seconds of a whole process, what it reported, and the server's counts."""

    wall: float
    cpu: float
    report: dict[str, Any]
    sent: int
    in_flight: int


def start(
    contender: str, prompts: Path, work: Path, server: Server, concurrency: int, python: str = sys.executable
) -> subprocess.Popen[bytes]:
    """Start a contender in the folder ``work``, with no cache and no way to anything but the server."""
    command = [python, str(HERE / "contenders.py"), contender, str(prompts), "texts.jsonl"]
    command += ["--base-url", server.base_url, "--concurrency", str(concurrency)]
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("OPENAI_", "PYTHONPATH"))
    }
    environment = kept | {
        "HOME": str(work),
        "XDG_CACHE_HOME": str(work / "cache"),
        "HF_HOME": str(work / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "OPENAI_API_KEY": "benchmark",
        "TELEMETRY_ENABLED": "0",  # curator's
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise curator's litellm downloads it
        "DISTILABEL_LOG_LEVEL": "WARNING",
    }
    with (work / "stdout").open("w") as out, (work / "stderr").open("w") as err:
        return subprocess.Popen(
            command, cwd=work, env=environment, stdout=out, stderr=err, start_new_session=True
        )


def run(
    contender: str, prompts: Path, expected: Iterable[tuple[str, str]], work: Path, server: Server,
    args: argparse.Namespace, due: int, python: str = sys.executable,
) -> Run:  # fmt: skip
    """Run a contender to its end and check it.

    Args:
        expected: (id, text), in the order of the prompts.
        due: the requests that the server must have counted.

    Raises:
        SystemExit: the run failed or hangs, a text is missing or wrong, or the server counted other requests.
    """
    server.reset()
    before, begun = _cpu_of_children(), time.perf_counter()
    process = start(contender, prompts, work, server, args.concurrency, python)
    try:
        code: int | str = process.wait(args.timeout)
    except subprocess.TimeoutExpired:
        code = f"no end after {args.timeout:g} s"
    finally:
        wall = time.perf_counter() - begun
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-process.pid, 0)
    printed = (work / "stdout").read_text(encoding="utf-8", errors="replace").splitlines()
    if code != 0 or not printed:
        errors = (work / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()
        raise SystemExit("\n".join([*printed[-20:], *errors[-20:], f"{contender} failed: {code}"]))
    stats = server.stats()
    with (work / "texts.jsonl").open(encoding="utf-8") as lines:
        made = ((row["id"], row["text"]) for row in map(json.loads, lines))
        wanted: Iterable[tuple[str, str]] = expected
        if contender != "toolgen_hf":  # only this library keeps the order
            made, wanted = iter(sorted(made)), sorted(expected)
        rows = wrong = 0
        for pair in wanted:
            rows, wrong = rows + 1, wrong + (next(made, None) != pair)
        wrong += sum(1 for _ in made)
    problems = {
        f"{wrong} of {rows} texts are missing, wrong, out of order or too many": wrong,
        f"the server counted {stats['count']} requests, not {due}": stats["count"] != due,
        f"{stats['in_flight_max']} requests were in flight": stats["in_flight_max"] > args.concurrency,
    }
    require(contender, problems)
    return Run(
        wall, _cpu_of_children() - before, json.loads(printed[-1]), stats["count"], stats["in_flight_max"]
    )


def alternate(trials: Mapping[str, Callable[[Path], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run the trials in turn, every other round backwards. Each gets an empty folder."""
    runs: dict[str, list[Run]] = {name: [] for name in trials}
    for number in range(rounds):
        for name in list(trials) if number % 2 == 0 else reversed(list(trials)):
            with TemporaryDirectory() as work:
                run = trials[name](Path(work))
            runs[name].append(run)
            print(f"round {number + 1}: {name}: {run.report['seconds']:.2f} s", file=sys.stderr)
    return runs


def summary(runs: Mapping[str, Sequence[Run]]) -> list[list[object]]:
    """For each trial: its name, the median of the seconds, their range, and the median of the CPU seconds."""
    seconds = {name: [run.report["seconds"] for run in done] for name, done in runs.items()}
    return [
        [
            name,
            f"{median(seconds[name]):.2f}",
            f"{min(seconds[name]):.2f} - {max(seconds[name]):.2f}",
            f"{median(run.report['cpu'] for run in done):.2f}",
        ]
        for name, done in runs.items()
    ]


def require(what: str, problems: dict[str, Any]) -> None:
    """Exit with the problems that are there."""
    if found := "; ".join(problem for problem, there in problems.items() if there):
        raise SystemExit(f"{what}: {found}")


def adopt_orphans() -> None:
    """Make what a contender leaves behind a child of this process, so that its CPU time is counted (Linux)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def markdown(header: str, rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; ``header`` as ``| seconds | from - to |``."""
    lines = [header, "|" + "---|" * (header.count("|") - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def machine(*packages: str) -> str:
    """Where this was measured, for the line below a table."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(
        packages or [f"{name} {version(name)}" for name in ("toolgen_hf", "datasets", "openai")]
    )
    return (
        f"{os.cpu_count()} CPUs, {names[0] if names else platform.machine()}; the server runs on the same machine. "
        f"Python {platform.python_version()}; {versions}."
    )


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
