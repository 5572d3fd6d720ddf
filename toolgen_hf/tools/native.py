r"""Rewrites tool calls in the native forms of models and APIs to this project's own form.

    <tool_call>{"name": "calculator", "arguments": {"expression": "3*6"}}</tool_call>    calculator(3*6)
    [TOOL_CALLS][{"name": "calculator", "arguments": {"expression": "3*6"}}]             calculator(3*6)
    Action: calculator\nAction Input: 3*6                                                calculator(3*6)
    {"content": null, "tool_calls": [{"function": {"name": "calculator", ...}}]}         calculator(3*6)

It reads JSON objects with a name and arguments (OpenAI, Llama, Hermes and Qwen, Mistral, LangChain),
``<function=NAME>``, ``<invoke name=...>``, ``<|python_tag|>``, the tags of GLM, DeepSeek and Harmony, and ReAct. A
model's text is data: it is parsed as JSON or taken as text, never evaluated. A call with malformed arguments fails with
a reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from toolgen_hf.tools.base import Tool
from toolgen_hf.tools.expression import shorten

_LONGEST = 100_000
"""Characters of a text that are read."""
_MOST = 200
"""JSON objects that are tried in one text."""
_NAMES = ("name", "tool", "tool_name", "action", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "action_input", "tool_input", "input")
_NO_CALL = frozenset(("finish", "final", "final_answer", "answer", "respond", "none", "done"))
"""Actions of ReAct that end without a tool."""

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_NAME = r"(?P<name>[\w.\-]+)"
_TAGGED = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"(?:<tool_call>\s*)?<function={_NAME}>(?P<rest>.*?)(?:</function>(?:\s*</tool_call>)?|\Z)",
        rf'(?:<(?:\w+:)?(?:tool_call|function_calls)>\s*)?<invoke name="{_NAME}">(?P<rest>.*?)(?:</invoke>|\Z)',
        rf"<tool_call>\s*{_NAME}\s*(?P<rest><arg_key>.*?)(?:</tool_call>|\Z)",
        rf"\[TOOL_CALLS\]\s*{_NAME}\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\])?\s*(?P<rest>\{{[^\n]*)",
        rf"(?:<｜tool▁calls▁begin｜>)?<｜tool▁call▁begin｜>\s*(?:function\s*<｜tool▁sep｜>)?{_NAME}(?:<｜tool▁sep｜>)?"
        r"(?P<rest>.*?)(?:<｜tool▁call▁end｜>(?:<｜tool▁calls▁end｜>)?|\Z)",
        rf"(?:<\|channel\|>\s*\w+\s+)?to=(?:functions\.)?{_NAME}(?:\s*<\|channel\|>\s*\w+)?[^<\n]*"
        r"(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>(?P<rest>.*?)(?:<\|call\|>|<\|end\|>|\Z)",
        rf"(?m:^)[ \t*]*Action[ \t*]*:[ \t*]*`?{_NAME}`?[ \t]*\n\s*[*]*Action[ _]Input[ \t*]*:[ \t*]*"
        r"(?P<rest>```.*?```|[^\n]*)",
        rf"(?m:^)[ \t*]*Action[ \t*]*:[ \t*]*{_NAME}\[(?P<rest>[^\n]*)\]",
        rf"<\|python_tag\|>\s*{_NAME}\.call\((?P<rest>[^\n]*)\)",
    )
]
"""Forms with the name outside of the arguments."""
_WRAPPED = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<tool_call>(?P<rest>.*?)(?:</tool_call>|(?=<tool_call>)|\Z)",
        r"\[TOOL_CALLS\](?P<rest>.*)",
        r"<\|python_tag\|>(?P<rest>.*?)(?:<\|eom_id\|>|<\|eot_id\|>|\Z)",
        r"<(?P<tag>tool_code|function_call|functioncall|tool)>(?P<rest>\s*\{.*?)(?:</(?P=tag)>|\Z)",
    )
]
"""Forms with the whole call as JSON between marks."""
_BROKEN = re.compile(
    r'\{\s*"(?:name|tool|action)"\s*:\s*"(?P<name>[\w.\-]+)"\s*,\s*"(?:arguments|parameters|args|action_input|input)"\s*:'
    r"(?P<rest>.*)",
    re.DOTALL,
)
"""The start of a call in JSON that cannot be read, such as one that was cut."""
_PARAMETER = re.compile(
    r'<parameter(?:=|\s+name=")(?P<key>[\w\-]+)"?>(?P<value>.*?)(?:</parameter>|\Z)'
    r"|<arg_key>(?P<key2>.*?)</arg_key>\s*<arg_value>(?P<value2>.*?)(?:</arg_value>|\Z)",
    re.DOTALL,
)
_KEYWORD = re.compile(r"""\s*(?P<key>\w+)\s*=\s*(?P<quote>["'])(?P<value>.*)(?P=quote)\s*""", re.DOTALL)
_FENCE = re.compile(r"\A\s*```(?:\w+\n)?\s*(.*?)\s*(?:```\s*)?\Z", re.DOTALL)
_NO_ARGUMENTS = "the call has no arguments"


@dataclass(frozen=True, slots=True)
class NativeCall:
    """A native call at ``text[start:end]``.

    ``arguments`` are a mapping by name, or a single text. They are None if they cannot be read; ``reason`` says why.
    """

    name: str
    arguments: Mapping[str, Any] | str | None
    start: int = 0
    end: int = 0
    reason: str | None = None

    def written(self, tool: Tool) -> str:
        """The call in this project's form, ``calculator(3*6)``. A malformed call becomes one that cannot be run."""
        if self.name.rpartition(".")[2].casefold() != tool.name.casefold():
            return f"{tool.name}(there is no tool {_flat(self.name)!r})"
        argument = _argument(self.arguments, tool)
        if argument is None:
            argument = repr(_flat(self.reason or f"there is no {tool.parameter!r} among the arguments"))
        return f"{tool.name}({argument})"


def find_native_calls(text: str) -> list[NativeCall]:
    """The native calls of a text in order, without those between ``<think>`` and ``</think>``.

    Calls in this project's own form, ``calculator(3*6)``, are found by the tool.
    """
    text = text[:_LONGEST]
    taken = [found.span() for found in _THINKING.finditer(text)]
    calls: list[NativeCall] = []

    def take(found: Sequence[NativeCall], start: int, end: int) -> None:
        if found and all(end <= a or b <= start for a, b in taken):
            taken.append((start, end))
            calls.extend(found)

    for pattern in _TAGGED:
        for found in pattern.finditer(text):
            if found["name"].casefold() not in _NO_CALL:
                arguments, reason = _read(found["rest"])
                take([NativeCall(found["name"], arguments, *found.span(), reason)], *found.span())
    for pattern in _WRAPPED:
        for found in pattern.finditer(text):
            values = [value for value, _, _ in _json_values(found["rest"])]
            inside = [call for value in values for call in _from_json(value, *found.span())]
            take(inside or _broken(_BROKEN.search(found["rest"]), *found.span()), *found.span())
    for value, start, end in _json_values(text):
        take(_from_json(value, start, end), start, end)
    if broken := _BROKEN.search(text):
        take(_broken(broken, *broken.span()), *broken.span())
    return sorted(calls, key=lambda call: (call.start, call.end))


def as_written(text: str | None, tool: Tool) -> str | None:
    """A response with its native calls in this project's form. A response without native calls stays the same."""
    if not text or not (calls := find_native_calls(text)):
        return text
    made, at = "", 0
    for call in calls:
        made += text[at : call.start]
        made += ("\n" if made and not made[-1].isspace() else "") + call.written(tool)
        at = call.end
    return made + text[at:]


def response_of(row: Mapping[str, Any], text: str | None, tool: Tool) -> str | None:
    """The response in a row: its text, then the calls of its column ``tool_calls`` or ``function_call``.

    A row with neither is read from its column ``messages``: what the assistant says after the last question, a line for
    each message, with its calls.
    """
    calls = [call.written(tool) for call in _column_calls(row)]
    parts = [as_written(text, tool), *calls]
    if text is None and not calls:
        told = [message for message in _listed(_loaded(row.get("messages"))) if isinstance(message, Mapping)]
        asked = max((at for at, message in enumerate(told) if message.get("role") == "user"), default=-1)
        roles = ("assistant", "model")
        parts = [_said(message, tool) for message in told[asked + 1 :] if message.get("role") in roles]
    return "\n".join(filter(None, parts)) or text


def _column_calls(row: Mapping[str, Any]) -> list[NativeCall]:
    calls: list[NativeCall] = []
    for value in (_loaded(row.get(name)) for name in ("tool_calls", "function_call")):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and item.strip():
                calls.append(NativeCall("?", None, reason=f"the call {shorten(item)} is no JSON"))
            elif isinstance(item, Mapping) and item:
                calls += _from_json(item, 0, 0) or [NativeCall("?", None, reason="the call has no name")]
    return calls


def _said(message: Mapping[str, Any], tool: Tool) -> str:
    content = message.get("content")
    said: list[str | None] = []
    for part in [content] if isinstance(content, str) else _listed(content):
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            said.append(as_written(text, tool))
        elif isinstance(part, Mapping) and part.get("type") == "tool_use":
            said += [call.written(tool) for call in _from_json(part, 0, 0)]
    said += [call.written(tool) for call in _column_calls(message)]
    return "\n".join(filter(None, said))


def _read(rest: str) -> tuple[Mapping[str, Any] | str | None, str | None]:
    """The arguments after a name: JSON, a tag for each, ``key="value"``, or a single text. Else None and the reason."""
    parameters = {
        found["key"] or found["key2"]: (found["value"] or found["value2"] or "").strip()
        for found in _PARAMETER.finditer(rest)
    }
    if parameters:
        return parameters, None
    fenced = _FENCE.match(rest)
    rest = (fenced[1] if fenced else rest).strip()
    if keyword := _KEYWORD.fullmatch(rest):
        return {keyword["key"]: keyword["value"]}, None
    value: Any = None
    is_json = rest[:1] in ("{", "[")
    with suppress(ValueError, RecursionError):  # an end tag with a typing error may follow an object
        value = json.JSONDecoder().raw_decode(rest)[0] if is_json else json.loads(rest)
    if is_json:
        if isinstance(value, Mapping):
            return value, None
        return None, f"the arguments {shorten(rest)} {'are no JSON' if value is None else 'have no names'}"
    rest = value if isinstance(value, str) else rest
    return (rest, None) if rest else (None, _NO_ARGUMENTS)


def _from_json(value: Any, start: int, end: int) -> list[NativeCall]:
    """The calls in a JSON value: one object, or a list of them; empty if it is something else."""
    if isinstance(value, list):
        found = [_from_json(item, start, end) for item in value[:_MOST]]
        return [call for calls in found for call in calls] if all(found) else []
    if not isinstance(value, Mapping):
        return []
    for key in ("tool_calls", "function_call"):
        if isinstance(value.get(key), list | Mapping) and value[key]:
            return _from_json(value[key], start, end)
    if isinstance(value.get("function"), Mapping):
        return _from_json({**value["function"]}, start, end)
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given = [value[key] for key in _ARGUMENTS if key in value]
    if name is None or not given:
        return []
    arguments = next((argument for argument in given if argument is not None), None)
    reason = None
    if isinstance(arguments, str):
        arguments, reason = _read(arguments)
    elif arguments is None:
        reason = _NO_ARGUMENTS
    elif not isinstance(arguments, Mapping):
        arguments, reason = None, f"the arguments {shorten(str(arguments))} have no names"
    return [NativeCall(name, arguments, start, end, reason)]


def _broken(found: re.Match[str] | None, start: int, end: int) -> list[NativeCall]:
    """A call whose JSON cannot be read."""
    if found is None:
        return []
    reason = f"the arguments {shorten(found['rest'].strip())} are no JSON"
    return [NativeCall(found["name"], None, start, end, reason)]


def _json_values(text: str) -> Iterator[tuple[Any, int, int]]:
    """Every outermost JSON object or list of a text, with its place."""
    decoder, at = json.JSONDecoder(), 0
    for _ in range(_MOST):
        starts = [place for sign in "{[" if (place := text.find(sign, at)) >= 0]
        if not starts:
            return
        start = min(starts)
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield value, start, at


def _argument(arguments: Mapping[str, Any] | str | None, tool: Tool) -> str | None:
    """The argument with the name of the tool's parameter, or the only one; None if there is none."""
    if isinstance(arguments, str):
        call = re.fullmatch(rf"{re.escape(tool.name)}\s*\((.*)\)", arguments, re.IGNORECASE | re.DOTALL)
        return call[1] if call else arguments
    given = {key: value for key, value in (arguments or {}).items() if value is not None}
    value = given.get(tool.parameter, next(iter(given.values())) if len(given) == 1 else None)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _loaded(value: Any) -> Any:
    """The value of JSON text, which a CSV file has in its columns; other values stay the same."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _flat(text: str) -> str:
    """A text without brackets, so that it may stand inside a call."""
    return re.sub(r"[()]", " ", text)
