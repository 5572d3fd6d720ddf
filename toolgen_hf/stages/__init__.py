"""The stages of the flow, one module each: a batch function, and the function that maps it."""

from __future__ import annotations

from toolgen_hf.stages import answer, execute, mix, respond, score, stage1, tool_api, training
from toolgen_hf.stages.base import Stage

STAGES: dict[str, tuple[Stage, str]] = {
    "answer": (answer.STAGE, "the student answers every question without a tool, and is graded"),
    "tool_api": (tool_api.STAGE, "a teacher writes a tool call for each wrong one; it is run and verified"),
    "stage1": (stage1.STAGE, "behavior cloning: the response where right, the call where wrong"),
    "gold": (stage1.GOLD, "stage 1's outputs as the responses of a source named gold"),
    "respond": (respond.STAGE, "a source responds to every question"),
    "execute": (execute.STAGE, "tool calls in responses are run, answers read and graded"),
    "score": (score.STAGE, "the responses to each question are scored for RLEF"),
    "sft": (training.SFT, "stage 1 as TRL's prompt-completion, calls as text"),
    "tool_calling": (training.TOOL_CALLING, "stage 1 as TRL's conversations with tools, calls run"),
    "preference": (training.PREFERENCE, "stage 2 as TRL's pairs of a better and a worse response"),
    "mix": (mix.STAGE, "several sets become one: what is drawn of each, without what stands twice"),
}
