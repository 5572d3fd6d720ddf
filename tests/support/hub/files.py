"""Files: downloads (large ones from a second origin), uploads, and the commit that puts them into a repository."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from tests.support.hub.messages import Answer, Call, content, reply
from tests.support.hub.objects import Blob, Commit, Kind, Person, RefusedError, Repo, Store, ignored

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


@dataclass(frozen=True)
class Incoming:
    """A commit that was sent and is not applied yet: what ``LocalHub.before_commit`` is called with."""

    kind: Kind
    repo: str
    revision: str
    title: str
    parent: str | None
    paths: tuple[str, ...]


def incoming(kind: Kind, repo: str, revision: str, body: bytes) -> Incoming:
    """The commit that a request's body describes."""
    header, changes = _read(body)
    paths = tuple(value["path"] for _, value in changes)
    return Incoming(kind, repo, revision, header["summary"], header.get("parentCommit"), paths)


def preupload(repo: Repo, revision: str, call: Call) -> Answer:
    """How each file is to be sent, and what is there in its place now."""
    asked = call.json()
    tree = repo.find(revision).tree
    rules = asked.get("gitIgnore")
    if rules is None:
        rules = tree[".gitignore"].content.decode() if ".gitignore" in tree else ""
    files = []
    for file in asked["files"]:
        path, sample = file["path"], base64.b64decode(file["sample"])
        lfs = repo.uses_lfs(path, file["size"], sample, tree)
        files.append(
            {
                "path": path,
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": ignored(path, rules),
                "oid": tree[path].etag if path in tree else None,
            }
        )
    return reply({"files": files})


def commit(repo: Repo, revision: str, call: Call, who: Person, endpoint: str) -> Answer:
    """Applies a commit as a whole, or nothing of it.

    Raises:
        RefusedError: 400 what it says cannot be; 403; 404; 412 its parent is not the head.
    """
    header, changes = _read(call.body)
    proposed = call.says("create_pr")
    ref = repo.ref(revision)
    if not proposed:
        _check_ref(repo, ref, revision, who)
    head = repo.find(revision)
    wanted = header.get("parentCommit")
    if wanted is not None and wanted != head.oid:
        if not proposed:
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        head = repo.find(wanted)  # a pull request may start from any commit
    tree = _changed(repo, head.tree, changes)
    title, _, rest = header["summary"].partition("\n")
    message = "\n\n".join(part for part in (rest.strip(), header.get("description")) if part)
    made = Commit(head.oid, tree, title, message, who.name)
    data: dict[str, Any] = {"success": True, "hookOutput": ""}
    if proposed:
        number = len(repo.pull_authors) + 1
        repo.pull_authors[number] = who.name
        ref = f"refs/pr/{number}"
        data["pullRequestUrl"] = f"{endpoint}/{repo.path}/discussions/{number}"
    oid = repo.add(str(ref), made).oid
    return reply({**data, "commitOid": oid, "commitUrl": f"{endpoint}/{repo.path}/commit/{oid}"})


def _check_ref(repo: Repo, ref: str | None, revision: str, who: Person) -> None:
    """A commit needs a ref that moves, of which the person may move it."""
    if ref is None:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    if ref.startswith("refs/tags/"):
        raise RefusedError(400, f"{revision} is a tag: a commit needs a branch")
    if not who.owns(repo.namespace) and repo.pull_authors.get(int(ref.rpartition("/")[2])) != who.name:
        raise RefusedError(403, "Forbidden: this is another person's pull request.")


def _read(body: bytes) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """The header and the changes of a commit's lines.

    Raises:
        RefusedError: 400.
    """
    try:
        lines = [json.loads(line) for line in body.splitlines()]
        items = [(line["key"], line["value"]) for line in lines]
    except (ValueError, TypeError, KeyError):
        raise RefusedError(400, "The commit is not one JSON object a line, with key and value") from None
    headers = [value for key, value in items if key == "header"]
    if len(headers) != 1 or not headers[0].get("summary"):
        raise RefusedError(400, "A commit has one header, with a summary")
    return headers[0], [(key, value) for key, value in items if key != "header"]


def _changed(
    repo: Repo, before: Mapping[str, Blob], changes: list[tuple[str, dict[str, Any]]]
) -> dict[str, Blob]:
    tree = dict(before)
    for key, value in changes:
        path = value["path"].rstrip("/")
        if not path or any(part in ("", ".", "..", ".git") for part in path.split("/")):
            raise RefusedError(400, f"Invalid path: {value['path']!r}")
        if key == "file":
            tree[path] = Blob(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            if value["oid"] not in repo.uploaded:
                raise RefusedError(400, f"LFS pointer of {path} points to a file that does not exist")
            tree[path] = Blob(repo.uploaded[value["oid"]], lfs=True)
        elif key in ("deletedFile", "deletedFolder"):
            gone = [at for at in tree if (at == path if key == "deletedFile" else at.startswith(f"{path}/"))]
            if not gone:
                raise RefusedError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            for at in gone:
                del tree[at]
        else:
            raise RefusedError(400, f"Unknown kind of change: {key!r}")
    return tree
