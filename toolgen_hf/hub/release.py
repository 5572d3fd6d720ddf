"""Push a produced directory as one version: one commit with all of its files, and a tag on that commit.

    push("outputs/quickstart", "user/set", "1.2.0")

A reader sees the old version or the new one, never a mix of both: a commit is atomic, and the tag is set after it. If a
push was killed, or its answer was lost, the next push finds what it did and completes it.
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
from toolgen_hf.hub.card import generated_part, update_card
from toolgen_hf.hub.check import check_release
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
from toolgen_hf.report.facts import PLACEHOLDER

_CARD = "README.md"
UNMARKED = ".toolgen_hf/README.md"
"""Where older versions stored the card that they generated; they wrote no markers into README.md."""
_LOOK_BACK = 20
"""How many commits and pull requests are searched for what an earlier push did."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. ``is_new`` is False if nothing had to be pushed. A pull request has no ``tag``."""

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
    """Release a produced directory as ``version`` of a dataset repository, which is created if it does not exist.

    Args:
        private: create the repository as private; a public one that exists is refused.
        branch: where the commit goes; created from ``main`` if it does not exist.
        create_pr: open a pull request instead of a commit; no tag is set.
        force: move the tag of a version that exists.

    Raises:
        DataError: the directory is not fit for release; lists all problems.
        ConfigError: the name of the repository or the version is wrong.
        HubError: the version exists with other content, or the Hub refuses.
    """
    tag, repo_id = tag_of(version), repository(repo_id)
    directory = Path(directory)
    release = Release.of(directory, check_release(directory), repo_id, tag)
    remote = Remote(repo_id, token)
    with hub_errors(repo_id, "cannot push to"):
        _create_repository(remote, branch, private)
        if not create_pr and (tagged := _tagged(remote, release, force)) is not None:
            return Pushed(repo_id, tag[1:], tagged, False, tag)
        done = _commit(remote, branch, release, create_pr)
        if not create_pr:
            _set_tag(remote, done.commit, release, force)
    return done


@dataclass(frozen=True, slots=True)
class Release:
    """A directory as a version. ``readme`` is its README.md, ``card`` the generated part of it."""

    directory: Path
    manifest: Manifest
    tag: str
    readme: str
    card: str

    @classmethod
    def of(cls, directory: Path, manifest: Manifest, repo_id: str, tag: str) -> Release:
        readme, generated = (
            (directory / name).read_text(encoding="utf-8").replace(PLACEHOLDER, repo_id)
            for name in (_CARD, UNMARKED if UNMARKED in manifest.files else _CARD)
        )
        card = generated_part(generated)
        listed = {**manifest.data, "version": tag[1:], "card": bytes_sha256(card.encode())}
        return cls(directory, Manifest.of(listed), tag, readme, card)

    @property
    def title(self) -> str:
        """The title of the commit."""
        return f"{self.manifest.name} {self.tag}"

    def has_data_of(self, other: Manifest | None) -> bool:
        """Whether a version has the same files, except for the cards, which people may edit."""
        return other is not None and _data(self.manifest) == _data(other)

    def is_in(self, other: Manifest | None) -> bool:
        """Whether a version is this one: the same number, files and generated card."""
        if other is None or other.version != self.manifest.version or not self.has_data_of(other):
            return False
        return bool(other.data.get("card", other.files.get(UNMARKED)) == self.manifest.data["card"])

    def operations(self, remote: Remote, head: Head) -> Iterator[CommitOperationAdd | CommitOperationDelete]:
        """The changes to ``head``: add all files of this version, delete those of the last version that it lacks.

        Files that people added stay, and so does what they wrote in the card.
        """
        before = remote.known_manifest(head.commit) if MANIFEST in head.files else None
        if _CARD in head.files:
            unmarked = remote.text(UNMARKED, head.commit) if UNMARKED in head.files else None
            card = update_card(
                self.card, remote.text(_CARD, head.commit), unmarked, before.rows if before else ()
            )
        else:
            card = update_card(self.card, self.readme, self.card)
        files = {**_data(self.manifest), _CARD: bytes_sha256(card.encode())}
        listed = json.dumps({**self.manifest.data, "files": files}, indent=2, ensure_ascii=False) + "\n"
        made = {_CARD: card.encode(), MANIFEST: listed.encode()}
        for name in sorted({*files, MANIFEST}):
            yield CommitOperationAdd(name, made.get(name) or str(self.directory / name))
        for name in sorted(set(before.files if before else ()) & head.files - {*files, MANIFEST}):
            yield CommitOperationDelete(name)


