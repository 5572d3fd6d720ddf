# ruff: noqa: E501
"""Manifests that anybody may have written: read as typed values, or an error that names what is wrong, everywhere."""

from __future__ import annotations

import copy
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.hub.conftest import REPO, Repository, Sets
from tests.hub.test_source import recipe
from toolgen_hf.cli.hub import print_versions
from toolgen_hf.data.manifest import Manifest, parse_manifest
from toolgen_hf.data.produced import load_manifest, task_of
from toolgen_hf.errors import ConfigError, DataError, HubError, ToolgenError
from toolgen_hf.hub import diff, pull, push, versions
from toolgen_hf.hub.card import update_card
from toolgen_hf.hub.check import check_release
from toolgen_hf.hub.compare import _source, _student
from toolgen_hf.hub.remote import Remote
from toolgen_hf.metrics.reading import is_produced
from toolgen_hf.recipe.questions import load_raw
from toolgen_hf.report.facts import card_facts
from toolgen_hf.report.html.page import overview, write_report
from toolgen_hf.report.screen import print_summary
from toolgen_hf.stages.draw import Match

DELETE = object()
DIGEST = "0" * 64


def edit(manifest: dict[str, Any], place: str, value: Any) -> bytes:
    """The manifest with another value at ``a.b.c``."""
    *parents, last = place.split("/")
    changed = copy.deepcopy(manifest)
    inside = changed
    for key in parents:
        inside = inside[key]
    if value is DELETE:
        del inside[last]
    else:
        inside[last] = value
    return json.dumps(changed).encode()


MIX = {
    "order": "interleave", "seed": 0, "duplicates": "drop",
    "parts": {"a": {"dataset": "A", "task": "math", "weight": None, "count": {"train": 3, "test": None}, "source": None,
                    "splits": {"train": {"questions": 3, "before": 0, "rejected": 0, "undrawn": 0, "rows": 3}}}},
    "repeats": [{"part": "a", "split": "train", "of": "a", "of_split": "test", "match": "id", "dropped": True, "count": 1}],
}  # fmt: skip

