"""Whole runs of the paper's tasks: what answers the calls is a model, a search or a file, and is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.check import check
from toolgen_hf.errors import ConfigError
from toolgen_hf.testing import ApiRequest, ApiServer

pytestmark = pytest.mark.enable_socket


def recipe(server: ApiServer, folder: Path, task: str, rows: list[dict[str, Any]], **more: Any) -> Recipe:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = {"kind": "openai", "engine": "gpt-4o-mini", "base_url": server.base_url}
    return Recipe.parse(
        {
            "name": task,
            "task": task,
            "dataset": {"builder": "qa", "name": task, "data_files": {"train": str(path)}},
            "answer": {"generator": engine},
            "tool_api": {"teachers": [{"kind": "annotations"}]},
            "sources": {"other": {"generator": engine}},
            **more,
        }
    )


def test_facts_from_a_question_answering_model(tmp_path: Path) -> None:
    """The result is the answer; a wrong one is data, and the answers are asked once."""
    known = {"Norway": "Oslo", "Peru": "Cusco"}

    def speak(request: ApiRequest) -> str:
        country = next(name for name in known if name in request.user)
        if "in a few words" in request.prompt and "[MASK]" in request.prompt:
            return "The answer is Paris."
        return (
            known[country] if request.body["model"] == "gpt-4o" else f"QA(What is the capital of {country}?)"
        )

    rows = [
        {"question": f"The capital of {c} is what?", "answer": a}
        for c, a in (("Norway", "Oslo"), ("Peru", "Lima"))
    ]
    with ApiServer(speak) as server, Workspace(tmp_path / "work", progress=False) as workspace:
        asked_of = {"kind": "openai", "engine": "gpt-4o", "base_url": server.base_url}
        made = recipe(server, tmp_path, "lama", rows, tools={"QA": {"kind": "qa", "reader": asked_of}})
        assert [role.role for role in check(made, workspace).roles].count("tool QA.reader") == 1
        result = run(made, tmp_path / "out", workspace)
        asked = [request for request in server.requests if request.body["model"] == "gpt-4o"]
        run(made, tmp_path / "again", workspace)
        assert len([r for r in server.requests if r.body["model"] == "gpt-4o"]) == len(asked) == 4
    assert result.configs["stage1"]["train"]["output"] == ["QA(The capital of Norway is what?)"]
    [rejected] = result.configs["rejected"]["train"]
    assert rejected["reason"] == "no verified tool call (annotations: the result is not the gold answer)"
    other = {row["id"]: row for row in result.configs["responses-other"]["train"]}
    assert [(row["prediction"], row["correct"]) for row in other.values()] == [
        ("oslo", True),
        ("cusco", False),
    ]
    assert other["lama-train-0"]["calls"] == [
        {"call": "QA(What is the capital of Norway?)", "result": "Oslo", "error": None}
    ]
    [calling] = result.configs["tool_calling"]["train"]
    assert calling["messages"][1]["tool_calls"][0]["function"] == {
        "name": "QA",
        "arguments": {"question": "The capital of Norway is what?"},
    }
    assert calling["tools"][0]["function"]["name"] == "QA"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "gpt-4o" in manifest["models"]["tool QA.reader"]


def test_a_translator_that_is_a_file(tmp_path: Path) -> None:
    """The reader gets the context with the translated question; a call that it does not need is not accepted."""
    context = "Context: Dracula is a novel by Bram Stoker. It came out in 1897.\nQuestion: "
    rows = [
        {"question": f"{context}Wer schrieb Dracula?", "answer": "Bram Stoker"},
        {"question": f"{context}Wann erschien Dracula?", "answer": "1897"},
        {"question": f"{context}Wo spielt Dracula?", "answer": "Whitby"},
    ]
    translations = {
        "Wer schrieb Dracula?": "Who wrote Dracula?",
        "Wann erschien Dracula?": "When did Dracula appear?",
    }
    file = tmp_path / "translations.jsonl"
    file.write_text(
        "".join(json.dumps({"question": q, "response": a}) + "\n" for q, a in translations.items())
    )

    def speak(request: ApiRequest) -> str:
        if request.body["model"] != "gpt-4o":
            return "I do not know."
        if "Who wrote" in request.user:
            return "Bram Stoker"
        return "1897" if "Wann" in request.user or "When" in request.user else "no idea"

    with ApiServer(speak) as server, Workspace(tmp_path / "work", progress=False) as workspace:
        made = recipe(
            server,
            tmp_path,
            "mlqa",
            rows,
            reader={"kind": "openai", "engine": "gpt-4o", "base_url": server.base_url},
            tools={"translator": {"kind": "translator", "generator": {"kind": "file", "path": str(file)}}},
        )
        result = run(made, tmp_path / "out", workspace)
    assert result.configs["stage1"]["train"]["output"] == ["translator(Wer schrieb Dracula?)"]
    reasons = {row["id"]: row["reason"] for row in result.configs["rejected"]["train"]}
    assert reasons == {
        "mlqa-train-1": "no verified tool call (annotations: the reader is right without the call)",
        "mlqa-train-2": "no verified tool call (annotations: the tool call fails (undefined))",
    }
    [calling] = result.configs["tool_calling"]["train"]
    assert [m["role"] for m in calling["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert calling["messages"][2]["content"] == "Who wrote Dracula?"


def test_a_tool_that_the_task_does_not_know_is_offered_beside_its_own(tmp_path: Path) -> None:
    """The wrong tool is called, and its result is no answer."""
    (tmp_path / "pages.jsonl").write_text('{"title": "Sums", "contents": "4 and 9 are numbers."}\n')
    row = {"question": "What is 4 times 9?", "answer": "36", "solution": "4*9=<<4*9=36>>36"}

    def speak(request: ApiRequest) -> str:
        return 'Encyclopedia(4 times 9) and then convert(amount=3, unit="mi")'

    (tmp_path / "units.py").write_text(
        "def convert(amount: float, unit: str) -> str:\n"
        '    """Convert.\n\n    Args:\n        amount: How much.\n        unit: mi or lb.\n    """\n'
        "    return f'{amount * 1.609:.2f}'\n"
    )
    with ApiServer(speak) as server, Workspace(tmp_path / "work", progress=False) as workspace:
        made = recipe(
            server,
            tmp_path,
            "math",
            [row],
            dataset={
                "builder": "qa",
                "data_files": {"train": str(tmp_path / "questions.jsonl")},
                "columns": {"solution": "solution"},
            },
            tools={
                "Encyclopedia": {"kind": "search", "corpus": str(tmp_path / "pages.jsonl")},
                "convert": {"kind": "function", "path": f"{tmp_path / 'units.py'}:convert"},
            },
        )
        result = run(made, tmp_path / "out", workspace)
    [other] = result.configs["responses-other"]["train"]
    assert [call["result"] for call in other["calls"]] == ["Sums: 4 and 9 are numbers.", "4.83"]
    assert (other["prediction"], other["correct"]) == ("4.83", False)
    [calling] = result.configs["tool_calling"]["train"]
    assert [tool["function"]["name"] for tool in calling["tools"]] == [
        "calculator",
        "Encyclopedia",
        "convert",
    ]
    saved = (tmp_path / "out" / "recipe.yaml").read_text()
    assert "path: units.py:convert" in saved
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["outside"]["tool convert"]["file"] == "units.py"


def test_a_task_without_its_tool_says_which_key_is_missing(tmp_path: Path) -> None:
    rows = [{"question": "Who?", "answer": "Ann"}]
    with (
        ApiServer(lambda request: "Bo") as server,
        Workspace(tmp_path / "work", progress=False) as workspace,
    ):
        with pytest.raises(ConfigError, match=r"tools\.QA"):
            run(recipe(server, tmp_path, "lama", rows), tmp_path / "out", workspace)
        assert server.requests == []
