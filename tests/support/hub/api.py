"""The hub's addresses: which function answers what. All of it is synchronous, and under the store's lock."""

from __future__ import annotations

from typing import cast
from urllib.parse import parse_qs

from tests.support.hub import files, views
from tests.support.hub.messages import Answer, Call, reply
from tests.support.hub.objects import Kind, Person, RefusedError, Repo, Store, known

_KINDS: dict[str, Kind] = {"datasets": "dataset", "models": "model"}


class Api:
    """Answers calls to the hub's origin; ``storage`` is the address of the other one."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.endpoint = self.storage = ""

    def answer(self, call: Call) -> Answer:
        """The answer.

        Raises:
            RefusedError: The hub says no.
        """
        who = self.store.person(call.token)
        match call.parts:
            case ("api", "whoami-v2"):
                return reply(views.person(known(who)))
            case ("api", "validate-yaml"):
                return _validate_yaml(call)
            case ("api", "repos", ("create" | "delete") as action):
                return self._create(call, who) if action == "create" else self._delete(call, who)
            case ("api", ("datasets" | "models") as kind):
                return self._listed(_KINDS[kind], call, who)
            case ("api", ("datasets" | "models") as kind, namespace, name, *rest):
                return self._repo(_KINDS[kind], f"{namespace}/{name}", rest, call, who)
            case ("datasets", namespace, name, *rest) if rest:
                return self._git("dataset", f"{namespace}/{name}", rest, call, who)
            case (namespace, name, *rest) if rest:
                return self._git("model", f"{namespace}/{name}", rest, call, who)
        raise RefusedError(404, "Sorry, we can't find the page you are looking for.")

    def _git(self, kind: Kind, name: str, rest: list[str], call: Call, who: Person | None) -> Answer:
        """Files, and the LFS API, whose addresses are those of git."""
        match rest:
            case ["resolve", revision, *path] if path and call.method in ("GET", "HEAD"):
                repo = self.store.downloadable(kind, name, who)
                return files.resolve(repo, revision, "/".join(path), call, self.storage)
            case ["info", "lfs", "objects", ("batch" | "verify") as action] if name.endswith(".git"):
                repo = self.store.writable(kind, name.removesuffix(".git"), who, pull_request=True)
                if action == "verify":
                    return files.verify(repo, call)
                return files.batch(repo, call, self.endpoint, self.storage)
        raise RefusedError(404, "Sorry, we can't find the page you are looking for.")

    def _repo(self, kind: Kind, name: str, rest: list[str], call: Call, who: Person | None) -> Answer:
        if call.method == "GET":
            return self._told(self.store.readable(kind, name, who), rest, call, who)
        match call.method, rest:
            case "POST", ["paths-info", revision]:
                repo = self.store.readable(kind, name, who)
                form = parse_qs(call.body.decode())
                asked = form if form else {key: value for key, value in call.json().items() if key == "paths"}
                expand = asked.get("expand", ["false"])[-1].lower() == "true"
                return reply(views.paths_info(repo, repo.find(revision), asked.get("paths", []), expand))
            case "POST", [("preupload" | "commit") as action, revision]:
                proposed = call.says("create_pr") or revision.startswith("refs/pr/")
                repo = self.store.writable(kind, name, who, pull_request=proposed)
                if action == "preupload":
                    return files.preupload(repo, revision, call)
                if (kind, name) in self.store.busy:
                    raise RefusedError(
                        409, "Another commit is in progress on this repository. Please try again."
                    )
                return files.commit(repo, revision, call, known(who), self.endpoint)
            case (("POST" | "DELETE"), [("branch" | "tag") as what, revision]):
                repo = self.store.writable(kind, name, who)
                if call.method == "DELETE":
                    return _delete_ref(repo, what, revision)
                return _branch(repo, revision, call) if what == "branch" else _tag(repo, revision, call)
            case "PUT", ["settings"]:
                return _set(self.store.writable(kind, name, who), call)
        raise RefusedError(404, "Sorry, we can't find the page you are looking for.")

    def _told(self, repo: Repo, rest: list[str], call: Call, who: Person | None) -> Answer:
        match rest:
            case []:
                return reply(views.repo_info(repo, repo.main, call.says("blobs")))
            case ["revision", revision]:
                return reply(views.repo_info(repo, repo.find(revision), call.says("blobs")))
            case ["tree", revision, *path]:
                at = repo.find(revision)
                return reply(
                    views.tree(
                        repo, at, "/".join(path).strip("/"), call.says("recursive"), call.says("expand")
                    )
                )
            case ["refs"]:
                return reply(views.refs(repo, call.says("include_prs")))
            case ["commits", revision]:
                return reply(views.commits(repo, repo.find(revision)))
            case ["auth-check"]:
                self.store.downloadable(repo.kind, repo.id, who)
                return reply({})
            case ["auth-check", "write"]:
                self.store.writable(repo.kind, repo.id, who)
                return reply({})
        raise RefusedError(404, "Sorry, we can't find the page you are looking for.")

    def _create(self, call: Call, who: Person | None) -> Answer:
        asked = call.json()
        kind = cast("Kind", asked.get("type") or "model")
        if kind not in _KINDS.values():
            raise RefusedError(400, f"No repositories of type {kind!r} here")
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        namespace = asked.get("organization") or known(who).name
        try:
            repo = self.store.create(kind, namespace, asked["name"], who, private)
        except RefusedError as error:
            if "url" in error.body:
                error.body["url"] = f"{self.endpoint}/{error.body['url']}"
            raise
        return reply({"url": f"{self.endpoint}/{repo.path}", "name": repo.id, "id": repo.id})

    def _delete(self, call: Call, who: Person | None) -> Answer:
        asked = call.json()
        namespace = asked.get("organization") or known(who).name
        repo = self.store.writable(asked.get("type") or "model", f"{namespace}/{asked['name']}", who)
        del self.store.repos[repo.kind, repo.id]
        return reply({})

    def _listed(self, kind: Kind, call: Call, who: Person | None) -> Answer:
        author, text = call.query.get("author"), call.query.get("search", "")
        seen = []
        for repo in self.store.repos.values():
            fits = repo.kind == kind and author in (None, repo.namespace) and text in repo.id
            if fits and (not repo.private or (who is not None and who.owns(repo.namespace))):
                seen.append(views.repo_info(repo, repo.main))
        return reply(seen)


def _validate_yaml(call: Call) -> Answer:
    data, problem = views.card_data(call.json()["content"])
    if problem:
        return reply({"error": problem, "errors": [{"message": problem}], "warnings": []}, 400)
    missing = [] if data else [{"message": "empty or missing yaml metadata in repo card"}]
    return reply({"errors": [], "warnings": missing})


def _set(repo: Repo, call: Call) -> Answer:
    asked = call.json()
    if "visibility" in asked:
        repo.private = asked["visibility"] == "private"
    repo.gated = asked.get("gated", repo.gated)
    return reply({"private": repo.private, "gated": repo.gated})


def _branch(repo: Repo, name: str, call: Call) -> Answer:
    if f"refs/heads/{name}" in repo.refs:
        raise RefusedError(409, "Reference already exists")
    repo.refs[f"refs/heads/{name}"] = repo.find(call.json().get("startingPoint") or "main").oid
    return reply({})


def _tag(repo: Repo, revision: str, call: Call) -> Answer:
    """A tag is never moved: one has to be deleted first."""
    asked = call.json()
    at = repo.find(revision)
    if f"refs/tags/{asked['tag']}" in repo.refs:
        raise RefusedError(409, "Tag reference exists already")
    repo.refs[f"refs/tags/{asked['tag']}"] = at.oid
    repo.tag_messages[asked["tag"]] = asked.get("message") or ""
    return reply({})


def _delete_ref(repo: Repo, what: str, name: str) -> Answer:
    ref = f"refs/{'heads' if what == 'branch' else 'tags'}/{name}"
    if ref == "refs/heads/main":
        raise RefusedError(403, "The default branch cannot be deleted")
    if ref not in repo.refs:
        raise RefusedError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    del repo.refs[ref]
    if what == "tag":
        repo.tag_messages.pop(name, None)
    return reply({})
