"""The repositories and who may see and change them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import RLock

from tests.support.hub.objects import Kind, RefusedError, Repo

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
