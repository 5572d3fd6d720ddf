"""The maintainer's script: what it bundles gives the official bytes again, or it refuses."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.builders.conftest import Write

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "bundle_data.py"))
ROWS = [{"question": "À €?", "answer": "é\n#### 1"}, {"question": "b", "answer": "#### 2"}]


def _official(write: Write, content: bytes) -> Path:
    for name in ("train.jsonl", "test.jsonl"):
        write(f"official/{name}", content)
    license_file: Path = write("official/LICENSE", "MIT")
    return license_file.parent


def test_bundle(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = SCRIPT["to_jsonl"](ROWS)
    SCRIPT["main"](["gsm8k", str(_official(write, content)), "--out", str(tmp_path / "out")])
    record = json.loads((tmp_path / "out" / "SOURCE.json").read_text())
    assert json.loads(capsys.readouterr().out) == record
    assert record["files"]["train.jsonl"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "rows": 2,
    }
    assert pq.read_table(tmp_path / "out" / "test.parquet").to_pylist() == ROWS
    assert (tmp_path / "out" / "LICENSE").read_text() == "MIT"


def test_bytes_that_cannot_be_kept_are_refused(write: Write, tmp_path: Path) -> None:
    official = _official(write, b'{"answer":"1"}\n')
    with pytest.raises(ValueError, match="cannot be made again"):
        SCRIPT["bundle"]("gsm8k", official, tmp_path / "out")
