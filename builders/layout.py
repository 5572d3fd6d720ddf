"""The files of each config in a produced directory: Parquet if there is any, else the published JSON layout.

stage2/train-00000-of-00001.parquet                 listed under `configs` in README.md
data/raw/GSM8K/GSM8K.json                           raw, split train
data/raw/GSM8K/GSM8K_test_wrong.json                wrong, split test
data/stage1/GSM8K/GSM8K_wrong.json                  stage1_wrong: the verified tool calls
data/stage2/GSM8K/GSM8K_test_chatgpt_response.json  responses of source chatgpt, split test
data/stage2/mix/mix.json                            stage2 of the dataset called mix
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from huggingface_hub import metadata_load

from toolgen_hf.builders.columns import known, nearest
from toolgen_hf.builders.inputs import SPLITS, Inputs, StrPath, listing, ordered, unsharded, whole
from toolgen_hf.errors import DataError

RESPONSE = "_response"
"""The name of a file of one source's responses ends with this."""

_JSON_LAYOUT = {
    "raw": ("raw", ""),
    "right": ("raw", "_right"),
    "wrong": ("raw", "_wrong"),
    "stage1": ("stage1", ""),
    "stage1_wrong": ("stage1", "_wrong"),
    "responses": ("stage2", RESPONSE),
    "stage2": ("stage2", ""),
}
"""Config with a JSON export -> its folder under ``data/``, and the end of its files' names."""

REJECTED = "_rejected"
"""The name of a file of rejected rows ends with this; it lies beside the output."""

_ENDINGS = (*(ending for _, ending in _JSON_LAYOUT.values() if ending), REJECTED)


def locate(data_dir: StrPath, config: str, dataset_name: str | None = None) -> tuple[Inputs, str]:
    """The files of a config by split, and the dataset's name. With ``dataset_name``, its JSON exports.

    Raises:
        DataError: the config or the dataset is not there; says what is.
    """
    listing(data_dir)
    root = Path(data_dir).expanduser()
    if dataset_name is None and (inputs := _parquet(root, config)):
        return inputs, root.resolve().name
    if config in _JSON_LAYOUT and (names := _datasets(root, config)):
        name = _choose(names, dataset_name, f"{root}, {config}")
        if inputs := _json(names[name], config):
            return inputs, name
    if dataset_name is not None:
        what = f"there are no JSON exports of {config!r}, which dataset_name={dataset_name!r} chooses from"
        raise DataError(f"{root}: {what}. Leave it out to read Parquet")
    there = sorted(_parquet_configs(root) | {other for other in _JSON_LAYOUT if _datasets(root, other)})
    raise DataError(f"{root}: there is no {config!r}; there is {known(there)}{nearest(config, there)}")


def source_of(path: Path, dataset_name: str, split: str) -> str:
    """The source in the name of a responses file: ``GSM8K_test_chatgpt_response.json -> "chatgpt"``."""
    rest = path.stem.removeprefix(dataset_name).removesuffix(RESPONSE)
    return rest.removeprefix(f"_{split}").removeprefix("_") or split


def id_of(path: Path, split: str, number: int) -> str:
    """The id of a row without one: ``GSM8K_test.json -> "GSM8K-test-0"``.

    The whole name of the file is in it, since the third row of ``GSM8K_wrong.json`` is not that of ``GSM8K.json``.
    """
    return f"{unsharded(path).removesuffix(f'_{split}')}-{split}-{number}"


def name_and_split(path: Path) -> tuple[str, str]:
    """A JSON file's dataset and split: ``GSM8K_test.json`` -> ``("GSM8K", "test")``; ``test.json`` has no name."""
    full = unsharded(path)
    name, _, split = full.rpartition("_")
    return (name, split) if split in SPLITS and (name or split == full) else (full, "train")


def _parquet(root: Path, config: str) -> Inputs:
    patterns = _card_configs(root).get(config)
    if patterns is None:
        names = sorted({unsharded(path) for path in (root / config).glob("*-?????-of-?????.parquet")})
        patterns = {name: [f"{config}/{name}-?????-of-?????.parquet"] for name in names}
    splits = {}
    for split, globs in patterns.items():
        paths = sorted({path for pattern in globs for path in root.glob(pattern)})
        if not paths:
            raise DataError(
                f"{root}/README.md: no file matches {globs[0]!r} of config {config!r}: is it whole?"
            )
        splits[split] = whole(paths)
    return ordered(splits)


def _parquet_configs(root: Path) -> set[str]:
    return {*_card_configs(root), *(path.parent.name for path in root.glob("*/*-?????-of-?????.parquet"))}


def _card_configs(root: Path) -> dict[str, dict[str, list[str]]]:
    """The configs in README.md's metadata: ``{config: {split: patterns}}``, each pattern inside the directory."""
    card = root / "README.md"
    try:
        metadata: dict[str, Any] = (metadata_load(card) if card.exists() else None) or {}
        entries = metadata.get("configs", [])
        configs = {entry["config_name"]: dict(_patterns(entry["data_files"])) for entry in entries}
        paths = [(name, PurePosixPath(p)) for name in configs for ps in configs[name].values() for p in ps]
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{card}: its `configs` cannot be read ({error!r})") from None
    for config, path in paths:
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise DataError(
                f"{card}: config {config!r} names {str(path)!r}, which is not inside this directory; name its files "
                "from the directory on, such as 'stage2/train-*.parquet'"
            )
    return configs


def _patterns(data_files: Any) -> Iterator[tuple[str, list[str]]]:
    for entry in data_files if isinstance(data_files, list) else [{"split": "train", "path": data_files}]:
        path = entry["path"]
        yield entry["split"], path if isinstance(path, list) else [path]


def _datasets(root: Path, config: str) -> dict[str, Path]:
    """The datasets with files of a config: ``{"GSM8K": data/stage1/GSM8K, "mix": data/stage1/mix}``."""
    stage, _ = _JSON_LAYOUT[config]
    folders = [*(root / "data" / stage).glob("*/"), *(root / stage).glob("*/")]
    return {folder.name: folder for folder in sorted(folders) if folder.is_dir() and _json(folder, config)}


def _choose(names: Mapping[str, Path], wanted: str | None, where: str) -> str:
    if wanted is None and len(names) == 1:
        return next(iter(names))
    if wanted is None:
        raise DataError(f"{where}: there are several datasets: give dataset_name, one of {known(names)}")
    if wanted not in names:
        raise DataError(
            f"{where}: there is no dataset {wanted!r}; there is {known(names)}{nearest(wanted, names)}"
        )
    return wanted


def _json(folder: Path, config: str) -> Inputs:
    """A config's JSON files by split. Split train has the dataset's name alone, others add their own."""
    _, ending = _JSON_LAYOUT[config]
    rests = {
        path: path.stem.removeprefix(folder.name) for path in sorted(folder.glob(f"{folder.name}*.json"))
    }
    plain = {path: rest for path, rest in rests.items() if not rest.endswith(_ENDINGS)}
    named = {*SPLITS, *(rest[1:] for rest in plain.values())}
    chosen = {path: rest.removesuffix(ending) for path, rest in rests.items() if rest.endswith(ending)}
    splits: dict[str, list[Path]] = {}
    for path, rest in (chosen if ending else plain).items():
        if not rest.startswith("_") and rest:
            continue  # of another dataset, whose name begins with this one's
        first = rest[1:].split("_")[0] if config == "responses" else rest[1:]
        split = first if first in named and first else "train"
        splits.setdefault(split, []).append(path)
    return ordered(splits)
