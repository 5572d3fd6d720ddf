"""The report without a browser: what is in it, that nothing in it is markup that should be text, equal bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.report.support import EVIL, make_result, questions_of
from tests.support.recipes import ROWS, sums_data, sums_recipe, write_questions
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.report.html import write_report
from toolgen_hf.report.html.page import render
from toolgen_hf.report.html.rows import response
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.graders import Graders

MATH = get_task("math")


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in self.raw:
            self.raw[self.cdata_elem].append(data)
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [
            value
            for _, attributes in self.elements
            for key, value in attributes.items()
            if key == name and value
        ]


def build(tmp_path: Path, recipe: Recipe) -> Path:
    return run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False)).directory


def test_every_question_is_there_with_all_that_was_said(tmp_path: Path, scripted_models: None) -> None:
    found = questions_of(render(build(tmp_path, sums_recipe(tmp_path / "questions"))))
    assert [(row["split"], row["question"]) for row in found] == [
        ("train" if n < 8 else "test", raw["question"]) for n, raw in enumerate(ROWS)
    ]
    first = found[0]
    assert first["gold"] == ["13"]
    assert first["stages"] == ["stage1", "stage2"]
    said = {entry["source"]: entry for entry in first["responses"]}
    assert list(said) == ["gold", "talker", "caller", "failer", "student"]
    assert said["gold"]["text"] == "calculator(10+3)"
    assert said["gold"]["call"] == [0, 16]
    assert said["talker"] == {
        "source": "talker", "text": "That makes 13. The answer is 13.", "verdict": "right", "answer": "13.0",
        "score": 15,
    }  # fmt: skip
    assert said["failer"]["verdict"] == "none"
    assert "never closes" in said["failer"]["error"]
    assert said["student"]["verdict"] == "wrong"


def test_where_the_student_was_right_its_response_stands_once(tmp_path: Path, scripted_models: None) -> None:
    found = questions_of(render(build(tmp_path, sums_recipe(tmp_path / "questions"))))
    right = next(row for row in found if "score" in row["responses"][0] and "call" not in row["responses"][0])
    assert right["responses"][0]["note"] == "the student's own response"
    assert "student" not in [said["source"] for said in right["responses"]]


def test_a_rejected_question_has_its_reason_and_every_attempt(tmp_path: Path) -> None:
    (row,) = (
        row for row in questions_of(render(make_result(tmp_path / "out"))) if row["id"] == "sums-test-4"
    )
    assert row["stages"] == ["rejected"]
    assert row["reason"].startswith("no verified tool call")
    student, teacher = row["responses"]
    assert (student["source"], student["verdict"]) == ("student", "wrong")
    assert (teacher["source"], teacher["text"], teacher["answer"]) == (
        "teacher writer",
        "calculator(4+1)",
        "5.0",
    )
    assert teacher["note"] == "the result is not the gold answer"


def test_unusable_questions_are_shown_too(tmp_path: Path, scripted_models: None) -> None:
    data = sums_data(tmp_path / "questions")
    write_questions(
        tmp_path / "questions", [{**row, "answer": "?"} if n == 0 else row for n, row in enumerate(ROWS)]
    )
    first = questions_of(render(build(tmp_path, Recipe.parse(data))))[0]
    assert (first["stages"], first["responses"], first["gold"]) == (["rejected"], [], ["?"])


@pytest.mark.parametrize(
    "result",
    [{"rejected": 0}, {"sources": ["gold"]}, {"rows": 6, "test_rows": 3, "rejected": 3}, {"test_rows": 0}],
    ids=["nothing rejected", "one source", "all rejected", "one split"],
)
def test_any_result_makes_a_page(tmp_path: Path, result: dict[str, Any]) -> None:
    directory = make_result(tmp_path / "out", **result)
    page = render(directory)
    assert len(questions_of(page)) == result.get("rows", 30)
    assert ("were rejected" in page) == (result.get("rejected") != 0)


def test_nothing_that_a_model_or_a_name_says_becomes_markup(tmp_path: Path) -> None:
    directory = make_result(
        tmp_path / "out", words=EVIL, sources=["gold", EVIL], name=EVIL, description=EVIL, models={EVIL: EVIL},
        homepage=f"javascript:{EVIL}", source_dataset=EVIL, strategy=EVIL, versions={EVIL: EVIL},
    )  # fmt: skip
    text = render(directory)
    page = Page(text)
    assert EVIL not in text
    assert page.text.count(EVIL) >= 8
    assert EVIL in questions_of(text)[0]["responses"][1]["text"]
    names = [name for name, _ in page.elements]
    assert "img" not in names
    assert "b" in names  # of the page's own
    assert names.count("script") == 2
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.attributes("href") == ["data:,", "#rows"]
    assert page.attributes("src") == []


def test_the_policy_lets_only_the_pages_own_script_run(tmp_path: Path) -> None:
    page = Page(render(make_result(tmp_path / "out")))
    (policy,) = (
        a["content"] or "" for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for name, text in (("script", page.raw["script"][-1]), ("style", page.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert not page.attributes("style")


def test_it_says_what_was_made(tmp_path: Path) -> None:
    page = Page(render(make_result(tmp_path / "out", description="Of sums.")))
    for text in (
        "made up",
        "Of sums.",
        "MIT",
        "half",
        "30 questions",
        "24 by writer",
        "6 rejected",
        "Why 6 were",
    ):
        assert text in page.text
    assert "https://example.org/sums" in page.attributes("href")


@pytest.mark.parametrize(
    ("cost", "generated", "says"),
    [
        (1.5, 3, "$1.50"),
        (None, 3, "a price that is not known"),
        (0.0, 3, "3 texts generated"),
        (None, 0, "0 texts"),
    ],
)
def test_it_says_what_it_cost(tmp_path: Path, cost: float | None, generated: int, says: str) -> None:
    directory = make_result(tmp_path / "out")
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["summary"] |= {"cost": cost, "generated": generated, "prompt_tokens": 12}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    text = Page(render(directory)).text
    assert says in text
    assert "12 + 0 tokens" in text
    assert ("not known" in text.split("Where")[0]) == (cost is None and generated > 0)


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    one, two = (write_report(make_result(tmp_path / name)) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert (one, two) == (tmp_path / "one-report.html", tmp_path / "two-report.html")


def test_it_is_written_where_asked_and_the_next_run_is_not_in_its_way(tmp_path: Path) -> None:
    directory = make_result(tmp_path / "out")
    assert write_report(directory, tmp_path / "new" / "page.html") == tmp_path / "new" / "page.html"
    write_report(directory)
    make_result(directory, rows=20)  # would refuse to replace a directory that holds anything else


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        write_report(tmp_path)
    directory = make_result(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"report\.html"):
        write_report(directory, tmp_path)
    (directory / "stage2" / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match="stage2"):
        write_report(directory)


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("calculator(1+1)", "2.0", {"verdict": "right", "answer": "2.0", "tool": True, "call": [0, 15]}),
        (
            "😀 so calculator(1+1)!",
            "2.0",
            {"verdict": "right", "answer": "2.0", "tool": True, "call": [6, 21]},
        ),
        ("It is 3.", "3.0", {"verdict": "wrong", "answer": "3.0"}),
        (None, "", {"text": "", "verdict": "none"}),
        ("calculator(1/0)", "", {"verdict": "none", "tool": True, "call": [0, 15], "error": "undefined: "}),
        ("calculator(1+", "", {"verdict": "none", "tool": True, "error": "syntax: the call never closes"}),
    ],
)
def test_a_response_with_its_verdict_and_its_call(
    text: str | None, answer: str, expected: dict[str, Any]
) -> None:
    made = response("x", text, answer, ["2"], MATH)
    wanted = {"source": "x", "text": text, **expected}
    assert made.pop("error", "").startswith(wanted.pop("error", ""))
    assert made == wanted


def test_a_repeated_question_of_a_mix_is_shown_as_often(tmp_path: Path) -> None:
    from toolgen_hf.report.html.rows import questions

    row = {"id": "a", "instruction": "?", "input": "1+1?", "output": "calculator(1+1)", "answer": ["2"]}
    found = questions({"stage1": {"train": [row, row]}}, Graders(MATH, None, "mixed"))
    assert [(entry["id"], len(entry["responses"])) for entry in found] == [("a", 1), ("a", 1)]
    assert found[0]["responses"][0]["source"] == "stage 1"


def test_the_page_of_a_large_result_shows_a_sample(
    tmp_path: Path, scripted_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build(tmp_path, sums_recipe(tmp_path / "questions"))
    whole = questions_of(render(made))
    monkeypatch.setattr("toolgen_hf.report.html.page.MAX_QUESTIONS", 3)
    step = -(-len(whole) // 3)
    page = render(made)
    ids = {question["id"] for question in whole[::step]}
    assert questions_of(page) == [question for question in whole if question["id"] in ids]
    assert f"{len(whole[::step])} of {len(whole)} questions, one of {step}" in Page(page).text
