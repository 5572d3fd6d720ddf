"""Sends requests from one event loop: as many at once as the engine accepts, each until it is answered.

All of it runs on the loop's thread. A request that must wait (429, a server error) takes no slot while it waits, and
the others go on whatever happens to it. Sending ends early when nothing can succeed.

A request that is refused before any request was answered is undecided. Once one is answered, the undecided ones were
refused for their own content. If none is ever answered, the run has failed.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolgen_hf.ask import Generation
from toolgen_hf.models.openai.adaptations import Shape
from toolgen_hf.models.openai.failures import Failure, backoff, classify, redacted
from toolgen_hf.models.openai.health import ENOUGH, Health, Startup
from toolgen_hf.models.openai.keys import mask, redact, without_keys
from toolgen_hf.models.openai.messages import EngineError, refused
from toolgen_hf.models.openai.rate_limits import ApiKey, choose, describe_refusals

MAX_LIMITED = 50
"""A request has failed after so many 429s, if as many other requests succeeded meanwhile."""
PASSING = (403, 404)
"""After a URL and key have worked, these statuses come from a gateway or concern one request."""
LONGEST_POLL = 10.0
"""Seconds between two attempts while an engine starts, unless it says how long to wait."""
MAX_WAITING = 10_000
"""No new jobs are taken while so many wait for their next attempt."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """One request. ``tokens``: prompt and completion at most.

    ``body`` follows the settings; the first ``changes`` of the engine's shape were applied when it was last sent.
    """

    position: int
    body: dict[str, Any]
    tokens: int
    retries: int = 0  # of which ``counted`` while the engine answered others
    counted: int = 0
    limited: int = 0
    successes: int = 0  # of other jobs, before its first 429
    changes: int = 0


class Dispatcher:
    """Sends jobs.

    Args:
        concurrency: jobs in flight, or answered and not yet released by ``step``, at most.
        max_retries: of one job, not counting 429s.
        startup: decides how long to wait for an engine that is starting.
        shape: the changes that this engine asks for.
        has_answered: whether the engine has answered such requests before.
        parse: reads an answer; raises MalformedError if it is not one.
        deliver: gets each text; is thread-safe.
        on_change: called when there is room for more jobs, or when all is over; is thread-safe.
    """

    def __init__(
        self,
        api_keys: Sequence[ApiKey],
        url: str,
        concurrency: int,
        max_retries: int,
        health: Health,
        startup: Startup,
        shape: Shape,
        has_answered: bool,
        parse: Callable[[str], Generation],
        deliver: Callable[[int, Generation], None],
        on_change: Callable[[], None],
    ) -> None:
        self.api_keys, self.url, self.health, self.startup = api_keys, url, health, startup
        self.shape, self.has_answered = shape, has_answered
        self.concurrency, self.max_retries = concurrency, max_retries
        self.parse, self.deliver, self.on_change = parse, deliver, on_change
        self.failed: list[Failure] = []  # of jobs that failed
        self.refused: list[Failure] = []  # of jobs that the engine refused
        self.is_refused = False  # whether it refused all, which is why sending stopped
        self.stopped: str | None = None  # why nothing more is sent
        self.is_hungry = False  # there is room for more jobs; step() brings them
        self.is_over = False  # nothing will be delivered any more
        self._loop = asyncio.get_running_loop()
        self._keys = [api_key.secret for api_key in api_keys]
        self._ready: deque[Job] = deque()
        self._waiting: list[tuple[float, int, Job]] = []  # heap by the time from which a job may go
        self._undecided: list[tuple[Job, Failure]] = []  # refused before any job was answered
        self._held = 0  # in flight, or delivered and not yet released
        self._is_last = False  # no more jobs will come
        self._tasks: dict[asyncio.Task[None], float] = {}  # in flight, since when
        self._timer: asyncio.TimerHandle | None = None

    def step(self, jobs: Sequence[Job] | None, released: int) -> None:
        """Take more jobs (an empty list: there are no more; None: not asked), and free the slots of stored texts."""
        self._held -= released
        if jobs is not None:
            self.is_hungry = False
            self._is_last = not jobs
            if self.stopped is None:
                self._ready.extend(jobs)
        self._pump()

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight may still arrive."""
        self.stopped = self.stopped or reason
        self._ready.clear()
        self._waiting.clear()
        self._pump()
        self.on_change()

    def cancel(self) -> None:
        """Cancel what is in flight."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancel what is in flight, and wait until it has ended."""
        self.stop("closed")
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pump(self) -> None:
        """Start all jobs that may start now, and come back when more may."""
        try:
            self._advance()
        except Exception as error:  # a defect; the caller must not wait for ever
            self.stopped, self.is_over = self._defect(error), True
            self.on_change()

    def _defect(self, error: BaseException) -> str:
        return redact(f"{type(error).__name__}: {error}", self._keys)

    def _advance(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            job = heapq.heappop(self._waiting)[2]
            if job.retries:  # others first: they show whether the request or the engine failed
                self._ready.append(job)
            else:  # it only had to wait
                self._ready.appendleft(job)
        again = self._waiting[0][0] - now if self._waiting else float("inf")
        while self._ready and self._held < self.concurrency and self.stopped is None:
            api_key = choose(self.api_keys, now)
            if not isinstance(api_key, ApiKey):
                again = min(again, api_key)
                break
            self._start(self._ready.popleft(), api_key)
        if again < float("inf"):
            self._timer = self._loop.call_later(max(again, 0.001), self._pump)
        self._tell(len(self._ready) < self.concurrency and len(self._waiting) < MAX_WAITING)

    def _tell(self, has_room: bool) -> None:
        """Tell the caller if all is over or there is room for more jobs."""
        if not (self._tasks or self._ready or self._waiting) and (self._is_last or self.stopped is not None):
            self._judge_undecided()
            self.is_over = True
            self.on_change()
        elif has_room and not (self.is_hungry or self._is_last or self.stopped is not None):
            self.is_hungry = True
            self.on_change()

    def _start(self, job: Job, api_key: ApiKey) -> None:
        self._held += 1
        task = self._loop.create_task(self._attempt(job, api_key, api_key.started(job.tokens)))
        self._tasks[task] = self._loop.time()
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.stop(self._defect(error))  # a defect; no request may hang
        self._pump()

    async def _attempt(self, job: Job, api_key: ApiKey, attempt: int) -> None:
        started = self._loop.time()
        job.changes = len(self.shape.changes)
        try:
            response = await api_key.post(self.url, self.shape.apply(job.body) if job.changes else job.body)
            try:
                made = self.parse(without_keys(response.text, self._keys))
            except EngineError as error:
                error.headers = response.headers
                raise
        except asyncio.CancelledError:
            api_key.left(attempt)
            self._held -= 1
            raise
        except Exception as error:
            self._on_failure(job, api_key, attempt, redacted(classify(error), *self._keys))
        else:
            now = self._loop.time()
            over = max(job.tokens - made.prompt_tokens - made.completion_tokens, -3 * job.tokens)
            api_key.succeeded(attempt, now - started, over, response.headers, now)
            self.health.succeeded(now)
            self.startup.succeeded(now)
            self.has_answered = True
            self._accept_undecided()
            self.deliver(job.position, made)
            if made.unusable:  # the others would be unusable too, and each costs
                self.stop(made.unusable)

    def _on_failure(self, job: Job, api_key: ApiKey, attempt: int, failure: Failure) -> None:
        now = self._loop.time()
        self._held -= 1
        if self._is_sent_again(job, failure):
            api_key.left(attempt)
            return
        if api_key.has_worked and failure.status in PASSING:
            failure = replace(failure, kind="retry")
        failure = self.startup.judge(failure, is_new=not self.health.successes)
        was_refused, is_oldest = api_key.refusal is not None, api_key.is_oldest(attempt)
        api_key.failed(attempt, failure, now)
        if self.stopped is None and (verdict := self._verdict(job, failure, now, is_oldest)):
            self.stop(verdict)
        if failure.kind == "key":
            self._set_aside(job, api_key, failure, is_news=not was_refused)
        elif failure.kind in ("limited", "starting"):
            self._wait_for_room(job, failure, now)
        elif failure.kind == "retry":
            job.retries += 1
            job.counted += not self.health.is_out
            wait = max(failure.wait or 0.0, backoff(job.retries))
            self._again(job, failure, wait, job.counted > self.max_retries, now)
        elif self.has_answered:
            self._refuse(job, failure)
        else:
            self._put_off(job, failure)
        if self.stopped is None and (warning := self.health.warning(failure, now)):
            logger.warning("%s", warning)

    def _is_sent_again(self, job: Job, failure: Failure) -> bool:
        """Send a request again at once if the engine wants it changed."""
        if not self.shape.learn(failure, job.body, job.changes):
            return False
        if self.stopped is None:
            self._ready.appendleft(job)
        return True

    def _verdict(self, job: Job, failure: Failure, now: float, is_oldest: bool) -> str | None:
        """Why to stop after this failure; None to go on. ``is_oldest``: no earlier attempt is still in flight."""
        if failure.kind == "starting":
            self.health.begin_again(now)
            return self.startup.failed(failure, now)
        others = (at for task, at in self._tasks.items() if task is not asyncio.current_task())
        verdict = self.health.failed(job.position, failure, now, min(others, default=now))
        if verdict and failure.kind == "request" and not self.health.successes:
            if self.has_answered or not is_oldest:
                return None
            self.is_refused = True
        return verdict

    def _put_off(self, job: Job, failure: Failure) -> None:
        """Keep a refused request undecided until one is answered."""
        self._undecided.append((job, failure))
        self.refused.append(failure)
        if len(self._undecided) == ENOUGH and self.stopped is None:
            logger.warning(
                "the first %d requests were all refused, trying the others: %s", ENOUGH, failure.message
            )

    def _wait_for_room(self, job: Job, failure: Failure, now: float) -> None:
        job.limited += 1
        if job.limited == 1:
            job.successes = self.health.successes
        others = self.health.successes - job.successes
        wait = failure.wait if failure.wait is not None else backoff(job.limited, base=1.0)
        if failure.kind == "starting" and failure.wait is None:
            wait = min(wait, LONGEST_POLL)
        self._again(job, failure, wait + backoff(1, base=0.2), min(job.limited, others) > MAX_LIMITED, now)

    def _set_aside(self, job: Job, api_key: ApiKey, failure: Failure, is_news: bool) -> None:
        if self.stopped is None:
            self._ready.appendleft(job)
        left = [other for other in self.api_keys if other.refusal is None]
        if not left:
            self.stop(describe_refusals(self.api_keys))
        elif is_news:
            logger.warning(
                "key %s is set aside: %s (%d left)", mask(api_key.secret), failure.message, len(left)
            )

    def _again(self, job: Job, failure: Failure, wait: float, is_last: bool, now: float) -> None:
        if is_last:
            self.failed.append(failure)
        elif self.stopped is None:
            heapq.heappush(self._waiting, (now + wait, job.position, job))

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
            self._accept_undecided()

    def _accept_undecided(self) -> None:
        for job, failure in self._undecided:
            self._deliver_refusal(job, failure)
        self._undecided.clear()

    def _refuse(self, job: Job, failure: Failure) -> None:
        self.refused.append(failure)
        self._deliver_refusal(job, failure)

    def _deliver_refusal(self, job: Job, failure: Failure) -> None:
        self._held += 1  # until step() releases it, like a text
        self.deliver(job.position, refused(failure.status or 0, failure.error or failure.message))
