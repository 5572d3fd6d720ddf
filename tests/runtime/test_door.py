"""The door: a missing text is generated once, stored before the row goes on, and replayed from then on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf.ask import Ask, Generation, Prompt, Request
from toolgen_hf.errors import BudgetError, ConfigError, GenerationError
from toolgen_hf.runtime import door
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.door import Generating, rehearse, replay
from toolgen_hf.runtime.store import SqliteStore, Store
from toolgen_hf.runtime.stores import open_store
from toolgen_hf.runtime.texts import Texts


class Counting:
    """Answers with the prompt in capitals, the last of four first; may fail, or leave a request out."""

    is_batch = False

    def __init__(self, fail_after: int | None = None, skip: str = "", price: float | None = 0.0) -> None:
        self.asked: list[str] = []
        self.fail_after, self.skip, self.price = fail_after, skip, price

    def identity(self) -> dict[str, Any]:
        return {"kind": "counting", "temperature": 0.1}

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        stream = enumerate(requests)
        while part := list(islice(stream, 4)):
            for at, request in reversed(part):
                if len(self.asked) == self.fail_after:
                    raise GenerationError("the power is out")
                self.asked.append(request.prompt.user)
                if request.prompt.user != self.skip:
                    yield [(at, Generation(request.prompt.user.upper(), "stop", 3, 1))]

    def check(self) -> None: ...

    def describe(self) -> str:
        return "capitals"

    def parse(self, raw: str) -> Generation:
        return Generation(f"parsed {raw}")

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        return 1, 4

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        return None if self.price is None else self.price * (prompt_tokens + completion_tokens)


@pytest.fixture(params=["sqlite", "postgres"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    url = request.getfixturevalue("database") if request.param == "postgres" else tmp_path / "store.sqlite"
    with open_store(url) as opened:
        yield opened


def texts(generator: Counting, store: Store, attempts: int = 1, max_cost: float | None = None) -> Texts:
    return Texts(generator, lambda: store, Meter(False, max_cost), "test", attempts)


async def says(source: Texts, user: str) -> str:
    """A row that asks once."""
    return (await Ask().text(source, Prompt("", user))).text


async def says_again(source: Texts, user: str) -> str:
    """A row whose second question depends on the first answer."""
    first = await Ask().text(source, Prompt("", user))
    return (await Ask().text(source, Prompt("", f"{first.text} again"))).text


def fill(source: Texts, splits: dict[str, list[str]]) -> None:
    """Generate what rows of several splits lack."""
    rows = [(split, says(source, user)) for split, users in splits.items() for user in users]
    Generating(rows, [source], "test", len(rows)).run()


def spoken(source: Texts, *users: str) -> list[str]:
    """What rows get, as in a stage: generate what is missing, then replay."""
    fill(source, {"train": list(users)})
    return replay([says(source, user) for user in users])


def test_texts_come_in_order_and_only_missing_ones_are_asked(store: Store) -> None:
    first, second = Counting(), Counting()
    assert spoken(texts(first, store), "a", "b") == ["A", "B"]
    assert spoken(texts(second, store), "c", "b", "a") == ["C", "B", "A"]
    assert second.asked == ["c"]


def test_a_whole_stage_is_one_stream_over_splits(store: Store) -> None:
    counting = Counting()
    source = texts(counting, store)
    fill(source, {"train": ["a", "b", "c"], "test": ["d", "a"]})
    assert sorted(counting.asked) == ["a", "b", "c", "d"]
    assert {split: usage.texts for split, usage in source.generated.items()} == {"train": 3, "test": 1}
    assert replay([says(source, user) for user in "da"]) == ["D", "A"]
    assert len(counting.asked) == 4


def test_equal_requests_share_one_text(store: Store) -> None:
    counting = Counting()
    assert spoken(texts(counting, store), "a", "a", "a") == ["A", "A", "A"]
    assert counting.asked == ["a"]
    rows = [f"{number % 3}" for number in range(250)]
    assert spoken(texts(counting, store), *rows) == rows
    assert sorted(counting.asked) == ["0", "1", "2", "a"]


def test_a_rehearsal_asks_nothing_and_counts_what_is_missing(store: Store) -> None:
    counting = Counting()
    source = texts(counting, store)
    spoken(source, "a")
    missing: dict[str, tuple[Texts, Prompt]] = {}
    assert rehearse([says(source, user) for user in "abb"], missing) == ["A", None, None]
    assert [prompt.user for _, prompt in missing.values()] == ["b"]
    assert counting.asked == ["a"]


def test_replay_generates_nothing(store: Store) -> None:
    counting = Counting()
    with pytest.raises(GenerationError, match=r"^test: the store .* has no text for 'a'"):
        replay([says(texts(counting, store), "a")])
    assert counting.asked == []


def test_a_row_goes_on_when_its_text_is_there(store: Store) -> None:
    counting = Counting()
    source = texts(counting, store, attempts=2)
    Generating([("train", says_again(source, "a"))], [source], "test", 1).run()
    assert counting.asked == ["a", "A again"]
    assert replay([says_again(source, "a")]) == ["A AGAIN"]


def test_results_of_the_first_rows_are_kept_and_later_rows_stop_at_their_last_text(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MAX_RESULTS", 3)
    source, ended = texts(Counting(), store), []

    async def row(user: str) -> str:
        made = await Ask().text(source, Prompt("", user))
        ended.append(user)
        return made.text

    live = Generating([("train", row(user)) for user in "abcdef"], [source], "test", 6)
    live.run()
    assert len(ended) == 3
    assert {live.done["train", "abcdef".index(user)].take() for user in ended} == {u.upper() for u in ended}
    assert source.take_used().texts == 3


def test_rows_ask_several_models_one_after_the_other(store: Store) -> None:
    class Second(Counting):
        def identity(self) -> dict[str, Any]:
            return {"kind": "second"}

    first, second = Counting(), Second()
    one, other = texts(first, store), texts(second, store)

    async def row(user: str) -> str:
        made = await Ask().text(one, Prompt("", user))
        return made.text if user < "c" else (await Ask().text(other, Prompt("", made.text))).text

    Generating([("train", row(user)) for user in "abcdef"], [one, other], "test", 6).run()
    assert (sorted(first.asked), sorted(second.asked)) == (list("abcdef"), list("CDEF"))


def test_few_rows_wait_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_ROWS", 8)
    monkeypatch.setattr(door, "AT_ONCE", 4)
    started = 0

    class Whole(Counting):
        def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
            whole = list(requests)
            assert len(whole) <= 8
            assert started <= len(self.asked) + 8
            yield from super().generate(whole)

    def rows() -> Iterator[tuple[str, Any]]:
        nonlocal started
        for number in range(30):
            started += 1
            yield "train", says(source, f"{number}")

    whole = Whole()
    source = texts(whole, store)
    Generating(rows(), [source], "test", 30).run()
    assert len(set(whole.asked)) == len(whole.asked) == 30


def test_what_arrived_before_a_failure_is_kept(store: Store) -> None:
    with pytest.raises(GenerationError, match="the power is out"):
        fill(texts(Counting(fail_after=2), store), {"train": ["a", "b", "c"]})
    counting = Counting()
    fill(texts(counting, store), {"train": ["a", "b", "c"]})
    assert counting.asked == ["a"]


def test_an_error_in_a_row_ends_it_and_is_raised_as_it_is(store: Store) -> None:
    async def fails() -> str:
        made = await Ask().text(source, Prompt("", "a"))
        raise ZeroDivisionError(made.text)

    source = texts(Counting(), store, attempts=2)  # a row is not run beyond the last text that it may ask for
    with pytest.raises(ZeroDivisionError, match="A"):
        Generating([("train", fails()), ("train", says(source, "b"))], [source], "test", 2).run()
    assert len(store) >= 1


def test_a_request_left_out_is_an_error_that_names_it(store: Store) -> None:
    with pytest.raises(GenerationError, match=r"no text for 1 requests.*'b'"):
        fill(texts(Counting(skip="b"), store), {"train": ["a", "b"]})


def test_a_text_is_on_disk_before_it_is_counted(store: Store) -> None:
    class Watching(Meter):
        counted = 0

        def arrived(self, generator: Any, prompt: Prompt, made: Generation) -> float | None:
            self.counted += 1
            with open_store(store.name) as other:
                assert len(other) >= self.counted
            return super().arrived(generator, prompt, made)

    meter = Watching(show=False)
    spoken(Texts(Counting(), lambda: store, meter, "test"), "a", "b", "c")
    assert meter.counted == 3


def test_a_kept_answer_is_read_anew_by_its_generator(store: Store) -> None:
    class Keeping(Counting):
        def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
            for chunk in super().generate(requests):
                yield [(at, Generation("old", raw=made.text)) for at, made in chunk]

    assert spoken(texts(Keeping(), store), "a") == ["parsed A"]


class Engine(Counting):
    """Keeps its answers; what it answers to each prompt can be changed, and which words it can read."""

    def __init__(self, known: str = "", **answers: Generation) -> None:
        super().__init__(price=0.25)
        self.known, self.answers = known, answers

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        for at, request in enumerate(requests):
            self.asked.append(request.prompt.user)
            yield [(at, self.answers.get(request.prompt.user) or self.read(request.prompt.user.upper()))]

    def read(self, raw: str) -> Generation:
        unusable = f"{raw} is not known" if raw.startswith("?") and raw != self.known else None
        return Generation(raw.lower(), "stop", 3, 1, raw=raw, unusable=unusable)

    def parse(self, raw: str) -> Generation | None:
        return None if raw.startswith("ERROR") else self.read(raw)


REFUSED = Generation("", "rejected", raw="too long")


def test_a_refused_request_is_asked_once_a_run_and_again_in_the_next(store: Store) -> None:
    engine = Engine(b=REFUSED)
    source = texts(engine, store)
    fill(source, {"train": ["a", "b", "b", "c"]})
    assert replay([says(source, user) for user in "abb"]) == ["a", "", ""]
    assert (engine.asked, len(store)) == (["a", "b", "c"], 2)
    assert (len(source.take_refused()), source.take_refused()) == (2, [])
    mended = Engine()
    assert spoken(texts(mended, store), "a", "b", "c") == ["a", "b", "c"]
    assert mended.asked == ["b"]


def test_a_refused_request_costs_nothing_and_the_budget_cuts_what_is_left(store: Store) -> None:
    engine = Engine(a=REFUSED, b=REFUSED)
    source = texts(engine, store, max_cost=3.0)
    with pytest.raises(BudgetError, match=r"stopped at \$"):
        fill(source, {"train": list("abcdef")})
    assert engine.asked[:2] == ["a", "b"]
    assert len(engine.asked) == len(set(engine.asked))
    assert source.meter.spent == len(store) * 1.0


def test_what_an_earlier_version_kept_and_is_no_answer_is_asked_again_and_replaced(tmp_path: Path) -> None:
    store, engine = SqliteStore(tmp_path / "store.sqlite"), Engine()
    spoken(texts(engine, store), "a", "b")
    store._db.execute("UPDATE texts SET raw = 'ERROR: no credits', text = 'half' WHERE raw = 'B'")
    again, once_more = Engine(), Engine()
    assert spoken(texts(again, store), "a", "b") == ["a", "b"]
    assert spoken(texts(once_more, store), "a", "b") == ["a", "b"]
    assert (again.asked, once_more.asked, len(store)) == (["b"], [], 2)


def test_an_answer_that_cannot_be_used_is_an_error_and_is_read_once_it_can_be(store: Store) -> None:
    for engine in (Engine(), Engine()):
        with pytest.raises(
            GenerationError, match=r"^test: \?B is not known\. The answers are stored; run again"
        ):
            spoken(texts(engine, store), "a", "?b")
    assert engine.asked == []
    mended = Engine(known="?B")
    assert spoken(texts(mended, store), "a", "?b") == ["a", "?b"]
    assert mended.asked == []


@pytest.mark.parametrize(
    ("told", "cost"),  # at worst 4 tokens of the prompt and 4 of the text, at 0.25
    [
        (Generation("A", "stop", 3, 1), 1.0),
        (Generation("A", "stop", 3, 0), 0.75 + 1.0),
        (Generation("A", "stop", 0, 1), 1.0 + 0.25),
        (Generation("A", "stop", 0, 0), 2.0),
        (Generation("", "empty", 3, 0), 0.75 + 1.0),
        (
            Generation("A" * 30, "stop", 3, 0, reasoning="B" * 10),
            0.75 + 2.5,
        ),  # more than it may: 4 bytes a token
        (REFUSED, 0.0),
    ],
)
def test_what_an_engine_does_not_say_counts_at_worst(store: Store, told: Generation, cost: float) -> None:
    source = texts(Engine(a=told), store)
    fill(source, {"train": ["a"]})
    assert source.meter.spent == source.generated["train"].cost == cost


def test_a_budget_is_never_exceeded_and_used_as_far_as_it_goes(store: Store) -> None:
    counting = Counting(price=0.25)  # a text costs 1.00, and may cost 2.00 for all that is known before
    users = [f"{n}" for n in range(10)]
    with pytest.raises(BudgetError, match=r"stopped at \$4.00: .* budget of \$5"):
        fill(texts(counting, store, max_cost=5.0), {"train": users})
    assert len(counting.asked) == 4
    more = Counting(price=0.25)
    source = texts(more, store, max_cost=8.0)
    fill(source, {"train": users})
    assert (len(more.asked), source.generated["train"].cost) == (6, 6.0)


def test_a_budget_cuts_a_batch_once_rather_than_into_ever_smaller_ones(store: Store) -> None:
    counting = Counting(price=0.25)
    counting.is_batch = True
    with pytest.raises(BudgetError):
        fill(texts(counting, store, max_cost=5.0), {"train": [f"{n}" for n in range(10)]})
    assert len(counting.asked) == 2


def test_a_budget_needs_a_price(store: Store) -> None:
    counting = Counting(price=None)
    with pytest.raises(ConfigError, match=r"a budget of \$1 needs the price of capitals"):
        fill(texts(counting, store, max_cost=1.0), {"train": ["a"]})
    assert counting.asked == []
    source = texts(counting, store)
    fill(source, {"train": ["a"]})
    assert source.generated["train"].cost is None


RUN = """
import sys, time
from tests.runtime.test_door import Counting, fill, texts
from toolgen_hf.runtime.stores import open_store

