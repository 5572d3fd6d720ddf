"""What the trials beside the comparison share: the whole stage as a process, and the line on the machine.

storm.py     300 of 1,000 requests meet a 429
killed.py    kill -9 in the middle, then a rerun
memory.py    100,000 rows
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from datasets import disable_progress_bars
from ours import answered
from processes import processor
from prompts import MAX_TOKENS, MODEL

HERE = Path(__file__).resolve().parent


def write_questions(rows: list[dict[str, object]], folder: Path) -> None:
    """The questions, as a student left them who got none right, for stage.py to map from disk."""
    disable_progress_bars()
    answered(rows).save_to_disk(folder)


def start_stage(questions: Path, work: Path, base_url: str, concurrency: int) -> subprocess.Popen[str]:
    """Start stage.py in the folder ``work``, which holds its cache, its store and what it writes."""
    command = [sys.executable, str(HERE / "stage.py"), str(questions), "output.jsonl"]
    command += ["--base-url", base_url, "--concurrency", str(concurrency)]
    command += ["--model", MODEL, "--max-tokens", str(MAX_TOKENS)]
    return subprocess.Popen(
        command, cwd=work, env=_environment(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _environment(work: Path) -> dict[str, str]:
    """Nothing cached, nothing sent anywhere but to the server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("OPENAI_")
    }
    return kept | {"HF_HOME": str(work / "huggingface"), "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "benchmark"}


def machine() -> str:
    """Where this was measured, for the line below a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("toolgen_hf", "datasets", "openai"))
    return (
        f"{os.cpu_count()} CPUs, {processor()}; the server runs on the same machine. "
        f"Python {platform.python_version()}; {versions}."
    )
