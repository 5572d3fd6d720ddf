"""What a model takes before it can be used: what is to be downloaded, the memory it fills, its licence.

    Shelf().look("Qwen/Qwen2.5-1.5B-Instruct", "989aa798...", MODEL)
    -> Files(state="download", download=3098965213, parameters=1543714304, licence="apache-2.0")

Nothing is loaded, and nothing but the Hub's list of a repository's files is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from httpx2 import HTTPError
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import ModelInfo

from toolgen_hf.errors import ConfigError, ToolgenError
from toolgen_hf.hub.repo import HUB, RepoRef, is_commit
from toolgen_hf.hub.source import find_here
from toolgen_hf.models.gguf import converted_folder
from toolgen_hf.models.licences import licence_of, stated
from toolgen_hf.models.weights import (
    HUB_ID,
    MODEL,
    Kind,
    Weights,
    in_cache,
    matching,
    parameters,
    resolve_adapter,
    resolve_model,
)

UNREACHABLE = (
    "the Hub cannot be reached: what is not here cannot be looked up, and a run would have to download it"
)
_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Files:
    """What is known of the files of a model, an adapter or a data set.

    ``state`` is ``here``, ``download`` (on the Hub), ``missing`` (``problem`` says what to do) or ``unknown`` (the Hub
    cannot be reached). ``download`` and ``disk`` (what is written besides: a GGUF is converted once) are bytes.
    """

    state: Literal["here", "download", "missing", "unknown"]
    download: int | None = 0
    disk: int = 0
    parameters: int | None = None
    licence: str | None = None
    problem: str | None = None


class Shelf:
    """Looks models up, each once; a Hub that could not be reached is not asked again."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None, str], Files] = {}
        self._is_reachable = True

    def look(self, name: str, revision: str | None, kind: Kind) -> Files:
        """A model or an adapter, as `LocalConfig` names it. Never raises for what is not there."""
        key = (name, revision, kind.noun)
        if key not in self._found:
            is_on_hub = (
                HUB_ID.fullmatch(name) and not name.endswith(".gguf") and not Path(name).expanduser().is_dir()
            )
            self._found[key] = (self._on_hub if is_on_hub else _here)(name, revision, kind)
        return self._found[key]

    def look_for_set(self, source: str) -> Files:
        """A produced set: ``hub:user/repo@v1.0.0``, or a directory."""
        if not source.startswith(HUB):
            try:
                find_here(source)
            except ConfigError as error:
                return Files("missing", problem=str(error))
            return Files("here")
        ref = RepoRef.parse(source)
        info = self._ask(
            lambda: HfApi().dataset_info(
                ref.repo_id, revision=ref.revision, timeout=_SECONDS, files_metadata=True
            ),
            source,
        )
        if isinstance(info, Files):
            return info
        parquet = [file.size or 0 for file in info.siblings or () if file.rfilename.endswith(".parquet")]
        return Files("download", sum(parquet))

    def _on_hub(self, name: str, revision: str | None, kind: Kind) -> Files:
        if revision and is_commit(revision) and (folder := in_cache(name, revision, kind)):
            return _of_folder(name, revision, folder, kind)
        info = self._ask(
            lambda: HfApi().model_info(name, revision=revision, timeout=_SECONDS, files_metadata=True), name
        )
        if isinstance(info, Files):  # the cache may still have what the Hub cannot be asked for
            folder = in_cache(name, revision, kind) if info.state == "unknown" else None
            return info if folder is None else _of_folder(name, folder.name, folder, kind)
        if info.sha and (folder := in_cache(name, info.sha, kind)):
            return _of_folder(name, info.sha, folder, kind)
        return self._listed(info, kind)

    def _listed(self, info: ModelInfo, kind: Kind) -> Files:
        """By the Hub's list of files."""
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if "/" not in file.rfilename}
        card: Any = info.card_data or {}
        licence = stated({key: card.get(key) for key in ("license", "license_name")})
        if not matching(set(sizes), [kind.weights]):
            what = "only pickle weights" if matching(set(sizes), [kind.pickles]) else f"no {kind.weights}"
            return Files(
                "missing",
                licence=licence,
                problem=f"{info.id!r} has {what} on the Hub, and only safetensors are opened: give another model, or a "
                "folder that you converted",
            )
        refused: Files | None = (
            self._ask(lambda: HfApi().auth_check(info.id), info.id) if info.gated else None
        )
        if refused is not None:
            return refused
        wanted = matching(set(sizes), kind.files)
        missing = [name for name in wanted if not isinstance(_cached(info.id, name, info.sha), str)]
        return Files(
            "download", sum(sizes[name] for name in missing), 0, _parameters(info, sizes, kind), licence
        )

    def _ask(self, question: Callable[[], Any], name: str) -> Any:
        """The Hub's answer, or ``Files`` that say why there is none."""
        unknown = Files("unknown", None, problem=UNREACHABLE)
        if not self._is_reachable:
            return unknown
        try:
            return question()
        except GatedRepoError:
            return Files(
                "missing", problem=f"{name!r} is gated: ask for access on its page, then `hf auth login`"
            )
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            what = "revision" if isinstance(error, RevisionNotFoundError) else "repository"
            return Files(
                "missing",
                problem=f"{name!r}: no such {what} on the Hub (a private one needs `hf auth login`), nor a folder here",
            )
        except (HTTPError, OSError, ValueError):
            self._is_reachable = False
            return unknown


def _here(name: str, revision: str | None, kind: Kind) -> Files:
    """A folder, a GGUF file or what a package carries."""
    try:
        weights = (resolve_model if kind is MODEL else resolve_adapter)(name, revision)
    except ToolgenError as error:
        return Files("missing", problem=str(error))
    assert weights.path is not None
    count = parameters(weights.path)
    is_to_convert = weights.path.is_file() and not converted_folder(weights.identity).is_dir()
    return Files("here", 0, 4 * (count or 0) if is_to_convert else 0, count, licence_of(weights))


def _of_folder(name: str, commit: str, folder: Path, kind: Kind) -> Files:
    """What lies whole in the Hub's cache."""
    licence = licence_of(Weights(f"sha256:{commit}", name, folder, kind))
    return Files("here", 0, 0, parameters(folder), licence)


def _cached(name: str, file: str, commit: str | None) -> Any:
    return try_to_load_from_cache(name, file, revision=commit)


def _parameters(info: ModelInfo, sizes: dict[str, int], kind: Kind) -> int | None:
    """As the Hub counted them, or by the size of the files, in which most are of 16 bits."""
    if info.safetensors is not None:
        return info.safetensors.total
    config = info.config or {}
    kept = str(config.get("torch_dtype") or config.get("dtype") or "")
    each = {"float32": 4, "float64": 8}.get(kept, 2)
    return sum(sizes[name] for name in matching(set(sizes), [kind.weights])) // each or None
