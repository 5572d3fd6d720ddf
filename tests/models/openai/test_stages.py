"""Through the stages: order, one stream over everything, and never a text paid for twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict, concatenate_datasets

from tests.support.engines import config, rows, splits
from toolgen_hf import (
    Workspace,
    answer,
    execute,
    gather,
    gold,
    respond,
    score,
    stage1,
    tool_api,
)
from toolgen_hf.ask import Generation
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.stages.respond import SourceConfig
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

pytestmark = pytest.mark.usefixtures("quick")

_SUM = re.compile(r"Ann has (\d+) pens and buys (\d+) more")


def numbers(request: ApiRequest) -> tuple[int, int]:
    """Of the question itself, which comes after all examples."""
    found = _SUM.findall(request.prompt)[-1]
    return int(found[0]), int(found[1])


def right(request: ApiRequest) -> str:
    return f"The answer is {sum(numbers(request))}."


def call(request: ApiRequest) -> str:
    return "calculator({}+{})".format(*numbers(request))


def slowly(request: ApiRequest) -> Reply:
    return Reply(right(request), latency=random.Random(request.digest).uniform(0, 0.05))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path, progress=False) as opened:
        yield opened


def responses(made: DatasetDict) -> dict[str, list[str]]:
    return {str(split): part["response"] for split, part in made.items()}


def source(server: ApiServer, **changes: Any) -> SourceConfig:
    return SourceConfig(generator=config(server, **changes))


def expected(data: DatasetDict) -> dict[str, list[str]]:
    return {str(split): [f"The answer is {a[0]}." for a in part["answer"]] for split, part in data.items()}


def test_rows_keep_their_order_whatever_comes_first(workspace: Workspace) -> None:
    data = splits(150, 40)
    with ApiServer(slowly) as server:
        made = respond(data, "any", source(server), workspace)
        assert server.count == 190
    assert {split: part["id"] for split, part in made.items()} == {s: p["id"] for s, p in data.items()}
    assert responses(made) == expected(data)
    assert [(r.split, r.generated, r.reused) for r in workspace.reports] == [
        ("train", 150, 0),
        ("test", 40, 0),
    ]


def test_one_slow_answer_holds_up_nothing_not_even_the_next_split(workspace: Workspace) -> None:
    def script(request: ApiRequest) -> Reply:
        return Reply(right(request), latency=2.0 if numbers(request)[0] == 3 else 0.002)

    with ApiServer(script) as server:
        respond(splits(1200, 30), "any", source(server, concurrency=16), workspace)
        asked = {numbers(request)[0]: request.at for request in server.requests}
    assert len(asked) == 1230
    slow = asked.pop(3)
    served = sum(at < slow + 2.0 for at in asked.values())
    assert served > 300, "a barrier at a batch of 100 would stop them there"
    quick = sorted(asked.values())
    assert max(after - before for before, after in itertools.pairwise(quick)) < 1.5


def test_a_slow_answer_at_the_end_of_one_split_does_not_delay_the_next(workspace: Workspace) -> None:
    def script(request: ApiRequest) -> Reply:
        return Reply(right(request), latency=1.5 if numbers(request)[0] == 59 else 0.002)

    with ApiServer(script) as server:
        respond(splits(60, 60), "any", source(server, concurrency=8), workspace)
        asked = {numbers(request)[0]: request.at for request in server.requests}
    slow = asked.pop(59)
    assert max(asked.values()) < slow + 1.5


def test_stages_one_after_the_other(workspace: Workspace) -> None:
    """The whole flow with engines in every role; each stage has an event loop of its own."""
    with ApiServer(lambda r: call(r) if "calculator" in r.prompt else right(r)) as server:
        data, engine = splits(12, 4), config(server)
        wrong = config(server, engine="half", max_tokens=64)
        answered = answer(data, wrong, workspace)
        called = tool_api(answered, [engine], workspace)
        cloned = stage1(called, workspace)
        few_shot = respond(data, "few-shot", SourceConfig(generator=engine, prompt="few_shot"), workspace)
        executed = {
            "gold": execute(gold(cloned, workspace), workspace),
            "few-shot": execute(few_shot, workspace),
        }
        scored = score(gather(executed), workspace)
        count = server.count
        respond(data, "few-shot", SourceConfig(generator=engine, prompt="few_shot"), workspace)
        score(gather(executed), workspace, strategy="consistency")  # another scoring
        assert server.count == count
    assert set(few_shot["train"]["response"]) == {f"calculator({n}+{n % 7 + 1})" for n in range(12)}
    assert {split: len(part) for split, part in scored.items()} == {
        split: len(part) for split, part in cloned.items()
    }


def test_from_inside_a_running_event_loop(workspace: Workspace) -> None:
    data = splits(20)

    async def cell() -> DatasetDict:
        return respond(data, "any", source(server), workspace)

    with ApiServer(slowly) as server:
        made = asyncio.run(cell())
    assert responses(made) == expected(data)


def test_from_a_thread_that_is_not_the_first(workspace: Workspace) -> None:
    data, made = splits(20), []
    with ApiServer(slowly) as server:
        thread = threading.Thread(target=lambda: made.append(respond(data, "any", source(server), workspace)))
        thread.start()
        thread.join()
    assert responses(made[0]) == expected(data)


def test_two_threads_at_once(tmp_path: Path) -> None:
    made: dict[str, DatasetDict] = {}

    def work(name: str) -> None:
        with Workspace(tmp_path, progress=False) as workspace:
            made[name] = respond(data, name, source(server), workspace)

    data = splits(60)
    with ApiServer(slowly) as server:
        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert responses(made["a"]) == responses(made["b"]) == expected(data)


def test_rows_that_are_added_are_all_that_is_sent(workspace: Workspace) -> None:
    data = splits(30, 5)
    more = DatasetDict(train=concatenate_datasets([data["train"], rows(7, start=500)]), test=data["test"])
    with ApiServer(right) as server:
        respond(data, "any", source(server), workspace)
        server.reset()
        made = respond(more, "any", source(server), workspace)
        assert sorted(numbers(request)[0] for request in server.requests) == list(range(500, 507))
    assert responses(made) == expected(more)
    assert [(r.generated, r.reused) for r in workspace.reports[-2:]] == [
        (7, 30),
        (0, 0),
    ]  # the other split is cached whole


def test_what_changes_the_texts_sends_all_and_what_does_not_sends_none(workspace: Workspace) -> None:
    data = splits(8)
    with ApiServer(right) as server, ApiServer(right) as other:
        answer(data, config(server), workspace)
        assert server.count == 8
        for change in (
            {"concurrency": 3},
            {"max_retries": 1},
            {"timeout": 9},
            {"price": {"input": 1, "output": 1}},
        ):
            answer(data, config(server, **change), workspace)
        answer(data, config(server), workspace, drop_overlap=True)
        assert server.count == 8
        answer(data, config(server), workspace, instruction="Answer in one word.")
        assert server.count == 16
        answer(data, config(server, temperature=0.5), workspace)
        assert server.count == 24
        answer(data, config(other), workspace)
        assert (server.count, other.count) == (24, 8)


def test_a_kept_answer_is_read_again_without_the_network(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = splits(5)
    with ApiServer(right) as server:
        asked = source(server)
        respond(data, "any", asked, workspace)
    with sqlite3.connect(workspace.store_path) as db:
        text, kept = db.execute("SELECT text, raw FROM texts LIMIT 1").fetchone()
        assert text == ""  # it is in the answer
        assert json.loads(kept)["choices"][0]["message"]["content"].startswith("The answer is")
    monkeypatch.setattr(OpenAIGenerator, "parse", lambda _, raw: Generation(json.loads(raw)["object"]))
    made = respond(data, "under another name", asked, workspace)
    assert set(made["train"]["response"]) == {"chat.completion"}


def test_what_arrived_before_a_failure_is_not_paid_again(workspace: Workspace) -> None:
    data = splits(60)

    def script(request: ApiRequest) -> Reply:
        return Reply(status=500) if numbers(request)[0] == 40 else Reply(right(request))

    with ApiServer(script) as server:
        with pytest.raises(GenerationError, match=r"^1 request"):
            respond(data, "any", source(server, max_retries=1), workspace)
        assert Counter(numbers(request)[0] for request in server.requests) == {
            **dict.fromkeys(range(60), 1),
            40: 2,
        }
        server.configure(script=right)
        server.reset()
        assert responses(respond(data, "any", source(server), workspace)) == expected(data)
        assert [numbers(request)[0] for request in server.requests] == [40]


def test_rows_that_an_engine_refuses_are_rejected_with_the_reason(workspace: Workspace) -> None:
    def script(request: ApiRequest) -> Reply:
        match numbers(request)[0]:
            case 2:
                return Reply(status=400, error={"message": "no", "code": "content_filter"})
            case 3:
                return Reply("", finish_reason="content_filter")
            case 4:
                return Reply(right(request), finish_reason="length")
        return Reply(right(request))

    with ApiServer(script) as server:
        made = answer(splits(6), config(server), workspace)["train"]
        answer(splits(6), config(server), workspace, drop_overlap=True)
        # All that is missing then is refused: 0 tells that the engine still answers, and 2 is refused for good.
        asked = [numbers(request)[0] for request in server.requests]
        assert (sorted(asked[:6]), asked[6:]) == ([0, 1, 2, 3, 4, 5], [2, 0, 2])
    assert made["reason"] == [
        None,
        None,
        "no response (rejected)",
        "no response (content_filter)",
        None,
        None,
    ]
    assert made["truncated"] == [False, False, False, False, True, False]
    assert made["correct"] == [True, True, False, False, False, True]


def test_a_request_that_was_refused_is_asked_again_once_the_engine_is_mended(workspace: Workspace) -> None:
    def graded(server: ApiServer) -> list[str | None]:
        made = tool_api(
            answer(data, config(server), workspace), [config(server, engine="teacher")], workspace
        )
        return [reason if reason is None else reason.partition(":")[0] for reason in made["train"]["reason"]]

    def script(request: ApiRequest) -> Reply:
        if numbers(request)[0] == 2 and request.body["model"] != "teacher":
            return Reply(status=400, error="maximum context length is 9 tokens")
        return Reply(call(request) if request.body["model"] == "teacher" else "The answer is 99.")

    data = splits(4)
    with ApiServer(script) as server:
        assert graded(server) == graded(server) == [None, None, "no response (rejected)", None]
        assert Counter(numbers(r)[0] for r in server.requests if r.body["model"] == "teacher") == {
            0: 1,
            1: 1,
            3: 1,
        }
        server.reset()
        server.configure(
            script=lambda r: Reply(call(r) if r.body["model"] == "teacher" else "The answer is 99.")
        )
        assert graded(server) == graded(server) == [None] * 4
        assert [numbers(request)[0] for request in server.requests] == [2, 2]  # student and teacher, once


REFUSED = json.dumps({"toolgen_hf": "rejected", "status": 400, "error": "too long"})


@pytest.mark.parametrize(
    ("kept", "text", "finish_reason", "is_asked_again"),  # as version 1 kept them
    [
        ({"content": "57"}, "57", "stop", False),
        ({"content": "57", "finish_reason": "MAX_TOKENS"}, "57", "length", False),
        ({"content": "half \ud83d"}, "half \ufffd", "stop", False),
        ({"content": [{"type": "text", "text": "57"}]}, "57", "stop", False),
        ({"content": "57", "usage": {"prompt_tokens": 10**30}}, "57", "stop", False),
        (REFUSED, "The answer is 1.", "stop", True),
        (
            {"content": "half", "error": {"message": "broke off", "code": 502}},
            "The answer is 1.",
            "stop",
            True,
        ),
        ({"content": "half", "finish_reason": "error"}, "The answer is 1.", "stop", True),
    ],
)
def test_a_store_of_version_1_is_read_by_the_rules_of_now(
    workspace: Workspace, kept: Any, text: str, finish_reason: str, is_asked_again: bool
) -> None:
    if isinstance(kept, dict):
        choice = {"finish_reason": "stop", **kept, "message": {"content": kept["content"]}}
        kept = json.dumps({"choices": [choice], "usage": kept.get("usage")})
    with ApiServer("The answer is 1.") as server:
        respond(splits(1), "any", source(server), workspace)
        with sqlite3.connect(workspace.store_path) as db:
            db.execute("UPDATE texts SET text = 'of old', finish_reason = 'stop', raw = ?", [kept])
        for name in ("again", "once more"):
            made = respond(splits(1), name, source(server), workspace)["train"][0]
            assert (made["response"], made["finish_reason"]) == (text, finish_reason)
        assert server.count == 1 + is_asked_again


def test_a_finish_reason_that_is_given_a_meaning_later_costs_nothing(workspace: Workspace) -> None:
    with ApiServer(lambda request: Reply(right(request), finish_reason="finis")) as server:
        for _ in range(2):
            with pytest.raises(GenerationError, match=r"finish_reasons: \{'finis': stop\}"):
                respond(splits(3), "any", source(server), workspace)
        assert server.count == 3
        made = respond(splits(3), "any", source(server, finish_reasons={"finis": "length"}), workspace)
        assert set(made["train"]["finish_reason"]) == {"length"}
        made = respond(splits(3), "any", source(server, finish_reasons={"finis": "stop"}), workspace)
        assert set(made["train"]["finish_reason"]) == {"stop"}
        assert server.count == 3
