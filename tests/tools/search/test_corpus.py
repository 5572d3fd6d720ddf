"""Corpora in their forms, and the passages that they give."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from tests.support.hub import LocalHub
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.tools.search.corpus import Corpus, Passage

OSLO = Passage("0", "Oslo", "Oslo is the capital of Norway.")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"id": 0, "title": "Oslo", "contents": "Oslo is the capital of Norway."}\n'),
        ("b.jsonl", '{"title": "Oslo", "text": "Oslo is the capital of Norway."}\n'),
        ("c.jsonl", '{"id": "0", "contents": "\\"Oslo\\"\\nOslo is the capital of Norway."}\n'),
        ("d.json", '[{"id": "0", "title": "Oslo", "contents": "Oslo is the capital of Norway."}]'),
        ("e.json", '{"Oslo": {"title": "Oslo", "extract": "Oslo is the capital of Norway."}}'),
        ("f.json", '{"Oslo": "Oslo is the capital of Norway."}'),
        ("g.json", '{"id": "0", "title": "Oslo", "contents": "Oslo is the capital of Norway."}\n'),
        ("h.csv", "id,title,contents\n0,Oslo,Oslo is the capital of Norway.\n"),
    ],
)
def test_forms(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert list(Corpus(str(path)).passages()) == [OSLO]
    assert str(OSLO) == "Oslo: Oslo is the capital of Norway."


def test_a_folder_and_parquet(tmp_path: Path) -> None:
    rows = [{"id": str(n), "title": f"T{n}", "contents": f"text {n}"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pages.parquet")
    (tmp_path / "more.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert [one.title for one in Corpus(str(tmp_path)).passages()] == ["T0", "T0", "T1", "T2"]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    for path in (one, other):
        path.write_text('{"contents": "a"}\n')
    assert Corpus(str(one)).digest == Corpus(str(other)).digest
    other.write_text('{"contents": "b"}\n')
    assert Corpus(str(one)).digest != Corpus(str(other)).digest


def test_a_file_in_a_package() -> None:
    with pytest.raises(ConfigError, match="pip install --no-deps no-such-package"):
        Corpus("pip:no-such-package/a.json").files()
    with pytest.raises(ConfigError, match=r"has no file 'a/b\.json'"):
        Corpus("pip:pydantic/a/b.json").files()
    for unnamed in ("pip:", "pip:/a.json", "pip:pydantic", "pip:pydantic/"):
        with pytest.raises(ConfigError, match="write pip:PACKAGE/FILE"):
            Corpus(unnamed).files()
    assert Corpus("pip:pydantic/pydantic/main.py").files()[0].is_file()


@pytest.mark.parametrize("row", ['{"id": "0", "title": "Oslo"}', '{"contents": 7}', "[1]"])
def test_a_row_that_is_no_passage(tmp_path: Path, row: str) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text('{"contents": "a"}\n' + row + "\n")
    with pytest.raises(DataError, match=r"pages\.jsonl:2"):
        list(Corpus(str(path)).passages())


def test_half_of_a_character_is_replaced(tmp_path: Path) -> None:
    """JSON can spell half of a surrogate pair, which neither SQLite nor Parquet can hold."""
    path = tmp_path / "pages.jsonl"
    path.write_text('{"id": "\\ud800", "title": "a\\udc00", "contents": "b\\ud800c"}\n')
    assert list(Corpus(str(path)).passages()) == [Passage("\ufffd", "a\ufffd", "b\ufffdc")]


def test_a_json_file_that_is_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"a":' + "[" * 200_000)
    with pytest.raises(DataError, match=r"deep\.json:1"):
        list(Corpus(str(path)).passages())


def test_a_repository_of_the_hub(hub_here: LocalHub) -> None:
    """A revision is pinned; what describes the repository is not data."""
    api = HfApi()
    api.create_repo("ann/pages", repo_type="dataset")
    files = {
        "README.md": "# Pages",
        "dataset_infos.json": '{"default": {"features": {}}}',
        "data/pages.jsonl": '{"title": "Oslo", "contents": "Oslo is the capital of Norway."}\n',
    }
    for name, content in files.items():
        first = api.upload_file(
            path_or_fileobj=content.encode(), path_in_repo=name, repo_id="ann/pages", repo_type="dataset"
        )
    api.upload_file(
        path_or_fileobj=b'{"contents": "another"}\n',
        path_in_repo="data/pages.jsonl",
        repo_id="ann/pages",
        repo_type="dataset",
    )
    assert list(Corpus(f"hub:ann/pages@{first.oid}").passages()) == [OSLO]
    assert [one.contents for one in Corpus("hub:ann/pages").passages()] == ["another"]
    with pytest.raises(HubError, match="hub:ann/none"):
        Corpus("hub:ann/none").files()


@pytest.mark.parametrize("source", ["nowhere.jsonl", "nothing", "nowhere/", "x" * 5000, "a\0b"])
def test_what_is_not_there(source: str) -> None:
    with pytest.raises(ConfigError, match="there is no corpus at"):
        Corpus(source).files()
