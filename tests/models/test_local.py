from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import ConfigError, GenerationError
from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.decoding import Row, _Batch
from toolgen_hf.models.local import LocalGenerator

QUESTIONS = [  # of GSM8K
    "What is 3 * 19?",
    "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total does it take?",
    "Jean has 30 lollipops. Jean eats 2 of the lollipops. With the remaining lollipops, Jean wants to package "
    "2 lollipops in one bag. How many bags can Jean fill?",
    "James decides to run 3 sprints 3 times a week. He runs 60 meters each sprint. How many total meters does "
    "he run a week?",
    "Eliza's rate per hour for the first 40 hours she works each week is $10. She also receives an overtime pay "
    "of 1.2 times her regular hourly rate. If Eliza worked for 45 hours this week, how much are her earnings?",
    "Toula went to the bakery and bought various types of pastries. She bought 3 dozen donuts which cost $68 "
    "per dozen, 2 dozen mini cupcakes which cost $80 per dozen, and 6 dozen mini cheesecakes for $55 per dozen. "
    "How much was the total cost?",
    "Say yes.",
    "Every day, Wendi feeds each of her chickens three cups of mixed chicken feed. How much is that for 20?",
    "Two trains leave San Rafael at the same time. They begin traveling westward, both traveling for 80 miles.",
    "Carlos is planting a lemon tree. The tree will cost $90 to plant. Each year it will grow 7 lemons, which "
    "he can sell for $1.5 each. It costs $3 a year to water and feed the tree.",
    "Melanie is a saleswoman. She sold a third of her vacuum cleaners at the green house.",
    "How many legs do 4 dogs have?",
]
REQUESTS = [Request(Prompt("", question)) for question in QUESTIONS]

PUBLISHED = {
    "num_beams": 4,
    "temperature": 0.2,
    "top_p": 0.75,
    "top_k": 40,
    "repetition_penalty": 1.3,
}


def texts(requests: Sequence[Request], model: Path, **settings: Any) -> list[str]:
    return [generation.text for generation in generations(requests, model, **settings)]


def generations(requests: Sequence[Request], model: Path, **settings: Any) -> list[Generation]:
    config = LocalConfig(model=str(model), **{"device": "cpu", "max_new_tokens": 12, **settings})
    pairs = [pair for chunk in LocalGenerator(config).generate(requests) for pair in chunk]
    assert sorted(at for at, _ in pairs) == list(range(len(requests)))
    return [generation for _, generation in sorted(pairs)]


