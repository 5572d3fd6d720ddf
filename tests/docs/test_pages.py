"""Every command, Python block and recipe of a page runs, the rows are right, and the reference is current."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import DatasetDict

from tests.docs.generate import CONFIGS, anchor, generated
from tests.docs.pages import LANGUAGES, MARKS, ROOT, Block, Site, check_recipe, pages
from toolgen_hf import Recipe, Workspace, answer, execute, respond, schemas
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.cli import parser
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.stages.score import STRATEGIES
from toolgen_hf.tasks import get_task

PAGES = pages()
BLOCKS = [block for page in PAGES.values() for block in page.blocks]
ROWS = {block.value: block for block in BLOCKS if block.mark == "row"}
NOT_RUN = {
    "CONTRIBUTING.md": ["makes an environment, or runs the tests"],
    "README.md": ["installs from the network, and asks a real model", "installs from the network"],
    "docs/concepts.md": ["of the run with the real model"],
    "docs/how-to/many-machines.md": [
        "installs",
        *["needs a recipe of yours and more than one process"] * 2,
        "a file for Docker",
        "needs a Kubernetes with KubeRay",
        "a file for Kubernetes",
        "installs",
        "needs a recipe of yours and more than one process",
        "a file for Docker",
        "needs Docker",
    ],
    "docs/how-to/tools.md": ["asks a real model"],
}
"""Every block that no test runs, with its reason."""


# Blocks.


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * ("<!-- slow -->" in p.text)) for n, p in PAGES.items()],
)
def test_a_page_runs(name: str, site: Site) -> None:
    for block in PAGES[name].blocks:
        site.run(block)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_of_a_known_kind(name: str) -> None:
    page = PAGES[name]
    assert page.text.count("```") == 2 * len(page.blocks), "a fence is not closed, or indented"
    assert {block.language for block in page.blocks} <= {*LANGUAGES}
    for comment in re.findall(r"<!-- *([^\n]*?) *-->\n+```", page.text):
        assert re.split("[:,]", comment)[0] in (*MARKS, "generated", "end"), comment


def test_every_command_runs_on_some_page() -> None:
    ran = "".join(b.text for b in BLOCKS if b.language == "bash" and b.mark not in ("parsed", "not run"))
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert [c for c in commands.choices if not re.search(rf"^toolgen-hf {c}\b", ran, re.MULTILINE)] == []


def test_what_does_not_run_is_known_and_names_what_there_is() -> None:
    found = {name: [b for b in page.blocks if b.mark == "not run"] for name, page in PAGES.items()}
    assert {name: [b.value for b in blocks] for name, blocks in found.items() if blocks} == NOT_RUN
    text = "".join(block.text for blocks in found.values() for block in blocks)
    makefile, setup = (ROOT / "Makefile").read_text(), (ROOT / "setup.cfg").read_text()
    for target in re.findall(r"^make ([\w-]+)", text, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
    for extra in re.findall(r'\.\[(\w+)\]"', text):
        assert f"\n{extra} =" in setup, extra


def test_yaml_that_does_not_run_can_be_read() -> None:
    for block in (b for b in BLOCKS if b.mark == "not run" and b.language == "yaml"):
        for document in yaml.safe_load_all(block.text):
            for recipe in document.get("data", {}).values():  # of a ConfigMap
                check_recipe(yaml.safe_load(recipe))


# Rows.


@pytest.mark.parametrize("block", ROWS.values(), ids=ROWS)
def test_a_row_is_right(block: Block) -> None:
    """Its question is the dataset's, its columns are the config's, its calls run, and its scores follow."""
    row, config, task = json.loads(block.text), block.value, get_task("math")
    question = gsm8k_row(row["id"])
    features = {"answered": schemas.ANSWERED, "executed": schemas.EXECUTED}
    assert list(row) == list(features.get(config) or CONFIGS[config].features)
    for column in ("question", "input"):
        assert row.get(column, question["question"]) == question["question"]
    if config in ("answered", "stage1", "executed"):
        assert row["answer"] == question["answer"]
    if config == "stage1":
        assert row["instruction"] == task.instruction
        assert run_calls([row["output"]], question)["correct"] == [True]
    if config == "stage2":
        ran = run_calls(row["responses"], question, row["answer"])
        assert row["query"] == f"{task.query_instruction}\n{question['question']}"
        assert row["answer"] == [prediction or "" for prediction in ran["prediction"]]
        scores = STRATEGIES["distance"](ran["prediction"], ran["uses_tool"], question["answer"], task)
        assert row["scores"] == scores


def run_calls(
    texts: list[str], question: dict[str, Any], answers: list[str] | None = None
) -> dict[str, list[Any]]:
    """Run responses. Stage 2 does not say which text was cut: one without an answer counts as cut."""
    task = get_task("math")
    cut = [not stated for stated in answers or texts]
    done = [execute_response(text, task, is_cut) for text, is_cut in zip(texts, cut, strict=True)]
    return {
        "prediction": [one.prediction for one in done],
        "uses_tool": [one.uses_tool for one in done],
        "correct": [task.is_correct(one.prediction, question["answer"]) for one in done],
    }


def gsm8k_row(key: str) -> dict[str, Any]:
    _, split, number = key.split("-")
    found: dict[str, Any] = load(GSM8K())[split][int(number)]
    assert found["id"] == key
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("smollm")
def test_the_real_model_gives_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student and two sources. The other two sources were fine-tuned on the whole of stage 1."""
    monkeypatch.delenv("TOOLGEN_HF_HOME")  # use the converted model in the usual cache
    answered, scored = json.loads(ROWS["answered"].text), json.loads(ROWS["stage2"].text)
    number = int(answered["id"].rpartition("-")[2])
    raw = DatasetDict({"train": load(GSM8K())["train"].select([number])})
    recipe = Recipe.load("quickstart")
    with Workspace(tmp_path, progress=False) as workspace:
        assert answer(raw, recipe.student.generator, workspace)["train"][0] == answered
        for source in ("smollm2-fewshot", "smollm2-completion"):
            ran = execute(respond(raw, source, recipe.sources[source], workspace), workspace)["train"][0]
            at = scored["origin"].index(source)
            assert ran["response"] == scored["responses"][at]
            assert (ran["prediction"] or "") == scored["answer"][at]


# Reference and links.


def test_the_reference_is_current() -> None:
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run  python -m tests.docs.generate"


def test_links_lead_somewhere_and_to_every_page() -> None:
    linked = set()
    for name, page in PAGES.items():
        prose = re.sub(r"```.*?```", "", page.text, flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if link.startswith(("http://", "https://")):
                continue
            path, _, heading = link.partition("#")
            target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
            assert target.exists(), f"{name}: {link}"
            titles = (
                re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
            )
            assert not heading or heading in map(anchor, titles), f"{name}: {link}"
            linked.add(target)
    assert {(ROOT / name).resolve() for name in PAGES} - linked <= {ROOT / "README.md"}


def test_the_messages_in_the_table_of_errors_are_in_the_code() -> None:
    files = [file for folder in ("toolgen_hf", "builders") for file in (ROOT / folder).rglob("*.py")]
    sources = "".join(file.read_text(encoding="utf-8") for file in files)
    table = PAGES["docs/errors.md"].text.partition("### More messages")[2]
    messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(messages) > 10
    assert [message for message in messages if message not in sources] == []
