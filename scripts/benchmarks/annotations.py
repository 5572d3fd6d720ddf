"""Measures how many worked solutions the annotations teacher turns into a verified call, and how fast.

    python scripts/benchmarks/annotations.py                                      # the data that ships
    python scripts/benchmarks/annotations.py --gsm8k data/gsm8k --svamp SVAMP.json  # official files

For each dataset it prints one line, then the soundness of the calls (`toolgen_hf.schemas.SOUNDNESS`; the teacher's
setting `accept` says which are taught), and the reasons of rejections.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from toolgen_hf.schemas import SOUNDNESS
from toolgen_hf.tasks.math import MATH
from toolgen_hf.tasks.math.compose import Composition, compose


class Worked(NamedTuple):
    question: str
    solution: str
    answer: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gsm8k", type=Path, metavar="DIR", help="folder of train.jsonl and test.jsonl")
    parser.add_argument("--svamp", type=Path, metavar="FILE", help="SVAMP.json")
    args = parser.parse_args()
    if args.gsm8k is None and args.svamp is None:
        datasets = dict(bundled())
    else:
        datasets = {}
        for split in ("train", "test") if args.gsm8k else ():
            datasets[f"GSM8K {split}"] = list(read_gsm8k(args.gsm8k / f"{split}.jsonl"))
        if args.svamp:
            datasets["SVAMP"] = list(read_svamp(args.svamp))
    for name, rows in datasets.items():
        measure(name, rows)


def measure(name: str, rows: Iterable[Worked]) -> None:
    start = time.perf_counter()
    made = [compose(*row, MATH) for row in rows]
    seconds = time.perf_counter() - start
    verified = [composition for composition in made if composition.formula is not None]
    print(
        f"{name}: {len(made)} rows, {len(verified)} verified ({len(verified) / len(made):.2%}), {seconds:.2f} s"
    )
    sound = Counter(composition.soundness for composition in verified)
    for soundness in SOUNDNESS:
        print(f"    {sound[soundness]:5} {soundness} ({sound[soundness] / len(made):.2%})")
    for reason, count in Counter(kind(composition) for composition in made).most_common():
        if reason:
            print(f"    {count:5} {reason}")


def kind(composition: Composition) -> str:
    """The reason without the step that it quotes."""
    return (composition.reason or "").partition(":")[0]


def bundled() -> Iterator[tuple[str, list[Worked]]]:
    """The datasets that ship with the package."""
    from toolgen_hf.builders import GSM8K, QA, load

    for name, builder in (("GSM8K", GSM8K()), ("SVAMP", QA("svamp"))):
        for split, rows in load(builder).items():
            worked = [Worked(row["question"], row["solution"], row["answer"]) for row in rows]
            yield f"{name} {split}", worked


def read_gsm8k(path: Path) -> Iterator[Worked]:
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            solution, _, answer = row["answer"].rpartition("####")
            yield Worked(row["question"], solution.strip(), [answer.strip()])


def read_svamp(path: Path) -> Iterator[Worked]:
    for row in json.loads(path.read_text(encoding="utf-8")):
        yield Worked(f"{row['Body']} {row['Question']}", row["Equation"], [str(row["Answer"])])


if __name__ == "__main__":
    main()
