"""Which call a teacher's text is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from toolgen_hf import OpenAIConfig, Workspace, schemas
from toolgen_hf.ask import Ask, Generation
from toolgen_hf.runtime.door import replay
from toolgen_hf.stages.tool_api import Case, Proposal, Teacher, _proposal, tool_api, verify
from toolgen_hf.tasks import get_task
from toolgen_hf.testing import ApiServer

MATH = get_task("math")


@pytest.mark.parametrize(
    ("text", "call", "result", "reason"),
    [
        ("calculator(4*9)", "calculator(4*9)", "36.0", None),
        ("calculator(expression='4*9')", "calculator(4*9)", "36.0", None),
        (
            "First calculator(2*2), then calculator(4*9) and calculator(36/2).",
            "calculator(4*9)",
            "36.0",
            None,
        ),
        ("calculator(nine*4)\ncalculator(4*9)", "calculator(4*9)", "36.0", None),
        ("calculator(36)", None, "36.0", "the tool call holds the gold answer"),
        ("calculator(4*9+36-36)", None, "36.0", "the tool call holds the gold answer"),
        ("calculator(6*6)", "calculator(6*6)", "36.0", None),
        ("calculator(4*9), which is calculator(36).", "calculator(4*9)", "36.0", None),
        ("calculator(4*8). The answer is 36.", None, "32.0", "the result is not the gold answer"),
        ("calculator(4/0)", None, None, "the tool call fails (undefined)"),
        ("Take the calculator(s): 36.", None, None, "the teacher wrote no tool call"),
    ],
)
def test_the_call_whose_own_result_is_the_answer(
    text: str, call: str | None, result: str | None, reason: str | None
) -> None:
    case = Case("4*9?", ["36"], None)
    teacher = Teacher("teacher", 1, lambda case, ask: None, {})  # type: ignore[arg-type, return-value]
    replay([verify(Proposal(text), teacher, case, MATH, Ask())])
    assert case.call == call
    assert case.attempts == [
        {"teacher": "teacher", "output": text, "thinking": None, "result": result, "reason": reason}
    ]


@pytest.mark.parametrize(
    ("made", "proposal"),
    [
        (Generation(" calculator(4*9)\n"), Proposal(" calculator(4*9)\n")),
        (Generation("<think>9*9?</think>\ncalculator(4*9)"), Proposal("calculator(4*9)", thinking="9*9?")),
        (Generation("calculator(4*9)\nQuestion: 2*2?\nOutput: calculator(2*2)"), Proposal("calculator(4*9)")),
        (
            Generation("<think>calculator(4*9)", "length"),
            Proposal(None, "the text is empty and cut at the token limit", thinking="calculator(4*9)"),
        ),
        (Generation("", "refusal"), Proposal(None, "no response (refusal)")),
    ],
)
def test_what_a_teacher_says(made: Generation, proposal: Proposal) -> None:
    assert _proposal(made) == proposal


def test_an_attempt_that_gets_the_same_feedback_again_asks_for_another_text(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "question": "4*9?",
        "answer": ["36"],
        "response": "35",
        "correct": False,
        "truncated": False,
    }
    rows = DatasetDict(
        train=Dataset.from_list([dict.fromkeys(schemas.ANSWERED) | row], features=schemas.ANSWERED)
    )
    texts = iter(["calculator(4+9)", "calculator(4+9)", "calculator(4*9)"])
    with ApiServer(lambda request: next(texts)) as server, Workspace(tmp_path, progress=False) as workspace:
        teacher = OpenAIConfig(engine="gpt-4o-mini", base_url=server.base_url, temperature=1.0)
        [called] = tool_api(rows, [teacher], workspace, max_attempts=3)["train"]
    assert called["tool_call"] == "calculator(4*9)"
    assert len(server.requests) == 3