WRONG: list[tuple[str, Any, str]] = [
    ("summary", 5, "summary: Input should be a valid dictionary"),
    ("summary", [], "summary: Input should be a valid dictionary"),
    ("summary", DELETE, "summary: it is missing"),
    ("files", ["a"], "files: Input should be a valid dictionary"),
    ("files", {"a": 5}, "files.a: Input should be a valid string"),
    ("files", {"a": DIGEST + "\n"}, "files.a: String should match pattern"),
    ("files", {"a\x00b": DIGEST}, "a file name is a relative path"),
    ("files", {"a\nb": DIGEST}, "a file name is a relative path"),
    ("files", {"../a": DIGEST}, "a file name is a relative path"),
    ("files", {"a/../../b": DIGEST}, "a file name is a relative path"),
    ("files", {"/etc/passwd": DIGEST}, "a file name is a relative path"),
    ("files", {"a\\b": DIGEST}, "a file name is a relative path"),
    ("files", {"": DIGEST}, "a file name is a relative path"),
    ("files", {"./a": DIGEST}, "a file name is a relative path"),
    ("files", {"a//b": DIGEST}, "a file name is a relative path"),
    ("files", {"\u202ea": DIGEST}, "a file name is a relative path"),
    ("files", {".cache/a": DIGEST}, "no file of a result is called '.cache/a'"),
    ("files", {"manifest.json": DIGEST}, "no file of a result is called 'manifest.json'"),
    ("toolgen_hf", 1, "toolgen_hf: Input should be a valid string"),
    ("name", ["x"], "name: Input should be a valid string"),
    ("key", 5, "key: Input should be a valid string"),
    ("models", [], "models: Input should be a valid dictionary"),
    ("models", {"student": {"name": "x"}}, "models.student: Input should be a valid string"),
    ("versions", {"python": 3.11}, "versions.python: Input should be a valid string"),
    ("version", 1.0, "version: Input should be a valid string"),
    ("created_at", 20240101, "created_at: Input should be a valid string"),
    ("citation", None, "citation: Input should be a valid string"),
    ("finetune", {"x": {"sources": "ab"}}, "finetune.x.sources: Input should be a valid list"),
    ("prompts", {"x": {"system": 5}}, "prompts.x.system: Input should be a valid string"),
    ("source", "hub:ann/set", "source: Input should be"),
    ("parts", {"a": {"license": 5}}, "parts.a.license: Input should be a valid string"),
    ("summary/configs", [], "summary.configs: Input should be a valid dictionary"),
    ("summary/configs", {"raw": 5}, "summary.configs.raw: Input should be a valid dictionary"),
    ("summary/configs", {"raw": {"train": "8"}}, "summary.configs.raw.train: Input should be a valid integer"),
    ("summary/configs", {"raw": {"train": -1}}, "greater than or equal to 0"),
    ("summary/configs", {"raw": {"train": 1.5}}, "Input should be a valid integer"),
    ("summary/configs", {"raw": {"train": True}}, "Input should be a valid integer"),
    ("summary/configs", {"raw": {"train": 10**400}}, "summary.configs.raw.train: "),
    ("summary/configs", {"raw": {"train": float("nan")}}, "summary.configs.raw.train: "),
    ("summary/configs", {"../x": {"train": 1}}, "a file name is a relative path"),
    ("summary/configs", {"raw": {"../x": 1}}, "a file name is a relative path"),
    ("summary/configs", {"raw": {"/x": 1}}, "a file name is a relative path"),
    ("summary/configs", {"raw": {"*": 1}}, "it is part of a file name"),
    ("summary/configs", {"a/b": {"train": 1}}, "it is part of a file name"),
    ("summary/stages", {}, "summary.stages: Input should be a valid list"),
    ("summary/stages", [5], "summary.stages['0']: Input should be"),
    ("summary/stages", [{"stage": "answer"}], "it is missing"),
    ("summary/student", {"splits": {"train": 5}}, "summary.student.splits.train: Input should be"),
    ("summary/student", {}, "summary.student.splits: it is missing"),
    ("summary/teachers", {"annotations": "6"}, "summary.teachers.annotations: Input should be a valid integer"),
    ("summary/sources", {"gold": {}}, "summary.sources.gold.responses: it is missing"),
    ("summary/sources/gold/scores", {"twenty": 1}, "summary.sources.gold.scores.twenty: String should match"),
    ("summary/sources/gold/scores", {"\u0662\u0660": 1}, "String should match pattern"),
    ("summary/cost", float("inf"), "summary.cost: "),
    ("summary/cost", "1.0", "summary.cost: Input should be a valid number"),
    ("summary/seconds", -1, "summary.seconds: Input should be greater than or equal to 0"),
    ("summary/examples", {"stage2": {"responses": ["a"]}}, "of an example are lists of text"),
    ("summary/examples", {"stage1": None}, "summary.examples.stage1: Input should be a valid dictionary"),
    ("summary/used", {"texts": 1, "more": 2}, "summary.used.more: Extra inputs are not permitted"),
    ("summary/calls", None, "summary.calls: Input should be a valid dictionary"),
    ("summary/calls", {"execution": {"explained": -1}}, "summary.calls.execution.explained: Input should be greater"),
    ("summary/near_duplicates", {}, "summary.near_duplicates: Input should be a valid list"),
    ("summary/near_duplicates", [{"split": "test"}], "summary.near_duplicates['0'].of_split: it is missing"),
    ("summary/near_duplicates", [{"split": "test", "of_split": "train", "count": 1, "rows": 4, "example": ["a"]}],
     "summary.near_duplicates['0'].example: List should have at least 2 items"),
    ("summary/moved", "1", "summary.moved: Input should be a valid integer"),
    ("summary/mix", 5, "summary.mix: Input should be"),
    ("summary/mix", {"order": "interleave"}, "a mix has order, seed, parts and repeats"),
    ("summary/mix", {**MIX, "order": "any"}, "summary.mix.order: Input should be 'interleave' or 'concatenate'"),
    ("summary/mix", {**MIX, "repeats": [5]}, "summary.mix.repeats"),
]  # fmt: skip

