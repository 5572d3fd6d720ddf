"""The store: durable before use, keyed by what determines a text, shared by processes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf.errors import DataError, GenerationError
from toolgen_hf.generators.base import Generation, Prompt, Request
from toolgen_hf.generators.store import Store, generate, request_key


class Counting:
    """Answers with the prompt in capitals; may stop after some chunks, or leave requests out."""

    def __init__(self, fail_after: int | None = None, skip: str = "") -> None:
        self.asked: list[str] = []
        self.fail_after, self.skip = fail_after, skip

    def identity(self) -> dict[str, Any]:
        return {"kind": "counting", "temperature": 0.1}

    def generate(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Generation]]]:
        for at in reversed(range(len(requests))):  # any order is allowed
            if len(self.asked) == self.fail_after:
                raise GenerationError("the power is out")
            user = requests[at].prompt.user
            self.asked.append(user)
            if user != self.skip:
                yield [(at, Generation(user.upper(), "stop", 3, 1))]


def ask(*users: str) -> list[Request]:
    return [Request(Prompt("", user)) for user in users]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def test_texts_come_in_order_and_only_missing_ones_are_asked(store: Store) -> None:
    first, second = Counting(), Counting()
    assert [g.text for g in generate(first, ask("a", "b"), store)[0]] == ["A", "B"]
    texts, generated = generate(second, ask("c", "b", "a"), store)
    assert ([g.text for g in texts], generated, second.asked) == (["C", "B", "A"], 1, ["c"])


def test_equal_requests_share_one_text_and_samples_do_not(store: Store) -> None:
    counting = Counting()
    generate(counting, ask("a", "a", "a"), store)
    assert counting.asked == ["a"]
    generate(counting, [Request(Prompt("", "a"), sample=1)], store)
    assert counting.asked == ["a", "a"]


def test_what_arrived_before_a_failure_is_kept(store: Store) -> None:
    with pytest.raises(GenerationError, match="the power is out"):
        generate(Counting(fail_after=2), ask("a", "b", "c"), store)
    counting = Counting()
    generate(counting, ask("a", "b", "c"), store)
    assert counting.asked == ["a"]


def test_a_request_left_out_is_an_error_that_names_it(store: Store) -> None:
    with pytest.raises(GenerationError, match=r"no text for 1 of 2 requests.*'b'"):
        generate(Counting(skip="b"), ask("a", "b"), store)


def test_a_text_is_told_of_only_once_it_is_on_disk(store: Store, tmp_path: Path) -> None:
    def seen_by_another_connection(made: Sequence[Generation]) -> None:
        told.extend(generation.text for generation in made)
        with Store(tmp_path / "store.sqlite") as other:
            assert len(other) == len(told)

    told: list[str] = []
    generate(Counting(), ask("a", "b", "c"), store, seen_by_another_connection)
    assert sorted(told) == ["A", "B", "C"]


def test_the_first_text_for_a_key_stays(store: Store) -> None:
    (request,) = ask("a")
    store.put({"kind": "x"}, [(request, Generation("first"))])
    store.put({"kind": "x"}, [(request, Generation("second"))])
    key = request_key({"kind": "x"}, request)
    assert store.get([key])[key].text == "first"


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
    base = request_key({"temperature": 0, "model": "a"}, Request(Prompt("s", "u")))
    assert request_key({"model": "a", "temperature": 0}, Request(Prompt("s", "u"))) == base
    assert request_key(identity, request_) != base


def test_any_text_survives(store: Store) -> None:
    texts = ["", "\0", "é 😀\u2028\r\n", "x" * 1_000_000, "'; DROP TABLE texts; --"]
    requests = ask(*map(str, range(len(texts))))
    store.put({}, zip(requests, map(Generation, texts), strict=True))
    keys = [request_key({}, request) for request in requests]
    found = store.get(keys)
    assert [found[key].text for key in keys] == texts


WRITER = """
import sys
from toolgen_hf.generators.base import Generation, Prompt, Request
from toolgen_hf.generators.store import Store
with Store(sys.argv[1]) as store:
    for n in range(100):
        store.put({"writer": n % 10}, [(Request(Prompt("", f"{sys.argv[2]}-{n}")), Generation("text"))])
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n)]) for n in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    with Store(path) as store:
        assert len(store) == 300


def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"dear diary " * 1000)
    with pytest.raises(DataError, match=r"cannot open the text store '.*store\.sqlite'.*--store"):
        Store(path)
    assert path.read_bytes() == b"dear diary " * 1000


def test_a_full_disk_says_what_to_do_and_keeps_what_was_written(store: Store) -> None:
    generate(Counting(), ask("a"), store)
    store._db.execute(f"PRAGMA max_page_count={store._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(GenerationError, match=r"database or disk is full.*free some space"):
        store.put({}, [(ask("b")[0], Generation("x" * 1_000_000))])
    counting = Counting()
    generate(counting, ask("a"), store)
    assert counting.asked == []


def test_half_a_surrogate_pair_is_replaced_not_refused(store: Store) -> None:
    (request,) = ask("a\ud800")
    store.put({}, [(request, Generation("b\udfff \ud83d\ude00"))])
    key = request_key({}, request)
    assert store.get([key])[key].text == "b\ufffd \U0001f600"


def test_an_interrupt_within_a_write_leaves_no_lock(store: Store, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store._transaction():
        raise KeyboardInterrupt
    with Store(tmp_path / "store.sqlite") as other:
        other.put({}, [(ask("a")[0], Generation("A"))])
    store.put({}, [(ask("b")[0], Generation("B"))])
    assert len(store) == 2


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE texts (author TEXT)")
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"a database of something else \(its tables: texts\)"):
        Store(path)
    assert path.read_bytes() == before
