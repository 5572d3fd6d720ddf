"""The store in PostgreSQL: claims of several runs, a server that goes away, passwords."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.runtime.test_store import keyed
from tests.support.postgres import Server, running_server
from toolgen_hf.ask import Generation
from toolgen_hf.errors import ConfigError, DataError, GenerationError
from toolgen_hf.runtime import postgres
from toolgen_hf.runtime.store import Store
from toolgen_hf.runtime.stores import open_store


@pytest.fixture
def two(database: str) -> Iterator[tuple[Store, Store]]:
    """Two runs, each with its own connection."""
    with open_store(database) as one, open_store(database) as other:
        yield one, other


def test_a_text_is_claimed_by_one_run_until_it_is_stored(two: tuple[Store, Store]) -> None:
    one, other = two
    mine, others = one.claims({}), other.claims({})
    assert set(mine.take("m", ["a", "b"])[0]) == {"a", "b"}
    assert set(others.take("m", ["b", "c"])[0]) == {"c"}
    assert set(mine.take("m", ["b"])[0]) == {"b"}  # still its own
    (a,) = keyed("a")
    assert set(mine.take("m", [a.key])[0]) == {a.key}
    one.put({}, [(a, Generation("A"))])
    assert other.get([a.key])[a.key].text == "A"


def test_claims_that_were_given_back_are_free(two: tuple[Store, Store]) -> None:
    one, other = two
    mine, others = one.claims({}), other.claims({})
    mine.take("m", ["a"])
    assert not others.take("m", ["a"])[0]
    mine.close()
    assert set(others.take("m", ["a"])[0]) == {"a"}


def test_claims_of_a_run_that_died_are_free(two: tuple[Store, Store]) -> None:
    one, other = two
    one.claims({}).take("m", ["a"])
    others = other.claims({})
    assert not others.take("m", ["a"])[0]
    one.close()  # as the system does for a process that is killed
    until = time.monotonic() + 10
    while not (taken := others.take("m", ["a"])[0]) and time.monotonic() < until:
        time.sleep(0.05)
    assert set(taken) == {"a"}


def test_of_many_runs_that_claim_at_once_each_text_goes_to_one(database: str) -> None:
    keys = [str(n) for n in range(200)]
    got: list[str] = []
    stores = [open_store(database) for _ in range(4)]
    claims = [store.claims({}) for store in stores]

    def take(at: int) -> None:
        for start in range(0, 200, 10):
            part = keys[(start + at * 50) % 200 :][:10]
            got.extend(claims[at].take("m", part)[0])

    threads = [threading.Thread(target=take, args=[at]) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(keys)
    for store in stores:
        store.close()


def test_two_runs_that_write_the_same_texts_at_once_do_not_wait_for_each_other(
    two: tuple[Store, Store],
) -> None:
    """As after a crash of the server, which empties the table of claims."""
    for round_ in range(5):
        texts = keyed(*(f"{round_} {n}" for n in range(2000)))
        chunks = [[(one, Generation("")) for one in order] for order in (texts, texts[::-1])]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda store, chunk: store.put({}, chunk), two, chunks))
    assert len(two[0]) == 10_000


def test_a_text_that_is_stored_is_claimed_no_more(database: str, two: tuple[Store, Store]) -> None:
    a, b = keyed("a", "b")
    two[0].claims({}).take("m", [a.key, b.key])
    two[0].put({}, [(a, Generation("A"))])
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT key FROM toolgen_hf.claims").fetchall() == [(b.key,)]


def test_a_server_that_is_killed_and_started_again_loses_nothing() -> None:
    with running_server() as server, open_store(server.create("texts")) as store:
        a, b = keyed("a", "b")
        claims = store.claims({})
        claims.take("m", [a.key, b.key])
        store.put({}, [(a, Generation("A"))])
        server.kill()
        again = threading.Timer(1.0, server.start)
        again.start()
        store.put({}, [(b, Generation("B"))])  # waits
        again.join()
        assert {key: made.text for key, made in store.get([a.key, b.key]).items()} == {a.key: "A", b.key: "B"}
        claims.close()


def test_a_server_that_stays_away_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 0.5)
    with running_server() as server, open_store(server.create("texts")) as store:
        server.kill()
        with pytest.raises(GenerationError, match=r"text store 'postgresql://.* failed: .*run again"):
            store.put({}, [(keyed("a")[0], Generation("A"))])
        server.start()


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    for url in ("postgresql://me:s3cret@host/db", "postgresql://host/db?password=s3cret"):
        with pytest.raises(ConfigError, match="PGPASSWORD") as caught:
            open_store(url)
        assert "s3cret" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(postgres: Server) -> None:
    with pytest.raises(DataError, match=r"cannot open the text store .*nowhere.* does not exist"):
        open_store(postgres.url("nowhere"))
