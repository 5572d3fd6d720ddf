"""Versions of a dataset repository: which there are, and one of them as a directory, verified.

versions("user/set")                        # newest first
pull("user/set", "outputs/set", "1.1.0")    # what load_dataset opens, every file's digest checked
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from toolgen_hf._utils import file_sha256, replace_directory
from toolgen_hf.data.manifest import MANIFEST, Manifest
from toolgen_hf.data.produced import check_target, read_manifest
from toolgen_hf.errors import DataError, HubError
from toolgen_hf.hub.remote import REPO_TYPE, Remote, hub_errors, retried
from toolgen_hf.hub.repo import is_version, repository, tag_of, version_order


@dataclass(frozen=True, slots=True)
class Version:
    """One released version, by its own manifest; where that is None, ``problem`` says why."""

    tag: str
    commit: str
    date: datetime | None
    manifest: Manifest | None
    problem: str | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Rows by config."""
        return self.manifest.rows if self.manifest else {}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        models, summary = (self.manifest.models, self.manifest.summary) if self.manifest else ({}, None)
        return {
            "version": self.tag.removeprefix("v"),
            "tag": self.tag,
            "date": self.date.isoformat() if self.date else None,
            "commit": self.commit,
            "rows": self.rows,
            "student": models.get("student"),
            "teachers": summary.teachers if summary else {},
            "sources": {name: models.get(name) for name in summary.sources if name != "gold"}
            if summary
            else {},
            "problem": self.problem,
        }


def versions(repo_id: str, token: str | None = None) -> list[Version]:
    """The versions of a repository, newest first.

    Raises:
        ConfigError: the repository cannot be named so.
        HubError: it cannot be read.
    """
    remote = Remote(repository(repo_id), token)
    with hub_errors(repo_id, "cannot read"):
        found = []
        for tag, commit in remote.tags().items():
            if is_version(tag):
                last = next(iter(remote.commits(commit)), None)
                date = last.created_at if last else None
                found.append(_version(remote, tag, commit, date))
    return sorted(found, key=lambda version: version_order(version.tag), reverse=True)


def _version(remote: Remote, tag: str, commit: str, date: datetime | None) -> Version:
    """A version as it is; one that is not of this library, or was changed by hand, with what is wrong."""
    try:
        return Version(tag, commit, date, remote.manifest(commit))
    except DataError as error:
        return Version(tag, commit, date, None, str(error))


def pull(
    repo_id: str, directory: str | Path, version: str | None = None, *, token: str | None = None
) -> Version:
    """Download a version, check every file against its manifest, and put it in place at once.

    A pull that was cut short goes on where it stopped; until its end ``directory`` stays as it was.

    Args:
        version: ``1.1.0``; default the newest.

    Raises:
        ConfigError: ``directory`` holds what is not ours to replace.
        HubError: there is no such version, or what came is not what was released.
    """
    target = Path(directory)
    check_target(target)
    target = target.resolve()
    remote = Remote(repository(repo_id), token)
    with FileLock(target.parent / f".{target.name}.lock"):
        with hub_errors(repo_id, "cannot pull from"):
            tag, commit = find_version(remote, version)
            manifest = manifest_of(remote, commit, tag)
            partial = target.parent / f".{target.name}.pulling-{commit[:12]}"
            _clear(target, partial)
            wanted = [MANIFEST, *manifest.files]
            retried(
                lambda: remote.api.snapshot_download(
                    repo_id, repo_type=REPO_TYPE, revision=commit, local_dir=partial, allow_patterns=wanted
                )
            )
        if bad := verify(partial, manifest, manifest.files):
            for name in bad:
                (partial / name).unlink(missing_ok=True)
            raise HubError(differs(f"{repo_id}@{tag}", bad))
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        replace_directory(partial, target)
    return Version(tag, commit, None, manifest)


def find_version(remote: Remote, version: str | None) -> tuple[str, str]:
    """The tag and the commit of a version; of None, the newest.

    Raises:
        HubError: there is none; names those that are there.
    """
    tags = {tag: commit for tag, commit in remote.tags().items() if is_version(tag)}
    ordered = sorted(tags, key=version_order)
    if version is not None:
        wanted = tag_of(version)
        ordered_there, ordered = (
            ordered,
            [tag for tag in ordered if tag_of(tag) == wanted],
        )  # a tag may lack its "v"
        if not ordered:
            there = ", ".join(reversed(ordered_there)) or "none"
            raise HubError(f"{remote.repo_id!r} has no version {wanted}; there is {there}")
    if not ordered:
        raise HubError(f"{remote.repo_id!r} has no version yet; push one with 'toolgen-hf push'")
    return ordered[-1], tags[ordered[-1]]


def manifest_of(remote: Remote, commit: str, what: str) -> Manifest:
    """The manifest of a version.

    Raises:
        HubError: it is none of this library's.
    """
    try:
        return remote.manifest(commit)
    except DataError as error:
        raise HubError(
            f"{remote.repo_id!r} at {what} was not pushed by toolgen_hf, or was changed by hand: {error}. Take another "
            "version ('toolgen-hf versions'), or download it with 'hf download --repo-type dataset'"
        ) from error


def verify(directory: Path, manifest: Manifest, names: Collection[str]) -> list[str]:
    """The names of those files that are not as the manifest says."""
    bad = [] if read_manifest(directory) == manifest else [MANIFEST]
    for name in names:
        path = directory / name
        if not path.is_file() or file_sha256(path) != manifest.files[name]:
            bad.append(name)
    return bad


def differs(what: str, bad: Collection[str]) -> str:
    """The message of a download that is not what was released."""
    return (
        f"{what} is not what its manifest says: {', '.join(sorted(bad)[:5])} differ. They were deleted from the "
        "download: run again; if it stays so, the repository was changed by hand after that version was pushed"
    )


def _clear(target: Path, keep: Path) -> None:
    """Delete what earlier pulls of other versions left unfinished."""
    for left_over in target.parent.glob(f".{target.name}.pulling-*"):
        if left_over != keep:
            shutil.rmtree(left_over, ignore_errors=True)
