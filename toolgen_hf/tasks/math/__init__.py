"""Math word problems.

grading      how answers are read and graded, with numbers (the numbers of a text) and statements (the one it states)
compose      how a worked solution becomes one tool call, with steps, mentions and formula
prompts/     what models are asked
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from toolgen_hf.errors import ToolError
from toolgen_hf.tasks.base import Annotation
from toolgen_hf.tasks.math.compose import compose, copies, explain
from toolgen_hf.tasks.math.grading import Grading


class Math(Grading):
    """Math word problems with one number as the answer, such as GSM8K and SVAMP."""

    def annotate(self, question: str, solution: str | None, answer: Sequence[str]) -> Annotation:
        """The solution's steps as one formula: ``"calculator((30-2)/2)"``."""
        made = compose(question, solution, answer, self)
        call = f"{self.tool.name}({made.formula})" if made.formula else None
        return Annotation(call, made.reason, made.soundness)

    def soundness(self, question: str, call: str) -> str | None:
        """Whether each number of a call is the question's or a common constant."""
        formula = self._formula(call)
        return None if formula is None else explain(question, formula)

    def leaks(self, question: str, call: str, answer: Sequence[str]) -> bool:
        """Whether a number of a call is the answer, and neither the question's nor a common constant."""
        formula = self._formula(call)
        return formula is not None and copies(question, formula, answer, self)

    def _formula(self, call: str) -> str | None:
        try:
            found = self.tool.find_call(call)
        except ToolError:
            return None
        return None if found is None else found.argument


MATH: Final = Math()
