"""How often a text depends on the batch that it was decoded in: each dtype at batch sizes 1, 8 and 64.

    python scripts/benchmarks/generation/same_texts.py

The first 64 questions of GSM8K, greedy; in float32 also 4 beams and sampling. Prints a Markdown table: how many of the
texts equal those of batch size 1, and how many of these equal float32's.
"""

from __future__ import annotations

import argparse

from driver import MODEL, requests, texts_of

from toolgen_hf.models.config import LocalConfig

SIZES = (1, 8, 64)
SETTINGS: dict[str, dict[str, object]] = {
    "float32, greedy": {"dtype": "float32"},
    "float32, 4 beams": {"dtype": "float32", "num_beams": 4},
    "float32, sampled": {"dtype": "float32", "do_sample": True, "temperature": 0.7, "top_p": 0.9},
    "float16, greedy": {"dtype": "float16"},
    "bfloat16, greedy": {"dtype": "bfloat16"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    args = parser.parse_args()
    wanted = requests(args.questions)
    print("| | " + " | ".join(f"{size} at once" for size in SIZES[1:]) + " | as float32 |\n|---|---|---|---|")
    float32: list[str] = []
    for name, settings in SETTINGS.items():
        made = []
        for size in SIZES:
            batch_size = size * int(str(settings.get("num_beams", 1)))
            options = {"max_new_tokens": args.max_new_tokens, "batch_size": batch_size, **settings}
            made.append(
                [text.text for text in texts_of(LocalConfig(model=MODEL, device="cpu", **options), wanted)]
            )
        alone, *together = made
        float32 = float32 or alone
        same = [f"{sum(map(str.__eq__, alone, texts))} of {len(alone)}" for texts in together]
        as_float32 = sum(map(str.__eq__, alone, float32)) if "greedy" in name else "-"
        print(f"| {name} | {' | '.join(same)} | {as_float32} |", flush=True)


if __name__ == "__main__":
    main()
