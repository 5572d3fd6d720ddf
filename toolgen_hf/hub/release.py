"""Push a produced directory as one version: one commit that holds all of it, and a tag on exactly that commit.

    push("outputs/quickstart", "user/set", "1.2.0")

A reader sees the old version or the new one, never a mixture: the commit is atomic, and the tag is set after it.
A push that was killed, or whose answer was lost, is found again and completed by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import RevisionNotFoundError

from toolgen_hf._utils import bytes_sha256
from toolgen_hf.data.manifest import MANIFEST, Manifest
from toolgen_hf.errors import HubError
from toolgen_hf.hub.check import check_release
from toolgen_hf.hub.merge import BASE_PATH, merge_cards
from toolgen_hf.hub.remote import (
    FAILURES,
    REPO_TYPE,
    TRIES,
    Head,
    Remote,
    answered,
    hub_errors,
    may_pass,
    retried,
    wait,
)
from toolgen_hf.hub.repo import repository, tag_of

CARD = "README.md"
PLACEHOLDER = "PATH_OR_REPO"
"""Stands in a card's loading snippet for where the data is."""
LOOK_BACK = 20
"""So many commits and pull requests are looked through for what an earlier push did."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. ``is_new`` is False where all of it was there already.

    ``tag`` is None of a pull request: nobody has accepted it yet.
    """

    repo_id: str
    version: str
    commit: str
    is_new: bool
    tag: str | None
    pull_request: str | None = None


def push(
    directory: str | Path,
    repo_id: str,
    version: str,
    *,
    private: bool = False,
    branch: str = "main",
    create_pr: bool = False,
    force: bool = False,
    token: str | None = None,
) -> Pushed:
    """Release a produced directory as ``version`` of a dataset repository, which is made if there is none.

    Args:
        private: make the repository private; one that is there and public is refused.
        branch: where the commit goes; made from ``main`` if there is none.
        create_pr: open a pull request instead; the version is not tagged.
        force: move the tag of a version that exists.

    Raises:
        DataError: the directory is not fit for release; names everything that is wrong.
        ConfigError: the repository or the version cannot be named so.
        HubError: the version exists with other content, or the Hub refuses.
    """
    tag, repo_id = tag_of(version), repository(repo_id)
    directory = Path(directory)
    release = Release.of(directory, check_release(directory), repo_id, tag)
    remote = Remote(repo_id, token)
    with hub_errors(repo_id, "cannot push to"):
        _make_repository(remote, branch, private)
        if create_pr:
            return _propose(remote, branch, release)
        if (tagged := _tagged(remote, release, force)) is not None:
            return Pushed(repo_id, tag[1:], tagged, False, tag)
        commit = _commit(remote, branch, release)
        _set_tag(remote, commit, release, force)
    return Pushed(repo_id, tag[1:], commit, True, tag)


@dataclass(frozen=True, slots=True)
class Release:
    """A directory as it is to lie in a repository: ``card`` is the generated one, before it is merged."""

    directory: Path
    manifest: Manifest
    tag: str
    card: str

    @classmethod
    def of(cls, directory: Path, manifest: Manifest, repo_id: str, tag: str) -> Release:
        card = (directory / CARD).read_text(encoding="utf-8").replace(PLACEHOLDER, repo_id)
        return cls(directory, Manifest.of({**manifest.data, "version": tag[1:]}), tag, card)

    @property
    def title(self) -> str:
        """The commit's."""
        return f"{self.manifest.name} {self.tag}"

    def has_data_of(self, other: Manifest | None) -> bool:
        """Whether a version holds the same files, the cards aside: people may edit these."""
        return other is not None and _data(self.manifest) == _data(other)

    def is_in(self, other: Manifest | None) -> bool:
        """Whether a version is this one: the same files under the same number, and the same generated card."""
        if other is None or other.version != self.manifest.version:
            return False
        return self.has_data_of(other) and other.files.get(BASE_PATH) == bytes_sha256(self.card.encode())

    def operations(self, remote: Remote, head: Head) -> Iterator[CommitOperationAdd | CommitOperationDelete]:
        """What makes this version of ``head``: every file of ours, the card merged with what people wrote there, and
        without what the last version had and this one has not. Files of others stay."""
        base, theirs = (remote.text(n, head.commit) if n in head.files else None for n in (BASE_PATH, CARD))
        card = merge_cards(base, theirs, self.card).encode()
        files = {
            **self.manifest.files,
            CARD: bytes_sha256(card),
            BASE_PATH: bytes_sha256(self.card.encode()),
        }
        listed = json.dumps({**self.manifest.data, "files": files}, indent=2, ensure_ascii=False) + "\n"
        own = {CARD: card, BASE_PATH: self.card.encode(), MANIFEST: listed.encode()}
        for name in sorted({*files, MANIFEST}):
            yield CommitOperationAdd(name, own.get(name) or str(self.directory / name))
        before = remote.known_manifest(head.commit) if MANIFEST in head.files else None
        for name in sorted(set(before.files if before else ()) & head.files - {*files, MANIFEST}):
            yield CommitOperationDelete(name)


def describe(manifest: Manifest) -> str:
    """What is in a version, in one line: rows by config."""
    return ", ".join(f"{config} {count}" for config, count in manifest.rows.items() if count)


