"""Texts through the Batch API: half the price, within a day.

    found again ──┐
    submitted ────┴─> wait ──> files of answers ──> texts;   what failed goes into the next round

No record of the batches is kept on this machine. Each line has the key of its text in the store, and each batch carries
the digest of the model's identity. So a run first looks for earlier batches, its own before a kill or another run's: it
takes what is done, waits for what is in progress, and submits only the rest. Files are never deleted here, because a
killed run needs them; OpenAI deletes them after 30 days. Source: OpenAI's API reference, "Batch" and "Files".
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import httpx2
import openai
from openai.types import Batch

from toolgen_hf._utils import backoff
from toolgen_hf.ask import Generation, Prompt, Request, request_key
from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai.adaptations import Endpoint, refused_error
from toolgen_hf.models.openai.failures import Failure, Kind, classify, of_status, redacted
from toolgen_hf.models.openai.messages import MalformedError
from toolgen_hf.secrets import mask, redact, without_keys

MAX_LINES = 50_000  # requests of one batch, OpenAI's limit
MAX_BYTES = 190_000_000  # of one input file; OpenAI's limit is 200 MB
_MAX_ROUNDS = 3  # the most times that a request is submitted again: each may take a day
CHUNK = 256  # texts that are yielded, and stored, at once
PATIENCE = 3600.0  # seconds for which a batch in progress may be out of reach
_MARK = "toolgen_hf"  # the entry of a batch's metadata with the digest of the model's identity
FINAL = ("completed", "expired", "cancelled", "failed")
MAX_AGE = 30 * 24 * 3600.0  # seconds for which the provider keeps a batch's files
PAGE = 100
_CREATE_ATTEMPTS = 5
_SEARCHES = 3  # for a batch whose creation was not confirmed, before it is made again
DOWNLOADS = 5  # attempts to read a file to its end
PAUSE = 2.0  # seconds before the second attempt, doubled each time
_RETRIES = 5  # of the client; only the creation of a batch costs anything
_NO_BATCHES = (404, 405, 501)
_MISSING = Failure("retry", "the batch ended without an answer to this request")

T = TypeVar("T")

logger = logging.getLogger(__name__)

Arrival = tuple[int, Generation]


class AccountError(GenerationError):
    """The provider refuses (kind "key": this key; another might work) or does not answer (kinds "retry", "limited").

    Never raised from the client's own error, nor while that is handled: it may repeat the key, and a traceback
    would show it.
    """

    def __init__(self, message: str, kind: Kind = "request", status: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


class Account:
    """An API key and the batches of its project. All methods raise AccountError."""

    def __init__(self, key: str, base_url: str, timeout: float, max_answer_bytes: int) -> None:
        self.key, self.base_url, self._max_answer_bytes = key, base_url, max_answer_bytes
        self.refusal: str | None = None
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=_RETRIES, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def batches(self) -> Iterator[Batch]:
        """All batches that are not too old, as they are listed."""
        oldest, first = time.time() - MAX_AGE, None
        try:
            listed = self._ask(lambda: iter(self._client.batches.list(limit=PAGE)))
            while (batch := self._ask(lambda: next(listed, None))) is not None:
                first = batch.created_at if first is None else first
                if batch.created_at >= oldest:
                    yield batch
                elif batch.created_at < first:  # newest first, as OpenAI sends them without promising it
                    return
        except AttributeError as error:  # of the client, where a page of HTML comes with status 200
            raise self._no_batches("the answer is not a list of batches") from error

    def submit(self, content: bytes, url: str, mark: str) -> Batch:
        """Upload lines and make a batch of them."""
        upload = ("toolgen_hf.jsonl", content)
        file = self._ask(lambda: self._client.files.create(file=upload, purpose="batch"))
        return self._create(file.id, url, mark)

    def look(self, name: str) -> Batch:
        """A batch as it is now."""
        try:
            return self._ask(lambda: self._client.batches.retrieve(name))
        except AccountError as error:
            if error.status == 404:
                raise GenerationError(f"batch {name} is gone; run again to submit what is missing") from error
            raise

    def lines(self, file_id: str) -> Iterator[dict[str, Any]]:
        """The lines of a file that are JSON objects, as they are downloaded; one that is too long is left out.

        Raises:
            LookupError: the file is not there any more.
        """
        seen = 0  # in an earlier attempt
        for attempt in range(1, DOWNLOADS + 1):
            try:
                for raw in islice(self._download(file_id), seen, None):
                    seen += 1
                    if (line := _object(raw)) is not None:
                        yield line
                return
            except httpx2.HTTPError as error:
                reason = redact(str(error) or type(error).__name__, [self.key])
            if attempt < DOWNLOADS:
                logger.info("the download of %s broke off (%s): again", file_id, reason)
                time.sleep(backoff(attempt, PAUSE))
        raise self._error(Failure("retry", f"the download of {file_id} broke off: {reason}"))

    def _download(self, file_id: str) -> Iterator[bytes | None]:
        """The lines of a file; None for one that is too long."""
        opened = self._client.files.with_streaming_response.content(file_id)
        try:
            response = self._ask(opened.__enter__)
        except AccountError as error:
            if error.status == 404:
                raise LookupError(f"no file {file_id!r} at {self.base_url}") from error
            raise
        try:
            for line in lines_of(response.iter_bytes(), self._max_answer_bytes):
                if line is None:
                    logger.warning(
                        "a line of %s has more than %d bytes: set a larger max_answer_bytes",
                        file_id,
                        self._max_answer_bytes,
                    )
                yield line
        finally:
            response.close()

    def problems(self, batch: Batch) -> str:
        """Why a batch failed, in the provider's words."""
        found = (batch.errors.data if batch.errors else None) or []
        problems = [
            f"{one.code}: {one.message}" + (f" (line {one.line})" if one.line is not None else "")
            for one in found[:3]
        ]
        if len(found) > len(problems):
            problems.append(f"and {len(found) - len(problems)} more")
        return redact("; ".join(problems) or "no reason given", [self.key])

    def _create(self, file_id: str, url: str, mark: str) -> Batch:
        """Make a batch. If the answer is lost, look for the batch: made again, it would be paid twice."""
        create: Any = self._client.with_options(max_retries=0).batches.create  # endpoints are literals there
        attempt = 1
        while True:
            try:
                made: Batch = create(
                    input_file_id=file_id, endpoint=url, completion_window="24h", metadata={_MARK: mark}
                )
                return made
            except openai.APIError as error:
                failure = redacted(classify(error), self.key)
            if failure.kind in ("key", "request"):
                raise self._error(failure)
            if failure.kind != "limited" and (found := self._search(file_id, failure)) is not None:
                return found
            if attempt == _CREATE_ATTEMPTS:
                raise self._error(failure)
            time.sleep(max(failure.wait or 0.0, backoff(attempt, PAUSE)))
            attempt += 1

    def _search(self, file_id: str, failure: Failure) -> Batch | None:
        """The batch of that input file; a new one may take a moment to be listed."""
        logger.info("the creation of a batch was not confirmed (%s): looking for it", failure.message)
        for attempt in range(1, _SEARCHES + 1):
            time.sleep(backoff(attempt, PAUSE))
            for batch in self.batches():
                if batch.input_file_id == file_id:
                    return batch
        return None

    def _ask(self, call: Callable[[], T]) -> T:
        """The result of ``call``. Its error is over before ours is raised: it may repeat the key."""
        try:
            return call()
        except openai.APIError as error:
            failure = redacted(classify(error), self.key)
        raise self._error(failure)

    def _error(self, failure: Failure) -> AccountError:
        at, kind, status = f"the Batch API at {self.base_url}", failure.kind, failure.status
        if status in _NO_BATCHES:
            return self._no_batches(failure.message, status)
        if kind == "key":
            message = f"{at} refuses key {mask(self.key)}: {failure.message}"
        elif kind in ("retry", "limited"):
            message = (
                f"{at} gives no answer: {failure.message}. Batches that were made go on there: run again to "
                "collect them"
            )
        else:
            message = f"{at} refuses: {failure.message}"
        return AccountError(message, kind, status)

    def _no_batches(self, why: str, status: int | None = None) -> AccountError:
        return AccountError(
            f"the engine at {self.base_url} has no Batch API ({why}): correct base_url, or set batch: false",
            status=status,
        )


