"""The real client against the scripted server: what tests of engines have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from datasets import Dataset, DatasetDict, Features

from toolgen_hf import schemas
from toolgen_hf.ask import Ask, Generation, Prompt, Request
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.runtime.door import Generating, replay
from toolgen_hf.runtime.texts import Texts
from toolgen_hf.testing import ApiServer

ENGINE = "gpt-4o-mini"
SECRET = "sk-proj-Zq7tB4xK9mVd2Rf8Hj5Lw3Pn6Qs42wxyz"


def config(server: ApiServer | None = None, **changes: Any) -> OpenAIConfig:
    where = {} if server is None else {"base_url": server.base_url}
    return OpenAIConfig(**{"engine": ENGINE, "timeout": 10, **where, **changes})


def generator(server: ApiServer | None = None, **changes: Any) -> OpenAIGenerator:
    return OpenAIGenerator(config(server, **changes))


def requests(prompts: Iterable[str]) -> list[Request]:
    return [Request(Prompt("", prompt)) for prompt in prompts]


def numbered(count: int) -> list[Request]:
    return requests(f"question {n}" for n in range(count))


def collect(
    source: OpenAIGenerator, asked: Sequence[Request], into: dict[int, Generation] | None = None
) -> list[Generation]:
    """All texts in the order of ``asked``; ``into`` gets what arrived even if it fails."""
    made = {} if into is None else into
    for chunk in source.generate(iter(asked)):
        for position, one in chunk:
            assert position not in made
            made[position] = one
    assert sorted(made) == list(range(len(asked)))
    return [made[position] for position in range(len(asked))]


def one(server: ApiServer, prompt: Prompt | str = "1+1?", **changes: Any) -> Generation:
    prompt = Prompt("", prompt) if isinstance(prompt, str) else prompt
    return collect(generator(server, **changes), [Request(prompt)])[0]


def rows(count: int, start: int = 0, split: str = "train", features: Features = schemas.RAW) -> Dataset:
    made = [
        {
            "id": f"{split}-{n}",
            "question": f"Ann has {n} pens and buys {n % 7 + 1} more. How many pens has she?",
            "answer": [str(n + n % 7 + 1)],
            "solution": f"She has {n}+{n % 7 + 1}=<<{n}+{n % 7 + 1}={n + n % 7 + 1}>>{n + n % 7 + 1} pens.",
        }
        for n in range(start, start + count)
    ]
    return Dataset.from_list(made, features=features)


def splits(train: int, test: int = 0) -> DatasetDict:
    made = {"train": rows(train)}
    return DatasetDict({**made, "test": rows(test, start=100_000, split="test")} if test else made)


def texts_of(texts: Texts, prompts: Sequence[Prompt]) -> list[Generation]:
    """What rows get that ask for these prompts, as in a stage: generated if missing, then replayed."""

    async def row(prompt: Prompt) -> Generation:
        return await Ask().text(texts, prompt)

    Generating([("train", row(prompt)) for prompt in prompts], [texts], "test", len(prompts)).run()
    return replay([row(prompt) for prompt in prompts])
