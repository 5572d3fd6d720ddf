"""Generators of text: local models, engines behind an API, and files.

A config is light and frozen; ``build`` makes the generator from it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from toolgen_hf.models.base import Generator

# kind -> module:class, imported when used: torch takes seconds
GENERATORS = {
    "absent": "toolgen_hf.models.absent:AbsentGenerator",  # only in plans
    "file": "toolgen_hf.models.file:FileGenerator",
    "local": "toolgen_hf.models.local:LocalGenerator",
    "mcp_tool": "toolgen_hf.tools.mcp:McpService",
    "openai": "toolgen_hf.models.openai.engine:OpenAIGenerator",
    "search": "toolgen_hf.tools.search:Search",
    "seq2seq": "toolgen_hf.models.seq2seq:Seq2SeqGenerator",
    "search_server": "toolgen_hf.tools.search:Search",
    "vllm": "toolgen_hf.models.vllm:VllmGenerator",
    "wikipedia": "toolgen_hf.tools.search:Search",
}


def build(config: Any) -> Generator:
    """The generator that ``config`` describes, of a model or a tool. Cheap: a model is loaded at its first request."""
    module, _, name = GENERATORS[config.kind].partition(":")
    generator: Generator = getattr(import_module(module), name)(config)
    return generator
