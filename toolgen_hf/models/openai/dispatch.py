"""Sends requests from one event loop: as many at once as the engine takes, each until it is answered.

Everything here runs on the loop's own thread. A request that must wait (429, a server error) holds no slot
while it does; whatever happens to one request, the others go on. It ends early when nothing can succeed.

Requests that are refused before any was answered are set aside: once one is answered they are refused for what
they hold, each on its own; where none ever is, that is the failure of the run.
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
"""So many 429s for one request, while as many others succeed, and it has failed."""
PASSING = (403, 404)
"""From a URL and a key that have worked, these are a gateway's trouble, or about one request."""
LONGEST_POLL = 10.0
"""Seconds between two attempts of a request at an engine that is starting, where it does not say."""
MAX_WAITING = 10_000
"""So many jobs that wait for their time, and no more are taken."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """One request on its way. ``tokens``: what it may need at most, prompt and completion.

    ``body`` is as the settings have it; ``changes`` of the engine's shape were made to it when it was last sent.
    """

    position: int
    body: dict[str, Any]
    tokens: int
    retries: int = 0  # of these ``counted``: not while the engine answers nobody
    counted: int = 0
    limited: int = 0
    successes: int = 0  # of others, before its first 429
    changes: int = 0


class Dispatcher:
    """Works off jobs.

    Args:
        api_keys: one a key.
        url: of the API.
        concurrency: jobs in flight or arrived but not yet ``release``d, at most.
        max_retries: of one job, not counting 429s.
        startup: how long an engine that is starting is waited for.
        shape: how requests to this engine are shaped.
        has_answered: whether the engine is known to answer such requests, from before.
        parse: reads an answer; raises MalformedError where it is none.
        deliver: told of each text; is thread-safe.
        on_change: told when more jobs could be used, or when all is over; is thread-safe.
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
        self.failed: list[Failure] = []  # of jobs that were given up
        self.refused: list[Failure] = []  # of jobs whose request the engine does not take
        self.is_refused = False  # whether it took none at all, which is why it stopped
        self.stopped: str | None = None  # why nothing more is sent
        self.is_hungry = False  # more jobs could be used; step() answers
        self.is_over = False  # nothing will be delivered any more
        self._loop = asyncio.get_running_loop()
        self._keys = [api_key.secret for api_key in api_keys]
        self._ready: deque[Job] = deque()
        self._waiting: list[tuple[float, int, Job]] = []  # heap by the time from which a job may go
        self._doubtful: list[tuple[Job, Failure]] = []  # refused before anything has succeeded
        self._held = 0  # in flight, or delivered and not yet released
        self._is_last = False  # no more jobs will come
        self._tasks: dict[asyncio.Task[None], float] = {}  # in flight, since when
        self._timer: asyncio.TimerHandle | None = None

    def step(self, jobs: Sequence[Job] | None, released: int) -> None:
        """Take more jobs (none: there are no more; None: not asked), and slots back whose texts are durable."""
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
        """Leave what is in flight."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Leave what is in flight, and wait until it is left."""
        self.stop("closed")
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pump(self) -> None:
        """Start all that may be started now, and come back when more may."""
        try:
            self._advance()
        except Exception as error:  # a defect: nobody may wait for ever on it
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
            if job.retries:  # others first: they show whether it was this request or the engine
                self._ready.append(job)
            else:  # it was only asked to wait, and has
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
        """Tell the caller what has changed for it: all is over, or there is room for more jobs."""
        if not (self._tasks or self._ready or self._waiting) and (self._is_last or self.stopped is not None):
            self._judge_doubtful()
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
            self.stop(self._defect(error))  # a defect: no request may hang on it
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
            self._accept_doubtful()
            self.deliver(job.position, made)
            if made.unusable:  # the others would be too, and each costs
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
            self._doubt(job, failure)
        if self.stopped is None and (warning := self.health.warning(failure, now)):
            logger.warning("%s", warning)

    def _is_sent_again(self, job: Job, failure: Failure) -> bool:
        """Send a request again at once if the engine wants it in another shape than it had."""
        if not self.shape.learn(failure, job.body, job.changes):
            return False
        if self.stopped is None:
            self._ready.appendleft(job)
        return True

    def _verdict(self, job: Job, failure: Failure, now: float, is_oldest: bool) -> str | None:
        """Why to stop after this failure; None to go on. ``is_oldest``: no attempt before it may still be answered."""
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

    def _doubt(self, job: Job, failure: Failure) -> None:
        """Set a refused request aside until one is answered."""
        self._doubtful.append((job, failure))
        self.refused.append(failure)
        if len(self._doubtful) == ENOUGH and self.stopped is None:
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

    def _judge_doubtful(self) -> None:
        """At the end: if nothing was answered, it was not the requests' own text."""
        if self._doubtful and not self.has_answered and self.stopped is None:
            self.is_refused = True
            self.stopped = f"every request was refused: {self.refused[0].message}"
            if self.failed:
                self.stopped = (
                    f"no request was answered: {len(self.refused)} were refused ({self.refused[0].message}), "
                    f"{len(self.failed)} failed ({self.failed[0].message})"
                )
        if self.stopped is None:
            self._accept_doubtful()

    def _accept_doubtful(self) -> None:
        for job, failure in self._doubtful:
            self._deliver_refusal(job, failure)
        self._doubtful.clear()

    def _refuse(self, job: Job, failure: Failure) -> None:
        self.refused.append(failure)
        self._deliver_refusal(job, failure)

    def _deliver_refusal(self, job: Job, failure: Failure) -> None:
        self._held += 1  # until it is released, as any text
        self.deliver(job.position, refused(failure.status or 0, failure.error or failure.message))