@dataclass(slots=True)
class _Running:
    """A batch in progress, and the keys of the texts that it should bring."""

    account: Account
    keys: set[str]
    seen: tuple[Any, ...] = ()


class BatchRun:
    """One set of requests, in as many batches as they need. Used once.

    Earlier batches are looked for with every API key, since each key may be of another project. The first key that is
    not refused makes new ones.

    Args:
        identity: the digest of the model's identity.
        body: gives the body of a request for a prompt.
    """

    def __init__(
        self, endpoint: Endpoint, identity: str, body: Callable[[Prompt], Mapping[str, Any]]
    ) -> None:
        config = endpoint.config
        self._endpoint, self._identity, self._body = endpoint, identity, body
        self._has_answered = endpoint.has_answered
        self._accounts = [
            Account(key, endpoint.base_url, config.timeout, config.max_answer_bytes) for key in endpoint.keys
        ]
        self._attempts = 1 + min(config.max_retries, _MAX_ROUNDS)
        self._changes = 0  # of the shape, made to what was submitted last
        self._wanted: dict[str, tuple[Prompt, list[int]]] = {}  # by key; the positions that need the text
        self._running: dict[str, _Running] = {}
        self._failures: dict[str, Failure] = {}  # of this round
        self._reshaped: set[str] = set()  # refused for their shape: they go into another batch
        self._held_back: dict[str, str] = {}  # submitted while the account's queue was full: key -> why
        self._tries: Counter[str] = Counter()
        self._failed: list[Failure] = []  # of requests that were given up
        self._reached = time.monotonic()

    def run(self, requests: Iterable[Request]) -> Iterator[list[Arrival]]:
        """Yields texts in chunks, by their position in ``requests``; all are taken before any is submitted.

        Raises:
            GenerationError: a batch failed or was cancelled, or how many requests failed.
        """
        for position, request in enumerate(requests):
            key = request_key(self._identity, request)
            self._wanted.setdefault(key, (request.prompt, []))[1].append(position)
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
            for account in self._accounts:
                account.close()
        if failed := self._failed:
            raise GenerationError(
                f"{len(failed)} requests failed in {self._attempts} batches each, the first with: "
                f"{failed[0].message}. All others are stored; run again to ask for these"
            )

    def _resume(self) -> Iterator[list[Arrival]]:
        """Take the texts of earlier batches, and wait for running ones. What failed or was refused is asked again."""
        found = self._earlier()
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
            if batch.status in FINAL:
                continue
            free = self._missing()
            try:
                keys = {str(line.get("custom_id")) for line in account.lines(batch.input_file_id)} & free
            except LookupError:  # it was deleted: every text that the batch may bring is awaited
                keys = free
            if keys:
                logger.info("batch %s is %s: waiting for %d texts", batch.id, batch.status, len(keys))
                self._running[batch.id] = _Running(account, keys)

    def _earlier(self) -> list[tuple[Account, Batch]]:
        """Every batch of this model once, the newest first, and its account."""
        found: dict[str, tuple[Account, Batch]] = {}
        for account in self._accounts:
            try:
                for batch in account.batches():
                    if (batch.metadata or {}).get(_MARK) == self._identity[:32]:
                        found.setdefault(batch.id, (account, batch))
            except AccountError as error:
                self._leave(account, error)
        return sorted(found.values(), key=lambda pair: pair[1].created_at, reverse=True)

    def _leave(self, account: Account, error: AccountError) -> None:
        """Go on with the other keys if this one is refused and another is left."""
        if error.kind != "key":
            raise error
        account.refusal = str(error)
        if all(other.refusal is not None for other in self._accounts):
            refusals = "; ".join(str(other.refusal) for other in self._accounts)
            raise GenerationError(f"no key can be used: {refusals}") from error
        logger.warning("key %s is not used any more: %s", mask(account.key), error)

    def _missing(self) -> set[str]:
        """The keys of missing texts that are in no batch."""
        return self._wanted.keys() - {key for running in self._running.values() for key in running.keys}

    def _submit(self) -> None:
        """Make batches of all missing texts that are in no batch."""
        shape, url = self._endpoint.shape, f"/v1{self._endpoint.path}"
        missing, self._changes = self._missing(), len(shape.changes)
        bodies = (
            (key, shape.apply(self._body(prompt)))
            for key, (prompt, _) in self._wanted.items()
            if key in missing
        )
        for content, keys in _input_files(bodies, url):
            account, batch = self._made(content, url)
            self._running[batch.id] = _Running(account, set(keys))
            logger.info("batch %s: %d requests submitted", batch.id, len(keys))

    def _made(self, content: bytes, url: str) -> tuple[Account, Batch]:
        """A new batch, by the first key that is not refused."""
        while True:
            account = next(account for account in self._accounts if account.refusal is None)
            try:
                return account, account.submit(content, url, self._identity[:32])
            except AccountError as error:
                self._leave(account, error)

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
                        troubles += filter(None, [self._trouble(batch, running)])
                except AccountError as error:  # a day is long
                    is_away = error.kind in ("retry", "limited")
                    if not is_away or time.monotonic() - self._reached > PATIENCE:
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
                time.sleep(self._endpoint.config.poll_seconds)

    def _look(self, name: str, running: _Running) -> Batch:
        batch = running.account.look(name)
        counts = batch.request_counts
        done = (counts.completed, counts.failed, counts.total) if counts else (0, 0, 0)
        if running.seen != (batch.status, *done):
            running.seen = (batch.status, *done)
            logger.info("batch %s: %s, %d done and %d failed of %d", name, *running.seen)
        return batch

    def _trouble(self, batch: Batch, running: _Running) -> str | None:
        """Why to stop after this batch; None if there is no reason."""
        if batch.status == "cancelled":
            return (
                f"batch {batch.id} was cancelled. What it had done is stored; run again to submit the rest."
            )
        if batch.status != "failed":
            return None
        problems = running.account.problems(batch)
        if "token_limit" in problems or "nqueued token" in problems:  # room comes as other batches end
            self._held_back.update(dict.fromkeys(running.keys, problems))
            return None
        return f"batch {batch.id} was refused as a whole: {problems}. Correct it and run again, or set batch: false."

    def _take(self, account: Account, batch: Batch, is_over: bool = False) -> Iterator[list[Arrival]]:
        """The texts and failures of a batch that has ended; only its texts if it ended before this run.

        Raises:
            LookupError: its files are gone.
        """
        for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
            chunk: list[Arrival] = []
            for line in account.lines(file_id):
                key, made = str(line.get("custom_id")), outcome(line, account.key, self._endpoint.parse)
                if isinstance(made, Generation):
                    self._has_answered = True
                    chunk += self._arrived(key, made)
                elif not is_over and key in self._wanted:
                    self._failures[key] = made
                    if self._endpoint.shape.learn(made, self._body(self._wanted[key][0]), self._changes):
                        self._reshaped.add(key)
                if len(chunk) >= CHUNK:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk

    def _arrived(self, key: str, made: Generation) -> list[Arrival]:
        """The text once for each position that needs it. The first text for a key counts."""
        self._failures.pop(key, None)
        return [(position, made) for position in self._wanted.pop(key, (None, ()))[1]]

    def _refuse(self) -> Iterator[list[Arrival]]:
        """Refusals are final if other requests succeeded."""
        bad = [
            (key, failure)
            for key, failure in self._failures.items()
            if failure.kind == "request" and key not in self._reshaped
        ]
        if bad and self._has_answered:
            yield [arrival for key, failure in bad for arrival in self._arrived(key, failure.as_refused())]

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
            every = list(failures.values())
            raise refused_error(self._endpoint, f"every request was refused: {every[0].message}", every)
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


