"""How often a text depends on the batch that it was decoded in: each dtype at batch sizes 1, 8 and 64.

    python scripts/benchmarks/generation/same_texts.py

The first 64 questions of GSM8K, greedy; also 4 beams and sampling in float32. Prints a Markdown table of how many
of the texts equal those of batch size 1, and how many of these equal float32's.
"""

from __future__ import annotations

import argparse

from prompts import MODEL, requests

from toolgen_hf.models.config import LocalConfig
from toolgen_hf.models.local import LocalGenerator

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
    print("| | " + " | ".join(f"{size} at once" for size in SIZES[1:]) + " | as float32 |\n|---|---|---|---|")
    exact: list[str] = []
    for name, settings in SETTINGS.items():
        alone, *together = (_texts(size, settings, args) for size in SIZES)
        exact = exact or alone
        same = [sum(a == b for a, b in zip(alone, texts, strict=True)) for texts in together]
        as_float32 = sum(a == b for a, b in zip(alone, exact, strict=True)) if "greedy" in name else "-"
        print(
            f"| {name} | " + " | ".join(f"{count} of {len(alone)}" for count in same) + f" | {as_float32} |",
            flush=True,
        )


def _texts(size: int, settings: dict[str, object], args: argparse.Namespace) -> list[str]:
    beams = int(str(settings.get("num_beams", 1)))
    config = LocalConfig(
        model=MODEL, max_new_tokens=args.max_new_tokens, batch_size=size * beams, device="cpu", **settings
    )
    chunks = LocalGenerator(config).generate(requests(args.questions))
    return [
        text.text
        for _, text in sorted((pair for chunk in chunks for pair in chunk), key=lambda pair: pair[0])
    ]


if __name__ == "__main__":
    main()
