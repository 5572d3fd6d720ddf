"""The paper's tasks beside math: their texts, their calls, and the calls that are refused."""

from __future__ import annotations

from contextlib import suppress

import pytest

from toolgen_hf.errors import ToolError
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.prompts import load_prompts, respond_prompt, tool_api_prompt
from toolgen_hf.tools import find_calls

CONTEXT = "Context: Dracula is a novel by Bram Stoker.\nQuestion: Wer schrieb Dracula?"


@pytest.mark.parametrize(
    ("name", "instruction", "few_shot", "call"),
    [
        ("qa", "Given a question, please answer it and you can use a WikiSearch for help.",
         "Given a question, answer it and you can use WikiSearch for help.", "WikiSearch(term)"),
        ("lama", "Given a question, please answer it and you can use a QA model for help.",
         "Given a question, answer it and you can use a QA model for help.", "QA(question)"),
        ("mlqa", "Given a context, please answer the question in English and you can use a translator for help.",
         "Given a context, answer the question in English and you can use a translator for help.", "translator(text)"),
    ],
)  # fmt: skip
def test_texts_are_those_of_the_paper(name: str, instruction: str, few_shot: str, call: str) -> None:
    task = get_task(name)
    assert (task.instruction, task.query_instruction) == (instruction, instruction)
    respond, teacher = load_prompts(task, "respond"), load_prompts(task, "tool_api")
    shown = respond_prompt(respond, "Who?", 4)
    assert shown.system == f"{few_shot}\nHere are some examples:\n"
    assert shown.user.count("Input: ") == shown.user.count("Output: ") == 5
    asked = tool_api_prompt(teacher, "Who?", [str(n) for n in range(12)])
    assert asked.system.startswith(
        f'I will provide you with a Question, Golden answers. I need you to write "{call}"'
    )
    assert asked.user.endswith(f"Question: Who?\nGolden answers: {[str(n) for n in range(10)]}\nOutput: ")
    for example in (*respond.examples, *teacher.examples):
        for made in find_calls(task.tools, example.output):
            assert str(made) == example.output
            assert not task.leaks(example.question, example.output, example.answer)


@pytest.mark.parametrize(
    ("name", "question", "solution", "call"),
    [
        ("qa", "Who wrote Dracula?", None, "WikiSearch(Who wrote Dracula)"),
        ("qa", "Which is larger, Peru or Chad?", "WikiSearch(area of Peru) says ... WikiSearch(area of Chad) says ...",
         "WikiSearch(area of Peru) WikiSearch(area of Chad)"),
        ("lama", "Dracula was written by [MASK].", None, "QA(Dracula was written by [MASK].)"),
        ("mlqa", CONTEXT, None, "translator(Wer schrieb Dracula?)"),
    ],
)  # fmt: skip
def test_a_call_without_a_model(name: str, question: str, solution: str | None, call: str) -> None:
    assert get_task(name).annotate(question, solution, ["Bram Stoker"]).call == call


@pytest.mark.parametrize(
    ("question", "call", "leaks"),
    [
        ("Who wrote Dracula?", "WikiSearch(Bram Stoker)", True),
        ("Who wrote Dracula?", "WikiSearch(novels by Stoker)", True),
        ("Who wrote Dracula?", "WikiSearch(Dracula)", False),
        ("Did Bram Stoker or Mary Shelley write Dracula?", "WikiSearch(Bram Stoker)", False),
        ("Who wrote Dracula?", "WikiSearch(Stokers of ships)", False),
    ],
)
def test_a_call_that_holds_the_answer(question: str, call: str, leaks: bool) -> None:
    assert get_task("qa").leaks(question, call, ["Bram Stoker", "Stoker"]) is leaks


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("WikiSearch(smile :( face)", ["smile :( face"]),
        ('So WikiSearch("smile :) face") it is', ["smile :) face"]),
        ("wikisearch(the (band) name)", ["the (band) name"]),
        ("WikiSearch(one) and\nWikiSearch(two)", ["one", "two"]),
        ('WikiSearch("O\'Neil (actor")', ["O'Neil (actor"]),
        ('WikiSearch(term="Dracula")', ["Dracula"]),
        ("I use WikiSearch(s) a lot", []),
    ],
)
def test_calls_of_a_search_are_found(text: str, arguments: list[str]) -> None:
    assert [call.argument for call in find_calls(get_task("qa").tools, text)] == arguments


@pytest.mark.parametrize("text", ["WikiSearch (", "WikiSearch(s) (", 'WikiSearch ("', "(WikiSearch ) "])
def test_the_time_to_find_calls_is_bounded(text: str) -> None:
    """Of a long text without a call, or with one that never closes."""
    with suppress(ToolError):
        assert find_calls(get_task("qa").tools, text * 20_000 + ")" * 20_000) is not None
