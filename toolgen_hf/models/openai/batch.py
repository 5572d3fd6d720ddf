"""Texts through the Batch API: half the price, within a day.

    found again ──┐
    submitted ────┴─> wait ──> files of answers ──> texts;   what failed goes into the next round

No record of the batches is kept on this machine. Each line has the key of its text in the store, and each batch carries
the digest of the model's identity. So a run first looks for earlier batches, its own before a kill or another run's: it
takes what is done, waits for what is in progress, and submits only the rest.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai.types import Batch

from toolgen_hf.ask import Generation, Prompt, Request, request_key
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.adaptations import Shape, refused_error
from toolgen_hf.models.openai.batch_account import FINAL, Account, Accounts, OutOfReachError
from toolgen_hf.models.openai.failures import Failure, classify, redacted, status_error
from toolgen_hf.models.openai.keys import without_keys
from toolgen_hf.models.openai.messages import MalformedError, refused

MAX_LINES = 50_000
"""Requests of one batch, OpenAI's limit."""
MAX_BYTES = 190_000_000
"""Of one input file; OpenAI's limit is 200 MB."""
MAX_ROUNDS = 3
"""A request is submitted again so many times at most: each may take a day."""
CHUNK = 256
"""Texts that are yielded, and stored, at once."""
PATIENCE = 3600.0
"""Seconds for which a batch in progress may be out of reach."""

_MISSING = Failure("retry", "the batch ended without an answer to this request")

logger = logging.getLogger(__name__)

Arrival = tuple[int, Generation]


@dataclass(slots=True)
class _Wanted:
    """A missing text."""

    prompt: Prompt
    positions: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Running:
    """A batch in progress, and the texts that it should bring."""

    account: Account
    keys: set[str]
    seen: tuple[Any, ...] = ()


