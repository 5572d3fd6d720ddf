"""Finds the response in a model's text that also holds thinking, invented examples and special tokens."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.tasks.responses import final_response, read_response

THOUGHT = "Ann has 4 nuts, or 5?"
SAID = "The answer is 9."


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{THOUGHT}</think>{SAID}",
        f"<think>\n{THOUGHT}\n</think>\n\n{SAID}",
        f"{THOUGHT}\n</think>\n\n{SAID}",  # the prompt had the opening tag, as DeepSeek-R1's and Qwen's have
        f"<Thinking>{THOUGHT}</THINKING>\n{SAID}",
        f"<thought>{THOUGHT}</thought> {SAID}",
        f"<thought>{THOUGHT}</thinking> {SAID}",
        f'<reasoning effort="high">{THOUGHT}</reasoning>\n{SAID}',
        f"<reflection>{THOUGHT}</reflection>{SAID}",
        f"<scratchpad>\n{THOUGHT}</scratchpad>\n{SAID}",
        f"<internal>{THOUGHT}</internal>{SAID}",
        f"<inner_monologue>{THOUGHT}</inner_monologue>{SAID}",
        f"<seed:think>{THOUGHT}</seed:think>{SAID}",
        f"◁think▷{THOUGHT}◁/think▷{SAID}",  # Kimi
        f"[THINK]{THOUGHT}[/THINK]{SAID}",  # Magistral
        f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>{SAID}<|END_RESPONSE|>",  # Command A
        f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n<|begin_of_solution|>{SAID}<|end_of_solution|>",
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"  # gpt-oss
        f"<|start|>assistant<|channel|>final<|message|>{SAID}<|return|>",
        f"analysis{THOUGHT}assistantfinal{SAID}",  # the same without its special tokens
        f"Here is my thought process:\n{THOUGHT}\n\nHere is my response:\n{SAID}",  # Granite
        f"&lt;think&gt;{THOUGHT}&lt;/think&gt;{SAID}",
        f"```\n<think>\n{THOUGHT}\n</think>\n```\n{SAID}",
        f"<s><think>{THOUGHT}</think>{SAID}</s>",
        f"<think>{THOUGHT}</think>{SAID}</think>",
    ],
)
def test_thinking_stands_apart(text: str) -> None:
    assert read_response(text).text == SAID
    assert read_response(text).thinking == THOUGHT
    assert not read_response(text).is_cut


@pytest.mark.parametrize(
    ("text", "said", "thinking"),
    [
        ("<think>a</think>So far 4.<think>b</think>Then 5.", "So far 4. Then 5.", "a\n\nb"),
        ("Let me see <think>2+2</think> and so 4.", "Let me see and so 4.", "2+2"),
        ("4<think>or</think>5", "4 5", "or"),  # and never the number 45
        ("<think>a <think>b</think> c</think> 4", "4", "a <think>b</think> c"),
        ("<think>a <think> b</think> 4", "4", "a <think> b"),
        ("<thinking>a <reflection>b</reflection> c</thinking>4", "4", "a <reflection>b</reflection> c"),
        ("<think>It says `</think>`.</think> 4", "4", "It says `</think>`."),
        ("<think></think>\n\n4", "4", None),
        ("<think/>4", "4", None),
        ("</think>4", "4", None),
        ("<think>all of it, 4</think>", "", "all of it, 4"),
    ],
)
def test_blocks_in_any_number_and_place(text: str, said: str, thinking: str | None) -> None:
    assert (read_response(text).text, read_response(text).thinking) == (said, thinking)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{THOUGHT}",
        f"\n <THINK>\n{THOUGHT}",
        f"<seed:think>{THOUGHT}",
        f"[THINK]{THOUGHT}",
        f"◁think▷{THOUGHT}",
        f"<|channel|>analysis<|message|>{THOUGHT}",
        f"analysis{THOUGHT}",
    ],
)
def test_thinking_that_never_ends_leaves_no_response(text: str) -> None:
    found = read_response(text)
    assert (found.text, found.thinking, found.is_cut) == ("", THOUGHT, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " calculator(76/4*3)",
        "Jean has $54.\n",
        "The tag `<think>` has 7 characters. The answer is 7.",
        'The word "</think>" has 8 characters. The answer is 8.',
        "The tag <think> opens a thought. The answer is 7.",
        "I think it is 4, on reflection.",
        "Analysis: 2+2 is 4.",
        "Here is my thought process: 2+2. The answer is 4.",
        "4 < 5 and 6 > 5, so <4>.",
        "[Reasoning] 2+2 [Answer] 4",
        "Answer: 4",
        "A: 4",
        "Output: 4\n",
        "Assistant: 4",
        "Question: What is 2+2? Answer: 4",
        "Question: What is 2+2?\nAnswer: 4",
        "Input: What is 2+2?\nOutput: 4",
        "User: What is 2+2?\nAssistant: 4",
        "### Instruction:\nSolve it.\n\n### Input:\n2+2\n\n### Response:\n4",
        "Sure, I can help!\n\n**Problem:** What is 2+2?\n\n**Solution:** 4",
        "Here is the problem again:\nQuestion: 2+2?\nAnswer: 4",
        "Step 1: 2+1 = 3.\nStep 2: 3+1 = 4.\nAnswer: 4",
        "Question 1: How many in May?\nAnswer 1: 2\nQuestion 2: And in all?\nAnswer 2: 4",
        "It has 2 tasks.\nTask 1: 2 hours\nTask 2: 2 hours\nAnswer: 4",
        "Over 4 quarters:\nQ1: 1\nQ2: 1\nQ3: 1\nQ4: 1\nAnswer: 4",
        "Work: 3 hours\nExercise: 1 hour\nThe answer is 4.",
        "2 users: 4\nProblem solving: 4\nInput the 4: it is 4.",
    ],
)
def test_a_text_without_marks_is_its_own_response(text: str) -> None:
    assert read_response(text).text == text
    assert read_response(text).thinking is None


@pytest.mark.parametrize(
    "run_on",
    [
        "\nInput: Tom has 5 pens and buys 2. How many?\nOutput: The answer is 7.",
        "\n\nInput:",
        " Input: Tom has 5 pens and buys 2. How many? Output: The answer is 7.",
        "\nQuestion: Tom has 5 pens.\nAnswer: 5",
        "\nQuestion: Tom has 5 pens.\nGolden answers: ['5']\nOutput: calculator(5)",
        "\n\nQ: Tom has 5 pens.\nA: 5",
        "\nQuestion 2: Tom has 5 pens.",
        "\n\n**Question:** Tom has 5 pens.\n**Answer:** 5",
        "\n\n---\n\n### Question\nTom has 5 pens.",
        "\n\nProblem 2. Tom has 5 pens.",
        "\n\nExample 3:\nTom has 5 pens.",
        "\n\nNext problem: Tom has 5 pens.",
        "\n\nHere is another example:\nTom has 5 pens.",
        "\n\nHuman: thanks! What is 2+2?\nAssistant: 4",
        "\nUser: And 2+2?\nAssistant: 4",
        " User: And 2+2? Assistant: 4",
        "\n[User]: And 2+2?",
        "\n<human>: And 2+2?",
        "\n\n### Instruction:\nWhat is 2+2?\n\n### Response:\n4",
        "\n### Human: And 2+2?",
        "</s>",
        "</s><s>[INST] And 2+2? [/INST] 4",
        "<|endoftext|>Tom has 5 pens.",
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd 2+2?",
        "<|im_end|>\n<|im_start|>user\nAnd 2+2?<|im_end|>",
        "<|end|><|user|>And 2+2?",
        "<end_of_turn>\n<start_of_turn>user\nAnd 2+2?",
        "<｜end▁of▁sentence｜><｜User｜>And 2+2?",
        "assistant\n\nThe answer is 4.",  # Llama 3's header without its special tokens
        "\nuser\nAnd 2+2?",
    ],
)
@pytest.mark.parametrize(
    "said", ["It is 9.", "Question: 4+5?\nAnswer: 9", "calculator(4+5)\nThe answer is 9."]
)
def test_a_response_ends_where_an_invented_example_or_turn_begins(said: str, run_on: str) -> None:
    assert final_response(said + run_on) == said


@pytest.mark.parametrize(
    "text",
    ["<s> 9</s>", "<|im_start|>assistant\n9<|im_end|>", "[/INST] 9", "<bos>9<eos>", "<|assistant|>9<|end|>"],
)
def test_special_tokens_around_a_response_are_none_of_it(text: str) -> None:
    assert final_response(text) == "9"


@pytest.mark.parametrize(
    ("text", "is_cut", "expected"),
    [
        ("The answer is 1", True, True),
        ("<think>short</think>The answer is 1", True, True),
        (
            "The answer is 1.\nInput: Tom has",
            True,
            False,
        ),  # cut within what is dropped: the response is whole
        ("The answer is 1.\nInput: <think>Tom has", False, False),
        ("<think>never", False, True),
        ("The answer is 1.", False, False),
    ],
)
def test_what_is_cut(text: str, is_cut: bool, expected: bool) -> None:
    assert read_response(text, is_cut).is_cut is expected


@given(
    st.lists(
        st.sampled_from(
            [
                *("<think>", "</think>", "<reasoning>", "[THINK]", "[/THINK]", "</s>", "<s>", "\n", " ", "7"),
                *("The answer is 7.", "Input: ", "Output: ", "Q1: ", "User:", "---", "Sure!", "<|end|>"),
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_a_response_is_its_own_response(text: str) -> None:
    """A table may be read any number of times."""
    response = final_response(text)
    assert final_response(response) == response


@pytest.mark.parametrize(
    "unit",
    [
        *("<think>", "</think>", "x<think>a</think>", "<think ", "`<think>`", "<|channel|>analysis", "</s>"),
        *("\nInput: x\nOutput: y", "\n---", "``` ", "\nQuestion 1: ", " Input: "),
    ],
)
def test_long_texts_are_read_in_time(unit: str) -> None:
    text = "7" + unit * (300_000 // len(unit))
    start = time.perf_counter()
    read_response(text)
    assert time.perf_counter() - start < 2