BROKEN = {
    "a page": (b"<html><body>Please log in</body></html>", "it is not JSON"),
    "empty": (b"", "it is not JSON"),
    "cut": (b'{"toolgen_hf": "0.1.0", "fi', "it is not JSON"),
    "a list": (b"[]", "all of it: Input should be a valid dictionary"),
    "a number": (b"5", "all of it: Input should be a valid dictionary"),
    "null": (b"null", "all of it: Input should be a valid dictionary"),
    "another tool's": (b'{"name": "web app", "icons": []}', "toolgen_hf: it is missing"),
    "no UTF-8": (b'{"toolgen_hf": "\xff"}', "it is not JSON"),
    "half a character": (b'{"toolgen_hf": "\\ud800"}', "it is not JSON"),
    "deep": (b"[" * 100_000, "it is not JSON (recursion limit exceeded"),
    "a huge number": (b'{"toolgen_hf": ' + b"9" * 100_000 + b"}", "it is not JSON"),
}


@pytest.fixture(scope="module")
def whole(sets: Sets) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sets.old / "manifest.json").read_text(encoding="utf-8"))
    return found


def read(manifest: Manifest) -> None:
    """What the commands do with what a manifest says."""
    summary, console = manifest.summary, Console(file=io.StringIO())
    print_summary(summary, "out", console)
    overview(manifest, summary, {})
    _student(manifest.data["summary"])
    for source in manifest.data["summary"]["sources"].values():
        _source(source)
    facts = {"name": "", "description": "", "citation": "", "license": "", "models": {}, "source_dataset": "", "homepage": "",
             "strategy": "", **manifest.data}  # fmt: skip
    card_facts(facts, {})