class BatchRun:
    """One set of requests, in as many batches as they need. Used once.

    Args:
        api_keys: earlier batches are looked for with each; the first key that is not refused makes new ones.
        path: of the API, below the base URL.
        mark: the digest of the model's identity.
        body: gives the body of a request for a prompt.
        parse: reads an answer; raises MalformedError if it is not one.
        shape: the changes that this engine asks for.
        has_answered: whether the engine has answered such requests before.
    """

    def __init__(
        self,
        config: OpenAIConfig,
        base_url: str,
        api_keys: Sequence[str],
        path: str,
        mark: str,
        body: Callable[[Prompt], Mapping[str, Any]],
        parse: Callable[[str], Generation],
        shape: Shape,
        has_answered: bool = False,
    ) -> None:
        self._accounts = Accounts(api_keys, base_url, config.timeout, config.max_answer_bytes)
        self._parse = parse
        self._config, self._base_url = config, base_url
        self._shape, self._has_answered = shape, has_answered
        self._changes = 0  # of the shape, made to what was submitted last
        self._reshaped: set[str] = set()  # refused for their shape: they go into another batch
        self._attempts = 1 + min(config.max_retries, MAX_ROUNDS)
        self._url, self._digest, self._mark, self._body = f"/v1{path}", mark, mark[:32], body
        self._wanted: dict[str, _Wanted] = {}
        self._running: dict[str, _Running] = {}
        self._failures: dict[str, Failure] = {}  # of this round
        self._tries: Counter[str] = Counter()
        self._failed: list[Failure] = []  # of requests that were given up
        self._held_back: dict[str, str] = {}  # submitted while the account's queue was full: key -> why
        self._reached = time.monotonic()

    def run(self, requests: Iterable[Request]) -> Iterator[list[Arrival]]:
        """Yields texts in chunks, by their position in ``requests``; all are taken before any is submitted.

        Raises:
            GenerationError: a batch failed or was cancelled, or how many requests failed.
        """
        for position, request in enumerate(requests):
            wanted = self._wanted.setdefault(request_key(self._digest, request), _Wanted(request.prompt))
            wanted.positions.append(position)
        try:
            if self._wanted:
                yield from self._resume()
            while self._wanted:
                self._submit()
                before = len(self._wanted)
                yield from self._wait()
                yield from self._settle(len(self._wanted) < before)
        except KeyboardInterrupt:
            if self._running:
                logger.warning(
                    "interrupted: %d batches go on at the provider and are paid; the same command collects them",
                    len(self._running),
                )
            raise
        finally:
            self._accounts.close()
        if failed := self._failed:
            raise GenerationError(
                f"{len(failed)} requests failed in {self._attempts} batches each, the first with: "
                f"{failed[0].message}. All others are stored; run again to ask for these"
            )

    def _resume(self) -> Iterator[list[Arrival]]:
        """Take the texts of earlier batches, and wait for running ones. What failed or was refused is asked again."""
        found = self._accounts.batches(self._mark)
        for account, batch in found:
            if batch.status in FINAL and batch.status != "failed" and self._wanted:
                try:
                    yield from self._take(account, batch, is_over=True)
                except LookupError as error:
                    logger.info("batch %s cannot be used again: %s", batch.id, error)
        yield from self._refuse()
        self._failures.clear()  # those of another day: they are asked again
        self._reshaped.clear()
        for account, batch in found:
            if batch.status not in FINAL:
                self._rejoin(account, batch)

    def _rejoin(self, account: Account, batch: Batch) -> None:
        free = self._wanted.keys() - self._expected()
        try:
            keys = {str(line.get("custom_id")) for line in account.lines(batch.input_file_id)} & free
        except LookupError:  # it was deleted: every text that the batch may bring is awaited
            keys = set(free)
        if keys:
            logger.info(
                "batch %s is on its way (%s): waiting for %d texts", batch.id, batch.status, len(keys)
            )
            self._running[batch.id] = _Running(account, keys)

    def _expected(self) -> set[str]:
        return {key for running in self._running.values() for key in running.keys}

    def _submit(self) -> None:
        """Make batches of all that is missing and in no batch."""
        expected, self._changes = self._expected(), len(self._shape.changes)
        missing = (
            (k, self._shape.apply(self._body(w.prompt))) for k, w in self._wanted.items() if k not in expected
        )
        for content, keys in input_files(missing, self._url):
            account, batch = self._accounts.submit(content, self._url, self._mark)
            self._running[batch.id] = _Running(account, set(keys))
            logger.info("batch %s: %d requests submitted", batch.id, len(keys))

    def _wait(self) -> Iterator[list[Arrival]]:
        """Poll the batches in progress, and take their texts, until none is left."""
        self._reached = time.monotonic()
        while self._running:
            troubles: list[str] = []
            for name, running in list(self._running.items()):
                try:
                    batch = self._look(name, running)
                    if batch.status in FINAL:
                        yield from self._take(running.account, batch)
                        del self._running[name]
                        troubles += self._trouble(batch, running)
                except OutOfReachError as error:  # a day is long
                    if time.monotonic() - self._reached > PATIENCE:
                        raise
                    logger.warning("batch %s: %s", name, error)
                except LookupError as error:
                    raise GenerationError(f"batch {name} has lost its answers: {error}; run again") from error
                else:
                    self._reached = time.monotonic()
            if troubles:
                others = f" {len(self._running)} more go on; the next run collects them."
                raise GenerationError(" ".join(troubles) + (others if self._running else ""))
            if self._running:
                time.sleep(self._config.poll_seconds)

    def _look(self, name: str, running: _Running) -> Batch:
        batch = running.account.look(name)
        counts = batch.request_counts
        done = (counts.completed, counts.failed, counts.total) if counts else (0, 0, 0)
        if running.seen != (batch.status, *done):
            running.seen = (batch.status, *done)
            logger.info("batch %s: %s, %d done and %d failed of %d", name, *running.seen)
        return batch

    def _trouble(self, batch: Batch, running: _Running) -> list[str]:
        """Why to stop after this batch; empty if there is no reason."""
        if batch.status == "cancelled":
            return [
                f"batch {batch.id} was cancelled. What it had done is stored; run again to submit the rest."
            ]
        if batch.status != "failed":
            return []
        problems = running.account.problems(batch)
        if "token_limit" in problems or "nqueued token" in problems:  # room comes as other batches end
            self._held_back.update(dict.fromkeys(running.keys, problems))
            return []
        return [
            f"batch {batch.id} was refused as a whole: {problems}. Mend it and run again, or set batch: false."
        ]

    def _take(self, account: Account, batch: Batch, is_over: bool = False) -> Iterator[list[Arrival]]:
        """The texts and failures of a batch that has ended; only its texts if it ended before this run.

        Raises:
            LookupError: its files are gone.
        """
        for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
            chunk: list[Arrival] = []
            for line in account.lines(file_id):
                made = outcome(line, account.key, self._parse)
                if isinstance(made, Generation) or not is_over:
                    chunk += self._read(str(line.get("custom_id")), made)
                if len(chunk) >= CHUNK:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk

    def _read(self, key: str, made: Generation | Failure) -> list[Arrival]:
        if isinstance(made, Generation):
            self._has_answered = True
        elif key in self._wanted:
            self._failures[key] = made
            if self._shape.learn(made, self._body(self._wanted[key].prompt), self._changes):
                self._reshaped.add(key)
        return self._arrived(key, made) if isinstance(made, Generation) else []

    def _arrived(self, key: str, made: Generation) -> list[Arrival]:
        """The text once for each position that needs it. The first text for a key counts."""
        self._failures.pop(key, None)
        wanted = self._wanted.pop(key, None)
        return [(position, made) for position in wanted.positions] if wanted else []

    def _refuse(self) -> Iterator[list[Arrival]]:
        """Refusals are final if other requests succeeded."""
        bad = [
            (key, failure)
            for key, failure in self._failures.items()
            if failure.kind == "request" and key not in self._reshaped
        ]
        if bad and self._has_answered:
            yield [arrival for key, failure in bad for arrival in self._arrived(key, _rejected(failure))]

    def _settle(self, has_progress: bool) -> Iterator[list[Arrival]]:
        """After a round: give up requests, and raise if another round makes no sense."""
        yield from self._refuse()
        if self._held_back and not has_progress:
            raise GenerationError(
                f"the account's queue for batches is full: {next(iter(self._held_back.values()))}. Run again when "
                "other batches are done, ask for fewer rows, or set batch: false"
            )
        failures = {
            key: self._failures.get(key, _MISSING)
            for key in self._wanted
            if key not in self._held_back and key not in self._reshaped
        }
        hopeless = all(failure.kind in ("request", "key") for failure in failures.values())
        if failures and hopeless and not self._has_answered:
            first = next(iter(failures.values()))
            why = f"every request was refused: {first.message}"
            raise refused_error(self._base_url, why, list(failures.values()), self._config)
        for key, failure in failures.items():
            self._tries[key] += 1
            if self._tries[key] >= self._attempts:
                self._failed.append(failure)
                del self._wanted[key]
        if self._wanted:
            logger.warning("%d requests go into another batch", len(self._wanted))
        self._failures.clear()
        self._held_back.clear()
        self._reshaped.clear()


