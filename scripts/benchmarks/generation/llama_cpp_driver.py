"""llama.cpp on the same GGUF file: all questions decoded together, greedily, as its own batched example does.

Runs in an environment of its own, which has llama-cpp-python and nothing of this library. Reads token ids,
prints one line of JSON: seconds, and the tokens of each text.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from pathlib import Path

import llama_cpp
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("prompts", help="JSON: the token ids of each prompt")
    parser.add_argument("--max-new-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    args = parser.parse_args()
    prompts = json.loads(Path(args.prompts).read_text(encoding="utf-8"))
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    model = llama_cpp.llama_model_load_from_file(args.model.encode(), llama_cpp.llama_model_default_params())
    texts: list[list[int]] = []
    decode(model, prompts[:2], 2, args)  # warm
    started = time.perf_counter()
    for start in range(0, len(prompts), args.parallel):
        part = prompts[start : start + args.parallel]
        texts += decode(model, part, len(part), args)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "tokens": sum(map(len, texts)), "texts": texts}))


def decode(model: object, prompts: list[list[int]], count: int, args: argparse.Namespace) -> list[list[int]]:
    """Greedy texts of ``count`` sequences at once, without the end token."""
    settings = llama_cpp.llama_context_default_params()
    longest = max(map(len, prompts)) + args.max_new_tokens
    settings.n_ctx, settings.n_seq_max = longest * count, count
    settings.n_batch = settings.n_ubatch = 512
    settings.n_threads = settings.n_threads_batch = args.threads
    context = llama_cpp.llama_init_from_model(model, settings)
    vocabulary = llama_cpp.llama_model_get_vocab(model)
    size = llama_cpp.llama_vocab_n_tokens(vocabulary)
    batch = llama_cpp.llama_batch_init(512, 0, 1)
    made: list[list[int]] = [[] for _ in prompts]

    def run(rows: list[tuple[int, int, int, bool]]) -> dict[int, int]:
        """Tokens as (sequence, token, position, wanted); the likeliest next one of each that is wanted."""
        likeliest = {}
        for start in range(0, len(rows), 512):
            part = rows[start : start + 512]
            batch.n_tokens = len(part)
            for at, (sequence, token, position, wanted) in enumerate(part):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0], batch.logits[at] = 1, sequence, wanted
            if llama_cpp.llama_decode(context, batch):
                raise SystemExit("llama_decode failed")
            for at, (sequence, _, _, wanted) in enumerate(part):
                if wanted:
                    logits = llama_cpp.llama_get_logits_ith(context, at)
                    likeliest[sequence] = int(np.ctypeslib.as_array(logits, (size,)).argmax())
        return likeliest

    following = run(
        [
            (sequence, token, position, position == len(prompt) - 1)
            for sequence, prompt in enumerate(prompts)
            for position, token in enumerate(prompt)
        ]
    )
    for _ in range(args.max_new_tokens):
        going = {s: t for s, t in following.items() if not llama_cpp.llama_vocab_is_eog(vocabulary, t)}
        for sequence, token in going.items():
            made[sequence].append(token)
        going = {s: t for s, t in going.items() if len(made[s]) < args.max_new_tokens}
        if not going:
            break
        following = run([(s, t, len(prompts[s]) + len(made[s]) - 1, True) for s, t in going.items()])
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    return made


if __name__ == "__main__":
    main()
