"""Native tool calls: every form gives the same call, and a malformed call fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.metrics import evaluate_target, tool_use
from toolgen_hf.stages.execute import execute_response
from toolgen_hf.tasks import get_task
from toolgen_hf.tools.calculator import CALCULATOR
from toolgen_hf.tools.native import as_written, find_native_calls, response_of

ARGUMENTS = '{"expression": "7*(3+2)"}'
CALL = f'{{"name": "calculator", "arguments": {ARGUMENTS}}}'
TEXTS = {
    "JSON": CALL,
    "JSON after a sentence": f"I need a tool. {CALL}",
    "JSON in a fence": f"```json\n{CALL}\n```",
    "JSON whose arguments are JSON text": json.dumps({"name": "calculator", "arguments": ARGUMENTS}),
    "OpenAI": json.dumps({"type": "function", "function": {"name": "calculator", "arguments": ARGUMENTS}}),
    "OpenAI's message": json.dumps(
        {"tool_calls": [{"function": {"name": "calculator", "arguments": ARGUMENTS}}]}
    ),
    "a qualified name": CALL.replace("calculator", "functions.calculator"),
    "another case": CALL.replace("calculator", "Calculator"),
    "Hermes and Qwen": f"<tool_call>\n{CALL}\n</tool_call>",
    "Qwen, cut after the call": f"<tool_call>\n{CALL}",
    "Qwen after thinking": f"<think>Maybe 1+1?</think>\n<tool_call>{CALL}</tool_call>",
    "Qwen coder": "<tool_call>\n<function=calculator>\n<parameter=expression>\n7*(3+2)\n</parameter>\n</function>\n"
    "</tool_call>",
    "Llama": f"<function=calculator>{ARGUMENTS}</function>",
    "Llama's parameters": f'<|python_tag|>{{"name": "calculator", "parameters": {ARGUMENTS}}}<|eom_id|>',
    "Llama's built-in form": '<|python_tag|>calculator.call(expression="7*(3+2)")',
    "Mistral": f"[TOOL_CALLS] [{CALL}]",
    "Mistral, later": f"[TOOL_CALLS]calculator[ARGS]{ARGUMENTS}",
    "Mistral with an id": f"[TOOL_CALLS]calculator[CALL_ID]abc123def[ARGS]{ARGUMENTS}",
    "GLM": "<tool_call>calculator\n<arg_key>expression</arg_key>\n<arg_value>7*(3+2)</arg_value>\n</tool_call>",
    "DeepSeek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>calculator\n```json\n"
    f"{ARGUMENTS}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "Harmony": f"<|channel|>commentary to=functions.calculator <|constrain|>json<|message|>{ARGUMENTS}<|call|>",
    "invoke": '<invoke name="calculator">\n<parameter name="expression">7*(3+2)</parameter>\n</invoke>',
    "ReAct": "Thought: I should compute.\nAction: calculator\nAction Input: 7*(3+2)\n",
    "ReAct in bold": "**Action:** calculator\n**Action Input:** 7*(3+2)",
    "ReAct with quotes": 'Action: calculator\nAction Input: "7*(3+2)"',
    "ReAct with JSON": f"Action: calculator\nAction Input: {ARGUMENTS}",
    "ReAct with brackets": "Action: calculator[7*(3+2)]",
    "ReAct with our own form": "Action: calculator\nAction Input: calculator(7*(3+2))",
    "LangChain": '{"action": "calculator", "action_input": "7*(3+2)"}',
    "an argument of another name": CALL.replace('"expression"', '"input"'),
    "the argument alone": '{"name": "calculator", "arguments": "7*(3+2)"}',
}


@pytest.mark.parametrize("form", TEXTS)
def test_every_form_is_the_same_call(form: str) -> None:
    (call,) = find_native_calls(TEXTS[form])
    assert call.written(CALCULATOR) == "calculator(7*(3+2))"
    assert "calculator(7*(3+2))" in str(as_written(TEXTS[form], CALCULATOR))
    done = execute_response(as_written(TEXTS[form], CALCULATOR), get_task("math"))
    assert (done.uses_tool, done.prediction, done.error) == (True, "35.0", None)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 35.",
        "calculator(7*(3+2))",
        '{"final_answer": 35}',
        '{"name": "Ann", "age": 35}',
        f"<think>{CALL}</think> The answer is 35.",
        "Thought: done.\nAction: Finish[35]",
        "Action: None\nAction Input: none\nFinal Answer: 35",
        "[35]",
        "",
    ],
)
def test_what_is_no_native_call_stays_as_it_is(text: str) -> None:
    assert find_native_calls(text) == []
    assert as_written(text, CALCULATOR) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<tool_call>{"name": "calculator", "arguments": {"expression": "7*5"</tool_call>', "no JSON"),
        ('{"name": "calculator", "arguments": {"expression": 7*5}}', "no JSON"),
        ('{"name": "calculator", "arguments": "{\\"expression\\": "}', "no JSON"),
        ('{"name": "calculator", "arguments": {"expression": "7*', "no JSON"),
        ('{"name": "calculator", "arguments": [7, 5]}', "no names"),
        ('{"name": "calculator", "arguments": null}', "no arguments"),
        ('{"name": "calculator", "arguments": {}}', None),
        ('{"name": "calculator", "arguments": {"a": 7, "b": 5}}', None),
        ('{"name": "calculator", "arguments": {"expression": ["7*5"]}}', None),
        ("Action: calculator\nAction Input:", "no arguments"),
        ('{"name": "search", "arguments": {"query": "35"}}', None),
    ],
)
def test_a_malformed_call_fails_and_nothing_is_read_from_it(text: str, reason: str | None) -> None:
    (call,) = find_native_calls(text)
    assert (call.reason is None) if reason is None else (reason in str(call.reason))
    done = execute_response(as_written(text, CALCULATOR), get_task("math"))
    assert (done.uses_tool, done.prediction) == (True, None)
    assert done.error


def test_several_calls_keep_their_order_and_the_text_between() -> None:
    one, two = CALL, CALL.replace("7*(3+2)", "35-4")
    text = f"First <tool_call>{one}</tool_call>\n<tool_call>{two}</tool_call>\nThe answer is 31."
    assert as_written(text, CALCULATOR) == "First calculator(7*(3+2))\ncalculator(35-4)\nThe answer is 31."


FUNCTION = {"name": "calculator", "arguments": '{"expression": "7*5"}'}
TURNS = [
    {"role": "system", "content": "Use tools."},
    {"role": "user", "content": "An example"},
    {"role": "assistant", "content": "The answer is 1."},
    {"role": "user", "content": "What is 7 times 5?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": FUNCTION}],
    },
    {"role": "tool", "tool_call_id": "a", "content": "35.0"},
    {"role": "assistant", "content": "The answer is 35."},
]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"response": None, "tool_calls": [{"function": FUNCTION}]}, "calculator(7*5)"),
        ({"response": "Hm.", "tool_calls": json.dumps([{"function": FUNCTION}])}, "Hm.\ncalculator(7*5)"),
        ({"response": "", "function_call": FUNCTION}, "calculator(7*5)"),
        ({"response": "The answer is 35.", "tool_calls": []}, "The answer is 35."),
        ({"response": None, "tool_calls": None}, None),
        ({"messages": TURNS}, "calculator(7*5)\nThe answer is 35."),
        ({"messages": json.dumps(TURNS)}, "calculator(7*5)\nThe answer is 35."),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "text", "text": "Let me see."},
                            {"type": "tool_use", "name": "calculator", "input": {"expression": "7*5"}},
                        ],
                    }
                ]
            },
            "Let me see.\ncalculator(7*5)",
        ),
        ({"messages": "not JSON"}, None),
    ],
)
def test_a_row_says_what_its_columns_say(row: dict[str, Any], said: str | None) -> None:
    assert response_of(row, row.get("response"), CALCULATOR) == said


@pytest.mark.parametrize(
    "calls", [["{bad"], [{"function": {"name": "calculator", "arguments": "{bad"}}], [{"x": 1}], "{bad"]
)
def test_a_column_of_malformed_calls_is_a_call_that_fails(calls: Any) -> None:
    done = execute_response(response_of({"tool_calls": calls}, None, CALCULATOR), get_task("math"))
    assert done.uses_tool
    assert done.error


@given(st.text(alphabet='{}[]":,<>/|=_ tolcanmeguisr\n7*', max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(as_written(text, CALCULATOR), str)


def test_a_file_of_native_calls_is_evaluated(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": str(n), "response": text, "answer": "35", "needs_tool": True}
        for n, text in enumerate(TEXTS.values())
    ]
    rows += [
        {"id": "column", "response": None, "tool_calls": [{"function": FUNCTION}], "answer": "35"},
        {"id": "turns", "messages": TURNS, "answer": "35"},
        {"id": "broken", "response": CALL[:-8], "answer": "35"},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = evaluate_target(path).sources["mine"]["overall"]
    assert (found["responses"], found["calls"], found["failed"]) == (len(rows), len(rows), 1)
    assert found["correct"] == len(rows) - 1
    same = tool_use(list(TEXTS.values()), ["35"] * len(TEXTS))
    assert (same["calls"], same["correct"]) == (len(TEXTS), len(TEXTS))
