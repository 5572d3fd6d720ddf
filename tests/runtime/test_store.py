"""The store: durable before use, keyed by what determines a text, shared by processes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf._utils import digest
from toolgen_hf.ask import Generation, Keyed, Prompt, Request, request_key
from toolgen_hf.errors import DataError, GenerationError
from toolgen_hf.runtime.store import SqliteStore, Store
from toolgen_hf.runtime.stores import open_store


def keyed(*users: str, identity: Mapping[str, Any] = {}) -> list[Keyed]:
    requests = [Request(Prompt("", user)) for user in users]
    return [Keyed(request_key(digest(identity), request), request) for request in requests]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
    else:
        with open_store(request.getfixturevalue("database")) as opened:
            yield opened


def test_the_first_text_for_a_key_stays(store: Store) -> None:
    (a,) = keyed("a")
    store.put({}, [(a, Generation("first"))])
    store.put({}, [(a, Generation("second"))])
    assert store.get([a.key])[a.key].text == "first"


@pytest.mark.parametrize(
    ("identity", "request_"),
    [
        ({"model": "b", "temperature": 0}, Request(Prompt("s", "u"))),
        ({"model": "a", "temperature": 1}, Request(Prompt("s", "u"))),
        ({"model": "a", "temperature": 0}, Request(Prompt("s2", "u"))),
        ({"model": "a", "temperature": 0}, Request(Prompt("s", "u2"))),
        ({"model": "a", "temperature": 0}, Request(Prompt("s", "u"), sample=1)),
        ({"model": "a", "temperature": 0}, Request(Prompt("su", ""))),
    ],
)
def test_everything_that_determines_a_text_is_in_its_key(identity: dict[str, Any], request_: Request) -> None:
    base = request_key(digest({"temperature": 0, "model": "a"}), Request(Prompt("s", "u")))
    assert request_key(digest({"model": "a", "temperature": 0}), Request(Prompt("s", "u"))) == base
    assert request_key(digest(identity), request_) != base


def test_any_text_survives(store: Store) -> None:
    texts = ["", "\0", "é 😀\u2028\r\n", "x" * 1_000_000, "'; DROP TABLE texts; --"]
    wanted = keyed(*map(str, range(len(texts))))
    store.put({}, [(w, Generation(text)) for w, text in zip(wanted, texts, strict=True)])
    found = store.get([w.key for w in wanted])
    assert [found[w.key].text for w in wanted] == texts


def test_of_an_answer_only_the_whole_is_kept(store: Store) -> None:
    (a,) = keyed("a")
    store.put({}, [(a, Generation("57", "length", 3, 1, raw='{"choices": "\0 57"}'))])
    assert store.get([a.key]) == {a.key: Generation("", "length", 3, 1, raw='{"choices": "\0 57"}')}


def test_a_kept_answer_that_is_none_is_replaced_unless_another_run_did_so(store: Store) -> None:
    a, b = keyed("a", "b")
    store.put({}, [(a, Generation("", raw="error")), (b, Generation("", raw="answer"))])
    new = [(a, Generation("", raw="new")), (b, Generation("", raw="new"))]
    store.put({}, new, {a.key: "error", b.key: "error"})
    assert {key: made.raw for key, made in store.get([a.key, b.key]).items()} == {
        a.key: "new",
        b.key: "answer",
    }


def test_the_mean_length_is_of_texts_whose_length_is_known(store: Store) -> None:
    assert store.mean_tokens(digest({})) is None
    store.put(
        {},
        [
            (k, Generation("x", completion_tokens=n))
            for k, n in zip(keyed("a", "b", "c"), (2, 0, 4), strict=True)
        ],
    )
    assert store.mean_tokens(digest({})) == 3.0


WRITER = """
import sys
from toolgen_hf.ask import Generation, Keyed, Prompt, Request
from toolgen_hf.runtime.stores import open_store
with open_store(sys.argv[1]) as store:
    for n in range(100):
        name = f"{sys.argv[2]}-{n}"
        store.put({"writer": n % 10}, [(Keyed(name, Request(Prompt("", name))), Generation("text"))])
