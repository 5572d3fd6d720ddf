"""Math word problems with one number as the answer, such as GSM8K and SVAMP.

question    "Jean has 30 lollipops. She eats 2 and packs 2 in a bag. How many bags does she fill?"
response    "30 - 2 = <<30-2=28>>28 are left, so 28 / 2 = 14 bags. The answer is 14."
prediction  "14.0"        answer ["14"]        correct

``numbers.py`` reads numbers. ``statements.py`` finds the number of a response that is its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from math import inf
from typing import Final

from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.math.numbers import is_equal, normal_form, read_bare
from toolgen_hf.tasks.math.statements import Reading, read_statement
from toolgen_hf.tasks.responses import final_response
from toolgen_hf.tools.calculator import CALCULATOR


class Grading(Task):
    """All of the math task except its readers of worked solutions and calls, which grade with this class.

    The normal form of an answer is a float as text: two decimals (``"16.67"``), or three digits if it is small.
    """

    name = "math"
    version = 3
    tool = CALCULATOR
    instruction = "Given a math problem, please answer it and you can use a calculator for help."
    query_instruction = "Given a math problem, please solve it and you can use a calculator for help."
    prompts = files("toolgen_hf.tasks.math") / "prompts"

    def extract(self, text: str) -> str | None:
        r"""The number that a response gives as its answer, as ``toolgen_hf.tasks.math.statements`` finds it.

        The last ``\boxed{...}``, ``####``, ``<answer>`` or "the answer is" with its correction; else the number that
        the closing sentence is about; else the last number. None if it states no single number, such as "18 or 20".
        """
        return normal_form(_read(text).value)

    def stated_answer(self, text: str) -> str | None:
        """The same, but None if it is only the last number of a text that never says that it is the answer."""
        reading = _read(text)
        return normal_form(reading.value) if reading.is_stated else None

    def normalize(self, value: str) -> str | None:
        r"""``"$1,234.5"`` gives ``"1234.5"``, ``"9 (apples)"`` gives ``"9.0"``, ``r"\frac{3}{4}"`` gives ``"0.75"``.

        A worked solution gives the answer that it marks (``####``). Other texts give None.
        """
        return _normal_form(value)

    def state(self, answer: str) -> str:
        """``"72"`` and ``"72.0"`` give ``"The answer is 72."``, as the prompts ask for it."""
        return f"The answer is {answer.removesuffix('.0')}."

    def is_correct(self, prediction: str | None, answer: Sequence[str]) -> bool:
        """Whether a prediction equals any of the accepted answers, by ``numbers.is_equal``."""
        value = None if prediction is None else read_bare(prediction)
        return value is not None and any(is_equal(value, gold) for gold in self._values(answer))

    def distance(self, prediction: str, answer: Sequence[str]) -> float:
        """The difference to the nearest accepted answer, to two decimals; ``inf`` if either is not a number."""
        value = self.normalize(prediction)
        if value is None:
            return inf
        return min((round(abs(float(value) - gold), 2) for gold in self._values(answer)), default=inf)

    def _values(self, answer: Sequence[str]) -> list[float]:
        return [float(form) for form in map(self.normalize, answer) if form is not None]


@lru_cache(1024)  # each response to a question is compared with the same answer
def _normal_form(value: str) -> str | None:
    number = read_bare(value)
    if number is None and any(mark in value for mark in ("####", "\\boxed", "<answer>")):
        number = _read(value).value
    return normal_form(number)


def _read(text: str) -> Reading:
    return read_statement(final_response(text))


GRADING: Final = Grading()
