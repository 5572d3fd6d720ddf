"""A dataset repository on the Hub: how it is named, and what its errors mean to a person."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from toolgen_hf.errors import ConfigError, HubError

REPO_TYPE = "dataset"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)((?:-|\+)[0-9A-Za-z.+-]+)?")
_REF = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^#]+))?(?:#(?P<config>[\w.-]+))?")


@dataclass(frozen=True, slots=True)
class RepoRef:
    """``user/repo@v1.1.0#stage1``: a repository, and optionally a revision and a config of it."""

    repo_id: str
    revision: str | None = None
    config: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; ``hub:`` before it is allowed.

        Raises:
            ConfigError: it is none.
        """
        found = _REF.fullmatch(text.removeprefix("hub:"))
        if found is None:
            raise ConfigError(
                f"{text!r} names no repository; write user/repo, user/repo@v1.0.0 or user/repo@v1.0.0#stage1"
            )
        revision = found["revision"]
        if revision is not None and _VERSION.fullmatch(revision):
            revision = tag_of(revision)
        return cls(found["repo"], revision, found["config"])

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repo_id}{at}" + (f"#{self.config}" if self.config else "")


def tag_of(version: str) -> str:
    """The tag of a version: ``1.2.0`` and ``v1.2.0`` are ``v1.2.0``.

    Raises:
        ConfigError: it is no semantic version.
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ConfigError(f"{version!r} is no version: write three numbers, such as 1.2.0 (semver.org)")
    return f"v{version.removeprefix('v')}"


def version_order(tag: str) -> tuple[int, int, int, bool, str]:
    """Sorts tags of versions: by number, a pre-release before its release."""
    found = _VERSION.fullmatch(tag)
    if found is None:
        return (-1, 0, 0, False, tag)
    suffix = found[4] or ""
    return (int(found[1]), int(found[2]), int(found[3]), not suffix.startswith("-"), suffix)


def is_version(tag: str) -> bool:
    """Whether a tag is one of a version."""
    return _VERSION.fullmatch(tag) is not None


def connect(token: str | None = None) -> HfApi:
    """The Hub's client, at ``$HF_ENDPOINT`` or the public Hub.

    Raises:
        HubError: the client is in offline mode, in which it would quietly give whatever revision is cached.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise HubError(
            "HF_HUB_OFFLINE is set: offline the Hub's client ignores which revision is asked for and gives what it has. "
            "Unset it, or use a directory that was pulled before"
        )
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="toolgen_hf")


@contextmanager
def hub_errors(repo_id: str, doing: str) -> Iterator[None]:
    """The Hub's errors as ones that a person can act on.

    Raises:
        HubError: what failed, why, and what to do.
    """
    try:
        yield
    except GatedRepoError as error:
        raise HubError(f"{doing} {repo_id!r}: it is gated; ask for access on its page first") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"{doing} {repo_id!r}: there is no such dataset repository, or it is private and the token is not allowed "
            "to see it. Check the name; log in with 'hf auth login' or set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(
            f"{doing} {repo_id!r}: {_short(error)}; 'toolgen-hf versions {repo_id}' lists what there is"
        ) from error
    except (HFValidationError, LocalTokenNotFoundError) as error:
        raise HubError(f"{doing} {repo_id!r}: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        hint = {
            401: "log in with 'hf auth login' or set HF_TOKEN",
            403: "the token may not write there: use one with write access",
            429: "the Hub asks to slow down; run again in a few minutes",
        }.get(status or 0, "run again; what was there before is untouched")
        raise HubError(f"{doing} {repo_id!r}: {_short(error)}; {hint}") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
