"""bespokelabs-curator 0.1.31, through its own OpenAI backend.

Settings: as many requests in flight as everyone has, and limits by the minute that never bind (what it
assumes otherwise would make it wait). It counts every prompt's tokens whatever the limits are. Its
default display on stderr is a little faster than the plain one (2.4 s against 2.7 s), so it stays.
Of itself it sends one request more, when it is built, to read the rate limits from the headers.
"""

from __future__ import annotations

import driver  # first: it starts the clock

# isort: split
import os
from importlib.util import find_spec
from pathlib import Path

# The tokenizer's file is in litellm's wheel; it would be downloaded otherwise.
(LITELLM,) = find_spec("litellm").submodule_search_locations
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(LITELLM) / "litellm_core_utils" / "tokenizers")

from bespokelabs import curator  # noqa: E402

UNLIMITED = 1_000_000_000


class Teacher(curator.LLM):
    def prompt(self, row: driver.Row) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": row["system"]},
            {"role": "user", "content": row["user"]},
        ]

    def parse(self, row: driver.Row, response: str) -> driver.Row:
        return {"id": row["id"], "text": response}


def prepare(job: driver.Job) -> driver.Work:
    teacher = Teacher(
        model_name=job.model,
        backend="openai",
        generation_params={"max_tokens": job.max_tokens, "temperature": 0},
        backend_params={
            "base_url": job.base_url,
            "max_concurrent_requests": job.concurrency,
            "max_requests_per_minute": UNLIMITED,
            "max_tokens_per_minute": 1000 * UNLIMITED,
        },
    )

    def work() -> list[tuple[str, str]]:
        made = teacher(job.rows, working_dir="curator").dataset
        return list(zip(made["id"], made["text"], strict=True))

    return work


if __name__ == "__main__":
    driver.drive(prepare)
