"""The files: found on the hub, and where they are large, kept at a second origin."""

from __future__ import annotations

import hashlib
from typing import cast
from urllib.parse import quote

from tests.support.hub.messages import Answer, Call, content, reply
from tests.support.hub.objects import Kind, RefusedError, Repo
from tests.support.hub.store import Store

_SIGNED = "X-Signature"


def resolve(repo: Repo, revision: str, path: str, call: Call, storage: str) -> Answer:
    """A file of a revision; a large one is at ``storage``."""
    commit = repo.find(revision)
    headers = {"X-Repo-Commit": commit.oid}
    blob = commit.tree.get(path)
    if blob is None:
        missing = RefusedError(404, "Entry not found", "EntryNotFound")
        missing.headers = headers
        raise missing
    headers["ETag"] = f'"{blob.etag}"'
    headers["Content-Disposition"] = f'inline; filename="{quote(path.rpartition("/")[2])}";'
    if not blob.lfs:
        return content(blob.content, call, headers)
    headers |= {
        "X-Linked-ETag": headers.pop("ETag"),
        "X-Linked-Size": str(len(blob.content)),
        "Location": _signed(storage, repo, blob.sha256),
    }
    return Answer(302, b"Found. Redirecting to the storage", {**headers, "Content-Type": "text/plain"})


def batch(repo: Repo, call: Call, endpoint: str, storage: str) -> Answer:
    """Where to put each large file that is not there yet (LFS batch API)."""
    objects = []
    for asked in call.json()["objects"]:
        oid, answer = asked["oid"], {"oid": asked["oid"], "size": asked["size"]}
        if oid not in repo.uploaded:
            verify = f"{endpoint}/{repo.path}.git/info/lfs/objects/verify"
            actions = {"upload": _signed(storage, repo, oid), "verify": verify}
            answer["actions"] = {name: {"href": href, "header": {}} for name, href in actions.items()}
        objects.append(answer)
    return reply({"transfer": "basic", "objects": objects})


def verify(repo: Repo, call: Call) -> Answer:
    """Whether a large file has arrived."""
    asked = call.json()
    stored = repo.uploaded.get(asked["oid"])
    if stored is None or len(stored) != asked["size"]:
        raise RefusedError(404, f"Object {asked['oid']} was not uploaded")
    return reply({})


def storage(store: Store, call: Call) -> Answer:
    """The second origin, ``/KIND/NAMESPACE/NAME/SHA256?X-Signature=``: it knows signed addresses, and no tokens.

    Raises:
        RefusedError: 400 also for a token, which was meant for the hub alone: the client let it leak.
    """
    if call.token:
        raise RefusedError(400, "Only one auth mechanism allowed")
    match call.parts:
        case (kind, namespace, name, oid) if call.query.get(_SIGNED) == _signature("/".join(call.parts)):
            repo = store.repos.get((cast("Kind", kind), f"{namespace}/{name}"))
        case _:
            raise RefusedError(403, "The address is not signed")
    if repo is None:
        raise RefusedError(404, "NoSuchKey")
    if call.method == "PUT":
        if hashlib.sha256(call.body).hexdigest() != oid:
            raise RefusedError(400, "XAmzContentSHA256Mismatch")
        repo.uploaded[oid] = call.body
        return Answer(200, b"", {"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})
    if oid not in repo.uploaded:
        raise RefusedError(404, "NoSuchKey")
    return content(repo.uploaded[oid], call, {"ETag": f'"{oid}"'})


def _signed(storage: str, repo: Repo, oid: str) -> str:
    path = f"{repo.kind}/{repo.id}/{oid}"
    return f"{storage}/{path}?{_SIGNED}={_signature(path)}"


def _signature(path: str) -> str:
    return hashlib.sha256(f"storage {path}".encode()).hexdigest()[:16]