@pytest.mark.parametrize(("place", "value", "message"), WRONG)
def test_what_is_wrong_is_named(whole: dict[str, Any], place: str, value: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_manifest(edit(whole, place, value), "out/manifest.json")
    assert str(caught.value).startswith("out/manifest.json: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 800
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_manifest(kind: str) -> None:
    content, message = BROKEN[kind]
    with pytest.raises(DataError) as caught:
        parse_manifest(content, "manifest.json")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("match", get_args(Match))
def test_every_way_in_which_two_questions_match_is_read(whole: dict[str, Any], match: str) -> None:
    mix = {**MIX, "repeats": [{**MIX["repeats"][0], "match": match}]}
    read(parse_manifest(edit(whole, "summary/mix", mix), "manifest.json"))


@pytest.mark.parametrize("parts", [{}, {"a": {**MIX["parts"]["a"], "splits": {}}}])
def test_a_mix_of_nothing_is_read(whole: dict[str, Any], parts: dict[str, Any]) -> None:
    told = edit(whole, "summary/mix", {**MIX, "parts": parts})
    read(parse_manifest(told, "manifest.json"))


def test_a_whole_one_is_kept_as_it_was_written(whole: dict[str, Any], sets: Sets) -> None:
    told = {**whole, "later": {"key": [1]}, "summary": {**whole["summary"], "later": 1, "mix": MIX}}
    manifest = parse_manifest(json.dumps(told).encode(), "manifest.json")
    assert manifest.data == told
    assert manifest.rows["raw"] == sum(whole["summary"]["configs"]["raw"].values())
    assert manifest.summary.mix == MIX
    assert manifest.source is None
    read(manifest)
    assert load_manifest(sets.slim_new).summary.name == "sums"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.just(2**70)
    | st.just("1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *rest) for key, item in inside for rest in places(item))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_with_any_value_anywhere_is_read_or_refused(
    whole: dict[str, Any], data: st.DataObject
) -> None:
    told = {
        **whole,
        "files": dict(list(whole["files"].items())[:2]),
        "summary": {**whole["summary"], "mix": MIX},
    }
    told["summary"]["stages"] = told["summary"]["stages"][:1]
    changed = copy.deepcopy(told)
    place = data.draw(st.sampled_from([place for place in places(changed) if place]))
    inside: Any = changed
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = data.draw(JSON)
    try:
        manifest = parse_manifest(json.dumps(changed).encode(), "manifest.json")
    except DataError:
        return
    read(manifest)


@settings(max_examples=200, deadline=None)
@given(JSON | st.binary(max_size=60))
def test_any_json_or_bytes_is_no_manifest(value: Any) -> None:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(DataError, match=r"^x: "):
        parse_manifest(content, "x")


SOME = {
    "summary is a number": lambda told: edit(told, "summary", 5),
    "a page": lambda told: BROKEN["a page"][0],
    "numbers as text": lambda told: edit(told, "summary/configs/raw/train", "8"),
    "a file elsewhere": lambda told: edit(told, "files/..\\x", DIGEST),
    "no UTF-8": lambda told: BROKEN["no UTF-8"][0],
    "deep": lambda told: BROKEN["deep"][0],
}  # fmt: skip


@pytest.mark.parametrize("kind", SOME)
def test_no_command_fails_otherwise_on_a_directory(sets: Sets, tmp_path: Path, kind: str) -> None:
    made = Path(shutil.copytree(sets.slim_old, tmp_path / "made"))
    path = made / "manifest.json"
    path.write_bytes(SOME[kind](json.loads(path.read_text())))
    commands: list[tuple[type[ToolgenError], Callable[[], object]]] = [
        (ConfigError, lambda: load_manifest(made)),
        (ConfigError, lambda: write_report(made)),
        (ConfigError, lambda: diff(made, sets.slim_old)),
        (DataError, lambda: check_release(made)),
        (DataError, lambda: push(made, REPO, "1.0.0")),
        (ConfigError, lambda: load_raw(recipe(f"{made}#raw").dataset)),
    ]  # fmt: skip
    for error, command in commands:
        with pytest.raises(error, match=r"is not? ?a? produced directory: .*manifest\.json: "):
            command()
    assert is_produced(made)  # its stage 2 is there, and can be evaluated
    assert task_of(made) == "math"


@pytest.mark.parametrize("kind", SOME)
def test_no_command_fails_otherwise_on_a_repository(
    repository: Repository, sets: Sets, tmp_path: Path, kind: str
) -> None:
    bad = SOME[kind](json.loads(repository.files["manifest.json"]))
    repository.hub.repo(REPO).refs["refs/tags/v2.0.0"] = repository.hub.commit(REPO, {"manifest.json": bad})
    newest, first = versions(REPO)
    assert (newest.tag, newest.manifest, newest.rows) == ("v2.0.0", None, {})
    assert newest.to_dict()["problem"].startswith("manifest.json: ")
    assert (first.tag, first.problem, first.rows["raw"]) == ("v1.0.0", None, 12)
    print_versions(REPO, [newest, first])
    for command in (
        lambda: pull(REPO, tmp_path / "out"),
        lambda: diff(f"{REPO}@2.0.0", sets.slim_old),
        lambda: load_raw(recipe(f"hub:{REPO}@v2.0.0#raw").dataset),
    ):
        with pytest.raises(
            HubError, match=r"at v2\.0\.0 was not pushed by toolgen_hf, or was .*: manifest\.json: "
        ):
            command()
    assert push(sets.slim_new, REPO, "3.0.0").is_new  # what is there is replaced
    assert pull(REPO, tmp_path / "out").tag == "v3.0.0"


@pytest.mark.parametrize(
    "header",
    ["a: [", "date: 2024-13-45", "a: " + "[" * 5000, "? {a: 1}\n: 2", "[1, 2]", "5", "a: !!int ''", "a: !!timestamp x",
     "a: !!python/object:os.system x", "a: *b", "\x00"],
)  # fmt: skip
def test_a_card_whose_header_cannot_be_read(header: str) -> None:
    with pytest.raises(
        HubError, match=r"the YAML header of README\.md on the Hub cannot be read, .*: mend it"
    ) as caught:
        update_card("---\na: 1\n---\nText\n", f"---\n{header}\n---\nText\n")
    assert len(str(caught.value)) < 500


def test_a_card_that_is_no_text(repository: Repository) -> None:
    commit = repository.hub.commit(REPO, {"notes.md": b"\xff\xfe"})
    with pytest.raises(HubError, match=r"notes\.md of 'ann/set' is not UTF-8 text"):
        Remote(REPO).text("notes.md", commit)


@pytest.mark.parametrize("name", ["raw/train-00000-of-00001.parquet", "recipe.yaml"])
def test_a_set_whose_tables_are_damaged(sets: Sets, tmp_path: Path, name: str) -> None:
    made = Path(shutil.copytree(sets.slim_old, tmp_path / "made"))
    (made / name).write_bytes(b"a: [\xff")
    with pytest.raises(DataError, match=name):
        diff(made, sets.slim_old)
