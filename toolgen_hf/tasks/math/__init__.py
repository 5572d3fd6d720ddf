"""Math word problems: the task, how numbers and worked solutions are read, and the prompts."""

from toolgen_hf.tasks.math.task import MATH, Math

__all__ = ["MATH", "Math"]
