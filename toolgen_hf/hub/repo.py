"""How a dataset repository and its versions are named: ``user/repo@v1.1.0#stage1``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from toolgen_hf.errors import ConfigError

HUB = "hub:"
STARTS = ("raw", "stage1")
"""The configs that a recipe can start from: questions, or the set to imitate."""

_NUMBER = "(?:0|[1-9][0-9]*)"
_PRE = f"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(  # semver.org, ASCII alone; "v" stands before it in a tag
    rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRE}(?:\.{_PRE})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_LONGEST_VERSION = 100
"""Characters. Git allows a tag 255 bytes at most, and Python a number of 4300 digits."""
_REF = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^#\s]+))?(?:#(?P<config>[\w.-]+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RepoRef:
    """``user/repo@v1.1.0#stage1``: a repository, and optionally a revision and a config of it."""

    repo_id: str
    revision: str | None = None
    config: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; ``hub:`` before it is allowed, and ``1.1.0`` for ``v1.1.0``.

        Raises:
            ConfigError: it is none.
        """
        found = _REF.fullmatch(text.removeprefix(HUB))
        if found is None:
            raise ConfigError(
                f"{text!r} names no repository; write user/repo, user/repo@v1.0.0 or user/repo@v1.0.0#stage1"
            )
        revision = found["revision"]
        if revision is not None and is_version(revision):
            revision = tag_of(revision)
        return cls(found["repo"], revision, found["config"])

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repo_id}{at}" + (f"#{self.config}" if self.config else "")


def is_produced(source: str) -> bool:
    """Whether a recipe's source has the form of a produced set's, rightly or wrongly spelled."""
    return "#" in source or source.startswith(HUB)


def split_source(source: str) -> tuple[str, str]:
    """``"hub:user/repo@v1.1.0#raw" -> ("hub:user/repo@v1.1.0", "raw")``; a directory likewise.

    Raises:
        ConfigError: it ends in no config that a recipe can start from, or names no repository.
    """
    place, sign, config = source.rpartition("#")
    if not sign or not place or config not in STARTS:
        raise ConfigError(
            "write hub:user/repo@v1.0.0#raw (the questions of a produced set), hub:user/repo@v1.0.0#stage1, or a "
            "directory in place of hub:user/repo@v1.0.0"
        )
    if place.startswith(HUB):
        RepoRef.parse(place)
    return place, config


def repository(text: str) -> str:
    """The id of a repository that is named alone.

    Raises:
        ConfigError: it is none, or a revision or config comes with it.
    """
    ref = RepoRef.parse(text)
    if ref.revision is not None or ref.config is not None:
        raise ConfigError(
            f"{text!r}: write the repository alone, {ref.repo_id!r}, and the version with --version"
        )
    return ref.repo_id


def tag_of(version: str) -> str:
    """The tag of a version: ``1.2.0`` and ``v1.2.0`` are ``v1.2.0``.

    Raises:
        ConfigError: it is no semantic version, or git allows no such tag.
    """
    if len(version) > _LONGEST_VERSION:
        raise ConfigError(
            f"{version[:20] + '...'!r} is no version: it has {len(version)} characters, and {_LONGEST_VERSION} are "
            "the most; write three numbers, such as 1.2.0"
        )
    if version.endswith(".lock"):
        raise ConfigError(f"{version!r} is no version: git allows no tag that ends in '.lock'; rename it")
    if not is_version(version):
        raise ConfigError(
            f"{version!r} is no version: write three numbers in ASCII digits without leading zeros, such as 1.2.0 or "
            "1.2.0-rc.1 (semver.org)"
        )
    return f"v{version.removeprefix('v')}"


VersionOrder = tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...], str]


def version_order(tag: str) -> VersionOrder:
    """Sorts the tags of versions by precedence (semver.org, 11): ``1.0.0-rc.2 < 1.0.0-rc.10 < 1.0.0``.

    Build metadata (``1.0.0+x``) has no precedence; it decides last, so that the order is always the same.

    Raises:
        ConfigError: it is no version.
    """
    found = _VERSION.fullmatch(tag_of(tag))
    assert found is not None
    major, minor, patch, pre, build = found.groups()
    parts = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in (pre or "").split(".")
    )
    return (int(major), int(minor), int(patch)), pre is None, parts, build or ""


def is_version(tag: str) -> bool:
    """Whether a tag is one of a version: a semantic version that git allows as a tag."""
    fits = len(tag) <= _LONGEST_VERSION and not tag.endswith(".lock")
    return fits and _VERSION.fullmatch(tag) is not None


def is_commit(revision: str) -> bool:
    """Whether a revision is a whole commit id, which no tag or branch can move away from its content."""
    return _COMMIT.fullmatch(revision) is not None
