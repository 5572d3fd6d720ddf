"""Versions of a dataset repository: which there are, and one of them as a directory, verified.

versions("user/set")                              # newest first
pull("user/set", "1.1.0", Path("outputs/set"))    # what load_dataset opens, every file's digest checked
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from toolgen_hf.atomic import replace_directory
from toolgen_hf.errors import HubError
from toolgen_hf.hashing import file_sha256
from toolgen_hf.hub.push import Remote
from toolgen_hf.hub.repo import REPO_TYPE, connect, hub_errors, is_version, tag_of, version_order
from toolgen_hf.produced import MANIFEST, check_target


@dataclass(frozen=True, slots=True)
class Version:
    """One released version, by its own manifest (None: the tag is not of this library)."""

    tag: str
    commit: str
    date: datetime | None
    manifest: Mapping[str, Any] | None

    @property
    def rows(self) -> dict[str, int]:
        """Rows by config."""
        configs = self.manifest["summary"]["configs"] if self.manifest else {}
        return {config: sum(splits.values()) for config, splits in configs.items()}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        models = self.manifest["models"] if self.manifest else {}
        return {
            "version": self.tag,
            "date": self.date.isoformat() if self.date else None,
            "commit": self.commit,
            "rows": self.rows,
            "models": dict(models),
        }


def versions(repo_id: str, token: str | None = None) -> list[Version]:
    """The versions of a repository, newest first.

    Raises:
        HubError: the repository cannot be read.
    """
    api = connect(token)
    with hub_errors(repo_id, "cannot read"):
        remote = Remote(api, repo_id, "main")
        found = []
        for tag, commit in remote.tags().items():
            if is_version(tag):
                commits = api.list_repo_commits(repo_id, repo_type=REPO_TYPE, revision=commit)
                date = commits[0].created_at if commits else None
                found.append(Version(tag, commit, date, remote.manifest(commit)))
    return sorted(found, key=lambda version: version_order(version.tag), reverse=True)


def pull(repo_id: str, version: str | None, directory: Path, token: str | None = None) -> Version:
    """Download a version, check every file against its manifest, and put it in place at once.

    A pull that was cut short goes on where it stopped.

    Args:
        version: ``1.1.0``; default the newest.

    Raises:
        ConfigError: ``directory`` holds what is not ours to replace.
        HubError: there is no such version, or what came is not what was released.
    """
    check_target(directory)
    api = connect(token)
    with hub_errors(repo_id, "cannot pull from"):
        remote = Remote(api, repo_id, "main")
        tag, commit = _resolve(remote, version)
        manifest = remote.manifest(commit)
        if manifest is None:
            raise HubError(f"{repo_id!r} at {tag} was not pushed by toolgen_hf: it has no {MANIFEST}")
        partial = directory.parent / f".{directory.name}.pulling-{commit[:12]}"
        api.snapshot_download(
            repo_id,
            repo_type=REPO_TYPE,
            revision=commit,
            local_dir=partial,
            allow_patterns=[MANIFEST, *manifest["files"]],
        )
    _verify(partial, manifest, f"{repo_id}@{tag}")
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    replace_directory(partial, directory)
    return Version(tag, commit, None, manifest)


def _resolve(remote: Remote, version: str | None) -> tuple[str, str]:
    """The tag and the commit of a version; of None, the newest."""
    tags = {tag: commit for tag, commit in remote.tags().items() if is_version(tag)}
    ordered = sorted(tags, key=version_order)
    tag = tag_of(version) if version is not None else ordered[-1] if ordered else None
    if tag is None:
        raise HubError(f"{remote.repo_id!r} has no version yet; push one with 'toolgen-hf push'")
    if tag not in tags:
        there = ", ".join(reversed(ordered)) or "none"
        raise HubError(f"{remote.repo_id!r} has no version {tag}; there is {there}")
    return tag, tags[tag]


def _verify(directory: Path, manifest: Mapping[str, Any], what: str) -> None:
    """Check that all is there as it was released; what is not is deleted, so that the next pull gets it anew."""
    there = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    bad = [
        name
        for name, digest in manifest["files"].items()
        if not (directory / name).is_file() or file_sha256(directory / name) != digest
    ]
    if bad or there != manifest:
        for name in bad:
            (directory / name).unlink(missing_ok=True)
        raise HubError(
            f"{what} is not what its manifest says: {', '.join(bad[:5]) or MANIFEST} differ. They were deleted from the "
            "download; run again, and if it stays so the repository was changed by hand"
        )
