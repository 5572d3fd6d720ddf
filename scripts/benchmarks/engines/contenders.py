"""One contender in a process of its own: it sends every prompt, writes the texts, prints one line of JSON.

    python contenders.py toolgen_hf prompts.jsonl texts.jsonl --base-url http://127.0.0.1:8000/v1 --concurrency 64

    prompts  {"id": "GSM8K-train-0", "question": ..., "answer": ["72"], "system": ..., "user": ...}
    texts    {"id": "GSM8K-train-0", "text": "calculator(48+24)"}
    stdout   {"seconds": 1.4, "cpu": 1.3, "anonymous": 121.0, "mapped": 70.2}

``seconds`` and ``cpu`` (user and system time, with child processes that ended) are of the work alone, without imports
and preparation. ``anonymous`` and ``mapped`` are the peaks of the process's own memory and of mapped files in MiB
(Linux).
Only the standard library is imported at the top, because the peers run in environments of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODEL, MAX_TOKENS = "gpt-4o-mini", 64

Work = Callable[[], Iterable[tuple[str, str]]]
"""Sends every request; returns (id, text) in any order."""


def bare(args: argparse.Namespace) -> Work:
    """The ``openai`` client and a semaphore, as in a careful script of thirty lines: no store, no check."""
    import openai
    import openai.resources.chat  # otherwise imported with the first request

    transports: dict[str, Any] = {
        "aiohttp": openai.DefaultAioHttpClient,
        "httpx": openai.DefaultAsyncHttpxClient,
    }

    async def send_all(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
        slots = asyncio.Semaphore(args.concurrency)
        client = openai.AsyncOpenAI(base_url=args.base_url, http_client=transports[args.contender]())

        async def send(row: dict[str, Any]) -> tuple[str, str]:
            async with slots:
                completion = await client.chat.completions.create(
                    model=MODEL, messages=_messages(row), max_tokens=MAX_TOKENS, temperature=0
                )
            return row["id"], completion.choices[0].message.content or ""

        async with client:
            return await asyncio.gather(*map(send, rows))

    rows = list(_rows(args.prompts))
    return lambda: asyncio.run(send_all(rows))


def toolgen_hf(args: argparse.Namespace) -> Work:
    """The whole ``tool_api`` stage, which does more than send: it stores each text, runs and checks each call, and
    caches its output. The text is the verified call, or null if the call was not verified."""
    import aiohttp  # noqa: F401
    import openai.resources.chat  # noqa: F401
    from datasets import Dataset, DatasetDict, disable_progress_bars, load_from_disk

    import toolgen_hf.models.openai.stream  # noqa: F401  # otherwise imported with the first request
    from toolgen_hf import OpenAIConfig, Workspace, schemas, tool_api

    def answered_wrong(prompts: Path) -> Iterator[dict[str, Any]]:
        for row in _rows(prompts):
            known = {name: row[name] for name in ("id", "question", "answer")}
            yield (
                dict.fromkeys(schemas.ANSWERED)
                | {"response": "", "truncated": False, "correct": False}
                | known
            )

    disable_progress_bars()
    if not Path("questions").exists():  # memory-mapped, like the output of a stage
        table = Dataset.from_generator(
            answered_wrong,
            features=schemas.ANSWERED,
            gen_kwargs={"prompts": args.prompts},
            cache_dir="generated",
        )
        DatasetDict(train=table).save_to_disk("questions")
    questions = load_from_disk("questions")
    teacher = OpenAIConfig(
        engine=MODEL, base_url=args.base_url, max_tokens=MAX_TOKENS, concurrency=args.concurrency
    )

    def work() -> Iterable[tuple[str, str]]:
        store = os.environ.get("TOOLGEN_HF_BENCH_STORE")  # of stores.py
        with Workspace(cache_dir="workspace", store_path=store, progress=False) as workspace:
            called = tool_api(questions, [teacher], workspace, max_attempts=1)["train"]
        return ((row["id"], row["tool_call"]) for row in called.select_columns(["id", "tool_call"]))

    return work


def curator(args: argparse.Namespace) -> Work:
    """bespokelabs-curator 0.1.31 with its own OpenAI backend.

    Its limits by the minute are so high that it never waits. Its default display is faster than the plain one (2.4 s
    against 2.7 s). It sends one request more, when it is built, to read the rate limits.
    """
    (litellm,) = find_spec("litellm").submodule_search_locations  # type: ignore[union-attr, misc]
    os.environ["TIKTOKEN_CACHE_DIR"] = f"{litellm}/litellm_core_utils/tokenizers"  # otherwise downloaded
    from bespokelabs.curator import LLM  # type: ignore[import-not-found]

    class Teacher(LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, Any]) -> list[dict[str, str]]:
            return _messages(row)

        def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
            return {"id": row["id"], "text": response}

    teacher = Teacher(
        model_name=MODEL,
        backend="openai",
        generation_params={"max_tokens": MAX_TOKENS, "temperature": 0},
        backend_params={
            "base_url": args.base_url,
            "max_concurrent_requests": args.concurrency,
            "max_requests_per_minute": 10**9,
            "max_tokens_per_minute": 10**12,
        },
    )
    rows = list(_rows(args.prompts))

    def work() -> Iterable[tuple[str, str]]:
        made = teacher(rows, working_dir="curator").dataset
        return list(zip(made["id"], made["text"], strict=True))

    return work


def distilabel(args: argparse.Namespace) -> Work:
    """distilabel 1.5.3: a pipeline of one ``TextGeneration`` step with its ``OpenAILLM``.

    A step sends a whole batch and waits for all of it. Two replicas with half of the requests each were fastest on two
    cores (7.1 s; one 12 to 13 s, three 7.1, four 8.2, eight 12.3).
    """
    from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
    from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
    from distilabel.steps import LoadDataFromDicts, StepResources  # type: ignore[import-not-found]
    from distilabel.steps.tasks import TextGeneration  # type: ignore[import-not-found]

    rows = list(_rows(args.prompts))
    options = {"max_new_tokens": MAX_TOKENS, "temperature": 0.0}
    with Pipeline(name="benchmark", cache_dir="distilabel") as pipeline:
        data = [{"id": row["id"], "instruction": row["user"]} for row in rows]
        write = TextGeneration(
            llm=OpenAILLM(model=MODEL, base_url=args.base_url, generation_kwargs=options),
            system_prompt=rows[0]["system"],
            input_batch_size=args.concurrency // 2,
            resources=StepResources(replicas=2),
            add_raw_output=False,
            add_raw_input=False,
        )
        LoadDataFromDicts(data=data, batch_size=len(rows)) >> write

    def work() -> Iterable[tuple[str, str]]:
        made = pipeline.run(use_cache=False)["default"]["train"]
        return list(zip(made["id"], made["generation"], strict=True))

    return work


CONTENDERS = {
    "aiohttp": bare, "httpx": bare, "toolgen_hf": toolgen_hf, "curator": curator, "distilabel": distilabel
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    args = parser.parse_args()
    work = CONTENDERS[args.contender](args)
    peaks = {"anonymous": 0.0, "mapped": 0.0}
    threading.Thread(target=_watch, args=(peaks,), daemon=True).start()
    begun, cpu = time.perf_counter(), _cpu_seconds()
    texts = work()
    report = {"seconds": time.perf_counter() - begun, "cpu": _cpu_seconds() - cpu, **peaks}
    with args.texts.open("w", encoding="utf-8") as out:
        for row_id, text in texts:
            out.write(json.dumps({"id": row_id, "text": text}) + "\n")
    print(json.dumps(report), flush=True)


def _rows(prompts: Path) -> Iterator[dict[str, Any]]:
    with prompts.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _messages(row: dict[str, Any]) -> Any:
    return [{"role": "system", "content": row["system"]}, {"role": "user", "content": row["user"]}]


def _watch(peaks: dict[str, float]) -> None:
    """Keep the most memory that this process holds, read every 50 ms."""
    status = Path("/proc/self/status")
    while status.exists():
        held = dict(line.split(":", 1) for line in status.read_text().splitlines())
        for name, field in (("anonymous", "RssAnon"), ("mapped", "RssFile")):
            peaks[name] = max(peaks[name], int(held[field].split()[0]) / 1024)
        time.sleep(0.05)


def _cpu_seconds() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


if __name__ == "__main__":
    main()
