"""The rows that the pages call real: the real model says again what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict

from tests.docs.pages import pages
from toolgen_hf import Recipe, Workspace, answer, execute, respond
from toolgen_hf.builders import GSM8K, load


def shown(page: str, config: str) -> dict[str, Any]:
    """The row of a config on a page."""
    (text,) = [b.text for b in pages()[page].blocks if b.mark == "row" and b.value == config]
    row: dict[str, Any] = json.loads(text)
    return row


def test_the_pages_show_the_same_rows() -> None:
    for config in ("stage1", "stage2"):
        assert shown("README.md", config) == shown("docs/concepts.md", config)


@pytest.mark.slow
@pytest.mark.usefixtures("smollm")
def test_the_model_says_what_the_pages_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student and the few-shot sources; the other two were fine-tuned on the whole of stage 1."""
    monkeypatch.delenv("TOOLGEN_HF_HOME")  # where the converted model is
    answered, scored = shown("docs/concepts.md", "answered"), shown("docs/concepts.md", "stage2")
    number = int(answered["id"].rpartition("-")[2])
    raw = DatasetDict({"train": load(GSM8K())["train"].select([number])})
    recipe = Recipe.load("quickstart")
    with Workspace(tmp_path, progress=False) as workspace:
        assert answer(raw, recipe.student.generator, workspace)["train"][0] == answered
        for source in ("smollm2-fewshot", "smollm2-completion"):
            ran = execute(respond(raw, source, recipe.sources[source], workspace), workspace)["train"][0]
            at = scored["origin"].index(source)
            assert (ran["response"], ran["prediction"] or "") == (
                scored["responses"][at],
                scored["answer"][at],
            )
