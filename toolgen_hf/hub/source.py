"""A produced set as the input of a recipe: a version on the Hub, or a directory.

    dataset: {source: "hub:user/repo@v1.1.0#stage1"}
    dataset: {source: "outputs/quickstart#raw"}

A tag or a branch is resolved to its commit once, and everything is read at that commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolgen_hf._utils import expanded
from toolgen_hf.data.manifest import MANIFEST, Manifest
from toolgen_hf.data.produced import open_manifest
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.hub.fetch import differs, find_version, manifest_of, verify
from toolgen_hf.hub.remote import REPO_TYPE, Remote, hub_errors, is_offline, retried
from toolgen_hf.hub.repo import HUB, STARTS, RepoRef, is_commit


@dataclass(frozen=True, slots=True)
class Found:
    """A produced set on this machine: its directory, its manifest, and which commit of which repository it is.

    ``repo_id``, ``revision`` (as it was asked for) and ``commit`` are None of a directory that was given as such.
    """

    directory: Path
    manifest: Manifest
    repo_id: str | None = None
    revision: str | None = None
    commit: str | None = None


def find(place: str, config: str | None = None, token: str | None = None, whole: bool = False) -> Found:
    """A produced set, from ``hub:user/repo@revision`` (default: the newest version) or a directory.

    Args:
        config: only this one is fetched, and verified; default all Parquet.
        whole: the JSON exports are fetched and verified too.

    Raises:
        ConfigError: there is no such directory.
        HubError: there is no such version, it is not what was released, or the Hub cannot be reached.
    """
    if not place.startswith(HUB):
        return find_here(place)
    ref = RepoRef.parse(place)
    if is_offline() and ref.revision is not None and is_commit(ref.revision):
        return _cached(ref, config, whole)
    remote = Remote(ref.repo_id, token)
    with hub_errors(ref.repo_id, "cannot read"):
        if ref.revision is None:
            revision, commit = find_version(remote, None)
        else:
            revision, commit = ref.revision, remote.head(ref.revision).commit
        manifest = manifest_of(remote, commit, revision)
        patterns = _patterns(config, whole)
        folder = retried(
            lambda: remote.api.snapshot_download(
                ref.repo_id, repo_type=REPO_TYPE, revision=commit, allow_patterns=patterns
            )
        )
    return _verified(Found(Path(folder), manifest, ref.repo_id, revision, commit), config, whole)


def find_here(place: str) -> Found:
    """A produced directory.

    Raises:
        ConfigError: it is none; says what to do with what is there.
    """
    directory = expanded(place)
    try:
        return Found(directory, open_manifest(directory))
    except DataError as error:
        why = error
    if not (directory / MANIFEST).exists() and (starts := published_starts(directory)):
        student = "" if starts[-1] == "stage1" else "answer: ..., "
        raise ConfigError(
            f"{place!r} is no produced directory but holds files of the published layout, without a {MANIFEST}: start "
            f'a recipe from them, {{name: mine, dataset: {{source: "{place}#{starts[-1]}"}}, {student}sources: {{}}}}; '
            "in a mix that is the part's recipe, in the place of source"
        )
    what = why if directory.is_dir() else "there is no such directory"
    raise ConfigError(
        f"{place!r} is no produced directory: {what}; give the output directory of a run"
    ) from why


def published_starts(directory: Path) -> list[str]:
    """What a recipe can start from in a folder of the published layout: ``data/raw``, ``data/stage1``."""
    return [start for start in STARTS if any((directory / home / start).is_dir() for home in (".", "data"))]


def _cached(ref: RepoRef, config: str | None, whole: bool) -> Found:
    """A commit that was fetched before: what lies there under its id is exactly that, network or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    commit, patterns = str(ref.revision), _patterns(config, whole)
    try:
        folder = snapshot_download(
            ref.repo_id, repo_type=REPO_TYPE, revision=commit, allow_patterns=patterns, local_files_only=True
        )
    except LocalEntryNotFoundError as error:
        raise HubError(f"{ref}: HF_HUB_OFFLINE is set, and this commit was not fetched before") from error
    try:
        manifest = open_manifest(Path(folder))
    except DataError as error:
        raise HubError(
            f"{ref}: HF_HUB_OFFLINE is set, and this commit was not fetched whole before: {error}"
        ) from error
    return _verified(Found(Path(folder), manifest, ref.repo_id, commit, commit), config, whole)


def _patterns(config: str | None, whole: bool) -> list[str]:
    exports = ["data/*"] if whole else []
    return [MANIFEST, "README.md", "recipe.yaml", f"{config or '*'}/*.parquet", *exports]


def _verified(found: Found, config: str | None, whole: bool) -> Found:
    files = found.manifest.files
    names = [name for name in files if name.endswith(".parquet")]
    names = [name for name in names if config is None or name.startswith(f"{config}/")]
    names += [name for name in files if whole and name.startswith("data/")]
    if bad := verify(found.directory, found.manifest, names):
        for name in bad:
            path = found.directory / name
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        raise HubError(differs(f"{found.repo_id}@{found.revision}", bad))
    return found