"""


def test_several_processes_write_at_once(store: Store) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store.name, str(n)]) for n in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(store) == 300


def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"dear diary " * 1000)
    with pytest.raises(DataError, match=r"cannot open the text store '.*store\.sqlite'.*--store"):
        SqliteStore(path)
    assert path.read_bytes() == b"dear diary " * 1000


def test_a_full_disk_says_what_to_do_and_keeps_what_was_written(sqlite: SqliteStore) -> None:
    a, b = keyed("a", "b")
    sqlite.put({}, [(a, Generation("A"))])
    sqlite._db.execute(f"PRAGMA max_page_count={sqlite._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(GenerationError, match=r"database or disk is full.*free some space"):
        sqlite.put({}, [(b, Generation("x" * 1_000_000))])
    assert list(sqlite.get([a.key, b.key])) == [a.key]


def test_half_a_surrogate_pair_is_replaced_not_refused(store: Store) -> None:
    (a,) = keyed("a\ud800")
    store.put({}, [(a, Generation("b\udfff \ud83d\ude00"))])
    assert store.get([a.key])[a.key].text == "b\ufffd \U0001f600"


def test_an_interrupt_within_a_write_leaves_no_lock(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = sqlite._insist

    def interrupted(statement: str, values: Sequence[Any]) -> None:
        if statement == "COMMIT":
            raise KeyboardInterrupt
        execute(statement, values)

    monkeypatch.setattr(sqlite, "_insist", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sqlite.put({}, [(keyed("c")[0], Generation("C"))])
    monkeypatch.undo()
    with SqliteStore(tmp_path / "store.sqlite") as other:
        other.put({}, [(keyed("a")[0], Generation("A"))])
    sqlite.put({}, [(keyed("b")[0], Generation("B"))])
    assert len(sqlite) == 2


def test_a_store_of_an_earlier_version_keeps_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    (a,) = keyed("a")
    with SqliteStore(path) as store:
        store.put({}, [(a, Generation("A"))])
        store._db.execute("ALTER TABLE texts DROP COLUMN raw")
    with SqliteStore(path) as store:
        assert store.get([a.key])[a.key] == Generation("A")


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE texts (author TEXT)")
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"a database of something else \(its tables: texts\)"):
        SqliteStore(path)
    assert path.read_bytes() == before


@pytest.fixture
def writing(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Another process that is writing, for which SQLite waits a twentieth of a second."""
    sqlite._db.execute("PRAGMA busy_timeout=50")
    monkeypatch.setattr("toolgen_hf.runtime.store._PATIENCE", 0.05)
    other = sqlite3.connect(sqlite.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_another_process_that_writes_is_waited_for(
    sqlite: SqliteStore, writing: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    (a,) = keyed("a")
    timer = threading.Timer(0.08, writing.execute, ["ROLLBACK"])  # longer than SQLite itself waits
    timer.start()
    sqlite.put({}, [(a, Generation("A"))])
    timer.join()
    assert sqlite.get([a.key])[a.key].text == "A"
    assert "another process is writing to the text store" in caplog.text


def test_another_process_that_writes_for_ever_is_named(
    sqlite: SqliteStore, writing: sqlite3.Connection
) -> None:
    (a,) = keyed("a")
    says = r"database is locked.*another process is writing to it; wait until it is done, or end it, and run"
    with pytest.raises(GenerationError, match=says) as caught:
        sqlite.put({}, [(a, Generation("A"))])
    assert "free some space" not in str(caught.value)
    writing.execute("ROLLBACK")
    sqlite.put({}, [(a, Generation("A"))])
    assert len(sqlite) == 1


def test_a_store_that_is_being_written_can_be_opened_and_read(
    sqlite: SqliteStore, writing: sqlite3.Connection
) -> None:
    with SqliteStore(sqlite.path) as other:
        assert len(other) == 0


def test_a_store_that_cannot_be_opened_for_another_process_says_so(
    sqlite: SqliteStore, writing: sqlite3.Connection
) -> None:
    writing.execute("ROLLBACK")
    writing.execute("PRAGMA application_id=0")
    writing.execute("DROP TABLE texts")
    writing.execute("DROP TABLE generators")
    writing.execute("BEGIN IMMEDIATE")
    with pytest.raises(DataError, match=r"database is locked; another process is writing to it"):
        SqliteStore(sqlite.path)
