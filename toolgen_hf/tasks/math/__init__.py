"""Math word problems: the task, the readers of numbers and of worked solutions, and the prompts."""

from toolgen_hf.tasks.math.task import MATH, Math

__all__ = ["MATH", "Math"]
