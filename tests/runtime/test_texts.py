"""Texts: what is missing streams to the generator, and is durable before anybody sees it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import BudgetError, ConfigError, GenerationError
from toolgen_hf.runtime.budget import Meter
from toolgen_hf.runtime.store import Store
from toolgen_hf.runtime.texts import Texts, looking_ahead


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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def prompts(*users: str) -> list[Prompt]:
    return [Prompt("", user) for user in users]


def texts(generator: Counting, store: Store, rounds: int = 1, max_cost: float | None = None) -> Texts:
    return Texts(generator, lambda: store, Meter(False, max_cost), "test", rounds)


def fill(source: Texts, batches: dict[str, list[list[str]]]) -> None:
    """As a stage does: run ahead over every batch of every split."""

    def ahead() -> Iterator[tuple[str, int]]:
        for split, parts in batches.items():
            for users in parts:
                source(prompts(*users))
                yield split, len(users)

    with looking_ahead([source]):
        source.fill(ahead, sum(len(users) for parts in batches.values() for users in parts))


def spoken(source: Texts, *users: str) -> list[str | None]:
    return [None if made is None else made.text for made in source(prompts(*users))]


def test_texts_come_in_order_and_only_missing_ones_are_asked(store: Store) -> None:
    first, second = Counting(), Counting()
    assert spoken(texts(first, store), "a", "b") == ["A", "B"]
    assert spoken(texts(second, store), "c", "b", "a") == ["C", "B", "A"]
    assert second.asked == ["c"]


def test_a_whole_stage_is_one_stream_over_batches_and_splits(store: Store) -> None:
    counting = Counting()
    source = texts(counting, store)
    fill(source, {"train": [["a", "b"], ["c"]], "test": [["d", "a"]]})
    assert sorted(counting.asked) == ["a", "b", "c", "d"]
    assert {split: usage.texts for split, usage in source.usage.items()} == {"train": 3, "test": 1}
    assert spoken(source, "d", "a") == ["D", "A"]
    assert len(counting.asked) == 4


def test_equal_requests_share_one_text(store: Store) -> None:
    counting = Counting()
    assert spoken(texts(counting, store), "a", "a", "a") == ["A", "A", "A"]
    source = texts(counting, store)
    fill(source, {"train": [["b"], ["b"], ["b", "c"]]})
    assert sorted(counting.asked) == ["a", "b", "c"]


def test_looking_ahead_gives_none_for_what_is_missing_and_asks_for_nothing(store: Store) -> None:
    counting = Counting()
    source = texts(counting, store)
    spoken(source, "a")
    with looking_ahead([source]):
        assert spoken(source, "a", "b") == ["A", None]
    assert counting.asked == ["a"]


def test_a_request_that_depends_on_a_text_is_asked_in_a_later_round(store: Store) -> None:
    counting = Counting()
    source = texts(counting, store, rounds=3)

    def ahead() -> Iterator[tuple[str, int]]:
        (made,) = source(prompts("a"))
        if made is not None:
            source(prompts(f"{made.text} again"))
        yield "train", 1

    with looking_ahead([source]):
        source.fill(ahead, 1)
    assert counting.asked == ["a", "A again"]


def test_what_arrived_before_a_failure_is_kept(store: Store) -> None:
    with pytest.raises(GenerationError, match="the power is out"):
        fill(texts(Counting(fail_after=2), store), {"train": [["a", "b", "c"]]})
    counting = Counting()
    fill(texts(counting, store), {"train": [["a", "b", "c"]]})
    assert counting.asked == ["a"]


def test_a_request_left_out_is_an_error_that_names_it(store: Store) -> None:
    with pytest.raises(GenerationError, match=r"no text for 1 requests.*'b'"):
        fill(texts(Counting(skip="b"), store), {"train": [["a", "b"]]})


def test_a_text_is_on_disk_before_it_is_told_of(store: Store, tmp_path: Path) -> None:
    class Watching(Meter):
        told = 0

        def arrived(self, prompt: Prompt, made: Generation) -> float | None:
            self.told += 1
            with Store(tmp_path / "store.sqlite") as other:
                assert len(other) >= self.told
            return super().arrived(prompt, made)

    meter = Watching(show=False)
    Texts(Counting(), lambda: store, meter, "test")(prompts("a", "b", "c"))
    assert meter.told == 3


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
    fill(source, {"train": [["a", "b"], ["b", "c"]]})
    assert [made and made.failure for made in source(prompts("a", "b", "b"))] == [
        None,
        "no response (rejected)",
        "no response (rejected)",
    ]
    assert (engine.asked, len(store)) == (["a", "b", "c"], 2)
    assert (len(source.take_refused()), source.take_refused()) == (2, [])
    mended = Engine()
    assert spoken(texts(mended, store), "a", "b", "c") == ["a", "b", "c"]
    assert mended.asked == ["b"]


def test_a_refused_request_costs_nothing_and_the_budget_cuts_what_is_left(store: Store) -> None:
    engine = Engine(a=REFUSED, b=REFUSED)
    source = texts(engine, store, max_cost=3.0)
    with pytest.raises(BudgetError, match=r"stopped at \$"):
        fill(source, {"train": [[user] for user in "abcdef"]})
    assert engine.asked[:2] == ["a", "b"]
    assert len(engine.asked) == len(set(engine.asked))
    assert source.meter.spent == len(store) * 1.0


def test_what_an_earlier_version_kept_and_is_no_answer_is_asked_again_and_replaced(store: Store) -> None:
    engine = Engine()
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
    fill(source, {"train": [["a"]]})
    assert source.meter.spent == source.usage["train"].cost == cost


def test_a_budget_is_never_exceeded_and_used_as_far_as_it_goes(store: Store) -> None:
    counting = Counting(price=0.25)  # a text costs 1.00, and may cost 2.00 for all that is known before
    users = [[f"{n}"] for n in range(10)]
    with pytest.raises(BudgetError, match=r"stopped at \$4.00: .* budget of \$5"):
        fill(texts(counting, store, max_cost=5.0), {"train": users})
    assert len(counting.asked) == 4
    more = Counting(price=0.25)
    source = texts(more, store, max_cost=8.0)
    fill(source, {"train": users})
    assert (len(more.asked), source.usage["train"].cost) == (6, 6.0)


def test_a_budget_cuts_a_batch_once_rather_than_into_ever_smaller_ones(store: Store) -> None:
    counting = Counting(price=0.25)
    counting.is_batch = True
    with pytest.raises(BudgetError):
        fill(texts(counting, store, max_cost=5.0), {"train": [[f"{n}"] for n in range(10)]})
    assert len(counting.asked) == 2


def test_a_budget_needs_a_price(store: Store) -> None:
    counting = Counting(price=None)
    with pytest.raises(ConfigError, match=r"a budget of \$1 needs the price of capitals"):
        fill(texts(counting, store, max_cost=1.0), {"train": [["a"]]})
    assert counting.asked == []
    source = texts(counting, store)
    fill(source, {"train": [["a"]]})
    assert source.usage["train"].cost is None


RUN = """
import sys, time
from pathlib import Path
from tests.runtime.test_texts import Counting, fill, texts
from toolgen_hf.runtime.store import Store

class Slow(Counting):
    def generate(self, requests):
        for chunk in super().generate(requests):
            time.sleep(0.05)
            yield chunk

with Store(Path(sys.argv[1])) as store:
    slow = Slow()
    fill(texts(slow, store), {"train": [[f"{n}" for n in range(20)]]})
    print(len(slow.asked))
"""


def test_two_runs_at_once_pay_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / "store.sqlite")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(int(run.communicate(timeout=60)[0]) for run in runs) == [0, 20]


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
    Texts(Watched(), lambda: store, meter, "test")(prompts(*map(str, range(40))))
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
        texts(Interrupted(), store)(prompts(*"abcdef"))
    assert len(store) == 2
    of = "2 of the 6 texts that were missing" if is_whole else "2 more texts"
    assert caplog.messages == [f"test: {of} are stored"]
