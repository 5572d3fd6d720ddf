"""``kill -9`` in the middle of real work, three times, then a run to the end: nothing is lost or paid twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from toolgen_hf.builders import Produced, load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def recipe(model: Path) -> dict[str, object]:
    """Two batches of answers, four steps of training, two batches of responses."""
    local = {"kind": "local", "model": str(model), "max_new_tokens": 24, "batch_size": 3}
    return {
        "name": "killed",
        "dataset": {"rows": {"train": 6}, "seed": 1},
        "answer": {"generator": local},
        "finetune": {"alpaca": {"model": str(model), "max_steps": 4, "batch_size": 2, "save_every": 1}},
        "sources": {"tuned": {"generator": {**local, "template": "alpaca", "adapter": "finetune:alpaca"}}},
    }


def start(folder: Path, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "toolgen_hf.cli", "run", "recipe.yaml", "--json", "--cache-dir", str(cache)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def texts(cache: Path) -> int:
    try:
        with sqlite3.connect(f"file:{cache / 'store.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT COUNT(*) FROM texts").fetchone()[0])
    except sqlite3.Error:
        return 0


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_three_times_gives_what_an_undisturbed_run_gives(smollm: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe(smollm)), encoding="utf-8")
    calm, cache, out = tmp_path / "calm", tmp_path / "cache", tmp_path / "outputs" / "killed"
    assert start(tmp_path, calm).wait(timeout=250) == 0
    expected = {config: load(Produced(config, data_dir=out)) for config in ("stage1", "stage2")}
    expected = {config: splits["train"].to_list() for config, splits in expected.items()}
    first = (out / "manifest.json").read_bytes()

    kill_when(start(tmp_path, cache), lambda: texts(cache) == 3)  # between the student's batches
    kill_when(
        start(tmp_path, cache), lambda: any((cache / "adapters").glob("*/checkpoint-2/trainer_state.json"))
    )
    kill_when(start(tmp_path, cache), lambda: texts(cache) == 9)  # between the source's batches
    assert (out / "manifest.json").read_bytes() == first, "a killed run touched the earlier result"

    last = start(tmp_path, cache)
    summary = json.loads(last.communicate(timeout=250)[0])
    assert last.returncode == 0
    assert (summary["generated"], summary["reused"]) == (3, 3)
    assert texts(cache) == 12
    for config, rows in expected.items():
        assert load(Produced(config, data_dir=out))["train"].to_list() == rows
