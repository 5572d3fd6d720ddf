"""Which calls the teacher ``annotations`` teaches, and the columns of a call."""

from __future__ import annotations

import pytest

from toolgen_hf.ask import Ask
from toolgen_hf.models.config import AnnotationsConfig
from toolgen_hf.runtime.door import replay
from toolgen_hf.stages.tool_api import Case, Proposal, Teacher, verify
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tasks.math.compose import compose


async def no_proposal(case: Case, ask: Ask) -> Proposal:
    raise AssertionError("not asked here")


EXPLAINED = ("3 boxes hold 4 cups each.", "3*4=<<3*4=12>>12", "12")
UNEXPLAINED = ("3 boxes hold cups, in all how many?", "3*17=<<3*17=51>>51", "51")
AMBIGUOUS = ("5, 2, 3, 4", "2+3=<<2+3=5>>5. 5*4=<<5*4=20>>20. 20-5=<<20-5=15>>15.", "15")


@pytest.mark.parametrize(
    ("accept", "row", "reason"),
    [
        ("explained", EXPLAINED, None),
        ("explained", AMBIGUOUS, "the call is ambiguous"),
        ("explained", UNEXPLAINED, "the call is unexplained"),
        ("ambiguous", AMBIGUOUS, None),
        ("ambiguous", UNEXPLAINED, "the call is unexplained"),
        ("unexplained", UNEXPLAINED, None),
    ],
)
def test_the_least_sound_call_that_is_taught(
    accept: str, row: tuple[str, str, str], reason: str | None
) -> None:
    question, solution, answer = row
    made = compose(question, solution, [answer], MATH)
    config = AnnotationsConfig(accept=accept)  # type: ignore[arg-type]
    case = Case(question, [answer], solution)
    teacher = Teacher("annotations", 1, no_proposal, {}, accepts=config.accepts)
    replay(
        [
            verify(
                Proposal(f"calculator({made.formula})", soundness=made.soundness), teacher, case, MATH, Ask()
            )
        ]
    )
    assert case.attempts[0]["reason"] == reason
    taught = reason is None
    assert case.verified_by == ("execution+solution" if taught else None)
    assert case.soundness == (made.soundness if taught else None)


@pytest.mark.parametrize(
    ("call", "soundness"), [("calculator(3*4)", "explained"), ("calculator(6+6)", "unexplained")]
)
def test_a_call_of_a_model_is_marked_and_kept(call: str, soundness: str) -> None:
    case = Case(EXPLAINED[0], ["12"], None)
    replay([verify(Proposal(call), Teacher("writer", 2, no_proposal, {}), case, MATH, Ask())])
    assert (case.call, case.verified_by, case.soundness) == (call, "execution", soundness)
