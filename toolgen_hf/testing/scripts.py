"""Scripts made of replies: what fails first, or once, or now and then."""

from __future__ import annotations

from collections.abc import Callable

from toolgen_hf.testing.messages import ApiRequest, Reply, Script, ask


def first(n: int, reply: Script, then: Script) -> Callable[[ApiRequest], Reply]:
    """The first ``n`` requests of all: ``first(2, Reply(status=500), then="4")``."""
    return lambda request: ask(reply if request.index < n else then, request)


def per_body(*replies: Script) -> Callable[[ApiRequest], Reply]:
    """Each request in turn, the last reply for good: ``per_body(Reply(fault="reset"), "4")`` fails it once."""
    if not replies:
        raise ValueError('per_body needs a reply, such as per_body("4")')
    return lambda request: ask(replies[min(request.seen, len(replies) - 1)], request)


def rate_limited(
    script: Script, times: int = 1, every: int = 10, count: int = 300, retry_after: float = 1.0
) -> Callable[[ApiRequest], Reply]:
    """Every tenth question waits once: ``rate_limited("4", every=10)``; ``every=1`` makes each one wait.

    Which bodies answer 429 ``times`` times, with ``Retry-After``, depends on their SHA-256 alone: about one in
    ``every``, spread evenly, at most the ``count`` that come first.
    """
    limited: set[str] = set()
    refusal = Reply(status=429, headers={"Retry-After": f"{retry_after:g}"}, latency=0)

    def limiting(request: ApiRequest) -> Reply:
        if request.seen < times and int(request.digest[:8], 16) % every == 0:
            if len(limited) < count:
                limited.add(request.digest)
            if request.digest in limited:
                return refusal
        return ask(script, request)

    return limiting