def _data(manifest: Manifest) -> dict[str, str]:
    return {name: digest for name, digest in manifest.files.items() if name not in (_CARD, UNMARKED)}


def _described(manifest: Manifest) -> str:
    """Rows by config, on one line."""
    return ", ".join(f"{config} {count}" for config, count in manifest.rows.items() if count)


def _create_repository(remote: Remote, branch: str, private: bool) -> None:
    """Create the repository and the branch if they do not exist."""
    api, repo_id = remote.api, remote.repo_id
    visibility = True if private else None  # None: the account's default
    retried(lambda: api.create_repo(repo_id, repo_type=REPO_TYPE, private=visibility, exist_ok=True))
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
    """The commit that has the version's tag, if nothing is left to do.

    Raises:
        HubError: it has other content, and ``force`` is not set.
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


def _commit(remote: Remote, branch: str, release: Release, create_pr: bool) -> Pushed:
    """Commit on top of the branch or open a pull request, unless an earlier push has done it."""
    repo_id, version, tag = remote.repo_id, release.tag[1:], None if create_pr else release.tag
    other_content: set[int] = set()
    for attempt in range(1, TRIES + 1):
        head = remote.head(branch)
        if (landed := _landed(remote, head, release)) is not None:
            return Pushed(repo_id, version, landed, not create_pr, tag)
        for number, commit in list(remote.pull_requests().items() if create_pr else ())[:_LOOK_BACK]:
            if number not in other_content and release.is_in(remote.known_manifest(commit)):
                url = f"{remote.api.endpoint}/datasets/{repo_id}/discussions/{number}"
                return Pushed(repo_id, version, commit, attempt > 1, None, url)
            other_content.add(number)
        try:
            made = _send(remote, branch, head, release, create_pr)
        except FAILURES as error:
            if attempt == TRIES or not may_pass(error):
                raise
            wait(error, attempt)
        else:
            return Pushed(repo_id, version, str(made.oid), True, tag, made.pr_url)
    raise AssertionError


def _landed(remote: Remote, head: Head, release: Release) -> str | None:
    """The commit of an earlier push of this release that set no tag. Others may have committed on top of it."""
    if MANIFEST not in head.files or not release.is_in(remote.known_manifest(head.commit)):
        return None
    for commit in remote.commits(head.commit)[:_LOOK_BACK]:
        if commit.title.startswith(release.title) and release.is_in(remote.known_manifest(commit.commit_id)):
            return commit.commit_id
    return head.commit


def _send(remote: Remote, branch: str, head: Head, release: Release, create_pr: bool) -> CommitInfo:
    """Upload the files, then commit all of them in one request."""
    operations = list(release.operations(remote, head))
    common: dict[str, Any] = {"repo_type": REPO_TYPE, "revision": branch, "create_pr": create_pr}
    with answered():
        remote.api.preupload_lfs_files(
            remote.repo_id,
            [operation for operation in operations if isinstance(operation, CommitOperationAdd)],
            free_memory=False,
            gitignore_content="",  # otherwise files that a .gitignore there names are left out in silence
            **common,
        )
        made: CommitInfo = remote.api.create_commit(
            remote.repo_id,
            operations,
            parent_commit=head.commit,
            commit_message=release.title,
            commit_description=_described(release.manifest),
            **common,
        )
    return made


def _set_tag(remote: Remote, commit: str, release: Release, force: bool) -> None:
    """Tag the commit.

    Raises:
        HubError: another push released the version with other content in the meantime.
    """
    api, repo_id, tag = remote.api, remote.repo_id, release.tag

    def set_it() -> None:
        there = remote.tags().get(tag)
        if there == commit:
            return
        if there is not None:
            if not force and release.has_data_of(remote.known_manifest(there)):
                return
            if not force:
                raise HubError(
                    f"{repo_id!r} got a version {tag} with other content while this was pushed: what was pushed is at "
                    f"commit {commit[:12]} without a tag. Push it again as the next version"
                )
            api.delete_tag(repo_id, tag=tag, repo_type=REPO_TYPE)
        message = _described(release.manifest)
        api.create_tag(repo_id, tag=tag, tag_message=message, revision=commit, repo_type=REPO_TYPE)

    retried(set_it)
