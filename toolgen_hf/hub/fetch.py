"""Versions of a dataset repository, and produced sets by name. Every downloaded file is checked against the manifest.

versions("user/set")                        # newest first
pull("user/set", "outputs/set", "1.1.0")    # a directory that load_dataset opens
find("hub:user/set@v1.1.0", "stage1")       # a config in the Hub's cache, as the input of a recipe
find("outputs/set")                         # a directory
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from toolgen_hf._utils import expanded, file_sha256, is_commit, replacing_directory
from toolgen_hf.data.manifest import MANIFEST, Manifest
from toolgen_hf.data.produced import check_target, open_manifest, read_manifest
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.hub.remote import REPO_TYPE, Remote, hub_errors, is_offline, retried
from toolgen_hf.hub.repo import (
    HUB,
    STARTS,
    RepoRef,
    is_version,
    repository,
    tag_of,
    version_order,
)


@dataclass(frozen=True, slots=True)
class Version:
    """A version on the Hub. If its manifest cannot be used it is None, and ``problem`` says why."""

    tag: str
    commit: str
    date: datetime | None
    manifest: Manifest | None
    problem: str | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Rows by config."""
        return self.manifest.rows if self.manifest else {}

    def to_dict(self) -> dict[str, Any]:
        models, summary = (self.manifest.models, self.manifest.summary) if self.manifest else ({}, None)
        sources = [name for name in summary.sources if name != "gold"] if summary else []
        return {
            "version": self.tag.removeprefix("v"),
            "tag": self.tag,
            "date": self.date.isoformat() if self.date else None,
            "commit": self.commit,
            "rows": self.rows,
            "student": models.get("student"),
            "teachers": summary.teachers if summary else {},
            "sources": {name: models.get(name) for name in sources},
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """A produced set on this machine. The last three are None for a directory; ``revision`` is the one asked for."""

    directory: Path
    manifest: Manifest
    repo_id: str | None = None
    revision: str | None = None
    commit: str | None = None


def versions(repo_id: str, token: str | None = None) -> list[Version]:
    """The versions of a repository, newest first. Other tags are left out.

    Raises:
        ConfigError: this is not the name of a repository.
        HubError: it cannot be read.
    """
    remote, found = Remote(repository(repo_id), token), []
    with hub_errors(repo_id, "cannot read"):
        for tag, commit in _version_tags(remote).items():
            last = next(iter(remote.commits(commit)), None)
            date = last.created_at if last else None
            try:
                found.append(Version(tag, commit, date, remote.manifest(commit)))
            except DataError as error:
                found.append(Version(tag, commit, date, None, str(error)))
    return found


def pull(
    repo_id: str, directory: str | Path, version: str | None = None, *, token: str | None = None
) -> Version:
    """Download a version (default: the newest), check every file, and put it in place at once.

    A pull that was interrupted continues where it stopped. Until its end ``directory`` stays as it was.

    Raises:
        ConfigError: ``directory`` holds files that this library did not write.
        HubError: there is no such version, or the files are not those that were released.
    """
    target = Path(directory)
    check_target(target)
    target = target.resolve()
    remote = Remote(repository(repo_id), token)
    with hub_errors(repo_id, "cannot pull from"):
        tag, commit = _newest(remote, version)
        manifest = _manifest(remote, commit, tag)
    with replacing_directory(target, "pulling", commit[:12]) as partial:
        with hub_errors(repo_id, "cannot pull from"):
            _download(remote, commit, manifest.files, partial)
        _verify(partial, manifest, manifest.files, f"{repo_id}@{tag}")
        shutil.rmtree(partial / ".cache", ignore_errors=True)
    return Version(tag, commit, None, manifest)


def find(place: str, config: str | None = None, token: str | None = None, whole: bool = False) -> Found:
    """A produced set: ``hub:user/repo@revision`` (default: the newest version), or a directory.

    A tag or a branch is resolved to its commit once. A commit that was fetched before is also found offline.

    Args:
        config: fetch only this one; default: the Parquet files of all.
        whole: fetch the JSON exports too.

    Raises:
        ConfigError: the directory does not exist, or is not a produced one.
        HubError: there is no such version, its files are not those that were released, or the Hub cannot be reached.
    """
    if not place.startswith(HUB):
        return find_here(place)
    ref = RepoRef.parse(place)
    if is_offline() and ref.revision is not None and is_commit(ref.revision):
        revision = commit = ref.revision
        folder, manifest = _cached(ref)
        names = _chosen(manifest, config, whole)
        if missing := [name for name in names if not (folder / name).exists()]:
            raise HubError(f"{ref}: HF_HUB_OFFLINE is set, and {missing[0]} was not fetched before")
    else:
        remote = Remote(ref.repo_id, token)
        with hub_errors(ref.repo_id, "cannot read"):
            if ref.revision is None:
                revision, commit = _newest(remote, None)
            else:
                revision, commit = ref.revision, remote.head(ref.revision).commit
            manifest = _manifest(remote, commit, revision)
            names = _chosen(manifest, config, whole)
            folder = _download(remote, commit, ["README.md", "recipe.yaml", *names])
    _verify(folder, manifest, names, f"{ref.repo_id}@{revision}")
    return Found(folder, manifest, ref.repo_id, revision, commit)


def find_here(place: str) -> Found:
    """A produced directory.

    Raises:
        ConfigError: it is not one; says what to do with what is there.
    """
    directory = expanded(place)
    try:
        return Found(directory, open_manifest(directory))
    except DataError as error:
        why = error
    if not (directory / MANIFEST).exists() and (starts := published_starts(directory)):
        student = "" if starts[-1] == "stage1" else "answer: ..., "
        raise ConfigError(
            f"{place!r} is not a produced directory but holds files of the published layout, without a {MANIFEST}: "
            f'start a recipe from them, {{name: mine, dataset: {{source: "{place}#{starts[-1]}"}}, {student}'
            "sources: {}}; in a mix that is the part's recipe, in the place of source"
        )
    what = why if directory.is_dir() else "there is no such directory"
    raise ConfigError(
        f"{place!r} is not a produced directory: {what}; give the output directory of a run"
    ) from why


def published_starts(directory: Path) -> list[str]:
    """The starts of a recipe in a folder of the published layout: ``raw`` for ``data/raw``, ``stage1`` likewise."""
    return [start for start in STARTS if any((directory / home / start).is_dir() for home in (".", "data"))]


def _version_tags(remote: Remote) -> dict[str, str]:
    """Commits by version tag, newest version first."""
    tags = {tag: commit for tag, commit in remote.tags().items() if is_version(tag)}
    return {tag: tags[tag] for tag in sorted(tags, key=version_order, reverse=True)}


def _newest(remote: Remote, version: str | None) -> tuple[str, str]:
    """Tag and commit of a version, or of the newest one. A tag may lack its "v"."""
    tags = _version_tags(remote)
    wanted = None if version is None else tag_of(version)
    for tag, commit in tags.items():
        if wanted is None or tag_of(tag) == wanted:
            return tag, commit
    if wanted is None:
        raise HubError(f"{remote.repo_id!r} has no version yet; push one with 'toolgen-hf push'")
    raise HubError(f"{remote.repo_id!r} has no version {wanted}; there is {', '.join(tags) or 'none'}")


def _manifest(remote: Remote, commit: str, revision: str) -> Manifest:
    try:
        return remote.manifest(commit)
    except DataError as error:
        raise HubError(
            f"{remote.repo_id!r} at {revision} was not pushed by toolgen_hf, or was changed by hand: {error}. Take "
            "another version ('toolgen-hf versions'), or download it with 'hf download --repo-type dataset'"
        ) from error


def _chosen(manifest: Manifest, config: str | None, whole: bool) -> list[str]:
    """The files that ``find`` fetches and checks."""
    tables = [name for name in manifest.files if name.endswith(".parquet")]
    exports = [name for name in manifest.files if whole and name.startswith("data/")]
    return [name for name in tables if config is None or name.startswith(f"{config}/")] + exports


def _download(remote: Remote, commit: str, names: Collection[str], directory: Path | None = None) -> Path:
    """The manifest and the files ``names``, in a directory or in the Hub's cache."""
    return Path(
        retried(
            lambda: remote.api.snapshot_download(
                remote.repo_id,
                repo_type=REPO_TYPE,
                revision=commit,
                local_dir=directory,
                allow_patterns=[MANIFEST, *map(escape, names)],
            )
        )
    )


def _cached(ref: RepoRef) -> tuple[Path, Manifest]:
    """A commit in the Hub's cache. Its content is fixed by its id, so no network is needed."""
    path = try_to_load_from_cache(ref.repo_id, MANIFEST, revision=ref.revision, repo_type=REPO_TYPE)
    if not isinstance(path, str):
        raise HubError(f"{ref}: HF_HUB_OFFLINE is set, and this commit was not fetched before")
    try:
        return Path(path).parent, open_manifest(Path(path).parent)
    except DataError as error:
        raise HubError(
            f"{ref}: HF_HUB_OFFLINE is set, and the manifest in the cache is damaged: {error}"
        ) from error


def _verify(directory: Path, manifest: Manifest, names: Collection[str], what: str) -> None:
    """Check downloaded files against the manifest; delete those that differ.

    Raises:
        HubError: some differ.
    """
    bad = [] if read_manifest(directory) == manifest else [MANIFEST]
    for name in names:
        path = directory / name
        if not path.is_file() or file_sha256(path) != manifest.files[name]:
            bad.append(name)
    for name in bad:
        (directory / name).resolve().unlink(missing_ok=True)  # the cache's file, which a link points to
        (directory / name).unlink(missing_ok=True)
    if bad:
        raise HubError(
            f"{what} is not what its manifest says: {', '.join(sorted(bad)[:5])} differ. They were deleted from the "
            "download: run again; if it stays so, the repository was changed by hand after that version was pushed"
        )
