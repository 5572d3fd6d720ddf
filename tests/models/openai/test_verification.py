"""The loop of asking a teacher, running its call and telling it what came, with real requests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engines import config, splits
from toolgen_hf import AnnotationsConfig, Workspace, answer, tool_api
from toolgen_hf.testing import ApiRequest, ApiServer

_SUM = re.compile(r"Ann has (\d+) pens and buys (\d+) more")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path, progress=False) as opened:
        yield opened


def numbers(request: ApiRequest) -> tuple[int, int]:
    found = _SUM.findall(request.prompt)[-1]
    return int(found[0]), int(found[1])


def call(request: ApiRequest) -> str:
    return "calculator({}+{})".format(*numbers(request))


def test_a_teacher_is_told_what_its_call_gave_and_asked_again(workspace: Workspace) -> None:
    def teacher(request: ApiRequest) -> str:
        left, more = numbers(request)
        if left == 2:
            return "calculator(1+1+1000)"  # never right
        if left == 1 and "is not the Golden answer" not in request.prompt:
            return f"calculator({left}*{more}*100)"
        return call(request)

    def wrong(request: ApiRequest) -> str:
        return "The answer is 1000000."

    with ApiServer(wrong) as student, ApiServer(teacher) as server:
        answered = answer(splits(4), config(student), workspace)
        made = tool_api(answered, [config(server), AnnotationsConfig()], workspace)["train"].to_list()
        asked = Counter(numbers(request)[0] for request in server.requests)
        again = [r.prompt for r in server.requests if "is not the Golden answer" in r.prompt]
    assert asked == {0: 1, 1: 2, 2: 2, 3: 1}
    assert any("calculator(1*2*100) gives 200" in prompt for prompt in again)
    assert any("calculator(1+1+1000) gives 1002" in prompt for prompt in again)
    assert [row["tool_call"] is not None for row in made] == [True] * 4
    assert [row["teacher"] for row in made] == ["gpt-4o-mini"] * 2 + ["annotations"] + ["gpt-4o-mini"]
    assert [len(row["attempts"]) for row in made] == [1, 2, 3, 1]
    tries = made[1]["attempts"]
    assert tries[0]["reason"] == "the result is not the gold answer"
    assert tries[0]["result"] == "200.0"
    assert tries[1]["reason"] is None


def test_what_no_teacher_can_do_is_rejected_with_all_that_was_tried(workspace: Workspace) -> None:
    with ApiServer("The answer is 1000000.") as student, ApiServer("I would rather not.") as server:
        data = splits(3)
        unsolved = data.map(lambda row: {"solution": None})
        answered = answer(unsolved, config(student), workspace)
        made = tool_api(answered, [config(server), AnnotationsConfig()], workspace)["train"].to_list()
        assert server.count == 6
    for row in made:
        assert row["tool_call"] is None
        assert row["reason"].startswith(
            "no verified tool call (gpt-4o-mini: the teacher wrote no tool call; annot"
        )
        assert [attempt["teacher"] for attempt in row["attempts"]][-1] == "annotations"
        assert row["attempts"][0]["output"] == "I would rather not."