def _data(manifest: Manifest) -> dict[str, str]:
    return {name: digest for name, digest in manifest.files.items() if name not in (CARD, BASE_PATH)}


def _make_repository(remote: Remote, branch: str, private: bool) -> None:
    """The repository and the branch, where they are not there.

    Raises:
        HubError: it should be private and is not.
    """
    api, repo_id = remote.api, remote.repo_id
    asked = True if private else None  # None: as the account has it
    retried(lambda: api.create_repo(repo_id, repo_type=REPO_TYPE, private=asked, exist_ok=True))
    try:
        head = remote.head(branch)
    except RevisionNotFoundError:
        retried(lambda: api.create_branch(repo_id, branch=branch, repo_type=REPO_TYPE, exist_ok=True))
        head = remote.head(branch)
    if private and not head.private:
        raise HubError(
            f"{repo_id!r} is there and public, so nothing was pushed: make it private in its settings first, or push "
            "without --private"
        )


def _tagged(remote: Remote, release: Release, force: bool) -> str | None:
    """The commit that has the version's tag already, where nothing is left to do.

    Raises:
        HubError: it has other content, and ``force`` does not say to move the tag.
    """
    tagged = remote.tags().get(release.tag)
    if tagged is None:
        return None
    there = remote.known_manifest(tagged)
    if release.has_data_of(there) and (not force or release.is_in(there)):
        return tagged
    if not force:
        raise HubError(
            f"{remote.repo_id!r} has a version {release.tag} with other content: choose the next number, or --force "
            "this one"
        )
    return None


def _commit(remote: Remote, branch: str, release: Release) -> str:
    """Commit on top of whatever is there, or find that it has been done."""
    for attempt in range(1, TRIES + 1):
        head = remote.head(branch)
        if (landed := _landed(remote, head, release)) is not None:
            return landed
        try:
            return str(_send(remote, branch, head, release).oid)
        except FAILURES as error:
            if attempt == TRIES or not may_pass(error):
                raise
            wait(error, attempt)
    raise AssertionError


def _landed(remote: Remote, head: Head, release: Release) -> str | None:
    """The commit that this release is, where an earlier push got so far: killed before the tag, or its answer lost.

    Others may have committed on top of it since.
    """
    if MANIFEST not in head.files or not release.is_in(remote.known_manifest(head.commit)):
        return None
    for commit in remote.commits(head.commit)[:LOOK_BACK]:
        if commit.title.startswith(release.title) and release.is_in(remote.known_manifest(commit.commit_id)):
            return commit.commit_id
    return head.commit


def _send(remote: Remote, branch: str, head: Head, release: Release, create_pr: bool = False) -> CommitInfo:
    """The uploads, and the one request in which all of it happens."""
    operations = list(release.operations(remote, head))
    additions = [operation for operation in operations if isinstance(operation, CommitOperationAdd)]
    common: dict[str, Any] = {"repo_type": REPO_TYPE, "revision": branch, "create_pr": create_pr}
    with answered():
        remote.api.preupload_lfs_files(
            remote.repo_id,
            additions,
            free_memory=False,
            gitignore_content="",  # else the client would leave out, in silence, what a .gitignore there names
            **common,
        )
        made: CommitInfo = remote.api.create_commit(
            remote.repo_id,
            operations,
            parent_commit=head.commit,
            commit_message=release.title,
            commit_description=describe(release.manifest),
            **common,
        )
    return made


def _propose(remote: Remote, branch: str, release: Release) -> Pushed:
    """Open a pull request, or find the one that holds the same."""
    version, known = release.tag.removeprefix("v"), set[int]()
    for attempt in range(1, TRIES + 1):
        head = remote.head(branch)
        if (landed := _landed(remote, head, release)) is not None:
            return Pushed(remote.repo_id, version, landed, False, None)
        for number, commit in list(remote.pull_requests().items())[:LOOK_BACK]:
            if number not in known and release.is_in(remote.known_manifest(commit)):
                url = f"{remote.api.endpoint}/datasets/{remote.repo_id}/discussions/{number}"
                return Pushed(remote.repo_id, version, commit, attempt > 1, None, url)
            known.add(number)
        try:
            made = _send(remote, branch, head, release, create_pr=True)
        except FAILURES as error:
            if attempt == TRIES or not may_pass(error):
                raise
            wait(error, attempt)
        else:
            return Pushed(remote.repo_id, version, str(made.oid), True, None, made.pr_url)
    raise AssertionError


def _set_tag(remote: Remote, commit: str, release: Release, force: bool) -> None:
    """Tag the commit.

    Raises:
        HubError: somebody released the version with other content while this push was under way.
    """
    api, repo_id, tag = remote.api, remote.repo_id, release.tag

    def set_it() -> None:
        there = remote.tags().get(tag)
        if there is not None and there != commit:
            if not force and release.has_data_of(remote.known_manifest(there)):
                return
            if not force:
                raise HubError(
                    f"{repo_id!r} got a version {tag} with other content while this was pushed: what was pushed is at "
                    f"commit {commit[:12]} without a tag. Push it again as the next version"
                )
            api.delete_tag(repo_id, tag=tag, repo_type=REPO_TYPE)
        if there != commit:
            message = describe(release.manifest)
            api.create_tag(repo_id, tag=tag, tag_message=message, revision=commit, repo_type=REPO_TYPE)

    retried(set_it)
