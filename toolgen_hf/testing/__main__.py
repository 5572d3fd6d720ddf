"""``python -m toolgen_hf.testing``: the fake server as its own process, for benchmarks.

It prints its base URL and serves until Ctrl-C or SIGTERM. Beside ``/v1`` it has ``GET /stats``, which gives
``{"count": ..., "in_flight_max": ...}``, and ``POST /reset``.
"""

from __future__ import annotations

import argparse
import re
import signal
from collections.abc import Sequence

from toolgen_hf.testing import ApiRequest, ApiServer, Script, rate_limited


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m toolgen_hf.testing", description="A scripted OpenAI-compatible server."
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="0, the default, takes a free one")
    add("--latency", type=float, default=0.0, metavar="SECONDS")
    add("--text", default="calculator(1+1)", help="the answer to everything")
    add("--answer-sums", action="store_true", help="answer calculator(a+b) of the question's numbers")
    add("--rate-limit", type=int, default=0, metavar="N", help="answer 429 to N requests, once each")
    add("--rate-limit-every", type=int, default=10, metavar="N", help="one in N (default: 10)")
    add("--retry-after", type=float, default=1.0, metavar="SECONDS")
    add("--batch-seconds", type=float, default=0.0, metavar="SECONDS")
    add("--log", metavar="FILE", help="append the SHA-256 of each answered request body")
    options = parser.parse_args(argv)
    script: Script = answer_sums if options.answer_sums else options.text
    if options.rate_limit:
        every, seconds = options.rate_limit_every, options.retry_after
        script = rate_limited(script, every=every, count=options.rate_limit, retry_after=seconds)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's thread starts, which inherits it
    with ApiServer(
        script,
        latency=options.latency,
        record=False,
        port=options.port,
        log=options.log,
        batch_seconds=options.batch_seconds,
    ) as server:
        print(server.base_url, flush=True)
        signal.sigwait(ends)


def answer_sums(request: ApiRequest) -> str:
    """``calculator(a+b)`` with the first two integers of the last question in the prompt."""
    question = re.split(r"(?:Question|Input):", request.user)[-1]
    numbers = [*re.findall(r"\d+", question), "0", "0"]
    return f"calculator({numbers[0]}+{numbers[1]})"


if __name__ == "__main__":
    main()
