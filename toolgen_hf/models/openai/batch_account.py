"""One key's side of the Batch API: a file of requests goes up, files of answers come down.

Every batch carries the mark of its model, so that a later run finds it again. Files are never deleted here, because a
killed run needs them; OpenAI deletes them after 30 days. Source: OpenAI's API reference, "Batch" and "Files".
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import httpx2
import openai
from openai.types import Batch

from toolgen_hf.errors import GenerationError
from toolgen_hf.models.openai.bounds import lines_of
from toolgen_hf.models.openai.failures import Failure, backoff, classify, redacted
from toolgen_hf.models.openai.keys import mask, redact

MARK = "toolgen_hf"
"""The batch's metadata that holds the mark."""
FINAL = ("completed", "expired", "cancelled", "failed")
MAX_AGE = 30 * 24 * 3600.0
"""Seconds for which the provider keeps a batch's files."""
PAGE = 100
CREATE_ATTEMPTS = 5
SEARCHES = 3
"""Times that a batch whose creation was not confirmed is looked for, before it is made again."""
PAUSE = 2.0
"""Seconds before the first of these, doubled each time."""

DOWNLOADS = 5
"""Attempts to read a file to its end."""
_RETRIES = 5  # of the client; only the creation of a batch costs anything
_NO_BATCHES = (404, 405, 501)

T = TypeVar("T")

logger = logging.getLogger(__name__)


class AccountError(GenerationError):
    """The provider refuses or does not answer; ``status`` is its answer's, if there was one.

    Never raised from the client's own error, nor while that is handled: it may repeat the key, and a traceback
    would show it.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class KeyRefusedError(AccountError):
    """This key cannot be used for batches; another might."""


class OutOfReachError(AccountError):
    """The provider did not answer, or is busy; it may later."""


class Account:
    """A key and the batches of its project."""

    def __init__(self, key: str, base_url: str, timeout: float, max_answer_bytes: int) -> None:
        self.key, self.base_url, self._max_answer_bytes = key, base_url, max_answer_bytes
        self.refusal: str | None = None
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=_RETRIES, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def batches(self, mark: str) -> list[Batch]:
        """The batches with this mark whose files are still there.

        Raises:
            KeyRefusedError: the key is refused.
            GenerationError: there is no Batch API, or it cannot be reached.
        """
        return [batch for batch in self._recent() if (batch.metadata or {}).get(MARK) == mark]

    def submit(self, content: bytes, url: str, mark: str) -> Batch:
        """Upload lines and make a batch of them.

        Raises:
            KeyRefusedError: the key is refused.
            GenerationError: it was not made.
        """
        upload = ("toolgen_hf.jsonl", content)
        file = self._ask(lambda: self._client.files.create(file=upload, purpose="batch"))
        return self._create(file.id, url, mark)

    def look(self, name: str) -> Batch:
        """A batch as it is now.

        Raises:
            OutOfReachError: for now it cannot be said.
            GenerationError: for another reason.
        """
        try:
            return self._ask(lambda: self._client.batches.retrieve(name))
        except AccountError as error:
            if error.status == 404:
                raise GenerationError(f"batch {name} is gone; run again to submit what is missing") from error
            raise

    def lines(self, file_id: str) -> Iterator[dict[str, Any]]:
        """The lines of a file that are JSON objects, as they are downloaded; one that is too long is left out.

        Raises:
            LookupError: it is not there any more.
            GenerationError: it cannot be had.
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
                said = redact(str(error) or type(error).__name__, [self.key])
            if attempt < DOWNLOADS:
                logger.info("the download of %s broke off (%s): again", file_id, said)
                time.sleep(backoff(attempt, PAUSE))
        raise self._error(Failure("retry", f"the download of {file_id} broke off: {said}"))

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
        said = [
            f"{one.code}: {one.message}" + (f" (line {one.line})" if one.line is not None else "")
            for one in found[:3]
        ]
        if len(found) > len(said):
            said.append(f"and {len(found) - len(said)} more")
        return redact("; ".join(said) or "no reason given", [self.key])

    def _recent(self) -> Iterator[Batch]:
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
            raise self._no_batches("the answer is no list of batches") from error

    def _create(self, file_id: str, url: str, mark: str) -> Batch:
        """Make a batch. If the answer is lost it is looked for: asked for again, it would be paid twice."""
        client = self._client.with_options(max_retries=0)
        create: Any = client.batches.create  # the names of endpoints are literals there
        attempt = 1
        while True:
            try:
                made: Batch = create(
                    input_file_id=file_id, endpoint=url, completion_window="24h", metadata={MARK: mark}
                )
                return made
            except openai.APIError as error:
                failure = redacted(classify(error), self.key)
            if failure.kind in ("key", "request"):
                raise self._error(failure)
            if failure.kind != "limited" and (found := self._search(file_id, failure)) is not None:
                return found
            if attempt == CREATE_ATTEMPTS:
                raise self._error(failure)
            time.sleep(max(failure.wait or 0.0, backoff(attempt, PAUSE)))
            attempt += 1

    def _search(self, file_id: str, failure: Failure) -> Batch | None:
        """The batch of that input file; a new one may take a moment to be listed."""
        logger.info("the creation of a batch was not confirmed (%s): looking for it", failure.message)
        for attempt in range(1, SEARCHES + 1):
            time.sleep(backoff(attempt, PAUSE))
            for batch in self._recent():
                if batch.input_file_id == file_id:
                    return batch
        return None

    def _ask(self, call: Callable[[], T]) -> T:
        """What ``call`` gives. Its error is left behind before ours is raised: it may repeat the key."""
        try:
            return call()
        except openai.APIError as error:
            failure = redacted(classify(error), self.key)
        raise self._error(failure)

    def _error(self, failure: Failure) -> AccountError:
        at, status = f"the Batch API at {self.base_url}", failure.status
        if status in _NO_BATCHES:
            return self._no_batches(failure.message, status)
        if failure.kind == "key":
            return KeyRefusedError(f"{at} refuses key {mask(self.key)}: {failure.message}", status)
        if failure.kind in ("retry", "limited"):
            return OutOfReachError(
                f"{at} gives no answer: {failure.message}. Batches that were made go on there: run again to "
                "collect them",
                status,
            )
        return AccountError(f"{at} refuses: {failure.message}", status)

    def _no_batches(self, said: str, status: int | None = None) -> AccountError:
        return AccountError(
            f"the engine at {self.base_url} has no Batch API ({said}): mend base_url, or set batch: false",
            status,
        )


