"""The bare ``openai`` client and a semaphore: what a careful script of thirty lines does.

Nothing is stored, retried or checked. ``--transport`` says which HTTP client it is given.
"""

from __future__ import annotations

import driver  # first: it starts the clock

# isort: split
import asyncio
import sys
from typing import Any

import openai
import openai.resources.chat  # else imported with the first request

TRANSPORTS: dict[str, Any] = {
    "aiohttp": openai.DefaultAioHttpClient,
    "httpx": openai.DefaultAsyncHttpxClient,
}


async def send_all(job: driver.Job, transport: str) -> list[tuple[str, str]]:
    slots = asyncio.Semaphore(job.concurrency)
    async with openai.AsyncOpenAI(base_url=job.base_url, http_client=TRANSPORTS[transport]()) as client:

        async def send(row: driver.Row) -> tuple[str, str]:
            async with slots:
                completion = await client.chat.completions.create(
                    model=job.model,
                    messages=[
                        {"role": "system", "content": row["system"]},
                        {"role": "user", "content": row["user"]},
                    ],
                    max_tokens=job.max_tokens,
                    temperature=0,
                )
            return row["id"], completion.choices[0].message.content or ""

        return await asyncio.gather(*map(send, job.rows))


if __name__ == "__main__":
    at = sys.argv.index("--transport")
    _, transport = sys.argv[at : at + 2]
    del sys.argv[at : at + 2]
    driver.drive(lambda job: lambda: asyncio.run(send_all(job, transport)))
