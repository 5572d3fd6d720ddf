"""What a repository keeps, as git does: blobs, commits that never change, and refs that move."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cached_property
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
