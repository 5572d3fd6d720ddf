"""How well a model decides on, writes and profits from tool calls.

    from toolgen_hf.metrics import tool_use

    tool_use(["calculator(48+48/2)", "The answer is 5."], [["72"], ["6"]], needs_tool=[True, True])
    # {"accuracy": 0.5, "tool_use_rate": 0.5, "execution_success": 1.0, "tool_need_agreement": 0.5, ...}

============================  ==================================================================================
``accuracy``                  of the responses, the share whose answer is right: the result of the tool call
                              where there is one, else the answer that the text states
``tool_use_rate``             of the responses, the share with a tool call, whole or not
``execution_success``         of the responses with a call, the share whose call runs
``tool_need_agreement``       of the responses to questions whose need is known, the share that call the tool
                              exactly if the question needs it
============================  ==================================================================================

``tool_need_baseline`` gives two agreements for comparison: of a model that ``always`` calls, and of one that always
does what the ``majority`` of the questions needs.

A share of zero items is None: ``execution_success`` without any call, ``tool_need_agreement`` without any known need.
Each share has a 95% Wilson score interval (Wilson 1927) under ``confidence_95``.

Sources. Accuracy and tool use rate are what the released evaluation of TRICE reports (Qiao et al., arXiv:2305.13068;
``evaluate/evaluate.py`` of github.com/zjunlp/TRICE): both over all responses, with answers equal to two decimals. Three
things differ on purpose. A response without an answer is never right (there it counts as 0.0). A response that ends on
a calculation without its result (``100*2``) states no answer (there its last number). A call is found by its syntax
(there by the bare word ``calculator``). One number that is right or wrong is also GSM8K's measure (Cobbe et al.,
arXiv:2110.14168). A question *needs* the tool if the student was wrong without it: TRICE builds stage 1 on this
hypothesis, and gold, stage 1's output, calls the tool exactly then. The agreement is with that decision, which the
paper's scores also reward (TrueYes over TrueNo). If it is low, the tool use rate tells whether the model relies on the
tool too much or too little.
"""

from __future__ import annotations

from pathlib import Path

from toolgen_hf.errors import ConfigError
from toolgen_hf.metrics.board import Board, evaluate_target
from toolgen_hf.metrics.compute import SHARES, tool_use, wilson

__all__ = ["SHARES", "Board", "evaluate_target", "path", "tool_use", "wilson"]


def path(name: str = "tool_use") -> str:
    """The folder of a metric, which `evaluate` loads without any network.

        evaluate.load(path("tool_use")).compute(predictions=["The answer is 72."], references=[["72"]])

    Raises:
        ConfigError: there is no such module.
    """
    if name != "tool_use":
        raise ConfigError(f"unknown metric {name!r}; known metrics: tool_use")
    return str(Path(__file__).parent / name)
