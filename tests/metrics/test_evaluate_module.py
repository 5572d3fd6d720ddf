"""The module of `evaluate`, loaded by its path with no network at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf.metrics import tool_use

pytest.importorskip("evaluate")

SCRIPT = """
import json, socket

def refuse(*_):
    raise AssertionError("the network was asked for")

socket.getaddrinfo = socket.socket.connect = refuse
import evaluate
from toolgen_hf.metrics import path

metric = evaluate.load(path("tool_use"))
texts = [None, "calculator(3*19)", "It is 57."]
answers = [["57"], "57", ["1", "57"]]
optional = {"needs_tool": [True, True, None], "sources": ["a", "b", "b"], "task": "math"}
found = {"plain": metric.compute(predictions=texts, references=answers)}
found["optional"] = metric.compute(predictions=texts, references=answers, **optional)
metric.add_batch(predictions=texts[:2], references=answers[:2])
metric.add(prediction=texts[2], reference=answers[2])
found["added"] = metric.compute(**optional)
errors = []
for wrong in ({"predictions": [], "references": []}, {"predictions": ["a"], "references": [["1"]], "sources": []}):
    try:
        metric.compute(**wrong)
    except ValueError as error:
        errors.append(str(error))
found["after"] = metric.compute(predictions=texts, references=answers)
print(json.dumps({**found, "errors": errors, "about": metric.description + metric.citation}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path_factory.mktemp("hf")),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answered


TEXTS = [None, "calculator(3*19)", "It is 57."]
ANSWERS = [["57"], "57", ["1", "57"]]


def test_it_gives_what_the_plain_function_gives(found: dict[str, Any]) -> None:
    assert found["plain"] == tool_use(TEXTS, ANSWERS)
    assert found["optional"] == tool_use(TEXTS, ANSWERS, [True, True, None], ["a", "b", "b"])


def test_in_batches_it_is_the_same(found: dict[str, Any]) -> None:
    assert found["added"] == found["optional"]


def test_an_error_says_what_to_do_and_leaves_nothing_behind(found: dict[str, Any]) -> None:
    assert [error.split(":")[0].split(";")[0] for error in found["errors"]] == [
        "predictions is empty",
        "sources has 0 items, predictions has 1",
    ]
    assert found["after"] == found["plain"]


def test_the_definitions_and_their_source_come_with_it(found: dict[str, Any]) -> None:
    for words in ("tool_need_agreement", "2305.13068", "2110.14168"):
        assert words in found["about"]