@pytest.fixture(scope="session")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Makes a random adapter for the tiny model."""

    def make(seed: int) -> Path:
        folder = tmp_path_factory.mktemp("adapter")
        torch.manual_seed(seed)
        lora = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), lora).save_pretrained(folder)
        return folder

    return make


@pytest.mark.slow
def test_the_batch_does_not_change_a_text(smollm: Path) -> None:
    alone = texts(REQUESTS, smollm, batch_size=1, max_new_tokens=24)
    assert len(set(alone)) == len(alone)
    assert texts(REQUESTS, smollm, batch_size=8, max_new_tokens=24) == alone
    assert texts(REQUESTS, smollm, batch_size=64, max_new_tokens=24) == alone


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 1.3},
        PUBLISHED,
        {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "top_k": 40},
        {"do_sample": True, "repetition_penalty": 1.2},
        {"stop": ("a", "e")},
        {"template": "alpaca", "stop": ("\n",), "num_beams": 3},
    ],
    ids=["penalty", "published", "sampling", "sampling with penalty", "stop", "stop with beams"],
)
def test_no_setting_brings_the_batch_in(tiny_model: Path, settings: dict[str, Any]) -> None:
    alone = generations(REQUESTS, tiny_model, batch_size=1, **settings)
    assert len({generation.text for generation in alone}) > 6
    assert generations(REQUESTS, tiny_model, batch_size=16, **settings) == alone


def test_the_published_setting_on_a_real_model(smollm: Path) -> None:
    few = [REQUESTS[0], REQUESTS[1], REQUESTS[6]]
    alone = generations(few, smollm, batch_size=1, **PUBLISHED)
    assert generations(few, smollm, batch_size=16, **PUBLISHED) == alone


@pytest.mark.parametrize("settings", [{}, {"num_beams": 4}, {"num_beams": 4, "repetition_penalty": 1.3}])
def test_it_says_what_transformers_says(tiny_model: Path, settings: dict[str, Any]) -> None:
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    prompt = [{"role": "user", "content": QUESTIONS[1]}]
    inputs = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    [ids] = model.generate(**inputs, max_new_tokens=12, do_sample=False, **settings)
    expected = tokenizer.decode(ids[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert texts(REQUESTS, tiny_model, **settings)[1] == expected


def test_what_a_model_recommends_for_itself_is_not_mixed_in(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    recommended = {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "eos_token_id": 2}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(recommended), encoding="utf-8")
    assert texts(REQUESTS, tmp_path / "model") == texts(REQUESTS, tiny_model)


def test_every_declared_end_of_turn_ends_a_text(tiny_model: Path, tmp_path: Path) -> None:
    [plain] = generations(REQUESTS[:1], tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    last = tokenizer(plain.text, add_special_tokens=False)["input_ids"][-1]
    shutil.copytree(tiny_model, tmp_path / "model")
    declared = json.dumps({"eos_token_id": [2, last]})
    (tmp_path / "model" / "generation_config.json").write_text(declared, encoding="utf-8")
    [ended] = generations(REQUESTS[:1], tmp_path / "model")
    assert (plain.finish_reason, ended.finish_reason) == ("length", "stop")
    assert ended.completion_tokens < plain.completion_tokens == 12
    assert plain.text.startswith(ended.text)


@pytest.mark.parametrize("settings", [{}, PUBLISHED, {"do_sample": True, "top_p": 0.75}])
def test_it_is_quiet(
    tiny_model: Path,
    settings: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    texts(REQUESTS[:2], tiny_model, **settings)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not recwarn.list


def test_samples_differ_and_come_again(tiny_model: Path) -> None:
    several = [Request(Prompt("", "What is 3 * 19?"), sample) for sample in range(4)]
    drawn = texts(several, tiny_model, do_sample=True)
    assert len(set(drawn)) == 4
    assert texts(several[::-1], tiny_model, do_sample=True) == drawn[::-1]
    assert not set(texts(several, tiny_model, do_sample=True, seed=1)) & set(drawn)


def test_a_sample_of_one_candidate_is_greedy(tiny_model: Path) -> None:
    assert texts(REQUESTS, tiny_model, do_sample=True, top_k=1) == texts(REQUESTS, tiny_model)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}])
def test_a_stop_string_cuts_the_text_and_ends_it(smollm: Path, settings: dict[str, Any]) -> None:
    request = [Request(Prompt("", "Q: What is 3 + 4?\nA: 7\n\nQ: What is 2 + 2?\nA:"))]
    settings = {"template": "completion", "max_new_tokens": 12, **settings}
    [free] = generations(request, smollm, **settings)
    assert "\n\nA:" in free.text
    [cut] = generations(request, smollm, stop=("\n\nA:", "never"), **settings)
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < free.completion_tokens
    assert cut.text == free.text.partition("\n\nA:")[0]


def test_the_prompt_holding_a_stop_string_does_not_end_the_text(tiny_model: Path) -> None:
    request = [Request(Prompt("", "What is\n\n3 * 19?\n\n"))]
    assert generations(request, tiny_model, stop=("\n\n",), template="completion")[0].completion_tokens > 0


def test_counts_and_reasons(tiny_model: Path) -> None:
    [generation] = generations(REQUESTS[:1], tiny_model, template="completion", max_new_tokens=5)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert generation.prompt_tokens == len(tokenizer(QUESTIONS[0])["input_ids"])
    assert (generation.completion_tokens, generation.finish_reason) == (5, "length")


def test_a_prompt_that_fills_the_context_gets_no_text(tiny_model: Path) -> None:
    long, short = Request(Prompt("", "one two three " * 100)), REQUESTS[0]
    full, answered = generations([long, short], tiny_model)
    assert (full.text, full.finish_reason, full.completion_tokens) == ("", "length", 0)
    assert full.prompt_tokens > 256
    assert answered == generations([short], tiny_model)[0]


def test_a_text_is_cut_where_the_context_ends(tiny_model: Path) -> None:
    request = [Request(Prompt("", " a" * 250))]
    [generation] = generations(request, tiny_model, template="completion")
    assert generation.prompt_tokens + generation.completion_tokens == 256
    assert generation.finish_reason == "length"


def test_texts_are_handed_over_before_the_next_batch_begins(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    generate = _Batch.generate

    def spy(self: _Batch, model: Any, rows: Sequence[Row]) -> list[Generation]:
        begun.extend(len(row.prompt) for row in rows)
        return generate(self, model, rows)

    monkeypatch.setattr(_Batch, "generate", spy)
    generator = LocalGenerator(LocalConfig(model=str(tiny_model), batch_size=5, max_new_tokens=2))
    chunks = generator.generate(REQUESTS)
    assert len(next(chunks)) == 5
    assert len(begun) == 5, "others began before these were safe"
    assert [len(chunk) for chunk in chunks] == [5, 2]
    assert begun == sorted(begun, reverse=True)
    assert generator.tokens_so_far == 2 * len(REQUESTS)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"repetition_penalty": 1.3}, {"do_sample": True}])
def test_a_beginning_that_all_prompts_share_changes_no_text(
    smollm: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    examples = "".join(f"Input: What is {n} + {n}?\nOutput: {n + n}\n" for n in range(2, 8))
    shared = [Request(Prompt(examples, f"Input: {question}\nOutput:")) for question in QUESTIONS[:6]]
    settings = {"template": "completion", "stop": ("\nInput",), **settings}
    prefixes: list[int] = []
    size = _Batch.size

    def spy(self: _Batch, longest: Row, workers: int) -> int:
        prefixes.append(len(self.prefix))
        return size(self, longest, workers)

    monkeypatch.setattr(_Batch, "size", spy)
    together = texts(shared, smollm, **settings)
    monkeypatch.setattr("toolgen_hf.models.decoding.SHARED", 10**9)
    assert texts(shared, smollm, **settings) == together
    assert prefixes[0] > 60
    assert prefixes[1] == 0


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out"), RuntimeError("can't allocate memory: 9 GB")]
)
@pytest.mark.parametrize("beams", [1, 2])
def test_memory_that_runs_out_halves_the_rows(
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    beams: int,
) -> None:
    expected = generations(REQUESTS, tiny_model, num_beams=beams)
    generate = _Batch.generate

    def small(self: _Batch, model: Any, rows: Sequence[Row]) -> list[Generation]:
        if len(rows) > 3:
            raise error
        return generate(self, model, rows)

    monkeypatch.setattr(_Batch, "generate", small)
    assert generations(REQUESTS, tiny_model, num_beams=beams, batch_size=12 * beams) == expected
    assert [record.getMessage()[:19] for record in caplog.records] == ["out of memory with "] * 2


def test_nothing_asked_nothing_loaded(tmp_path: Path) -> None:
    assert list(LocalGenerator(LocalConfig(model=str(tmp_path / "nowhere"))).generate([])) == []


def test_adapters_are_switched_on_one_base(tiny_model: Path, adapter: Callable[[int], Path]) -> None:
    one, other = str(adapter(1)), str(adapter(2))
    plain = texts(REQUESTS, tiny_model)
    first, second = texts(REQUESTS, tiny_model, adapter=one), texts(REQUESTS, tiny_model, adapter=other)
    assert plain != first != second != plain
    assert texts(REQUESTS, tiny_model) == plain
    assert texts(REQUESTS, tiny_model, adapter=one) == first


def test_generators_may_take_turns(tiny_model: Path, adapter: Callable[[int], Path]) -> None:
    names = [None, str(adapter(1)), str(adapter(2))]
    expected = [texts(REQUESTS, tiny_model, adapter=name, batch_size=4) for name in names]
    streams = [
        LocalGenerator(
            LocalConfig(model=str(tiny_model), adapter=name, batch_size=4, max_new_tokens=12)
        ).generate(REQUESTS)
        for name in names
    ]
    found: list[dict[int, Generation]] = [{}, {}, {}]
    for chunks in zip(*streams, strict=True):
        for texts_so_far, chunk in zip(found, chunks, strict=True):
            texts_so_far.update(chunk)
    assert [[part[at].text for at in range(len(REQUESTS))] for part in found] == expected


def test_an_adapter_is_the_same_as_in_peft(tiny_model: Path, adapter: Callable[[int], Path]) -> None:
    from peft import PeftModel

    folder = adapter(3)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    inputs = tokenizer(QUESTIONS[0], return_tensors="pt")
    [ids] = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    expected = tokenizer.decode(ids[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    settings = {"adapter": str(folder), "template": "completion"}
    assert texts(REQUESTS, tiny_model, **settings)[0] == expected


@pytest.mark.parametrize("layer", ["q_proj", "c_attn"])
def test_an_adapter_of_another_base(
    tiny_model: Path, adapter: Callable[[int], Path], smollm: Path, layer: str
) -> None:
    folder = adapter(1)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    (folder / "adapter_config.json").write_text(json.dumps({**config, "target_modules": [layer]}))
    with pytest.raises(ConfigError, match=r"(?s)does not fit the model .*; use the base it was trained on"):
        texts(REQUESTS[:1], smollm, adapter=str(folder))
    assert texts(REQUESTS[:1], tiny_model), "a failed adapter is in the way of what comes next"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("none left"), RuntimeError("a bad kernel")])
def test_a_failing_model_is_reported_after_what_it_finished(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    generate, batches = _Batch.generate, iter(range(100))

    def fail(self: _Batch, model: Any, rows: Sequence[Row]) -> list[Generation]:
        if next(batches):
            raise error
        return generate(self, model, rows)

    monkeypatch.setattr(_Batch, "generate", fail)
    config = LocalConfig(model=str(tiny_model), batch_size=1, max_new_tokens=3)
    chunks = LocalGenerator(config).generate(REQUESTS)
    assert len(next(chunks)) == 1
    with pytest.raises(
        GenerationError, match=rf"failed on prompts of up to \d+ tokens: {error}; a smaller batch"
    ):
        list(chunks)


def test_a_run_that_is_broken_off_leaves_the_processor_as_it_was(tiny_model: Path) -> None:
    threads = torch.get_num_threads()
    chunks = LocalGenerator(LocalConfig(model=str(tiny_model), batch_size=2, max_new_tokens=50)).generate(
        REQUESTS
    )
    next(chunks)
    chunks.close()
    assert torch.get_num_threads() == threads
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_a_folder_transformers_cannot_open(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "no-such-type"}', encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot open the model"):
        texts(REQUESTS, tmp_path / "model")


@pytest.mark.parametrize(
    ("settings", "is_other"),
    [
        ({"max_new_tokens": 7}, True),
        ({"num_beams": 2}, True),
        ({"repetition_penalty": 1.1}, True),
        ({"stop": ("x",)}, True),
        ({"template": "alpaca"}, True),
        ({"dtype": "bfloat16"}, True),
        ({"do_sample": True}, True),
        ({"batch_size": 3}, False),
        ({"device": "cpu"}, False),
        ({"dtype": "float32"}, False),
        ({"temperature": 0.2, "top_p": 0.75, "top_k": 40, "seed": 5}, False),
    ],
)
def test_identity_is_what_changes_a_text(tiny_model: Path, settings: dict[str, Any], is_other: bool) -> None:
    plain = LocalGenerator(LocalConfig(model=str(tiny_model), device="cpu")).identity()
    changed = LocalGenerator(LocalConfig(model=str(tiny_model), **{"device": "cpu", **settings})).identity()
    assert (changed != plain) is is_other
    assert json.loads(json.dumps(changed)) == changed
    assert str(tiny_model) not in json.dumps(changed)


def test_identity_of_a_sample_holds_its_seed(tiny_model: Path) -> None:
    one, other = (
        LocalGenerator(LocalConfig(model=str(tiny_model), do_sample=True, seed=seed)).identity()
        for seed in (0, 1)
    )
    assert one != other


def test_identity_holds_the_adapter(tiny_model: Path, adapter: Callable[[int], Path]) -> None:
    folder = adapter(1)
    config = LocalConfig(model=str(tiny_model), adapter=str(folder))
    before = LocalGenerator(config).identity()
    shutil.copy(adapter(2) / "adapter_model.safetensors", folder)
    assert LocalGenerator(config).identity() != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": True, "num_beams": 4}, "sample with num_beams=1, or search"),
        ({"stop": ("",)}, "at least 1 character"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalConfig(model="m", **settings)


def test_fewer_bits_need_a_gpu_and_are_another_model(tiny_model: Path) -> None:
    config = LocalConfig(model=str(tiny_model), device="cpu", quantization="8bit")
    whole = LocalGenerator(config.model_copy(update={"quantization": None})).identity()
    assert LocalGenerator(config).identity() == {**whole, "quantization": "8bit"}
    with pytest.raises(
        ConfigError, match="quantization='8bit' needs a CUDA GPU, and this model runs on 'cpu'"
    ):
        texts(REQUESTS[:1], tiny_model, quantization="8bit")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(smollm: Path) -> None:
    on_gpu = texts(REQUESTS, smollm, device="cuda", dtype="float32")
    assert all(on_gpu)
    assert LocalGenerator(LocalConfig(model=str(smollm))).identity()["dtype"] == "bfloat16"