def _input_files(
    requests: Iterable[tuple[str, Mapping[str, Any]]], url: str
) -> Iterator[tuple[bytes, list[str]]]:
    """Files of requests (key, body) within the limits, each with the keys that it holds."""
    content, keys = bytearray(), list[str]()
    for key, body in requests:
        line = json.dumps({"custom_id": key, "method": "POST", "url": url, "body": body}).encode() + b"\n"
        if keys and (len(keys) >= MAX_LINES or len(content) + len(line) > MAX_BYTES):
            yield bytes(content), keys
            content, keys = bytearray(), []
        content += line
        keys.append(key)
    if keys:
        yield bytes(content), keys


def outcome(line: Mapping[str, Any], key: str, parse: Callable[[str], Generation]) -> Generation | Failure:
    """The text of one line of an output or error file, or why there is none; without the API key ``key``."""
    response, error = line.get("response"), line.get("error")
    if not isinstance(response, Mapping):
        error = error if isinstance(error, Mapping) else {}
        return redacted(Failure("retry", f"{error.get('code')}: {error.get('message')}"), key)
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        error = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(status, int) or not 100 <= status < 600:
            status = 500
        return redacted(of_status(status, error), key)
    raw = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    try:
        return parse(without_keys(raw, [key]))
    except MalformedError as error:
        return redacted(classify(error), key)


def lines_of(parts: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
    """The lines of a text in parts, without their ends; None for a line of more than ``limit`` bytes."""
    line: bytearray | None = bytearray()
    for part in parts:
        for number, piece in enumerate(part.split(b"\n")):
            if number:
                yield None if line is None else bytes(line)
                line = bytearray()
            if line is not None:
                line += piece
                line = line if len(line) <= limit else None
    if line is None or line:
        yield None if line is None else bytes(line)


def _object(raw: bytes | None) -> dict[str, Any] | None:
    """The JSON object of a line; None if there is none: its request counts as not answered."""
    try:
        line = json.loads((raw or b"").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None
