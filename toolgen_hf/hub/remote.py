"""A dataset repository on the Hub. Requests are retried where that can help; other failures become a ``HubError``.

with hub_errors("user/set", "cannot read"):
    Remote("user/set").tags()  # {"v1.0.0": "8f3c..."}
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
from huggingface_hub import GitCommitInfo, HfApi, constants, get_session
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from toolgen_hf._utils import is_commit, seconds_asked
from toolgen_hf.data.manifest import MANIFEST, Manifest, parse_manifest
from toolgen_hf.errors import DataError, HubError

REPO_TYPE = "dataset"
TRIES = 6
_LONGEST_WAIT = 300.0
"""Seconds. If the Hub asks to wait longer, that is an error."""

logger = logging.getLogger(__name__)
T = TypeVar("T")

FAILURES = (HfHubHTTPError, httpx2.TransportError, LocalEntryNotFoundError, RuntimeError)
"""What the client raises when the Hub or the network fails. ``LocalEntryNotFoundError`` wraps the error of a download,
``RuntimeError`` that of an upload."""


class Head(NamedTuple):
    """A repository at a commit: its files' names, and whether it is private."""

    commit: str
    files: frozenset[str]
    private: bool


class Remote:
    """A dataset repository. Every method only reads, and is retried. ``hub_errors`` explains what it raises.

    Raises:
        HubError: the client is in offline mode, where it would return whatever revision is cached.
    """

    def __init__(self, repo_id: str, token: str | None = None) -> None:
        if is_offline():
            raise HubError(
                "HF_HUB_OFFLINE is set: offline, the Hub's client ignores which revision is asked for and gives what "
                "it has. Unset it, or use a directory that was pulled before"
            )
        self.repo_id = repo_id
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="toolgen_hf")

    def head(self, revision: str) -> Head:
        """What a branch, a tag or a commit id points to now."""
        info = retried(lambda: self.api.dataset_info(self.repo_id, revision=revision))
        names = frozenset(str(file.rfilename) for file in info.siblings or ())
        return Head(_commit_id(info.sha), names, bool(info.private))

    def tags(self) -> dict[str, str]:
        """Commits by tag."""
        refs = retried(lambda: self.api.list_repo_refs(self.repo_id, repo_type=REPO_TYPE))
        return {str(ref.name): _commit_id(ref.target_commit) for ref in refs.tags}

    def pull_requests(self) -> dict[int, str]:
        """Commits by number of the pull request, newest first, open and closed."""
        refs = retried(
            lambda: self.api.list_repo_refs(self.repo_id, repo_type=REPO_TYPE, include_pull_requests=True)
        )
        numbers = {str(ref.ref).rpartition("/")[2]: ref.target_commit for ref in refs.pull_requests or ()}
        found = {int(number): _commit_id(oid) for number, oid in numbers.items() if number.isdecimal()}
        return dict(sorted(found.items(), reverse=True))

    def commits(self, revision: str) -> list[GitCommitInfo]:
        """The history of a revision, newest first."""
        return retried(
            lambda: self.api.list_repo_commits(self.repo_id, repo_type=REPO_TYPE, revision=revision)
        )

    def content(self, name: str, commit: str) -> bytes | None:
        """A file at a commit; None if the commit has no such file. A failed download is an error, not None."""
        try:
            path = retried(
                lambda: self.api.hf_hub_download(self.repo_id, name, repo_type=REPO_TYPE, revision=commit)
            )
        except RemoteEntryNotFoundError:
            return None
        return Path(path).read_bytes()

    def text(self, name: str, commit: str) -> str | None:
        """A text file at a commit; None if there is none.

        Raises:
            HubError: it is not UTF-8.
        """
        content = self.content(name, commit)
        try:
            return None if content is None else content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise HubError(
                f"{name} of {self.repo_id!r} is not UTF-8 text ({error}): correct it on its page, and run again"
            ) from error

    def manifest(self, commit: str) -> Manifest:
        """The manifest at a commit.

        Raises:
            DataError: there is none, or this library did not write it; says what is wrong.
        """
        content = self.content(MANIFEST, commit)
        if content is None:
            raise DataError(f"it has no {MANIFEST}")
        return parse_manifest(content, MANIFEST)

    def known_manifest(self, commit: str) -> Manifest | None:
        """The manifest at a commit; None, with a warning, if there is none that this library wrote."""
        try:
            return self.manifest(commit)
        except DataError as error:
            logger.warning("%s at %s was not written by toolgen_hf: %s", self.repo_id, commit[:12], error)
            return None


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set, now or when the Hub's client was imported."""
    value = os.environ.get("HF_HUB_OFFLINE", "").upper()
    return constants.HF_HUB_OFFLINE or value in {"1", "TRUE", "YES", "ON"}


def retried(call: Callable[[], T]) -> T:
    """The result of ``call``, which must be safe to repeat. Raises as ``answered`` does."""
    for attempt in range(1, TRIES + 1):
        try:
            with answered():
                return call()
        except FAILURES as error:
            if attempt == TRIES or not may_pass(error):
                raise
            wait(error, attempt)
    raise AssertionError


