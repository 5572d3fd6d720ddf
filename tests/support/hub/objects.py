"""Repositories as in git (blobs, commits that never change, refs that move), and who may see and change them."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cached_property
from threading import RLock
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["dataset", "model"]

# What the Hub's own initial commit says, shortened to what tests meet.
GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in (
        "*.arrow",
        "*.bin",
        "*.gguf",
        "*.gz",
        "*.npy",
        "*.parquet",
        "*.pt",
        "*.safetensors",
        "*.zip",
    )
)


class RefusedError(Exception):
    """A request that the hub does not do, with the status, ``X-Error-Code`` and message it answers."""

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body
        self.headers: dict[str, str] = {}


@dataclass(frozen=True)
class Blob:
    """The content of one file; with ``lfs``, git itself keeps only a pointer to it."""

    content: bytes
    lfs: bool = False

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        head = b"version https://git-lfs.github.com/spec/v1\n"
        return head + f"oid sha256:{self.sha256}\nsize {len(self.content)}\n".encode()

    @cached_property
    def oid(self) -> str:
        kept = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


Tree = Mapping[str, Blob]


@dataclass(frozen=True)
class Commit:
    """``title`` is the message's first line, ``message`` the rest."""

    parent: str | None
    tree: Tree
    title: str
    message: str
    author: str
    at_ns: int = field(default_factory=time.time_ns)

    @cached_property
    def oid(self) -> str:
        """40 hex digits of all that the commit says (not those that git would give it)."""
        files = "".join(f"{blob.oid} {path}\n" for path, blob in sorted(self.tree.items()))
        text = "\0".join([files, self.parent or "", self.author, str(self.at_ns), self.title, self.message])
        return hashlib.sha1(text.encode()).hexdigest()

    @property
    def date(self) -> str:
        return datetime.fromtimestamp(self.at_ns / 1e9, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@dataclass
class Repo:
    """One repository. ``refs`` holds full names: ``refs/heads/main``, ``refs/tags/v1``, ``refs/pr/1``."""

    kind: Kind
    id: str
    owner: str
    private: bool = False
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tag_messages: dict[str, str] = field(default_factory=dict)
    pull_authors: dict[int, str] = field(default_factory=dict)
    uploaded: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        files = {".gitattributes": Blob(GITATTRIBUTES.encode())}
        self.add("refs/heads/main", Commit(None, files, "initial commit", "", self.owner))

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    @property
    def path(self) -> str:
        """Where the repository is below the endpoint."""
        return f"datasets/{self.id}" if self.kind == "dataset" else self.id

    @property
    def main(self) -> Commit:
        return self.commits[self.refs["refs/heads/main"]]

    def ref(self, revision: str) -> str | None:
        """The full name of the ref that ``revision`` means, None where it means none."""
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)
        return next((name for name in names if name in self.refs), None)

    def find(self, revision: str) -> Commit:
        """The commit of a branch, tag, full ref, or commit id of at least 7 digits.

        Raises:
            RefusedError: 404 RevisionNotFound.
        """
        name = self.ref(revision)
        if name is not None:
            return self.commits[self.refs[name]]
        if len(revision) >= 7:
            for oid, commit in self.commits.items():
                if oid.startswith(revision):
                    return commit
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, commit: Commit) -> Iterator[Commit]:
        """The commit and those before it, the newest first."""
        yield commit
        while commit.parent is not None:
            commit = self.commits[commit.parent]
            yield commit

    def add(self, ref: str, commit: Commit) -> Commit:
        """Adds a commit and moves the ref to it: the one step in which a commit happens."""
        frozen = replace(commit, tree=MappingProxyType(dict(commit.tree)))
        self.commits[frozen.oid] = frozen
        self.refs[ref] = frozen.oid
        return frozen

    def uses_lfs(self, path: str, size: int, sample: bytes, tree: Tree) -> bool:
        """Whether a file goes to large storage: by ``.gitattributes``, its size, or being binary."""
        attributes = tree[".gitattributes"].content.decode() if ".gitattributes" in tree else ""
        patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
        return size > 10 * 1024**2 or _is_binary(sample) or any(_matches(path, p) for p in patterns)


