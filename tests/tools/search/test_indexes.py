"""FTS5 and bm25s find the same kind of thing, whatever a model writes as a query."""

from __future__ import annotations

import json
import pickle
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolgen_hf.errors import ConfigError
from toolgen_hf.tools.search import bm25
from toolgen_hf.tools.search.bm25 import Bm25Index
from toolgen_hf.tools.search.fts5 import Fts5Index, query_words

PAGES = {
    "Norway": "Norway lies in the north of Europe. Its capital is Oslo.",
    "Peru": "Peru lies in South America. Its capital is Lima.",
    "Oslo": "Oslo is a city with 700,000 inhabitants.",
    "Potosí": "A mining town in Bolivia.",
    "भारत": "भारत की राजधानी नई दिल्ली है।",
    "snake_case": "A way to write names.",
    "Twin A": "the same words",
    "Twin B": "the same words",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLGEN_HF_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "pages.jsonl"
    path.write_text("".join(json.dumps({"title": t, "contents": c}) + "\n" for t, c in PAGES.items()))
    return str(path)


@pytest.mark.parametrize("engine", [Fts5Index, Bm25Index])
def test_the_best_comes_first(corpus: str, engine: type[Fts5Index]) -> None:
    index = engine(corpus)
    assert [one.title for one in index.search("What is the capital of Norway?", 2)] == ["Norway", "Peru"]
    assert index.search("NORWAY", 1)[0].title == "Norway"
    assert [one.title for one in index.search("same words", 5)] == ["Twin A", "Twin B"]
    assert index.search("the", 5)  # a common word alone is a word
    for nothing in ("", "?!", "xylophone", '"'):
        assert index.search(nothing, 5) == []
    assert index.identity()["passages"] == len(PAGES)


def test_words_are_found_by_their_stem_and_without_accents(corpus: str) -> None:
    assert [one.title for one in Fts5Index(corpus).search("potosi mines", 1)] == ["Potosí"]


@given(
    query=st.text(max_size=60)
    | st.sampled_from(['" OR NEAR(', "a* -b", "title: x", "x AND", "^", "{a b}: c", "\0"])
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_a_query_is_never_syntax(corpus: str, query: str) -> None:
    for index in (Fts5Index(corpus), Bm25Index(corpus)):
        assert len(index.search(query, 3)) <= 3


@pytest.mark.parametrize("engine", [Fts5Index, Bm25Index])
@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Potosí", "Potosí"),
        (unicodedata.normalize("NFD", "Potosí"), "Potosí"),
        ("राजधानी", "भारत"),
        ("snake", "snake_case"),
        ("snake_case", "snake_case"),
    ],
)
def test_words_of_other_scripts_and_spellings(
    corpus: str, engine: type[Fts5Index], query: str, title: str
) -> None:
    assert [one.title for one in engine(corpus).search(query, 3)] == [title]


def test_a_part_of_a_word_is_not_the_word(corpus: str) -> None:
    assert query_words("राजधानी?") == ["राजधानी"]
    assert Bm25Index(corpus).search("राज", 3) == Fts5Index(corpus).search("राजन", 3) == []


def _search(corpus: str) -> str:
    return Fts5Index(corpus).search("capital of Peru", 1)[0].title


def test_two_processes_share_one_index(corpus: str, cache: Path) -> None:
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(_search, [corpus] * 6)) == ["Peru"] * 6
    assert len(list((cache / "indexes").glob("fts5-*.sqlite"))) == 1
    index = Fts5Index(corpus)
    index.search("Peru", 1)
    again = pickle.loads(pickle.dumps(index))
    assert again.search("Peru", 1) == index.search("Peru", 1)


def test_another_content_is_another_index(corpus: str, cache: Path) -> None:
    before = Fts5Index(corpus).identity()
    Path(corpus).write_text('{"title": "Chad", "contents": "Chad lies in Africa."}\n')
    after = Fts5Index(corpus)
    assert after.identity() != before
    assert after.search("Africa", 1)[0].title == "Chad"


def test_an_empty_corpus(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text("")
    with pytest.raises(ConfigError, match="has no passage"):
        Fts5Index(str(path)).search("a", 1)
    assert list((cache / "indexes").glob("*.sqlite")) == []


def test_a_corpus_without_words(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "marks.jsonl"
    path.write_text('{"contents": "?!"}\n')
    assert Fts5Index(str(path)).search("a", 1) == []
    with pytest.raises(ConfigError, match="has no word"):
        Bm25Index(str(path)).search("a", 1)
    assert [path for path in (cache / "indexes").glob("bm25s-*") if path.is_dir()] == []


def test_an_index_is_of_one_version_of_bm25s(
    corpus: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version may store or rank otherwise."""
    Bm25Index(corpus).search("Peru", 1)
    monkeypatch.setattr(bm25, "library_version", lambda package: "9.9")
    Bm25Index(corpus).search("Peru", 1)
    assert len([path for path in (cache / "indexes").glob("bm25s-*") if path.is_dir()]) == 2
