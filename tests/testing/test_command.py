"""``python -m toolgen_hf.testing`` as the benchmarks run it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from openai import OpenAI, RateLimitError

from toolgen_hf.testing import ApiRequest
from toolgen_hf.testing.__main__ import answer_sums


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Question: 1 and 2?\nInput: Tom has 12 of 30, not 4.", "calculator(12+30)"),
        ("Example 5 + 6\n\nQuestion: 7 and 8?\nAnswer: 15", "calculator(7+8)"),
        ("Add 3 to 4.", "calculator(3+4)"),
        ("Only 3.", "calculator(3+0)"),
    ],
)
def test_sums(text: str, answer: str) -> None:
    assert answer_sums(ApiRequest(0, "completions", "", {"prompt": text}, 0, 0.0, "")) == answer


def test_a_process_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "answered.txt"
    options = ["--answer-sums", "--rate-limit", "1", "--rate-limit-every", "1", "--log", str(log)]
    command = [sys.executable, "-m", "toolgen_hf.testing", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        api = OpenAI(base_url=url, api_key="sk-any", max_retries=0)
        with pytest.raises(RateLimitError):
            api.completions.create(model="any", prompt="Question: 20+22")
        for question in ("20+22", "1+2", "1+2"):
            done = api.completions.create(model="any", prompt=f"Question: {question}")
            assert done.choices[0].text == f"calculator({question})"
        answered = log.read_text().splitlines()  # what was refused is not in it
        assert (len(answered), len(set(answered))) == (3, 2)
        root = url.removesuffix("/v1")
        assert json.load(urlopen(f"{root}/stats")) == {"count": 4, "in_flight_max": 1}
        urlopen(Request(f"{root}/reset", method="POST")).close()
        assert json.load(urlopen(f"{root}/stats")) == {"count": 0, "in_flight_max": 0}
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
