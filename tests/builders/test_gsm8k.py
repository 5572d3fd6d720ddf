"""GSM8K: the bundled data is the official data, and other sources give the same rows."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.builders.conftest import Write
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.builders.gsm8k import split_answer
from toolgen_hf.builders.inputs import bundled
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.schemas import RAW

OFFICIAL = [
    {"question": "How many pens?", "answer": "2*3 = <<2*3=6>>6 pens\n6+1 = <<6+1=7>>7\n#### 7"},
    {"question": "How much?", "answer": "It is <<700*2=1400>>1,400\n#### 1,400"},
]


def test_bundled_rows(cache: Path) -> None:
    data = load(GSM8K(cache_dir=cache))
    assert {split: rows.num_rows for split, rows in data.items()} == {"train": 7473, "test": 1319}
    assert all(rows.features == RAW for rows in data.values())
    assert data["train"][0] == {
        "id": "GSM8K-train-0",
        "question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
        "How many clips did Natalia sell altogether in April and May?",
        "answer": ["72"],
        "solution": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
        "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.",
    }
    assert data["test"][-1]["id"] == "GSM8K-test-1318"
    for rows in data.values():
        assert all(float(answer) == int(answer) for (answer,) in rows["answer"])
    info = data["train"].info
    assert info.license == "MIT"
    assert "cobbe2021gsm8k" in info.citation
    assert str(info.version) == GSM8K.VERSION


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_bundle_holds_the_official_bytes(split: str) -> None:
    record = json.loads(bundled("gsm8k/SOURCE.json").read_text())["files"][f"{split}.jsonl"]
    rows = pq.read_table(bundled(f"gsm8k/{split}.parquet")).to_pylist()
    official = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert (len(rows), len(official)) == (record["rows"], record["bytes"])
    assert hashlib.sha256(official).hexdigest() == record["sha256"]


@pytest.mark.parametrize("given", ["data_dir", "path", "mapping", "relative"])
def test_official_files(write: Write, cache: Path, given: str) -> None:
    path = write("official/test.jsonl", OFFICIAL)
    write("official/test_socratic.jsonl", "of another form")
    ways: dict[str, dict[str, Any]] = {
        "data_dir": {"data_dir": path.parent},
        "path": {"data_files": path},
        "mapping": {"data_files": {"test": [str(path)]}},
        "relative": {"data_dir": str(path.parent), "data_files": "test.jsonl"},
    }
    data = load(GSM8K(**ways[given], cache_dir=cache))
    assert list(data) == ["test"]
    assert data["test"].to_list() == [
        {
            "id": "GSM8K-test-0",
            "question": "How many pens?",
            "answer": ["7"],
            "solution": "2*3 = <<2*3=6>>6 pens\n6+1 = <<6+1=7>>7",
        },
        {
            "id": "GSM8K-test-1",
            "question": "How much?",
            "answer": ["1400"],
            "solution": "It is <<700*2=1400>>1,400",
        },
    ]


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        ("a <<1+1=2>>2\n#### 2", ("a <<1+1=2>>2", "2")),
        ("a\n#### -1,234,567\n", ("a", "-1234567")),
        ("#### 3", (None, "3")),
        ("#### 9 is a heading\nand then\n####5", ("#### 9 is a heading\nand then", "5")),
        ("a\n#### 1,23", ("a", "1,23")),
    ],
)
def test_split_answer(official: str, expected: tuple[str | None, str]) -> None:
    assert split_answer(official, "here") == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Q", "answer": "72"}, "'answer' must end in a line '#### 72', found '72'"),
        ({"question": "Q", "answer": "so\n####  "}, "must end in a line"),
        ({"question": " ", "answer": "#### 1"}, "'question' is blank (' ')"),
        ({"question": None, "answer": "#### 1"}, "'question' is null"),
        ({"qestion": "Q", "answer": "#### 1"}, "no column 'question'; there is 'qestion', 'answer'. Did you"),
    ],
)
def test_bad_rows(write: Write, cache: Path, row: dict[str, Any], message: str) -> None:
    path = write("train.jsonl", [*OFFICIAL, row])
    with pytest.raises(DataError) as caught:
        load(GSM8K(data_files=path, cache_dir=cache))
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)


def test_bad_arguments(write: Write, tmp_path: Path) -> None:
    path = write("mine.jsonl", OFFICIAL)
    with pytest.raises(ConfigError, match=r"no source 'hbu'; there is 'bundled', 'hub'. Did you mean 'hub'"):
        GSM8K(source="hbu")
    with pytest.raises(ConfigError, match="both given"):
        GSM8K(source="hub", data_files=path)
    with pytest.raises(ConfigError, match="no config 'socratic'; there is 'main'"):
        GSM8K("socratic")
    with pytest.raises(DataError, match="which split is this"):
        GSM8K(data_files=path)
    with pytest.raises(
        DataError, match=r"neither 'train.jsonl' nor 'test.jsonl' is there; there is 'mine.jsonl'"
    ):
        GSM8K(data_dir=tmp_path)


HUB = '''
import http.server, os, sys, threading
from pathlib import Path

SHA = "e53f048856ff4f594e959d75785d2c2d37b678ee"
FILES = Path(sys.argv[1])
seen = []

class Hub(http.server.BaseHTTPRequestHandler):
    """Answers for two files of openai/gsm8k at one commit."""

    def do_GET(self):
        seen.append(self.path)
        prefix = f"/datasets/openai/gsm8k/resolve/{SHA}/main/"
        name = self.path.removeprefix(prefix).removesuffix("-00000-of-00001.parquet") + ".parquet"
        found = self.path.startswith(prefix)
        body = (FILES / name).read_bytes() if found else b"{}"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        known = {"X-Repo-Commit": SHA, "ETag": f'"{name}"'}
        for key, value in (known if found else {"X-Error-Code": "RevisionNotFound"}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"

from toolgen_hf.builders import GSM8K, load
from toolgen_hf.errors import HubError

ours, theirs = load(GSM8K()), load(GSM8K(source="hub"))
assert len(seen) >= 2, seen
assert all(ours[split].to_list() == theirs[split].to_list() for split in ours)

del seen[:]
GSM8K(source="hub")
assert not seen, "a pinned commit is asked for once"

try:
    GSM8K(source="hub", revision="v9")
except HubError as error:
    assert "openai/gsm8k@v9" in str(error) and "needs no network" in str(error), error
else:
    raise AssertionError("an unknown revision must raise")

Hub.do_GET = Hub.do_HEAD = lambda self: None  # hangs up without an answer
try:
    GSM8K(source="hub", revision="v10")
except HubError:
    pass
else:
    raise AssertionError("a connection that breaks must raise")
'''


def test_hub_gives_the_bundled_rows(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": ""}
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_CACHE", "HF_HUB_CACHE"):
        environment.pop(name, None)
    script = [sys.executable, "-c", HUB, str(bundled("gsm8k"))]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
