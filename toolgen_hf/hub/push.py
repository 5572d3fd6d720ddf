"""Push a produced directory as one version: one commit that holds all of it, and a tag on exactly that commit.

    push(Path("outputs/quickstart"), "user/set", "1.2.0")

A reader sees the old version or the new one, never a mixture: the commit is atomic, and the tag is set after it.
A push that was killed is completed by the next one.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

from toolgen_hf.errors import HubError
from toolgen_hf.hashing import bytes_sha256
from toolgen_hf.hub.check import check_release
from toolgen_hf.hub.merge import BASE_PATH, merge_cards
from toolgen_hf.hub.repo import REPO_TYPE, connect, hub_errors, tag_of
from toolgen_hf.produced import MANIFEST

TRIES = 6
"""Attempts at the commit, when others commit at the same time or the Hub fails."""
CARD = "README.md"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. ``is_new`` is False where the same content had that version already."""

    repo_id: str
    tag: str
    commit: str
    is_new: bool
    pull_request: str | None = None


def push(
    directory: Path,
    repo_id: str,
    version: str,
    *,
    private: bool | None = None,
    branch: str = "main",
    create_pr: bool = False,
    force: bool = False,
    token: str | None = None,
) -> Pushed:
    """Release a produced directory as ``version`` of a dataset repository, which is made if there is none.

    Args:
        private: for a repository that is made; default as the account has it.
        branch: where the commit goes; made from ``main`` if there is none.
        create_pr: open a pull request instead; the version is not tagged, since nobody has accepted it yet.
        force: move the tag of a version that exists.

    Raises:
        DataError: the directory is not fit for release.
        ConfigError: the version is none.
        HubError: the version exists with other content, or the Hub refuses.
    """
    tag = tag_of(version)
    manifest = {**check_release(directory), "version": tag.removeprefix("v")}
    api = connect(token)
    with hub_errors(repo_id, "cannot push to"):
        api.create_repo(repo_id, repo_type=REPO_TYPE, private=private, exist_ok=True)
        remote = Remote(api, repo_id, branch)
        tagged = remote.tags().get(tag)
        if tagged is not None and not create_pr:
            if _same(remote.manifest(tagged), manifest):
                return Pushed(repo_id, tag, tagged, is_new=False)
            if not force:
                raise HubError(
                    f"{repo_id!r} has a version {tag} with other content: choose the next one, or force this one"
                )
        commit, pull_request = _commit(remote, directory, manifest, tag, create_pr)
        if not create_pr:
            _set_tag(remote, tag, commit, manifest)
    return Pushed(repo_id, tag, commit, True, pull_request)


class Remote:
    """One branch of a repository, as it stands at a commit."""

    def __init__(self, api: HfApi, repo_id: str, branch: str) -> None:
        self.api, self.repo_id, self.branch = api, repo_id, branch

    def head(self) -> str:
        """The branch's last commit; the branch is made if there is none."""
        try:
            return self._sha(self.branch)
        except RevisionNotFoundError:
            self.api.create_branch(self.repo_id, branch=self.branch, repo_type=REPO_TYPE, exist_ok=True)
            return self._sha(self.branch)

    def _sha(self, revision: str) -> str:
        return str(self.api.repo_info(self.repo_id, repo_type=REPO_TYPE, revision=revision).sha)

    def tags(self) -> dict[str, str]:
        """Commits by tag."""
        refs = self.api.list_repo_refs(self.repo_id, repo_type=REPO_TYPE)
        return {ref.name: ref.target_commit for ref in refs.tags}

    def text(self, name: str, commit: str) -> str | None:
        """A file's text at a commit; None if there is none."""
        try:
            path = self.api.hf_hub_download(self.repo_id, name, repo_type=REPO_TYPE, revision=commit)
        except EntryNotFoundError:
            return None
        return Path(path).read_text(encoding="utf-8")

    def manifest(self, commit: str) -> dict[str, Any] | None:
        """The manifest at a commit; None if there is none of ours."""
        try:
            data = json.loads(self.text(MANIFEST, commit) or "null")
        except ValueError:
            return None
        return data if isinstance(data, dict) and "files" in data else None


