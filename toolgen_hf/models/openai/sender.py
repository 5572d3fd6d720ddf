"""Sends requests from one event loop: as many at once as the engine accepts, each until it is answered.

All of it runs on the loop's thread. A request that must wait (429, a server error) takes no slot while it waits, and
the others go on. Sending ends early when nothing can succeed.

A request that is refused before any request was answered is undecided. Once one is answered, the undecided ones were
refused for their own content. If none is ever answered, the run has failed.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAIError

from toolgen_hf._utils import backoff
from toolgen_hf.ask import Generation
from toolgen_hf.models.openai.adaptations import Endpoint
from toolgen_hf.models.openai.failures import Failure, classify, redacted
from toolgen_hf.models.openai.limits import ENOUGH, ApiKey, Health
from toolgen_hf.models.openai.messages import EngineError, MalformedError
from toolgen_hf.secrets import mask, redact, without_keys

MAX_LIMITED = 50
"""A request has failed after more 429s than this, if more other requests than this succeeded meanwhile."""
_PASSING = (403, 404)  # after a URL and key have worked, these come from a gateway or concern one request
_LONGEST_POLL = 10.0  # seconds between two attempts while an engine starts, unless it names a time
_MAX_WAITING = 10_000  # no new jobs are taken while this many wait for their next attempt

logger = logging.getLogger(__name__)

Arrival = tuple[int, Generation]


@dataclass(slots=True)
class Job:
    """One request, its ``position`` in the caller's stream, and the most ``tokens`` that prompt and text may have.

    ``body`` follows the settings; the first ``changes`` of the engine's shape were applied when it was last sent.
    """

    position: int
    body: dict[str, Any]
    tokens: int
    retries: int = 0
    counted: int = 0  # of these, while the engine answered others
    limited: int = 0  # 429s
    successes: int = 0  # of other jobs, before its first 429
    changes: int = 0


class Sender:
    """Sends jobs; all methods are called on the loop's thread.

    Args:
        arrived: gets each text with its position. None says that there is room for more jobs, or that all is over.
    """

    def __init__(self, endpoint: Endpoint, client: AsyncOpenAI, arrived: SimpleQueue[Arrival | None]) -> None:
        self._loop = asyncio.get_running_loop()
        now, config = self._loop.time(), endpoint.config
        self.endpoint, self.arrived = endpoint, arrived
        self.health = Health(max(60.0, 2 * config.timeout), now, config.wait_for_engine)
        self.has_answered = endpoint.has_answered
        self.failed: list[Failure] = []  # of jobs that failed
        self.refused: list[Failure] = []  # of jobs that the engine refused
        self.is_refused = False  # whether it refused all, which is why sending stopped
        self.stopped: str | None = None  # why nothing more is sent
        self.wants_jobs = False  # there is room for more jobs; step() brings them
        self.is_over = False  # nothing will be delivered any more
        self._api_keys = [ApiKey(key, client.with_options(api_key=key), config, now) for key in endpoint.keys]
        self._url = endpoint.base_url + endpoint.path  # joined once: the client would do it for each request
        self._ready: deque[Job] = deque()
        self._waiting: list[tuple[float, int, Job]] = []  # heap by the time from which a job may go
        self._undecided: list[tuple[int, Failure]] = []  # refused before any job was answered
        self._slots = 0  # taken: in flight, or delivered and not yet released
        self._is_last = False  # no more jobs will come
        self._tasks: dict[asyncio.Task[None], float] = {}  # in flight, since when
        self._timer: asyncio.TimerHandle | None = None

    def step(self, jobs: Sequence[Job] | None, released: int) -> None:
        """Take more jobs (an empty list: there are no more; None: not asked), and free the slots of stored texts."""
        self._slots -= released
        if jobs is not None:
            self.wants_jobs, self._is_last = False, not jobs
            if self.stopped is None:
                self._ready.extend(jobs)
        self._continue()

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight may still arrive."""
        self.stopped = self.stopped or reason
        self._ready.clear()
        self._waiting.clear()
        self._continue()
        self.arrived.put(None)

    def cancel(self) -> None:
        """Cancel what is in flight."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancel what is in flight, and wait until it has ended."""
        self.stop("closed")
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _continue(self) -> None:
        """Start all jobs that may start now, and come back when more may."""
        try:
            self._advance()
        except Exception as error:  # a defect; the caller must not wait for ever
            self.stopped, self.is_over = self._defect(error), True
            self.arrived.put(None)

    def _defect(self, error: BaseException) -> str:
        return redact(f"{type(error).__name__}: {error}", self.endpoint.keys)

    def _advance(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now, concurrency = self._loop.time(), self.endpoint.config.concurrency
        while self._waiting and self._waiting[0][0] <= now:
            job = heapq.heappop(self._waiting)[2]
            if job.retries:  # others first: they show whether the request or the engine failed
                self._ready.append(job)
            else:  # it only had to wait
                self._ready.appendleft(job)
        again = self._waiting[0][0] - now if self._waiting else float("inf")
        while self._ready and self._slots < concurrency and self.stopped is None:
            api_key = self._choose(now)
            if not isinstance(api_key, ApiKey):
                again = min(again, api_key)
                break
            job = self._ready.popleft()
            self._slots += 1
            task = self._loop.create_task(self._attempt(job, api_key, api_key.started(job.tokens)))
            self._tasks[task] = now
            task.add_done_callback(self._on_done)
        if again < float("inf"):
            self._timer = self._loop.call_later(max(again, 0.001), self._continue)
        is_done = self._is_last or self.stopped is not None
        if is_done and not (self._tasks or self._ready or self._waiting):
            self._judge_undecided()
            self.is_over = True
            self.arrived.put(None)
        elif not (is_done or self.wants_jobs):
            self.wants_jobs = len(self._ready) < concurrency and len(self._waiting) < _MAX_WAITING
            if self.wants_jobs:
                self.arrived.put(None)

    def _choose(self, now: float) -> ApiKey | float:
        """The key with the most room, of equals the least used.

        If none may send now: the seconds until one may (infinite: none will before an answer arrives).
        """
        waits = [(key.wait(now), key) for key in self._api_keys]
        open_now = [key for wait, key in waits if wait <= 0]
        if not open_now:
            return min(wait for wait, _ in waits)
        return min(open_now, key=lambda key: (len(key.in_flight) / key.window.size, key.count))

    def _on_done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.stop(self._defect(error))  # a defect; no request may hang
        self._continue()

    async def _attempt(self, job: Job, api_key: ApiKey, attempt: int) -> None:
        endpoint, started = self.endpoint, self._loop.time()
        job.changes = len(endpoint.shape.changes)
        try:
            body = endpoint.shape.apply(job.body) if job.changes else job.body
            response = await _post(api_key.client, self._url, body, endpoint.config.timeout)
            try:
                made = endpoint.parse(without_keys(response.text, endpoint.keys))
            except EngineError as error:
                error.headers = response.headers
                raise
        except asyncio.CancelledError:
            api_key.left(attempt)
            self._slots -= 1
            raise
        except Exception as error:
            self._on_failure(job, api_key, attempt, redacted(classify(error), *endpoint.keys))
        else:
            now = self._loop.time()
            over = max(job.tokens - made.prompt_tokens - made.completion_tokens, -3 * job.tokens)
            api_key.succeeded(attempt, now - started, over, response.headers, now)
            self.health.succeeded(now)
            self.has_answered = True
            self._deliver_refusals()
            self.arrived.put((job.position, made))
            if made.unusable:  # the others would be unusable too, and each costs
                self.stop(made.unusable)

    def _on_failure(self, job: Job, api_key: ApiKey, attempt: int, failure: Failure) -> None:
        now = self._loop.time()
        self._slots -= 1
        if self.endpoint.shape.learn(failure, job.body, job.changes):
            api_key.left(attempt)
            self._at_once(job)
            return
        if api_key.has_worked and failure.status in _PASSING:
            failure = replace(failure, kind="retry")
        failure = self.health.judged(failure)
        was_refused, is_oldest = api_key.refusal is not None, api_key.is_oldest(attempt)
        api_key.failed(attempt, failure, now)
        if self.stopped is None and (verdict := self._verdict(job, failure, now, is_oldest)):
            self.stop(verdict)
        if failure.kind == "key":
            self._at_once(job)
            self._leave_key(api_key, failure, is_news=not was_refused)
        elif failure.kind == "request":
            self._refuse(job, failure)
        elif (delay := self._delay(job, failure)) is None:
            self.failed.append(failure)
        elif self.stopped is None:
            heapq.heappush(self._waiting, (now + delay, job.position, job))
        if self.stopped is None and (warning := self.health.warning(failure, now)):
            logger.warning("%s", warning)

    def _at_once(self, job: Job) -> None:
        """Send a job again, before all others."""
        if self.stopped is None:
            self._ready.appendleft(job)

    def _verdict(self, job: Job, failure: Failure, now: float, is_oldest: bool) -> str | None:
        """Why to stop after this failure; None to go on. ``is_oldest``: the key's earlier attempts are finished."""
        others = (at for task, at in self._tasks.items() if task is not asyncio.current_task())
        verdict = self.health.failed(job.position, failure, now, min(others, default=now))
        if verdict and failure.kind == "request" and not self.health.successes:
            if self.has_answered or not is_oldest:
                return None
            self.is_refused = True
        return verdict

    def _delay(self, job: Job, failure: Failure) -> float | None:
        """Seconds until the next attempt of this job; None if it has failed for good."""
        if failure.kind == "retry":
            job.retries += 1
            job.counted += not self.health.is_out
            if job.counted > self.endpoint.config.max_retries:
                return None
            return max(failure.wait or 0.0, backoff(job.retries))
        if not job.limited:
            job.successes = self.health.successes
        job.limited += 1
        if min(job.limited, self.health.successes - job.successes) > MAX_LIMITED:
            return None
        delay = backoff(job.limited, base=1.0) if failure.wait is None else failure.wait
        if failure.kind == "starting" and failure.wait is None:
            delay = min(delay, _LONGEST_POLL)
        return delay + backoff(1, base=0.2)

    def _leave_key(self, api_key: ApiKey, failure: Failure, is_news: bool) -> None:
        """Go on with the other keys, if any is left."""
        left = sum(other.refusal is None for other in self._api_keys)
        if not left:
            self.stop(describe_refusals(self._api_keys))
        elif is_news:
            logger.warning(
                "key %s is not used any more: %s (%d left)", mask(api_key.secret), failure.message, left
            )

    def _refuse(self, job: Job, failure: Failure) -> None:
        """Deliver a refusal, or keep it undecided until a request is answered."""
        self.refused.append(failure)
        self._undecided.append((job.position, failure))
        if self.has_answered:
            self._deliver_refusals()
        elif len(self._undecided) == ENOUGH and self.stopped is None:
            logger.warning(
                "the first %d requests were all refused, trying the others: %s", ENOUGH, failure.message
            )

    def _deliver_refusals(self) -> None:
        for position, failure in self._undecided:
            self._slots += 1  # until step() releases it, like a text
            self.arrived.put((position, failure.as_refused()))
        self._undecided.clear()

    def _judge_undecided(self) -> None:
        """At the end: if nothing was answered, the requests were not refused for their own content."""
        if self._undecided and not self.has_answered and self.stopped is None:
            self.is_refused = True
            self.stopped = f"every request was refused: {self.refused[0].message}"
            if self.failed:
                self.stopped = (
                    f"no request was answered: {len(self.refused)} were refused ({self.refused[0].message}), "
                    f"{len(self.failed)} failed ({self.failed[0].message})"
                )
        if self.stopped is None:
            self._deliver_refusals()


def describe_refusals(api_keys: Sequence[ApiKey]) -> str:
    """Why no key can be used: the keys of each reason, by their last characters, and a hint if the URL is wrong."""
    reasons: dict[str, list[str]] = {}
    for api_key in api_keys:
        if api_key.refusal is not None:
            reasons.setdefault(api_key.refusal.message.rstrip("."), []).append(mask(api_key.secret))
    every = "; ".join(f"{', '.join(some)} {why}" for why, some in reasons.items())
    if all(api_key.refusal is not None and api_key.refusal.status == 404 for api_key in api_keys):
        return f"the engine or the URL is not known there (a base_url usually ends in /v1): {every}"
    return f"no key can be used: {every}"


async def _post(client: AsyncOpenAI, url: str, body: Any, timeout: float) -> httpx2.Response:
    """One attempt. The answer is read as UTF-8, like all JSON.

    Raises:
        openai.OpenAIError: the client's error.
        TimeoutError: no complete answer in time. (The client's own timeout is for each read.)
        MalformedError: the answer is not HTTP that can be read.
    """
    try:
        async with asyncio.timeout(timeout):
            response = await client.post(url, cast_to=httpx2.Response, body=body)
            response.encoding = "utf-8"
            return response
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {timeout:g} s") from None
    except OpenAIError:
        raise
    except Exception as error:  # of the libraries under the client, which it does not translate
        raise MalformedError(
            f"the answer is not HTTP that can be read: {type(error).__name__}: {error}"
        ) from error