def ignored(path: str, rules: str) -> bool:
    """Whether a ``.gitignore`` leaves the path out: names, globs, folders, anchors and ``!``."""
    out = False
    parts = path.split("/")
    folders = ["/".join(parts[:n]) for n in range(1, len(parts))]
    for line in rules.splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        wanted, rule = rule.startswith("!"), rule.removeprefix("!")
        candidates = folders if rule.endswith("/") else [*folders, path]
        if any(_matches(candidate, rule.rstrip("/")) for candidate in candidates):
            out = not wanted
    return out


def _matches(path: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatch(path, pattern.removeprefix("/"))
    return fnmatch(path.rpartition("/")[2], pattern)


def _is_binary(sample: bytes) -> bool:
    if b"\0" in sample:
        return True
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.start < len(sample) - 3  # a character cut at the sample's end is no sign
    return False


_NAME = re.compile(r"[\w.-]{1,96}")
_UNKNOWN = "Invalid username or password."


@dataclass(frozen=True)
class Person:
    """Who a token speaks for; ``writes`` is False for a token that only reads."""

    name: str
    orgs: tuple[str, ...] = ()
    writes: bool = True

    def owns(self, namespace: str) -> bool:
        return namespace in (self.name, *self.orgs)


class Store:
    """Repositories by kind and id. Whatever reads or changes them holds ``lock``."""

    def __init__(
        self, users: Mapping[str, str], orgs: Mapping[str, Collection[str]], read_only: Collection[str]
    ) -> None:
        self.lock = RLock()
        self.users, self.orgs, self.read_only = dict(users), orgs, frozenset(read_only)
        self.repos: dict[tuple[Kind, str], Repo] = {}
        self.busy: set[tuple[Kind, str]] = set()

    def person(self, token: str) -> Person | None:
        """Who sent the token; None without one.

        Raises:
            RefusedError: 401, the token is nobody's.
        """
        if not token:
            return None
        if token not in self.users:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        name = self.users[token]
        orgs = tuple(org for org, members in self.orgs.items() if name in members)
        return Person(name, orgs, token not in self.read_only)

    def readable(self, kind: Kind, name: str, who: Person | None) -> Repo:
        """A repository that ``who`` may see.

        Raises:
            RefusedError: RepoNotFound, 401 to a stranger and 404 to a user: a private one is not betrayed.
        """
        repo = self.repos.get((kind, name))
        if repo is not None and (not repo.private or (who is not None and who.owns(repo.namespace))):
            return repo
        if who is None:
            raise RefusedError(401, _UNKNOWN, "RepoNotFound")
        raise RefusedError(404, "Repository not found", "RepoNotFound")

    def writable(self, kind: Kind, name: str, who: Person | None, pull_request: bool = False) -> Repo:
        """A repository that ``who`` may change, or propose a change of.

        Raises:
            RefusedError: 401, 403 or 404.
        """
        repo = self.readable(kind, name, who)
        person = known(who)
        if not person.writes:
            raise RefusedError(403, "Forbidden: you must use a write token to upload to a repository.")
        if not (pull_request or person.owns(repo.namespace)):
            hint = "pass `create_pr=1` as a query parameter to create a Pull Request."
            raise RefusedError(403, f"Forbidden: {hint}")
        return repo

    def downloadable(self, kind: Kind, name: str, who: Person | None) -> Repo:
        """A repository whose files ``who`` may read: a gated one is visible to all, its files are not."""
        repo = self.readable(kind, name, who)
        if repo.gated and (who is None or not who.owns(repo.namespace)):
            status = 401 if who is None else 403
            raise RefusedError(status, f"Access to {kind} {name} is restricted.", "GatedRepo")
        return repo

    def create(self, kind: Kind, namespace: str, name: str, who: Person | None, private: bool) -> Repo:
        """A new repository with its initial commit.

        Raises:
            RefusedError: 400, 401 or 403; 409 where there is one.
        """
        person = known(who)
        if not _NAME.fullmatch(name):
            raise RefusedError(400, f"Invalid repo name: {name}")
        if not (person.writes and person.owns(namespace)):
            right = f'create a {kind} under the namespace "{namespace}"'
            raise RefusedError(403, f"You don't have the rights to {right}")
        repo = Repo(kind, f"{namespace}/{name}", person.name, private)
        if (kind, repo.id) in self.repos:
            raise RefusedError(409, f"You already created this {kind} repo", url=repo.path)
        self.repos[kind, repo.id] = repo
        return repo


def known(who: Person | None) -> Person:
    """``who``, who must have said so.

    Raises:
        RefusedError: 401 without a token.
    """
    if who is None:
        raise RefusedError(401, _UNKNOWN)
    return who
