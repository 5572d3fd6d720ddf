"""``scripts/`` beside ``data/`` as the method publishes them, and commands typed there."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SCRIPTS = HERE.parent.parent / "scripts"
GIVEN, GOLDEN = HERE / "given", HERE / "golden"
ALONE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
"""Golden texts are of float32, which a GPU would not be used for."""


@dataclass
class Site:
    """A folder with ``scripts/`` and ``data/``."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Type a command line in ``scripts/``, as it stands in the instructions."""
        program, *arguments = shlex.split(line)
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root / "scripts",
            env={**os.environ, **ALONE, **self.environment},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def rows(self, name: str) -> list[dict[str, Any]]:
        text = (self.root / "data" / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def golden(self, *names: str) -> None:
        """The files are the golden ones, byte for byte.

        After a change that is meant:  GOLDEN=write python -m pytest tests/scripts
        """
        for name in names:
            made = (self.root / "data" / name).read_bytes()
            kept = GOLDEN / name
            if os.environ.get("GOLDEN") == "write":
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(made)
            assert made.decode() == kept.read_text(encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With the questions of ``given/raw``, and keys."""
    (tmp_path / "scripts").mkdir()
    for path in SCRIPTS.glob("*.py"):
        shutil.copy(path, tmp_path / "scripts")
    shutil.copytree(GIVEN / "raw", tmp_path / "data" / "raw")
    (tmp_path / "scripts" / "openai_api_keys.txt").write_text("sk-first-key-abcdef\nsk-second-key-ghijkl\n")
    return Site(tmp_path)


@pytest.fixture
def with_models(site: Site, tiny_model: Path) -> Site:
    """And a small model where the instructions have one of 7B, with an adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    scripts = site.root / "scripts"
    shutil.copytree(tiny_model, scripts / "PLMs" / "vicuna-7b")
    torch.manual_seed(0)
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), lora)
    model.save_pretrained(scripts / "vicuna-stage1-lora-step-39")
    return site
