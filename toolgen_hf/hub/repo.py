"""Names of dataset repositories and their versions: ``user/repo@v1.1.0#stage1``. Imports nothing heavy."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from toolgen_hf.errors import ConfigError

HUB = "hub:"
STARTS = ("raw", "stage1")
"""The configs that a recipe can start from."""

_NUMBER = "(?:0|[1-9][0-9]*)"
_PRE = f"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(  # the grammar of semver.org, in ASCII; a tag has "v" before it
    rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRE}(?:\.{_PRE})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_LONGEST_VERSION = 100
"""Characters. Git allows 255 bytes in a tag, and Python 4300 digits in a number."""
_REF = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^#\s]+))?(?:#(?P<config>[\w.-]+))?", re.ASCII)


class RepoRef(NamedTuple):
    """``user/repo@v1.1.0#stage1``: a repository, with a revision and a config or without."""

    repo_id: str
    revision: str | None = None
    config: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference. It may begin with ``hub:`` and may say ``1.1.0`` for ``v1.1.0``.

        Raises:
            ConfigError: it is not a reference.
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
    """Whether a recipe's source looks like a produced set (``hub:...`` or ``...#config``), even if it is misspelled."""
    return "#" in source or source.startswith(HUB)


def split_source(source: str) -> tuple[str, str]:
    """``"hub:user/repo@v1.1.0#raw" -> ("hub:user/repo@v1.1.0", "raw")``; a directory likewise.

    Raises:
        ConfigError: the config is not one that a recipe can start from, or the repository's name is wrong.
    """
    place, _, config = source.rpartition("#")
    if not place or config not in STARTS:
        raise ConfigError(
            "write hub:user/repo@v1.0.0#raw (the questions of a produced set), hub:user/repo@v1.0.0#stage1, or a "
            "directory in place of hub:user/repo@v1.0.0"
        )
    if place.startswith(HUB):
        RepoRef.parse(place)
    return place, config


def repository(text: str) -> str:
    """Check the name of a repository without a version and a config.

    Raises:
        ConfigError: it is not one, or it has a revision or a config.
    """
    ref = RepoRef.parse(text)
    if ref.revision is not None or ref.config is not None:
        raise ConfigError(
            f"{text!r}: write the repository alone, {ref.repo_id!r}, and the version with --version"
        )
    return ref.repo_id


def tag_of(version: str) -> str:
    """The tag of a version: ``v1.2.0`` for ``1.2.0`` and ``v1.2.0``.

    Raises:
        ConfigError: it is not a semantic version, or git does not allow the tag.
    """
    if not is_version(version):
        shown = version if len(version) <= _LONGEST_VERSION else f"{version[:20]}..."
        raise ConfigError(
            f"{shown!r} is not a version: write three numbers in ASCII digits without leading zeros, such as 1.2.0 or "
            f"1.2.0-rc.1 (semver.org), in at most {_LONGEST_VERSION} characters and without '.lock' at the end"
        )
    return f"v{version.removeprefix('v')}"


_VersionOrder = tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...], str]


def version_order(tag: str) -> _VersionOrder:
    """The sort key of a version (semver.org, 11): ``1.0.0-rc.2 < 1.0.0-rc.10 < 1.0.0``.

    Build metadata (``1.0.0+x``) has no precedence; it is compared last so that the order is always the same.

    Raises:
        ConfigError: it is not a version.
    """
    found = _VERSION.fullmatch(tag_of(tag))
    assert found is not None
    major, minor, patch, pre, build = found.groups()
    parts = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in (pre or "").split(".")
    )
    return (int(major), int(minor), int(patch)), pre is None, parts, build or ""


def is_version(tag: str) -> bool:
    """Whether this is a semantic version that git allows as a tag."""
    fits = len(tag) <= _LONGEST_VERSION and not tag.endswith(".lock")
    return fits and _VERSION.fullmatch(tag) is not None