def _commit(
    remote: Remote, directory: Path, manifest: Mapping[str, Any], tag: str, create_pr: bool
) -> tuple[str, str | None]:
    """Commit on top of whatever is there, or find that it has been done; the commit and the pull request's URL."""
    for attempt in range(1, TRIES + 1):
        head = remote.head()
        there = remote.manifest(head)
        if _same(there, manifest) and not create_pr:
            return head, None
        try:
            made = remote.api.create_commit(
                remote.repo_id,
                list(_operations(remote, head, there, directory, manifest)),
                repo_type=REPO_TYPE,
                revision=remote.branch,
                parent_commit=head,
                create_pr=create_pr,
                commit_message=f"{manifest['name']} {tag}",
                commit_description=describe(manifest),
            )
            return str(made.oid), made.pr_url
        except (HfHubHTTPError, httpx2.TransportError) as error:
            if attempt == TRIES or not _may_pass(error):
                raise
            logger.warning(
                "the commit did not go through (%s); looking again", " ".join(str(error).split())[:200]
            )
            time.sleep(_pause(error, attempt))
    raise AssertionError


def _operations(
    remote: Remote, head: str, there: Mapping[str, Any] | None, directory: Path, manifest: Mapping[str, Any]
) -> Iterator[CommitOperationAdd | CommitOperationDelete]:
    """Every file of ours, the card merged with what people wrote; files of the last version that are no more."""
    generated = (directory / CARD).read_text(encoding="utf-8")
    card = merge_cards(remote.text(BASE_PATH, head), remote.text(CARD, head), generated).encode()
    files = {**manifest["files"], CARD: bytes_sha256(card), BASE_PATH: bytes_sha256(generated.encode())}
    listed = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False) + "\n"
    own = {CARD: card, BASE_PATH: generated.encode(), MANIFEST: listed.encode()}
    for name in sorted({*files, MANIFEST}):
        yield CommitOperationAdd(name, own.get(name) or str(directory / name))
    for name in sorted((there or {}).get("files", {})):
        if name not in files and name != MANIFEST:
            yield CommitOperationDelete(name)


def describe(manifest: Mapping[str, Any]) -> str:
    """What is in a version, in one line: rows by config."""
    rows = {config: sum(splits.values()) for config, splits in manifest["summary"]["configs"].items()}
    return ", ".join(f"{config} {count}" for config, count in rows.items() if count)


def _set_tag(remote: Remote, tag: str, commit: str, manifest: Mapping[str, Any]) -> None:
    """Tag the commit; one that is there already and elsewhere is moved (the caller has asked whether it may)."""
    for attempt in range(1, TRIES + 1):
        try:
            there = remote.tags().get(tag)
            if there == commit:
                return
            if there is not None:
                remote.api.delete_tag(remote.repo_id, tag=tag, repo_type=REPO_TYPE)
            remote.api.create_tag(
                remote.repo_id, tag=tag, tag_message=describe(manifest), revision=commit, repo_type=REPO_TYPE
            )
            return
        except (HfHubHTTPError, httpx2.TransportError) as error:
            if attempt == TRIES or not _may_pass(error):
                raise
            time.sleep(_pause(error, attempt))


def _same(there: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> bool:
    """Whether the same files are there, the card aside, which people may edit."""
    if there is None:
        return False
    ours, theirs = (
        {name: digest for name, digest in m["files"].items() if name not in (CARD, BASE_PATH)}
        for m in (manifest, there)
    )
    return ours == theirs


def _may_pass(error: Exception) -> bool:
    """Whether another try may succeed: others committed (409, 412), the Hub is busy or broken, the line is."""
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        return status in (408, 409, 412, 429) or status >= 500
    return isinstance(error, httpx2.TransportError)


def _pause(error: Exception, attempt: int) -> float:
    response = error.response if isinstance(error, HfHubHTTPError) else None
    asked = response.headers.get("retry-after", "") if response is not None else ""
    seconds = float(asked) if asked.isdigit() else min(30.0, 0.5 * 2.0**attempt)
    return seconds * random.uniform(1.0, 1.2)
