"""A task whose tool gives passages: the model that the recipe names as ``reader`` takes the answer from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.check import check
from toolgen_hf.errors import ConfigError
from toolgen_hf.testing import ApiRequest, ApiServer

pytestmark = pytest.mark.enable_socket

TASK = """
from toolgen_hf.ask import Prompt
from toolgen_hf.errors import UndefinedError
from toolgen_hf.tasks import Task
from toolgen_hf.tools import Tool

PAGES = {"norway": "Norway lies in the north. Its capital is Oslo.", "peru": "Lima is the capital of Peru."}


class Lookup(Tool):
    name = "Lookup"
    version = 1
    description = "Finds the page about a country."
    parameter = "country"
    parameter_description = "The name of the country."

    def run(self, argument):
        if (page := PAGES.get(argument.strip().lower())) is None:
            raise UndefinedError(f"there is no page {argument!r}")
        return page


class Capitals(Task):
    name = "capitals"
    version = 1
    tool = Lookup()
    instruction = "Name the capital. You can use Lookup."
    query_instruction = instruction
    prompts = {
        "answer": {"system": "Name the capital."},
        "respond": {"system": "Name the capital or write a call.", "examples": []},
        "tool_api": {"system": "Write the call that helps.", "examples": []},
    }

    def extract(self, text):
        return self.normalize(text)

    def normalize(self, value):
        return value.strip(" .").lower() or None

    reads = True

    async def conclude(self, question, call, results, ask):
        return self.normalize((await ask.read(Prompt("Answer from the page.", f"{results[-1]} {question}"))).text)

    async def answer_without(self, question, ask):
        return self.normalize((await ask.read(Prompt("Answer.", question))).text)
"""


def speak(request: ApiRequest) -> str:
    """Student, teacher and reader."""
    country = "Norway" if "Norway" in request.user else "Peru"
    if "from the page" in request.prompt:
        return {"Norway": "Oslo", "Peru": "Cusco"}[country]
    return f"Lookup({country})" if "Write the call" in request.prompt else "Paris"


def write(folder: Path, server: ApiServer, **changes: object) -> Path:
    (folder / "capitals.py").write_text(TASK)
    rows = [
        {"question": f"What is the capital of {country}?", "answer": answer}
        for country, answer in (("Norway", "Oslo"), ("Peru", "Lima"))
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"kind": "openai", "engine": "gpt-4o-mini", "base_url": server.base_url}
    recipe = {
        "name": "capitals",
        "task": "capitals.py:Capitals",
        "dataset": {"builder": "qa", "data_files": {"train": "questions.jsonl"}},
        "answer": {"generator": model},
        "tool_api": {"teachers": [model], "max_attempts": 1},
        "reader": {**model, "engine": "gpt-4o"},
        "sources": {"other": {"generator": model}},
        **changes,
    }
    (folder / "capitals.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "capitals.yaml"


def test_the_reader_verifies_calls_and_reads_the_results_of_all_sources(tmp_path: Path) -> None:
    with ApiServer(speak) as server:
        recipe = Recipe.load(write(tmp_path, server))
        with Workspace(tmp_path / "work", progress=False) as workspace:
            needs = check(recipe, workspace)
            result = run(recipe, tmp_path / "out", workspace)
        asked = [request.body["model"] for request in server.requests]
    assert asked.count("gpt-4o") == 3  # a page each, and once without; gold asks for the same text again
    stage1 = result.configs["stage1"]["train"]
    assert stage1["output"] == ["Lookup(Norway)"]
    [rejected] = result.configs["rejected"]["train"]
    assert rejected["reason"] == "no verified tool call (gpt-4o-mini: the result is not the gold answer)"
    assert result.configs["responses-gold"]["train"]["prediction"] == ["oslo"]
    assert "reader" in [role.role for role in needs.roles]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "gpt-4o`" in manifest["models"]["reader"]
    assert "\nreader:\n" in (tmp_path / "out" / "recipe.yaml").read_text()


def test_a_task_without_its_reader_says_which_key_is_missing(tmp_path: Path) -> None:
    with (
        ApiServer(speak) as server,
        Workspace(tmp_path / "work", progress=False) as workspace,
        pytest.raises(ConfigError, match="reader"),
    ):
        run(Recipe.load(write(tmp_path, server, reader=None)), tmp_path / "out", workspace)
