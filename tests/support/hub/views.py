"""What the hub tells about repositories, in its API's JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import yaml

from tests.support.hub.objects import Blob, Commit, Person, RefusedError, Repo


def person(who: Person) -> dict[str, Any]:
    """``whoami-v2``."""
    role = "write" if who.writes else "read"
    orgs = [{"type": "org", "name": org, "fullname": org, "roleInOrg": "write"} for org in who.orgs]
    auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
    return {"type": "user", "name": who.name, "fullname": who.name, "orgs": orgs, "auth": auth}


def repo_info(repo: Repo, commit: Commit, blobs: bool = False) -> dict[str, Any]:
    """A repository at a commit."""
    first = list(repo.history(commit))[-1]
    about = {
        "id": repo.id,
        "author": repo.namespace,
        "sha": commit.oid,
        "createdAt": first.date,
        "lastModified": commit.date,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [_sibling(path, blob, blobs) for path, blob in sorted(commit.tree.items())],
    }
    if repo.kind == "model" and (counts := _parameters(commit)):
        about["safetensors"] = {"parameters": counts, "total": sum(counts.values())}
    card, _ = (
        card_data(commit.tree["README.md"].content.decode()) if "README.md" in commit.tree else (None, "")
    )
    return {**about, "cardData": card} if card else about


def _parameters(commit: Commit) -> dict[str, int]:
    """Numbers by type, as the headers of a model's weights say them."""
    counts: Counter[str] = Counter()
    for path, blob in commit.tree.items():
        if path.endswith(".safetensors"):
            end = 8 + int.from_bytes(blob.content[:8], "little")
            for name, tensor in json.loads(blob.content[8:end]).items():
                if name != "__metadata__":
                    counts[tensor["dtype"]] += prod(tensor["shape"])
    return dict(counts)


def _sibling(path: str, blob: Blob, full: bool) -> dict[str, Any]:
    if not full:
        return {"rfilename": path}
    entry = _file(path, blob)
    lfs = {"lfs": {**entry["lfs"], "sha256": blob.sha256}} if blob.lfs else {}
    return {"rfilename": path, "size": entry["size"], "blobId": blob.oid, **lfs}


def tree(repo: Repo, commit: Commit, folder: str, recursive: bool, expand: bool) -> list[dict[str, Any]]:
    """What is in a folder, folders first.

    Raises:
        RefusedError: 404 EntryNotFound.
    """
    prefix = f"{folder}/" if folder else ""
    inside = {path: blob for path, blob in commit.tree.items() if path.startswith(prefix)}
    if folder and not inside:
        raise RefusedError(404, f"{folder} does not exist on {commit.oid}", "EntryNotFound")
    entries = [_folder(path) for path in sorted(_folders(inside)) if path.startswith(prefix)]
    entries += [_file(path, blob) for path, blob in sorted(inside.items())]
    if not recursive:
        entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(prefix)]
    return [_expanded(repo, commit, entry) for entry in entries] if expand else entries


def paths_info(repo: Repo, commit: Commit, paths: Iterable[str], expand: bool) -> list[dict[str, Any]]:
    """Those of the paths that there are."""
    folders = _folders(commit.tree)
    entries = []
    for path in paths:
        if path in commit.tree:
            entries.append(_file(path, commit.tree[path]))
        elif path in folders:
            entries.append(_folder(path))
    return [_expanded(repo, commit, entry) for entry in entries] if expand else entries


def _folders(paths: Iterable[str]) -> set[str]:
    parents = (path.split("/")[:-1] for path in paths)
    return {"/".join(parts[:n]) for parts in parents for n in range(1, len(parts) + 1)}


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": Blob(path.encode()).oid}


def _file(path: str, blob: Blob) -> dict[str, Any]:
    size = len(blob.content)
    lfs = {"oid": blob.sha256, "size": size, "pointerSize": len(blob.pointer)}
    return {"type": "file", "path": path, "size": size, "oid": blob.oid, **({"lfs": lfs} if blob.lfs else {})}


def _expanded(repo: Repo, commit: Commit, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with the last commit that changed it."""

    def state(at: Commit) -> list[str]:
        path = entry["path"]
        return [
            blob.oid for name, blob in sorted(at.tree.items()) if name == path or name.startswith(f"{path}/")
        ]

    last = commit
    for older in repo.history(commit):
        if state(older) != state(commit):
            break
        last = older
    return {**entry, "lastCommit": {"id": last.oid, "title": last.title, "date": last.date}}


def commits(repo: Repo, commit: Commit) -> list[dict[str, Any]]:
    """The history, the newest first."""
    return [
        {
            "id": one.oid,
            "title": one.title,
            "message": one.message,
            "authors": [{"user": one.author}],
            "date": one.date,
        }
        for one in repo.history(commit)
    ]


def refs(repo: Repo, pulls: bool) -> dict[str, Any]:
    """Branches and tags; pull requests where they are asked for."""

    def named(start: str, cut: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(cut), "ref": ref, "targetCommit": oid}
            for ref, oid in repo.refs.items()
            if ref.startswith(start)
        ]

    known = {"branches": named("refs/heads/", "refs/heads/"), "tags": named("refs/tags/", "refs/tags/")}
    known |= {"converts": []}
    return {**known, "pullRequests": named("refs/pr/", "refs/")} if pulls else known


def card_data(text: str) -> tuple[Mapping[str, Any] | None, str]:
    """The YAML at the head of a card, and what is wrong with it."""
    if not text.startswith("---\n"):
        return None, ""
    head, end, _ = text.removeprefix("---\n").partition("\n---")
    if not end:
        return None, "The YAML block is not closed by ---"
    try:
        data = yaml.safe_load(head)
    except yaml.YAMLError as error:
        return None, f"YAML metadata error: {error}"
    if data is not None and not isinstance(data, dict):
        return None, "YAML metadata is not a mapping"
    return data, ""
