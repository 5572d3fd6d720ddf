"""distilabel 1.5.3: a pipeline of one ``TextGeneration`` step on its ``OpenAILLM``.

Settings: a step sends a whole batch at once and waits for all of it, so a batch is what may be in
flight. Two replicas of half the batch are the fastest on two cores: 7.1 s, against 12 to 13 s for one, 7.1
for three, 8.2 for four and 12.3 for eight (one HTTP pool of 64 connections costs it far more than two of
32). All rows are loaded as one batch, which is no slower than 64 or 128 at a time. It logs warnings only.
2.5 s of its time are a fixed pause, how often it looks whether its steps are loaded; on a busy machine 5 s.
"""

from __future__ import annotations

import driver  # first: it starts the clock

# isort: split
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts, StepResources
from distilabel.steps.tasks import TextGeneration

REPLICAS = 2


def prepare(job: driver.Job) -> driver.Work:
    (system,) = {row["system"] for row in job.rows}
    with Pipeline(name="benchmark", cache_dir="distilabel") as pipeline:
        load = LoadDataFromDicts(
            data=[{"id": row["id"], "instruction": row["user"]} for row in job.rows],
            batch_size=len(job.rows),
        )
        write = TextGeneration(
            llm=OpenAILLM(
                model=job.model,
                base_url=job.base_url,
                generation_kwargs={"max_new_tokens": job.max_tokens, "temperature": 0.0},
            ),
            system_prompt=system,
            input_batch_size=job.concurrency // REPLICAS,
            resources=StepResources(replicas=REPLICAS),
            add_raw_output=False,
            add_raw_input=False,
        )
        load >> write

    def work() -> list[tuple[str, str]]:
        made = pipeline.run(use_cache=False)["default"]["train"]
        return list(zip(made["id"], made["generation"], strict=True))

    return work


if __name__ == "__main__":
    driver.drive(prepare)