def _rejected(failure: Failure) -> Generation:
    return refused(failure.status or 0, failure.error or failure.message)


def input_files(
    requests: Iterable[tuple[str, Mapping[str, Any]]], url: str
) -> Iterator[tuple[bytes, list[str]]]:
    """Files of requests (key, body) within the limits, each with the keys that it holds."""
    lines: list[bytes] = []
    keys: list[str] = []
    size = 0
    for key, body in requests:
        line = json.dumps({"custom_id": key, "method": "POST", "url": url, "body": body}).encode() + b"\n"
        if lines and (len(lines) >= MAX_LINES or size + len(line) > MAX_BYTES):
            yield b"".join(lines), keys
            lines, keys, size = [], [], 0
        lines.append(line)
        keys.append(key)
        size += len(line)
    if lines:
        yield b"".join(lines), keys


def outcome(line: Mapping[str, Any], key: str, parse: Callable[[str], Generation]) -> Generation | Failure:
    """The text of one line of an output or error file, or why there is none; without the API key ``key``.

    Args:
        parse: reads an answer; raises MalformedError where it is none.
    """
    response, error = line.get("response"), line.get("error")
    if not isinstance(response, Mapping):
        said = error if isinstance(error, Mapping) else {}
        return redacted(Failure("retry", f"{said.get('code')}: {said.get('message')}"), key)
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        error = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(status, int) or not 100 <= status < 600:
            status = 500
        return redacted(classify(status_error(status, error)), key)
    try:
        return parse(
            without_keys(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False), [key])
        )
    except MalformedError as error:
        return redacted(classify(error), key)
