"""The wheel: built from what git tracks, installed into an empty environment, used there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent

USE = """
import json
import toolgen_hf
from toolgen_hf import Recipe
from toolgen_hf.builders import GSM8K, QA, load
from toolgen_hf.models.format import load_template
from toolgen_hf.tasks.prompts import load_prompts
sizes = {split: len(rows) for split, rows in load(GSM8K()).items()}
svamp = len(load(QA("svamp"))["test"])
load_template("vicuna"), load_prompts("math", "tool_api")
print(json.dumps([toolgen_hf.__file__, Recipe.load("quickstart").name, sizes, svamp]))
"""


def check(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    files = check("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    check(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".", cwd=source)
    (made,) = (source / "dist").glob("*.whl")
    return made


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    for wanted in (
        "recipes/quickstart.yaml",
        "recipes/gsm8k-local.yaml",
        "models/templates/vicuna.json",
        "report/card.md",
        "builders/qa.py",
        "py.typed",
    ):
        assert f"toolgen_hf/{wanted}" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"toolgen_hf"}
    assert sum(info.file_size for info in ZipFile(wheel).infolist()) < 5_000_000


def test_it_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from this environment, by a path that brings no editable install along."""
    check(sys.executable, "-m", "venv", "--without-pip", "env", cwd=tmp_path)
    python = str(tmp_path / "env" / "bin" / "python")
    check(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel),
        cwd=tmp_path,
    )  # fmt: skip
    paths = {"PYTHONPATH": sysconfig.get_paths()["purelib"], "HF_HOME": str(tmp_path / "hf")}
    home, recipe, sizes, svamp = json.loads(check(python, "-c", USE, cwd=tmp_path, **paths))
    assert home.startswith(str(tmp_path / "env"))
    assert (recipe, sizes, svamp) == ("quickstart", {"train": 7473, "test": 1319}, 1000)
    command = str(tmp_path / "env" / "bin" / "toolgen-hf")
    check(command, "raw", "raw.jsonl", "--set", "dataset.rows={test: 2}", cwd=tmp_path, **paths)
    assert len((tmp_path / "raw.jsonl").read_text().splitlines()) == 2
    for stage in (
        "run",
        "answer",
        "tool-api",
        "stage1",
        "finetune",
        "gold",
        "respond",
        "execute",
        "score",
        "show",
    ):
        assert "toolgen-hf" in check(command, stage, "--help", cwd=tmp_path, **paths)