@contextmanager
def answered() -> Iterator[None]:
    """Check the answers to a call of the Hub's client, which takes any answer for one of the Hub.

    Raises:
        HubError: the answer is something else (the page of a login or a proxy, a circle of redirects), or the Hub asks
            to wait longer than ``_LONGEST_WAIT``.
    """
    hooks = get_session().event_hooks["response"]  # of the whole process, so the hook is there only meanwhile
    hook = lambda response: _check_wait(response)  # noqa: E731 - a new one for each call: several may run at once
    hooks.append(hook)
    try:
        yield
    except RecursionError as error:  # a kind of RuntimeError
        raise _not_the_hub(error) from error
    except (HubError, HFValidationError, LocalTokenNotFoundError, *FAILURES):
        raise
    except OSError as error:
        if (
            error.errno is not None
        ):  # this machine's; the client's own, for a file of another size, has no errno
            raise
        raise _not_the_hub(error) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, LookupError, AttributeError) as error:
        raise _not_the_hub(error) from error
    finally:
        hooks.remove(hook)


def _not_the_hub(error: BaseException) -> HubError:
    return HubError(
        f"{endpoint()} gave an answer that is not one of the Hub ({type(error).__name__}: {short(error)}). A login "
        "page or a proxy may have answered instead: open the address in a browser, check HF_ENDPOINT, and run again"
    )


def _commit_id(value: Any) -> str:
    if not isinstance(value, str) or not is_commit(value):
        raise HubError(
            f"{endpoint()} gave an answer that is not one of the Hub: {repr(value)[:80]} is not a commit id. Check "
            "HF_ENDPOINT, and run again"
        )
    return value


def _check_wait(response: httpx2.Response) -> None:
    """Read ``Retry-After`` before the client does: it would sleep for hours, and fails on dates and on ``²``."""
    seconds = seconds_asked(response.headers.pop("retry-after", ""))
    if seconds is None:
        return
    if seconds > _LONGEST_WAIT:
        asked = f"{seconds:.0f} seconds" if seconds < 1e9 else "years"
        raise HubError(
            f"the Hub asks to come again in {asked} ({endpoint()}, status {response.status_code}); run again then"
        )
    response.headers["retry-after"] = str(ceil(seconds))


def _cause(error: BaseException) -> BaseException:
    """The error that the client wrapped, if it wrapped one."""
    while isinstance(error, RuntimeError | LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def may_pass(error: BaseException) -> bool:
    """Whether a retry may succeed: another commit came first (409, 412), the Hub is busy, or the network failed."""
    cause = _cause(error)
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code if cause.response is not None else 0
        return status in (408, 409, 412, 425, 429) or status >= 500
    return isinstance(cause, httpx2.TransportError)


def wait(error: BaseException, attempt: int) -> None:
    """Sleep as long as the Hub asks, or else longer at each attempt."""
    cause = _cause(error)
    response = cause.response if isinstance(cause, HfHubHTTPError) else None
    asked = seconds_asked(response.headers.get("retry-after", "")) if response is not None else None
    seconds = min(30.0, 0.5 * 2.0**attempt) if asked is None else min(asked, _LONGEST_WAIT)
    logger.warning("the Hub at %s: %s; trying again in %.0f s", endpoint(), short(error), seconds)
    time.sleep(seconds * random.uniform(1.0, 1.2))


@contextmanager
def hub_errors(repo_id: str, doing: str) -> Iterator[None]:
    """Turn the client's errors into a ``HubError`` that says what failed, why, and what to do."""
    try:
        yield
    except (HFValidationError, LocalTokenNotFoundError, *FAILURES) as error:
        raise HubError(f"{doing} {repo_id!r}: {_explained(error, repo_id)}") from error


def _explained(error: BaseException, repo_id: str) -> str:
    cause = _cause(error)
    if isinstance(cause, GatedRepoError):
        return "it is gated; ask for access on its page first"
    if isinstance(cause, RepositoryNotFoundError):
        return (
            "there is no such dataset repository, or it is private and the token is not allowed to see it. Check the "
            "name; log in with 'hf auth login' or set HF_TOKEN"
        )
    if isinstance(cause, RevisionNotFoundError):
        return f"{short(cause)}; 'toolgen-hf versions {repo_id}' lists what there is"
    if isinstance(cause, HFValidationError | LocalTokenNotFoundError):
        return str(cause)
    if isinstance(cause, HfHubHTTPError) and cause.response is not None:
        hint = {
            401: "log in with 'hf auth login' or set HF_TOKEN",
            403: "the token may not do this: use one with write access",
            429: "the Hub asks to slow down; run again in a few minutes",
        }.get(cause.response.status_code, "run again; what was there before is untouched")
        return f"{short(cause)}; {hint}"
    if not may_pass(error):  # an upload that Xet gave up
        return f"{short(cause)}; run again, what was there before is untouched"
    return (
        f"the Hub at {endpoint()} cannot be reached ({short(cause)}): check the network, or name a mirror with "
        "HF_ENDPOINT, and run again; it goes on where it stopped"
    )


def endpoint() -> str:
    """The address of the Hub in use."""
    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


def short(error: BaseException) -> str:
    """An error's message on one line, at most 300 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
