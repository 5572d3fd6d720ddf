"""One contender in a process of its own. Prints one line of JSON: seconds, tokens, and the texts' digest.

    stage       the whole stage `answer`: prompts, generation, durable store, Dataset.map
    generator   its generator alone, without stage, store and map
    generate    transformers' `generate` on length-sorted batches of --batch-size
    published   the loop of the published scripts: one question at a time

Loading the model is not counted; each is warmed with two short texts first.
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
from prompts import MODEL, questions, requests, token_ids
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from toolgen_hf import LocalConfig, Workspace, answer
from toolgen_hf.ask import Generation, Request
from toolgen_hf.models.local import LocalGenerator
from toolgen_hf.models.weights import resolve_model


class Clocked(LocalGenerator):
    """Adds up the time spent in generation, so that the rest of a stage can be told from it."""

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=tuple(CONTENDERS))
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--num-beams", type=int, default=1)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--few-shot", action="store_true", help="behind four examples, which all share")
    args = parser.parse_args()
    print(json.dumps(CONTENDERS[args.contender](args)))


def stage(args: argparse.Namespace) -> dict[str, Any]:
    from toolgen_hf import models

    config = _config(args)
    models.GENERATORS["local"] = f"{__name__}:Clocked"
    rows = questions(args.questions)
    _warm(config)
    with TemporaryDirectory() as folder, Workspace(cache_dir=folder, progress=False) as workspace:
        Clocked.seconds = 0.0
        started = time.perf_counter()
        made = answer(rows, config, workspace)
        seconds = time.perf_counter() - started
        tokens = sum(report.completion_tokens for report in workspace.reports)
    outside = seconds - Clocked.seconds
    return _result(seconds, tokens, made["train"]["response"], outside=outside)


def generator(args: argparse.Namespace) -> dict[str, Any]:
    config, wanted = _config(args), requests(args.questions, args.few_shot)
    _warm(config)
    started = time.perf_counter()
    texts = {at: text for chunk in LocalGenerator(config).generate(wanted) for at, text in chunk}
    seconds = time.perf_counter() - started
    tokens = sum(text.completion_tokens for text in texts.values())
    return _result(seconds, tokens, [texts[at].text for at in sorted(texts)])


def generate(args: argparse.Namespace) -> dict[str, Any]:
    """Length-sorted batches, left padding, the mask passed: as one would write it with care."""
    folder = resolve_model(MODEL).folder()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()
    prompts = token_ids(args.questions, args.few_shot)
    config = GenerationConfig(
        max_new_tokens=args.max_new_tokens,
        num_beams=args.num_beams,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )

    def run(at: list[int]) -> list[list[int]]:
        width = max(len(prompts[number]) for number in at)
        ids = [[tokenizer.eos_token_id] * (width - len(prompts[n])) + prompts[n] for n in at]
        mask = [[0] * (width - len(prompts[n])) + [1] * len(prompts[n]) for n in at]
        with torch.inference_mode():
            made = model.generate(
                input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), generation_config=config
            )
        return [_until(row, tokenizer.eos_token_id) for row in made[:, width:].tolist()]

    size = args.batch_size or 1
    order = list(range(len(prompts)))
    if size > 1:
        order.sort(key=lambda number: len(prompts[number]))
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
    """One question at a time, with the published four beams."""
    return generate(argparse.Namespace(**{**vars(args), "batch_size": 1, "num_beams": 4}))


def _until(row: list[int], eos: int) -> list[int]:
    return row[: row.index(eos)] if eos in row else row


def _config(args: argparse.Namespace) -> LocalConfig:
    return LocalConfig(
        model=MODEL,
        max_new_tokens=args.max_new_tokens,
        num_beams=args.num_beams,
        batch_size=args.batch_size,
        device="cpu",
    )


def _warm(config: LocalConfig) -> None:
    short: list[Request] = requests(2)
    list(LocalGenerator(config.model_copy(update={"max_new_tokens": 4})).generate(short))


def _result(seconds: float, tokens: int, texts: list[str], **more: float) -> dict[str, Any]:
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    return {"seconds": seconds, "tokens": tokens, "texts": len(texts), "digest": digest, **more}


CONTENDERS = {"stage": stage, "generator": generator, "generate": generate, "published": published}

if __name__ == "__main__":
    main()
