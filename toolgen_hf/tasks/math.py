"""Math word problems with one number as the answer, such as GSM8K and SVAMP.

question    "Jean has 30 lollipops. She eats 2 and packs 2 in a bag. How many bags does she fill?"
response    "30 - 2 = <<30-2=28>>28 are left, so 28 / 2 = 14 bags. The answer is 14."
prediction  "14.0"        answer ["14"]        correct
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from importlib.resources import files
from math import inf
from typing import Final

from toolgen_hf.errors import ToolError
from toolgen_hf.tasks.base import Annotation, Task
from toolgen_hf.tasks.numbers import NUMBER, normal_form, read_at, read_bare, read_words
from toolgen_hf.tools.calculator import CALCULATOR

_ANNOTATION = re.compile(r"<<[^<>]*>>")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{([0-9]{1,9})\}\s?\{([0-9]{1,9})\}")
_LATEX_COMMA = re.compile(r"(?<=[0-9])(?:\{,\}|\\,|\\!,|,\\!)(?=[0-9]{3})")

_HASHES = re.compile(r"####(?![ \t]*[0-9]{1,2}[.)][ \t])")  # "#### 2. Add them" is a heading
_MARKER = re.compile(
    r"""\banswer\b[*_]{0,3}(?:[ ](?:to|for)\b[^.:\n]{0,60}?)?[ ]?(?:is\b|was\b|[:=]|(?=\n))
    |^[ \t]*[*_]{0,3}A[*_]{0,3}:""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_MARKERS: Final = 20  # a text that repeats one more often than this is no answer
_LEAD = re.compile(r"""[\s:*_$€£¥₹\\(\[{"'`~≈=+−–-]{0,16}""")
_OPERATOR = re.compile(r"[ ]?(?:[-+*/x×÷^=−–]|\\times|\\div|\\cdot)[ ]?[-$€£\\({.0-9]")
_OPERAND = re.compile(r"[0-9)\]}%][ ]?(?:[-+*/x×÷^−–]|\\times|\\div|\\cdot)[ ]?[$€£¥₹\\({]{0,3}$")
_STATEMENT = re.compile(r"[^.,;!?:\n]{1,80}")


class Math(Task):
    """The normal form of an answer is a float of at most two decimals as text: ``"57.0"``, ``"16.67"``."""

    name = "math"
    version = 2
    tool = CALCULATOR
    instruction = "Given a math problem, please answer it and you can use a calculator for help."
    query_instruction = "Given a math problem, please solve it and you can use a calculator for help."
    prompts = files("toolgen_hf.prompts") / "math"

    def extract(self, text: str) -> str | None:
        r"""The number that a response states as its answer: the first of these that there is.

        1. the last ``\boxed{...}``
        2. the number after the last ``####``
        3. the number, or the number in words, after the last "the answer is", "Answer:" or ``A:``
        4. the last number of the text, or all of the text if that is a number in words; nothing if the text ends on a
           calculation without its result (``"100*2"``)

        ``<<48/2=24>>`` annotations are not part of what is said. Of an equation, the right side counts.
        """
        text = _LATEX_COMMA.sub(",", _FRACTION.sub(r" \1/\2", _ANNOTATION.sub("", text)))
        value = _boxed(text)
        for marker in (_HASHES, _MARKER):
            if value is None:
                value = _after_last(marker, text)
        for match in deque(NUMBER.finditer(text), maxlen=1) if value is None else ():
            before = text[max(0, match.start() - 16) : match.start()]
            value = None if _OPERAND.search(before) else read_at(text, match)
        return normal_form(read_words(text.strip(" \n*.!")) if value is None else value)

    def normalize(self, value: str) -> str | None:
        """``"72"`` as ``"72.0"``, ``"$1,234.5"`` as ``"1234.5"``, ``"3/4"`` as ``"0.75"``; else None."""
        return normal_form(read_bare(value))

    def state(self, answer: str) -> str:
        """``"72"`` and ``"72.0"`` as ``"The answer is 72."``, as the prompts ask for it."""
        return f"The answer is {answer.removesuffix('.0')}."

    def distance(self, prediction: str, answer: Sequence[str]) -> float:
        """The difference to the nearest accepted answer, to two decimals; ``inf`` if either is no number."""
        value = self.normalize(prediction)
        accepted = [float(form) for form in map(self.normalize, answer) if form is not None]
        return (
            inf
            if value is None
            else min((round(abs(float(value) - gold), 2) for gold in accepted), default=inf)
        )

    def annotate(self, question: str, solution: str, answer: Sequence[str]) -> Annotation:
        """The solution's steps as one formula: ``"calculator((30-2)/2)"``."""
        from toolgen_hf.generators.annotations import compose  # which grades by this very task

        made = compose(question, solution, answer, self)
        call = f"{self.tool.name}({made.formula})" if made.formula else None
        return Annotation(call, made.reason, made.soundness)

    def soundness(self, question: str, call: str) -> str | None:
        """Whether each number of a call is the question's or a common constant."""
        from toolgen_hf.generators.annotations import explain

        try:
            found = self.tool.find_call(call)
        except ToolError:
            return None
        return None if found is None else explain(question, found.argument)


def _boxed(text: str) -> float | None:
    start = text.rfind("\\boxed{")
    return None if start < 0 else _stated(text, start + len("\\boxed{"))


def _after_last(marker: re.Pattern[str], text: str) -> float | None:
    for start in reversed([match.end() for match in deque(marker.finditer(text), _MARKERS)]):
        value = _stated(text, start)
        if value is not None:
            return value
    return None


def _stated(text: str, start: int) -> float | None:
    """The number that stands at ``start``, after blanks, currency and markup; None if there is none."""
    lead = _LEAD.match(text, start)
    match = NUMBER.match(text, lead.end() if lead else start)
    if match is None:
        return _spelled(text, lead.end() if lead else start)
    if _OPERATOR.match(text, match.end()):  # "20 - 5 = 15": what it comes to
        line_end = text.find("\n", match.end())
        equals = text.rfind("=", match.end(), line_end if line_end >= 0 else len(text))
        result = _stated(text, equals + 1) if equals >= 0 else None
        return read_at(text, match) if result is None else result
    return read_at(text, match)


def _spelled(text: str, start: int) -> float | None:
    """A number in words, with at most one word (its unit) after it: ``"twelve apples"``."""
    statement = _STATEMENT.match(text, start)
    if statement is None:
        return None
    words = statement.group().strip(" *_").split(" ")
    number = read_words(" ".join(words))
    return number if number is not None or len(words) < 2 else read_words(" ".join(words[:-1]))


MATH: Final = Math()