class Slow(Counting):
    def generate(self, requests):
        for chunk in super().generate(requests):
            time.sleep(0.05)
            yield chunk

with open_store(sys.argv[1]) as store:
    slow = Slow()
    fill(texts(slow, store), {"train": [f"{n}" for n in range(20)]})
    print(len(slow.asked))
"""


def test_two_runs_at_once_pay_once(store: Store) -> None:
    command = [sys.executable, "-c", RUN, store.name]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sum(int(run.communicate(timeout=60)[0]) for run in runs) == 20
    assert [run.returncode for run in runs] == [0, 0]
    assert len(store) == 20


@pytest.mark.parametrize("is_local", [True, False])
def test_a_local_models_time_left_is_told_once_it_can_be_meant(store: Store, is_local: bool) -> None:
    meter = Meter(show=True)
    bars: list[str] = []

    class Watched(Counting):
        def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
            for chunk in super().generate(requests):
                yield chunk
                bars.append(str(meter._bar))

    if is_local:
        Watched.tokens_so_far = 7  # type: ignore[attr-defined]
    spoken(Texts(Watched(), lambda: store, meter, "test"), *map(str, range(40)))
    assert ["<" in bar for bar in bars] == [not is_local] * 3 + [True] * 37
    assert "3/40" in bars[2]


@pytest.mark.parametrize("is_whole", [True, False])
def test_interrupted_it_says_how_many_texts_are_stored(
    store: Store, caplog: pytest.LogCaptureFixture, is_whole: bool
) -> None:
    class Interrupted(Counting):
        def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
            for chunk in super().generate(list(requests) if is_whole else requests):
                if len(self.asked) == 3:
                    raise KeyboardInterrupt
                yield chunk

    with pytest.raises(KeyboardInterrupt):
        spoken(texts(Interrupted(), store), *"abcdef")
    assert len(store) == 2
    of = "2 of the 6 texts that were missing" if is_whole else "2 more texts"
    assert caplog.messages == [f"test: {of} are stored"]


def test_a_row_gets_the_text_that_the_store_has(store: Store) -> None:
    """Half of a surrogate pair cannot be stored; the row sees what stands in its place already when it arrives."""

    class Halves(Counting):
        def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
            yield [(at, Generation("a\ud83d", raw=None)) for at, _ in enumerate(requests)]

    source = texts(Halves(), store)
    live = Generating([("train", says(source, "a"))], [source], "test", 1)
    live.run()
    assert live.done["train", 0].result == replay([says(source, "a")])[0] == "a\ufffd"
