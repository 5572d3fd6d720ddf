"""What a response comes to: its calls are run, and the answer that it states is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from toolgen_hf import OpenAIConfig, Workspace, schemas
from toolgen_hf.ask import Ask, Prompt
from toolgen_hf.errors import ConfigError
from toolgen_hf.runtime.door import replay
from toolgen_hf.stages.execute import execute, execute_response, execute_row
from toolgen_hf.tasks import Equipped, get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math import Math
from toolgen_hf.testing import ApiServer
from toolgen_hf.tools.base import ToolCall

MATH = get_task("math")


class Stating(Math):
    """Math problems whose answer is stated by "The answer is" alone; any other number is a guess."""

    def stated_answer(self, text: str) -> str | None:
        return self.extract(text) if "The answer is " in text else None


STATING = Stating()


@pytest.mark.parametrize(
    ("response", "prediction"),
    [
        # a call alone, as published: its result
        ("calculator(48+48/2)", "72.0"),
        (" calculator(76/4*3)", "57.0"),
        ("calculator('4*9')", "36.0"),
        ("`calculator(4*9)`", "36.0"),
        ("She has calculator(4*9) nuts in 3 bags", "36.0"),
        ("calculator(4*9) = 35", "36.0"),  # what it says of the result itself is not asked
        # several: the last one's result
        ("calculator(4*9) in May, then calculator(36+4).", "40.0"),
        # an answer that is stated
        ("I took calculator(4*9) for 36 and then calculator(36/2). The answer is 18.", "18.0"),
        ("calculator(4*9) = 36, minus 6 is 30. The answer is 30.", "30.0"),
        ("The answer is 30. To see it: calculator(4*9)", "30.0"),
        ("The answer is calculator(4*9), not 35.", "36.0"),
        ("The answer is calculator(36/2), for calculator(4*9) is 36.", "18.0"),
        ("The answer is calculator(4*9) = 35.", "36.0"),
    ],
)
def test_the_answer_of_a_response_with_calls(response: str, prediction: str) -> None:
    found = execute_response(response, STATING)
    assert (found.prediction, found.uses_tool, found.error) == (prediction, True, None)


@pytest.mark.parametrize(
    ("response", "prediction"),
    [
        ("The answer is 36.", "36.0"),
        ("The calculator(s) show 36.", "36.0"),
        ("A calculator (my old one) shows 36.", "36.0"),
        ("<think>or calculator(2+2)?</think> The answer is 5.", "5.0"),
        ("calculator(2+2) would do.\n</think>\nThe answer is 5.", "5.0"),
        ("<think>calculator(2+2)", None),
        ("The answer is 5.\nInput: Ann has 2.\nOutput: calculator(2+2)", "5.0"),
        ("I cannot say.", None),
        (None, None),
    ],
)
def test_a_response_without_a_call(response: str | None, prediction: str | None) -> None:
    found = execute_response(response, STATING)
    assert (found.prediction, found.uses_tool, found.error) == (prediction, False, None)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ("calculator(4/0)", "undefined"),
        ("calculator(4/0). The answer is 4.", "undefined"),  # it was written without a result
        ("calculator(2+2), calculator(4/0) and calculator(4+4)", "undefined"),
        ("calculator(2+2) and calculator(4+", "syntax"),
        ("calculator(two)", "forbidden"),
        ("calculator(1) " * 101, "limit"),
    ],
)
def test_where_a_call_cannot_be_run_there_is_no_answer(response: str, error: str) -> None:
    found = execute_response(response, STATING)
    assert (found.uses_tool, found.prediction) == (True, None)
    assert (found.error or "").startswith(f"{error}: ")


@pytest.mark.parametrize(
    ("response", "prediction"),
    [
        ("calculator(2+2) is", "4.0"),
        ("calculator(2*9) = 18. The answer is 1", "18.0"),  # of 18
        ("The answer is 1", None),
        ("The answer is 7.\nInput: Ann has", "7.0"),  # cut in what is no part of it
    ],
)
def test_a_text_that_was_cut(response: str, prediction: str | None) -> None:
    assert execute_response(response, STATING, is_cut=True).prediction == prediction


def test_a_task_that_cannot_tell_a_statement_from_a_guess_takes_the_result() -> None:
    class Guessing(Math):
        stated_answer = Task.stated_answer

    assert execute_response("calculator(50+7) it is, not 58.", Guessing()).prediction == "57.0"


@pytest.mark.parametrize(
    ("response", "call"),
    [
        ("calculator(4*9)", "calculator(4*9)"),
        ("First calculator('6*6'), then calculator(4*9) and calculator(36/2)", "calculator(4*9)"),
        ("calculator(x*9), or rather calculator(4*9)", "calculator(4*9)"),
        ("calculator(4*8). The answer is 36.", None),  # only the call is taught
        ("The answer is 36.", None),
    ],
)
def test_the_call_that_gives_the_answer(response: str, call: str | None) -> None:
    found = execute_response(response, STATING).verified("4*9?", ["36"], STATING)
    assert (None if found is None else str(found.call)) == call


def executed(response: str | None, finish_reason: str | None = "stop") -> dict[str, Any]:
    """The executed row of a response to 4*9?"""
    row = {"id": "a", "question": "4*9?", "answer": ["36"], "source": "vicuna"}
    [done] = replay([execute_row({**row, "response": response, "finish_reason": finish_reason}, Ask(), MATH)])
    return done


@pytest.mark.parametrize(
    ("response", "finish_reason", "expected"),
    [
        (
            "<think>nine fours</think>calculator('4*9')</s>",
            "stop",
            {
                "response": "calculator('4*9')",
                "thinking": "nine fours",
                "finish_reason": "stop",
                "correct": True,
            },
        ),
        ("<think>nine fours", "stop", {"response": "", "thinking": "nine fours", "finish_reason": "length"}),
        (
            "It is 36.\nInput: Ann",
            "length",
            {"response": "It is 36.", "finish_reason": "stop", "correct": True},
        ),
        ("It is 36", "length", {"response": "It is 36", "finish_reason": "length", "correct": False}),
        (
            " It is 36.\n",
            None,
            {"response": " It is 36.\n", "thinking": None, "finish_reason": None, "calls": []},
        ),
        (None, "empty", {"response": None, "thinking": None, "finish_reason": "empty", "correct": False}),
        (
            "calculator(4*9) and calculator(4/0)",
            "stop",
            {
                "calls": [
                    {"call": "calculator(4*9)", "result": "36.0", "error": None},
                    {
                        "call": "calculator(4/0)",
                        "result": None,
                        "error": "undefined: division by zero in 4 / 0",
                    },
                ],
                "error": "undefined: division by zero in 4 / 0",
                "correct": False,
            },
        ),
    ],
)
def test_columns(response: str | None, finish_reason: str | None, expected: dict[str, Any]) -> None:
    done = executed(response, finish_reason)
    assert {name: done[name] for name in expected} == expected


@pytest.mark.parametrize(
    "text", ["<think>a</think> calculator(4*9)", "It is 36.\nInput: Ann has 4.", "36</s>"]
)
def test_executed_again_nothing_changes(text: str) -> None:
    done = executed(text)
    again = executed(done["response"], done["finish_reason"])
    assert {**again, "thinking": None} == {**done, "thinking": None}


class Reading(Math):
    """Math problems whose results are passages: the reader takes the answer from them."""

    reads = True

    async def conclude(self, question: str, call: ToolCall, results: Sequence[str], ask: Ask) -> str | None:
        passage = f"Note {results[-1]}: the sum is in words."
        return self.normalize((await ask.read(Prompt(passage, question))).text)


def test_a_task_may_ask_a_model_to_read_a_tools_result(tmp_path: Path) -> None:
    row = {"id": "a", "question": "4*9?", "answer": ["36"], "source": "vicuna", "finish_reason": "stop"}
    responses = ["calculator(4+9)", "calculator(4+9) and calculator(4*9)", "The answer is 36."]
    rows = [{**row, "id": str(n), "response": response} for n, response in enumerate(responses)]
    asked = DatasetDict(train=Dataset.from_list(rows, features=schemas.RESPONSES))
    with ApiServer(lambda request: "36" if "Note 13" in request.prompt else "35") as server:
        reader = OpenAIConfig(engine="gpt-4o-mini", base_url=server.base_url)
        for _ in range(2):
            with Workspace(tmp_path, progress=False) as workspace:
                done = execute(asked, workspace, Equipped(Reading(), reader=reader))["train"]
            assert done["prediction"] == ["36.0", "35.0", "36.0"]
            assert len(server.requests) == 2  # one for each passage, in both runs together
    with (
        Workspace(tmp_path / "other", progress=False) as workspace,
        pytest.raises(ConfigError, match="reader"),
    ):
        execute(asked, workspace, Reading())
