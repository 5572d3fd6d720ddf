"""The configs that people train on: what is paired, what is called, and that TRL takes them as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, load_dataset
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.golden import read, to_batch, to_rows
from tests.stages.golden import tool_calling as call_tools
from tests.stages.test_chat_template import chat_template, cloned, needs_trl
from toolgen_hf import schemas
from toolgen_hf.builders import Produced, load
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.training import (
    preference,
    preference_batch,
    sft,
    sft_batch,
    tool_calling,
)
from toolgen_hf.tasks import get_task
from toolgen_hf.tools import TOOLS

MATH = get_task("math")
STAGE1 = {
    "id": "a",
    "instruction": "I",
    "input": "Q?",
    "output": "calculator(3*19)",
    "answer": ["57"],
    "fewshot_overlap": False,
}
TEMPLATES = [
    "gemma4_v5",
    "glm4moe",
    "gptoss",
    "lfm2_2_5",
    "llama3_1",
    "nemotron_3_nano",
    "qwen2_5",
    "qwen3",
    "qwen3_vl",
]
"""Chat templates of real models that can call tools; TRL ships them."""


def stage2(responses: list[str | None], scores: list[int]) -> dict[str, Any]:
    return {
        "id": "a",
        "query": "Q?",
        "responses": responses,
        "origin": [f"source {n}" for n in range(len(scores))],
        "scores": scores,
        "answer": [""] * len(scores),
        "fewshot_overlap": None,
    }


def paired(row: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    made = to_rows(preference_batch(to_batch([row]), **options))
    return [(pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in made]


@pytest.fixture
def data() -> dict[str, DatasetDict]:
    """Each config, made from the golden rows through the cached stages."""
    scored = Dataset.from_list(read("preference")[0], features=schemas.STAGE2, split="train")
    with Workspace() as workspace:
        return {
            "sft": sft(cloned(), workspace),
            "tool_calling": tool_calling(cloned(), workspace),
            "preference": preference(DatasetDict(train=scored), workspace),
        }


@pytest.mark.parametrize(
    ("responses", "scores", "best", "every"),
    [
        (["a", "b", "c"], [20, 20, 10], ["ac"], ["ac", "bc"]),
        (["a", "b", "c"], [20, 10, 15], ["ac", "ab"], ["ac", "ab", "cb"]),
        (["a", "b"], [20, 20], [], []),
        (["a"], [20], [], []),
        ([None, " ", "c", "d"], [20, 20, 10, 5], ["cd"], ["cd"]),
        (["a", " a", "b", "b\n", "b"], [20, 20, 5, 5, 5], ["ab"], ["ab"]),
        (["a", "a", "b"], [20, 0, 10], ["ab"], ["ab"]),  # one text, two scores: the better one holds
        ([None, ""], [0, 0], [], []),
        ([], [], [], []),
    ],
)
def test_pairs(responses: list[str | None], scores: list[int], best: list[str], every: list[str]) -> None:
    row = stage2(responses, scores)
    assert ["".join(pair) for pair in paired(row)] == best
    assert ["".join(pair) for pair in paired(row, pairs="all")] == every


def test_margin_is_the_least_difference() -> None:
    row = stage2(["a", "b", "c"], [20, 15, 5])
    assert paired(row, margin=5) == [("a", "b"), ("a", "c")]
    assert paired(row, margin=6) == [("a", "c")]
    assert paired(row, margin=16) == []


candidates = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["", " ", "a", "a ", "b", "c"]), st.sampled_from([20, 15, 10, 5, 0])
    ),
    max_size=7,
)


@given(candidates, st.sampled_from(["best", "all"]), st.integers(1, 20))
def test_what_is_chosen_is_better_and_no_pair_comes_twice(
    rows: list[tuple[str | None, int]], pairs: str, margin: int
) -> None:
    row = stage2([text for text, _ in rows], [score for _, score in rows])
    made = to_rows(preference_batch(to_batch([row]), pairs=pairs, margin=margin))  # type: ignore[arg-type]
    texts = [(pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in made]
    assert len(set(texts)) == len(texts)
    for (chosen, rejected), pair in zip(texts, made, strict=True):
        assert chosen != rejected
        assert chosen
        assert rejected
        assert pair["chosen_score"] - pair["rejected_score"] >= margin
        for text, side in ((chosen, "chosen"), (rejected, "rejected")):
            at = row["origin"].index(pair[f"{side}_origin"])
            assert (row["responses"][at].strip(), row["scores"][at]) == (text, pair[f"{side}_score"])


def test_preference_refuses_what_makes_no_pairs(data: dict[str, DatasetDict]) -> None:
    rows = DatasetDict(train=Dataset.from_list(read("preference")[0], features=schemas.STAGE2))
    with Workspace() as workspace:
        with pytest.raises(ConfigError, match="unknown pairs 'worst'; known: best, all"):
            preference(rows, workspace, pairs="worst")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="margin=0"):
            preference(rows, workspace, margin=0)
        with pytest.raises(DataError, match="preference needs the columns"):
            preference(data["sft"], workspace)


def test_another_margin_is_another_result() -> None:
    rows = Dataset.from_list([stage2(["a", "b", "c"], [20, 15, 0])], features=schemas.STAGE2, split="train")
    with Workspace() as workspace:
        counts = [
            len(preference(DatasetDict(train=rows), workspace, pairs, margin)["train"])  # type: ignore[arg-type]
            for pairs, margin in (("best", 1), ("all", 1), ("best", 20), ("best", 21))
        ]
    assert counts == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("calculator(3*19", "never closes"),
        ("calculator(1/0)", "division by zero"),
        ("calculator(3*18)", "gives 54.0, and the answer is 57"),
    ],
)
def test_a_call_that_nobody_verified_is_an_error_that_names_the_row(output: str, why: str) -> None:
    with pytest.raises(DataError, match=f"row 'a'.*{why}.*leave the row out"):
        call_tools(to_batch([{**STAGE1, "output": output}]))


@pytest.mark.parametrize(
    ("answer", "said"), [(["57"], "57"), (["12", "fifty-seven"], "fifty-seven"), ([], "57")]
)
def test_the_last_word_is_the_accepted_answer(answer: list[str], said: str) -> None:
    made = call_tools(to_batch([{**STAGE1, "answer": answer}]))
    assert made["messages"][0][-1] == {"role": "assistant", "content": f"The answer is {said}."}


@given(st.integers(-(10**9), 10**9).map(lambda n: str(n / 100)) | st.integers().map(str))
def test_a_stated_answer_is_read_back(answer: str) -> None:
    assert MATH.extract(MATH.state(answer)) == MATH.normalize(answer)


@pytest.mark.parametrize("name", TOOLS)
def test_a_schema_describes_a_function_of_the_one_parameter(name: str) -> None:
    schema = json.loads(json.dumps(TOOLS[name].schema()))
    function = schema["function"]
    assert (schema["type"], function["name"]) == ("function", name)
    assert function["description"]
    assert (
        function["parameters"]["required"]
        == [TOOLS[name].parameter]
        == list(function["parameters"]["properties"])
    )


def test_of_several_calls_each_is_called_and_has_its_result() -> None:
    row = {
        **{"id": "a", "instruction": "Solve it.", "input": "4 nines, halved?", "answer": ["18"]},
        **{"output": "First calculator(4*9), then calculator('36/2').", "fewshot_overlap": False},
    }
    (messages,) = call_tools({name: [value] for name, value in row.items()})["messages"]
    assert [message["content"] for message in messages] == [
        *("4 nines, halved?", "First", "36.0", ", then", "18.0", "The answer is 18.")
    ]
    calls = [call for message in messages for call in message.get("tool_calls", [])]
    assert [call["function"]["arguments"]["expression"] for call in calls] == ["4*9", "36/2"]
    assert [call["id"] for call in calls] == ["call00000", "call00001"]


def test_messages_have_the_keys_that_they_need_and_no_nulls(data: dict[str, DatasetDict]) -> None:
    for row in data["tool_calling"]["train"]:
        roles = [message["role"] for message in row["messages"]]
        assert roles in (["user", "assistant"], ["user", "assistant", "tool", "assistant"])
        assert "null" not in json.dumps(row["messages"]).split()
        assert {frozenset(message) for message in row["messages"] if message["role"] == "user"} == {
            frozenset({"role", "content"})
        }
        for message in row["messages"]:
            assert isinstance(message["content"], str)
        if len(roles) == 4:
            [call], told = row["messages"][1]["tool_calls"], row["messages"][2]
            assert call["id"] == told["tool_call_id"]
            assert re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"])
            assert MATH.tool.run(call["function"]["arguments"]["expression"]) == told["content"]


@pytest.mark.parametrize("config", ["sft", "tool_calling", "preference"])
def test_rows_come_back_from_parquet_with_their_features(
    data: dict[str, DatasetDict], config: str, tmp_path: Path
) -> None:
    rows = data[config]["train"]
    path = tmp_path / "out" / config / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    rows.to_parquet(path)
    plain = load_dataset("parquet", data_files={"train": str(path)}, cache_dir=str(tmp_path / "cache"))
    ours = load(Produced(config, data_dir=tmp_path / "out", cache_dir=tmp_path / "cache"))
    for opened in (plain["train"], ours["train"]):
        assert opened.features == rows.features == getattr(schemas, config.upper())
        assert list(opened) == list(rows) == read(config)[1]


def test_damaged_json_in_a_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tool_calling" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    row = {"id": "a", "messages": ["{"], "tools": [], "fewshot_overlap": None}
    Dataset.from_list([row]).to_parquet(path)
    with pytest.raises(DataError, match=r"row 0: 'messages' holds '\{', expected JSON"):
        load(Produced("tool_calling", data_dir=tmp_path, cache_dir=tmp_path / "cache"))


def test_a_pair_says_what_of_it_is_right() -> None:
    row = {**stage2(["a", "b", "c", "a "], [20, 15, 10, 5]), "correct": [True, True, False, True]}
    every = to_rows(preference_batch(to_batch([row]), pairs="all"))
    assert [(pair["chosen_correct"], pair["rejected_correct"]) for pair in every] == [
        (True, True),
        (True, False),
        (True, False),
    ]
    wrong = {**stage2(["a", "b", "c"], [20, 10, 5]), "correct": [True, False, False]}
    assert [pair["chosen_correct"] for pair in to_rows(preference_batch(to_batch([wrong]), pairs="all"))] == [
        True,
        True,
        False,
    ]
    assert all(pair["chosen_correct"] for pair in to_rows(preference_batch(to_batch([wrong]))))


def test_a_stage_2_of_an_older_version_does_not_say_it() -> None:
    made = to_rows(preference_batch(to_batch([stage2(["a", "b"], [20, 10])])))
    assert [(pair["chosen_correct"], pair["rejected_correct"]) for pair in made] == [(None, None)]


@needs_trl
@pytest.mark.parametrize("name", TEMPLATES)
def test_real_chat_templates_render_every_row(data: dict[str, DatasetDict], name: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    template = chat_template(name)
    for row in data["tool_calling"]["train"]:
        [text], _ = render_jinja_template(
            [row["messages"]], tools=row["tools"], chat_template=template, bos_token="<s>", eos_token="</s>"
        )
        told, asked, rest = text.partition(row["messages"][0]["content"])
        assert asked
        assert MATH.tool.schema()["function"]["description"] in told
        assert row["messages"][-1]["content"] in rest
        assert not re.search(r"None|null|Undefined", rest)
        if len(row["messages"]) == 4:
            arguments = row["messages"][1]["tool_calls"][0]["function"]["arguments"]
            places = [rest.index(arguments["expression"]), rest.index(row["messages"][2]["content"])]
            assert places == sorted(places)
        else:
            assert "tool_call" not in rest


@needs_trl
def test_qwen_is_taught_this_text(data: dict[str, DatasetDict]) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    row = data["tool_calling"]["train"][3]
    [text], _ = render_jinja_template(
        [row["messages"]], tools=row["tools"], chat_template=chat_template("qwen2_5")
    )
    assert text.partition("<|im_end|>\n")[2] == (
        "<|im_start|>user\nHow many dozens are 1,200 eggs?<|im_end|>\n"
        "<|im_start|>assistant\nWe need\n<tool_call>\n"
        '{"name": "calculator", "arguments": {"expression": "1,200/12"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\n100.0\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\nThe answer is 100.<|im_end|>\n"
    )


@needs_trl
def test_trl_sees_conversations(data: dict[str, DatasetDict], smollm: Path) -> None:
    from transformers import AutoTokenizer
    from trl import apply_chat_template, is_conversational, maybe_extract_prompt

    tokenizer = AutoTokenizer.from_pretrained(smollm)
    columns = {
        "sft": ("prompt", "completion"),
        "tool_calling": ("messages",),
        "preference": ("prompt", "chosen", "rejected"),
    }
    for config, names in columns.items():
        for row in data[config]["train"]:
            example = {name: row[name] for name in names}
            assert is_conversational(example)
            assert maybe_extract_prompt(example) == example  # the prompt is a column already
            rendered = apply_chat_template(example, tokenizer, tools=row.get("tools"))
            for name in names[1:]:
                assert rendered[name].startswith(row[name][0]["content"])
                assert rendered["prompt"].endswith("<|im_start|>assistant\n")


@needs_trl
def test_trl_trains_a_step_on_each(data: dict[str, DatasetDict], tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    common = {
        "output_dir": str(tmp_path),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "max_length": None,
    }

    def trained(trainer: Any) -> Any:
        assert trainer.train().training_loss > 0
        return trainer.train_dataset

    def learnt(tokens: dict[str, Any]) -> str:
        return str(tokenizer.decode([label for label in tokens["labels"] if label >= 0]))

    def model() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny_model)

    rows = data["sft"]["train"]
    made = trained(SFTTrainer(model(), SFTConfig(**common), train_dataset=rows, processing_class=tokenizer))
    for row, tokens in zip(rows, made, strict=True):
        assert learnt(tokens) == f"{row['completion'][0]['content']}<|im_end|>\n"

    rows = data["preference"]["train"]
    made = trained(
        DPOTrainer(model(), args=DPOConfig(**common), train_dataset=rows, processing_class=tokenizer)
    )
    for row, tokens in zip(rows, made, strict=True):
        for side in ("chosen", "rejected"):
            assert tokenizer.decode(tokens[f"{side}_ids"]) == f"{row[side][0]['content']}<|im_end|>\n"

    reward = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1)
    made = trained(
        RewardTrainer(reward, RewardConfig(**common), train_dataset=rows, processing_class=tokenizer)
    )
    assert len(made) == len(rows)
    assert "margin" not in made.column_names

    tokenizer.chat_template = chat_template("qwen2_5")
    config, rows = SFTConfig(**common, assistant_only_loss=True), data["tool_calling"]["train"]
    made = trained(SFTTrainer(model(), config, train_dataset=rows, processing_class=tokenizer))
    for row, tokens in zip(rows, made, strict=True):
        assert learnt(tokens).count("<tool_call>") == (len(row["messages"]) == 4)
        assert learnt(tokens).endswith(f"{row['messages'][-1]['content']}<|im_end|>\n")
        assert "tool_response" not in learnt(tokens)
        assert row["messages"][0]["content"] not in learnt(tokens)


def test_sft_joins_as_the_published_query_does() -> None:
    made = sft_batch(to_batch([{**STAGE1, "output": " calculator(3*19)\n"}]))
    assert made["prompt"] == [[{"role": "user", "content": "I\nQ?"}]]
    assert made["completion"] == [[{"role": "assistant", "content": "calculator(3*19)"}]]
