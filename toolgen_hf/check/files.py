"""The files of models and produced data sets: whether they are here, what a download takes, how large a model is.

    FileLookup().model("Qwen/Qwen2.5-1.5B-Instruct", "989aa798...", MODEL)
    -> Files(state="download", download=3098965213, parameters=1543714304, licence="apache-2.0")

Only the Hub's list of a repository's files is fetched.
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

from toolgen_hf._utils import is_commit
from toolgen_hf.errors import ConfigError, ToolgenError
from toolgen_hf.hub.fetch import find_here
from toolgen_hf.hub.repo import HUB, RepoRef
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

_HUB_SECONDS = 15.0
_UNREACHABLE = (
    "the Hub cannot be reached: what is not on this machine cannot be looked up, and a run must download it"
)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a model, an adapter or a produced data set; sizes in bytes, None if unknown.

    ``state``: ``here``, ``download`` (it is on the Hub), ``missing`` or ``unknown`` (the Hub cannot be reached);
    ``problem`` says what to do about the last two. ``disk`` is what is written besides the download: a GGUF file is
    converted once.
    """

    state: Literal["here", "download", "missing", "unknown"]
    download: int | None = 0
    disk: int = 0
    parameters: int | None = None
    licence: str | None = None
    problem: str | None = None


class FileLookup:
    """Finds files, each once; a Hub that could not be reached is not asked again."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None, str], Files] = {}
        self._is_reachable = True

    def model(self, name: str, revision: str | None, kind: Kind) -> Files:
        """The files of a model or an adapter, named as in `LocalConfig`."""
        key = (name, revision, kind.noun)
        if key not in self._found:
            is_file = name.endswith(".gguf") or Path(name).expanduser().is_dir()
            find = self._on_hub if HUB_ID.fullmatch(name) and not is_file else _on_this_machine
            self._found[key] = find(name, revision, kind)
        return self._found[key]

    def dataset(self, source: str) -> Files:
        """The files of a produced data set: ``hub:user/repo@v1.0.0``, or a directory."""
        if not source.startswith(HUB):
            try:
                find_here(source)
            except ConfigError as error:
                return Files("missing", problem=str(error))
            return Files("here")
        ref = RepoRef.parse(source)
        info = self._ask(
            source, HfApi().dataset_info, ref.repo_id,
            revision=ref.revision, timeout=_HUB_SECONDS, files_metadata=True,
        )  # fmt: skip
        if isinstance(info, Files):
            return info
        parquet = [file.size or 0 for file in info.siblings or () if file.rfilename.endswith(".parquet")]
        return Files("download", sum(parquet))

    def _on_hub(self, name: str, revision: str | None, kind: Kind) -> Files:
        """From the cache of the Hub, or else the Hub's list of files."""
        info: Any = None
        commit = revision if revision and is_commit(revision) else None
        folder = in_cache(name, commit, kind) if commit else None
        if folder is None:
            info = self._ask(
                name, HfApi().model_info, name, revision=revision, timeout=_HUB_SECONDS, files_metadata=True
            )
            if not isinstance(info, Files):
                folder = in_cache(name, info.sha, kind) if info.sha else None
            elif info.state == "unknown":
                folder = in_cache(name, revision, kind)
        if folder is not None:
            licence = licence_of(Weights(f"sha256:{folder.name}", name, folder, kind))
            return Files("here", 0, 0, parameters(folder), licence)
        return info if isinstance(info, Files) else self._listed(info, kind)

    def _listed(self, info: ModelInfo, kind: Kind) -> Files:
        """From the Hub's list of files."""
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if "/" not in file.rfilename}
        names = set(sizes)
        card: Any = info.card_data or {}
        licence = stated({key: card.get(key) for key in ("license", "license_name")})
        weights = matching(names, [kind.weights])
        if not weights:
            what = "only pickle weights" if matching(names, [kind.pickles]) else f"no {kind.weights}"
            return Files(
                "missing",
                licence=licence,
                problem=f"{info.id!r} has {what} on the Hub, and only safetensors are opened: use another model, or a "
                "folder that you converted",
            )
        if info.gated and (refused := self._ask(info.id, HfApi().auth_check, info.id)) is not None:
            return refused  # type: ignore[no-any-return]
        new = [
            sizes[name]
            for name in matching(names, kind.files)
            if not isinstance(try_to_load_from_cache(info.id, name, revision=info.sha), str)
        ]
        if info.safetensors is not None:
            count = info.safetensors.total
        else:  # from the size of the files; most have 16 bits for each parameter
            config = info.config or {}
            dtype = str(config.get("torch_dtype") or config.get("dtype") or "")
            count = sum(sizes[name] for name in weights) // {"float32": 4, "float64": 8}.get(dtype, 2)
        return Files("download", sum(new), 0, count or None, licence)

    def _ask(self, name: str, request: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The Hub's answer, or ``Files`` with the reason why there is none."""
        if self._is_reachable:
            try:
                return request(*arguments, **options)
            except GatedRepoError:
                problem = f"{name!r} is gated: ask for access on its page, then `hf auth login`"
                return Files("missing", problem=problem)
            except (RepositoryNotFoundError, RevisionNotFoundError) as error:
                what = "revision" if isinstance(error, RevisionNotFoundError) else "repository"
                return Files(
                    "missing",
                    problem=f"{name!r}: no such {what} on the Hub (a private one needs `hf auth login`), and no such "
                    "folder on this machine",
                )
            except (HTTPError, OSError, ValueError):
                self._is_reachable = False
        return Files("unknown", None, problem=_UNREACHABLE)


def _on_this_machine(name: str, revision: str | None, kind: Kind) -> Files:
    """A folder, a GGUF file or a model in an installed package."""
    try:
        weights = (resolve_model if kind is MODEL else resolve_adapter)(name, revision)
    except ToolgenError as error:
        return Files("missing", problem=str(error))
    assert weights.path is not None
    count = parameters(weights.path)
    is_to_convert = weights.path.is_file() and not converted_folder(weights.identity).is_dir()
    return Files("here", 0, 4 * (count or 0) if is_to_convert else 0, count, licence_of(weights))
