"""``python -m toolgen_hf.testing``: the scripted server as a process of its own, for benchmarks.

It prints its base URL and serves until Ctrl-C or SIGTERM. Beside ``/v1`` there are ``GET /stats``, which gives
``{"count": ..., "in_flight_max": ...}``, and ``POST /reset``.
"""

from __future__ import annotations

import argparse
import re
import signal
from collections.abc import Sequence

from toolgen_hf.testing import ApiRequest, ApiServer, Script, rate_limited

_QUESTION = re.compile(r"(?:Question|Input):")
_INTEGER = re.compile(r"\d+")


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until a signal says to stop."""
    arguments = _parser().parse_args(argv)
    script: Script = answer_sums if arguments.answer_sums else arguments.text
    if arguments.rate_limit:
        script = rate_limited(
            script,
            every=arguments.rate_limit_every,
            count=arguments.rate_limit,
            retry_after=arguments.retry_after,
        )
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's thread starts, which inherits it
    with ApiServer(
        script,
        latency=arguments.latency,
        record=False,
        port=arguments.port,
        log=arguments.log,
        batch_seconds=arguments.batch_seconds,
    ) as server:
        print(server.base_url, flush=True)
        signal.sigwait(ends)


def answer_sums(request: ApiRequest) -> str:
    """``calculator(a+b)`` of the first two integers of the last question in the user's text."""
    question = _QUESTION.split(request.user)[-1]
    numbers = [*_INTEGER.findall(question), "0", "0"]
    return f"calculator({numbers[0]}+{numbers[1]})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toolgen_hf.testing", description="A scripted OpenAI-compatible server."
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--text", default="calculator(1+1)", help="the answer to everything")
    parser.add_argument(
        "--answer-sums", action="store_true", help="answer calculator(a+b) of the question's numbers"
    )
    parser.add_argument(
        "--rate-limit", type=int, default=0, metavar="N", help="answer 429 to N requests, once each"
    )
    parser.add_argument(
        "--rate-limit-every", type=int, default=10, metavar="N", help="one in N (default: 10)"
    )
    parser.add_argument("--retry-after", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--batch-seconds", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--log", metavar="FILE", help="append the SHA-256 of each answered request body")
    return parser


if __name__ == "__main__":
    main()
