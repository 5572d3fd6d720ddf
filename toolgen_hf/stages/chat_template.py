"""Checks that a model's chat template renders tool calls. Some leave them out and report nothing.

    missing(tokenizer, row)  ->  ()                                          as Qwen's does
    missing(tokenizer, row)  ->  ("the call's name", "the call's arguments")   as SmolLM2's, Llama 3's and Phi-3's do

A model that is trained with such a template sees an empty turn, and then a result without a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf.errors import ConfigError
from toolgen_hf.tools.base import Tool

_LOOKED_AT = 50
"""The number of rows with a call that are rendered."""
_ADVICE = (
    "train on the config 'sft' instead, where calls are text, or use a model whose template renders tool calls, such "
    "as Qwen/Qwen2.5-0.5B-Instruct"
)
Row = Mapping[str, Any]


def require_calls(rows: DatasetDict, model: str | Any, revision: str | None = None) -> None:
    """Check on real rows (``schemas.TOOL_CALLING``) that a model's chat template renders each call and its result.

    Args:
        model: a folder, a Hub id, a ``.gguf`` file or ``pip:NAME``; or a tokenizer itself.

    Raises:
        ConfigError: it does not, or the model does not exist.
    """
    every = (row for split in rows.values() for row in split)
    chosen = list(islice((row for row in every if len(row["messages"]) > 2), _LOOKED_AT))
    check_rows(chosen, model, revision)


def check_rows(rows: Iterable[Row], model: str | Any, revision: str | None = None) -> None:
    """`require_calls` on given rows."""
    tokenizer = _load_tokenizer(model, revision) if isinstance(model, str) else model
    name = (
        model
        if isinstance(model, str)
        else str(getattr(tokenizer, "name_or_path", "") or "of this tokenizer")
    )
    for row in rows:
        if gone := missing(tokenizer, row, name):
            raise ConfigError(
                f"the chat template of {name!r} leaves out {' and '.join(gone)} of {row['id']!r}, so that tool_calling "
                f"would not teach to call a tool: {_ADVICE}"
            )


def sample(tool: Tool) -> dict[str, Any]:
    """An invented row of ``tool_calling``, for a check before there are real rows."""
    call = {"name": tool.name, "arguments": {tool.parameter: "1917-1848"}}
    return {
        "id": "a sample row",
        "messages": [
            {"role": "user", "content": "A question that needs the tool."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "call00000", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "call00000", "name": tool.name, "content": "its result, 69.0"},
            {"role": "assistant", "content": "The answer is sixty-nine."},
        ],
        "tools": [tool.schema()],
    }


def missing(tokenizer: Any, row: Row, name: str = "") -> tuple[str, ...]:
    """Names of the parts (call, arguments, result, answer) that the template leaves out.

    Raises:
        ConfigError: the tokenizer has no chat template, or the template fails on the row.
    """
    messages = row["messages"]
    try:
        text = str(tokenizer.apply_chat_template(messages, tools=row["tools"], tokenize=False))
    except Exception as error:  # a template is data, and may fail in any way
        raise ConfigError(
            f"the chat template of {name!r} cannot render {row['id']!r} of tool_calling ({error}): {_ADVICE}"
        ) from error
    text = text.rpartition(messages[0]["content"])[2]  # the part before it describes the tools
    wanted = [("the answer", [messages[-1]["content"]])]
    for message in messages[1:-1]:
        if message["role"] == "tool":
            wanted.insert(-1, ("the call's result", [message["content"]]))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            wanted.insert(-1, ("the call's name", [function["name"]]))
            wanted.insert(-1, ("the call's arguments", list(map(str, function["arguments"].values()))))
    return tuple(what for what, parts in wanted if not all(_is_in(text, part) for part in parts))


def _is_in(text: str, part: str) -> bool:
    """Whether a text contains ``part``, as it is or as JSON."""
    spellings = (part.strip(), json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1])
    return any(spelling in text for spelling in spellings)


def _load_tokenizer(name: str, revision: str | None = None) -> Any:
    """A model's tokenizer, without code of its own.

    Raises:
        ConfigError: the model does not exist, its tokenizer cannot be read, or transformers is not installed.
        HubError: the Hub could not be read.
    """
    from toolgen_hf.models.weights import MODEL, download, resolve_model

    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(
            f"reading a tokenizer needs transformers: pip install transformers ({error})"
        ) from error
    path = Path(name).expanduser()
    if path.is_dir():
        folder = path
    elif name.startswith("pip:") or name.endswith(".gguf"):
        folder = resolve_model(name, revision).folder()
    else:
        files = [file for file in MODEL.files if not file.endswith((".safetensors", ".index.json"))]
        folder = download(name, revision, files, "model")
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise ConfigError(f"the tokenizer of {name!r} cannot be read: {error}") from error