class Accounts:
    """All keys: batches are looked for with each, since each may be of another project."""

    def __init__(self, api_keys: Sequence[str], base_url: str, timeout: float, max_answer_bytes: int) -> None:
        self._accounts = [Account(key, base_url, timeout, max_answer_bytes) for key in api_keys]

    def close(self) -> None:
        """Close the connections."""
        for account in self._accounts:
            account.close()

    def batches(self, mark: str) -> list[tuple[Account, Batch]]:
        """Every batch with this mark once, the newest first, and whose it is.

        Raises:
            GenerationError: no key can be used, or the provider cannot be asked.
        """
        found: dict[str, tuple[Account, Batch]] = {}
        for account in self._accounts:
            try:
                for batch in account.batches(mark):
                    found.setdefault(batch.id, (account, batch))
            except KeyRefusedError as error:
                self._set_aside(account, error)
        return sorted(found.values(), key=lambda pair: pair[1].created_at, reverse=True)

    def submit(self, content: bytes, url: str, mark: str) -> tuple[Account, Batch]:
        """Make a batch with the first key that is not refused.

        Raises:
            GenerationError: no key can be used, or the batch was not made.
        """
        while True:
            account = next(account for account in self._accounts if account.refusal is None)
            try:
                return account, account.submit(content, url, mark)
            except KeyRefusedError as error:
                self._set_aside(account, error)

    def _set_aside(self, account: Account, error: KeyRefusedError) -> None:
        account.refusal = str(error)
        if all(other.refusal is not None for other in self._accounts):
            refusals = "; ".join(str(other.refusal) for other in self._accounts)
            raise GenerationError(f"no key can be used: {refusals}") from error
        logger.warning("key %s is set aside: %s", mask(account.key), error)


def _object(raw: bytes | None) -> dict[str, Any] | None:
    """The JSON object of a line; None where it has none: its request counts as not answered."""
    try:
        line = json.loads((raw or b"").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None
