"""The Parquet files of a dataset repository on the Hub, by split, in the Hub's cache.

from_hub("google/xquad", "51adfef1c1287aab1d2d91b5bead9bcfb9c68583", ("xquad.de",), ("validation",))
{"validation": (PosixPath(".../xquad.de/validation-00000-of-00001.parquet"),)}
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import httpx2
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from toolgen_hf._utils import is_commit
from toolgen_hf.builders.inputs import Inputs, ordered, whole
from toolgen_hf.errors import HubError

logger = logging.getLogger(__name__)


def from_hub(repo: str, revision: str, folders: Sequence[str], splits: Sequence[str]) -> Inputs:
    """The files of each split, in the order of ``folders``: ``{folder}/{split}-*.parquet``, or
    ``{folder}/{split}/*.parquet`` of the branch ``refs/convert/parquet``.

    Files of a commit are downloaded once, and later found without a network.

    Raises:
        HubError: the repository cannot be read, or has no such file at ``revision``.
    """
    patterns = {(split, folder): f"{folder}/{split}[-/]*.parquet" for split in splits for folder in folders}
    advice = "Download the files and give them as data_files, or give another revision"
    try:
        path = snapshot_download(
            repo, repo_type="dataset", revision=revision, allow_patterns=list(patterns.values())
        )
    except (httpx2.HTTPError, HFValidationError, OSError) as error:
        raise HubError(f"{repo}@{revision}: cannot be read ({error}). {advice}") from error
    if not is_commit(revision):
        commit = Path(path).name
        logger.info(
            "%s@%s is commit %s now: give it as revision to stay with its files", repo, revision, commit
        )
    there = {file.relative_to(path).as_posix(): file for file in Path(path).rglob("*.parquet")}
    found: dict[str, list[Path]] = {}
    for (split, _), pattern in patterns.items():
        files = [file for name, file in there.items() if fnmatch(name, pattern)]
        if not files:
            raise HubError(f"{repo}@{revision}: there is no file {pattern}. {advice}")
        found.setdefault(split, []).extend(whole(files))
    return ordered(found)
