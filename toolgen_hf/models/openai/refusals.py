"""What to say when an engine refuses every request: its own words, how many there were, and what to change."""

from __future__ import annotations

from collections.abc import Sequence

from toolgen_hf.errors import RefusedError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.adaptations import refused_parameter
from toolgen_hf.models.openai.failures import Failure
from toolgen_hf.models.openai.messages import OPTIONAL


def refused_error(base_url: str, why: str, failures: Sequence[Failure], config: OpenAIConfig) -> RefusedError:
    """The error of a run whose requests were all refused, for the reason ``why``.

    Args:
        failures: of all requests, one that was refused first.
    """
    many = "the only one" if len(failures) == 1 else f"all {len(failures)} that were sent"
    return RefusedError(
        f"the engine at {base_url} gives nothing more: {why.rstrip('.')} ({many}; none was answered, so nothing is "
        f"kept of them). {advice(failures[0], config)}, and run again"
    )


def advice(failure: Failure, config: OpenAIConfig) -> str:
    """What to change where an engine refuses every request for this reason."""
    if failure.is_too_long:
        return (
            "Set a smaller max_tokens, serve the model with a larger context, or make the prompt shorter (fewer "
            "examples, a shorter instruction)"
        )
    if config.api != "completions" and "chat template" in failure.message:
        return "Give the server a chat template, or set api: completions, which needs none"
    given = [name for name in (*OPTIONAL, "stop") if getattr(config, name) not in (None, ())]
    given += ["temperature"] if config.temperature else []  # 0 is left out wherever an engine refuses it
    if name := refused_parameter(failure, [*given, *config.extra]):
        where = "extra" if name in config.extra else "the settings of this engine"
        instead = "set temperature: null" if name == "temperature" else f"take {name!r} out of {where}"
        return f"The recipe sets {name!r}: {instead}, or use an engine that supports it"
    return "Change what the engine names"
