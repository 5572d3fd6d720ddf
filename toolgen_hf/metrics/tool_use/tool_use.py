"""`toolgen_hf.metrics.tool_use` as a module of `evaluate`: ``evaluate.load(toolgen_hf.metrics.path("tool_use"))``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from toolgen_hf import metrics
from toolgen_hf.metrics.compute import checked

_CITATION = """
@inproceedings{qiao2024trice,
  title = {Making Language Models Better Tool Learners with Execution Feedback},
  author = {Qiao, Shuofei and Gui, Honghao and Lv, Chengfei and Jia, Qianghuai and Chen, Huajun and Zhang, Ningyu},
  booktitle = {Proceedings of NAACL},
  year = {2024},
  url = {https://arxiv.org/abs/2305.13068}
}
"""


class ToolUse(evaluate.Metric):  # type: ignore[misc]
    """The metric for `evaluate`.

    Only predictions and references are features: `evaluate` wants every feature in every call, so the optional inputs
    go to ``compute`` as they are. Inputs are checked before `evaluate` writes them to Arrow, which would take ``"23"``
    among lists for ``["2", "3"]`` and refuse a first prediction that is None.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=metrics.__doc__ or "",
            citation=_CITATION,
            inputs_description=metrics.tool_use.__doc__ or "",
            features=Features({"predictions": Value("string"), "references": List(Value("string"))}),
            reference_urls=["https://arxiv.org/abs/2305.13068", "https://github.com/zjunlp/TRICE"],
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add some responses and their accepted answers."""
        responses, answers = checked(
            [] if predictions is None else predictions, [] if references is None else references
        )
        texts = ["" if response is None else response for response in responses]  # neither states an answer
        evaluate.Metric.add_batch(self, predictions=texts, references=answers, **kwargs)

    def add(self, *, prediction: str | None = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one response and its accepted answers."""
        self.add_batch(predictions=[prediction], references=[reference], **kwargs)

    def _compute(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]], **optional: Any
    ) -> dict[str, Any]:
        return metrics.tool_use(predictions, references, **optional)
