"""The prompts that every contender sends, and the texts that the server must have answered.

The server answers ``calculator(a+b)`` of a question's first two integers; so their sum is made the gold
answer, and only questions whose first two numbers are plain integers are taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from toolgen_hf.builders import GSM8K, load
from toolgen_hf.tasks.prompts import load_prompts, tool_api_prompt

MODEL, MAX_TOKENS = "gpt-4o-mini", 64
"""What every contender asks for besides."""

_NUMBER = re.compile(r"\d(?:[\d.,/:]*\d)?")


def write_prompts(path: Path, count: int) -> dict[str, str]:
    """Write ``count`` prompts as JSON Lines; gives the text that is right for each id."""
    rows = list(islice(_rows(), count))
    if len(rows) < count:
        raise SystemExit(f"--requests {count}: only {len(rows)} questions are fit for it")
    expected = {row["id"]: row.pop("expected") for row in rows}  # no contender sees it
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return expected


def _rows() -> Iterator[dict[str, Any]]:
    shown = load_prompts("math", "tool_api")
    for row in load(GSM8K())["train"]:
        numbers = _NUMBER.findall(row["question"])[:2]
        if len(numbers) < 2 or not all(number.isdigit() for number in numbers):
            continue
        answer = [str(sum(map(int, numbers)))]
        prompt = tool_api_prompt(shown, row["question"], answer)
        yield {
            "id": row["id"],
            "question": row["question"],
            "answer": answer,
            "system": prompt.system.strip(),  # as this library sends it
            "user": prompt.user,
            "expected": f"calculator({'+'.join(numbers)})",
        }
