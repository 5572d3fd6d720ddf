"""`toolgen_hf.metrics.tool_use` as a module of `evaluate`: ``evaluate.load(toolgen_hf.metrics.path("tool_use"))``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from toolgen_hf import metrics
from toolgen_hf.metrics.compute import checked

_INPUTS = """
Args:
    predictions: the responses as the model wrote them (None: it gave none).
    references: for each the accepted answers, or the one accepted answer.
    needs_tool: to `compute` only, optional; for each whether its question needs the tool, None if unknown.
    sources: to `compute` only, optional; for each who wrote it. The figures then come by source as well.
    task: to `compute` only, optional; how answers are read and graded (default "math").

Returns:
    accuracy, tool_use_rate, execution_success, tool_need_agreement: shares; None of nothing.
    tool_need_baseline: the agreement of a model that always calls ("always"), and of one that does for every question
        what most of them need ("majority").
    confidence_95: for each share its Wilson score interval.
    responses, correct, calls, failed, need_known, need_agreed, ungradable: the counts behind them.
    by_source: the same for each source.
"""

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
    """What `evaluate` needs around `toolgen_hf.metrics.tool_use`.

    Only predictions and references are `features`: `evaluate` demands every feature in every call, so the optional
    inputs go to ``compute`` as they are. Inputs are checked before `evaluate` writes them to Arrow, which would
    take ``"23"`` among lists for ``["2", "3"]`` and refuse a first prediction that is None.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=metrics.__doc__ or "",
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=Features({"predictions": Value("string"), "references": List(Value("string"))}),
            reference_urls=["https://arxiv.org/abs/2305.13068", "https://github.com/zjunlp/TRICE"],
        )

    def add_batch(
        self,
        *,
        predictions: Sequence[str | None] | None = None,
        references: Sequence[str | Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
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
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        needs_tool: Sequence[bool | None] | None = None,
        sources: Sequence[str] | None = None,
        task: str = "math",
    ) -> dict[str, Any]:
        return metrics.tool_use(predictions, references, needs_tool, sources, task)
