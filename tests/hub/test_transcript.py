"""The whole story on the command line, in fresh processes: ``pytest -s`` prints it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.hub.conftest import REPO
from tests.support.hub import LocalHub
from tests.support.hub.process import environment
from tests.support.recipes import sums_data

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]

TOOL = """
import sys
from tests.support import scripted
from toolgen_hf import models
from toolgen_hf.cli import main
models.GENERATORS["local"] = scripted.HOME
sys.exit(main(sys.argv[1:]))
"""
LOAD = """
import hashlib, json, sys
from datasets import load_dataset
tag = sys.argv[1]
for config in ("stage1", "stage2"):
    loaded = load_dataset("ann/set", config, revision=tag)
    rows = {split: part.to_list() for split, part in loaded.items()}
    sizes = " + ".join(f"{split} {len(part)}" for split, part in rows.items())
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    print(f"{config} at {tag}: {sizes}, sha256 {digest[:16]}")
"""


class Terminal:
    """Commands in processes of their own, which know the local hub alone."""

    def __init__(self, hub: LocalHub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.variables = {
            **environment(hub.endpoint, folder / "hf", "hf_ann"),
            "PYTHONPATH": str(ROOT),
            "TOOLGEN_HF_HOME": str(folder / "home"),
            "COLUMNS": "150",
        }

    def run(self, shown: str, code: str, arguments: list[str], home: str = "hf") -> str:
        variables = {**self.variables, "HF_HOME": str(self.folder / home)}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder, env=variables, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        print(f"$ {shown}\n{done.stdout}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tool(self, command: str) -> str:
        return self.run(f"toolgen-hf {command}", TOOL, shlex.split(command))

    def load(self, tag: str, home: str, note: str) -> str:
        return self.run(f"python load.py {tag}     # {note}", LOAD, [tag], home)


def test_from_a_recipe_to_two_versions_and_back(
    local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Terminal(local_hub, tmp_path)
    data = sums_data(Path("questions"))
    (tmp_path / "sums.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")

    here.tool("run sums.yaml -o outputs/sums -q")
    here.tool(f"push outputs/sums {REPO} --version 1.0.0 -q")
    here.tool(
        "run sums.yaml -o outputs/sums -q --set score.strategy=consistency --set answer.generator.model=wrong"
    )
    here.tool(f"push outputs/sums {REPO} --version 1.1.0 -q")
    assert "already" in here.tool(f"push outputs/sums {REPO} --version 1.1.0 -q")
    told = here.tool(f"versions {REPO}")
    assert told.index("1.1.0") < told.index("1.0.0")
    assert "score.strategy" in here.tool(f"diff {REPO}@1.0.0 {REPO}@1.1.0 -q")

    cold = {tag: here.load(tag, f"cold-{tag}", "an empty cache") for tag in ("v1.0.0", "v1.1.0")}
    assert cold["v1.0.0"].replace("v1.0.0", "") != cold["v1.1.0"].replace("v1.1.0", "")
    for tag, other in (("v1.1.0", "v1.0.0"), ("v1.0.0", "v1.1.0")):
        assert here.load(tag, f"cold-{other}", f"a cache that {other} filled") == cold[tag]

    here.tool(f"pull {REPO} outputs/pulled --version 1.0.0 -q")
    manifest = json.loads((tmp_path / "outputs" / "pulled" / "manifest.json").read_text())
    assert manifest["version"] == "1.0.0"
    here.tool(
        "run sums.yaml -o outputs/next -q --set answer=null --set 'dataset={source: \"hub:ann/set@v1.1.0#stage1\"}'"
    )
