"""The dataset card: YAML that tells ``load_dataset`` what there is, and prose made from what ran."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pyarrow.parquet as pq
import yaml
from datasets import DatasetDict, DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from toolgen_hf.summary import share

DEFAULT_CONFIG = "stage2"


def render_card(root: Path, configs: Mapping[str, DatasetDict], manifest: Mapping[str, Any]) -> str:
    """The README of a produced directory whose Parquet files lie under ``root``."""
    data = DatasetCardData(
        pretty_name=manifest["name"],
        license=manifest["license"].lower(),
        task_categories=["text-generation"],
        tags=["tool-use", "trice", "toolgen_hf"],
    )
    infos = {config: _info(root, config, splits) for config, splits in configs.items()}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    header: dict[str, Any] = data.to_dict()  # type: ignore[no-untyped-call]
    header["configs"] = [_config_entry(root, config, splits) for config, splits in configs.items()]
    block = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    template = Template(files("toolgen_hf.hub").joinpath("card.md").read_text(encoding="utf-8"))
    return f"---\n{block}---\n{template.substitute(_facts(manifest))}"


def _config_entry(root: Path, config: str, splits: DatasetDict) -> dict[str, Any]:
    """One entry of the YAML ``configs``. ``description`` carries the digest: of the keys that a config may
    have it is the one that changes nothing but the reader's cache key."""
    digest = hashlib.sha256()
    for split in splits:
        for path in sorted((root / config).glob(f"{split}-*.parquet")):
            digest.update(path.read_bytes())
    entry = {
        "config_name": config,
        "data_files": [{"split": str(split), "path": f"{config}/{split}-*.parquet"} for split in splits],
        "description": f"content sha256:{digest.hexdigest()}",
    }
    return {**entry, "default": True} if config == DEFAULT_CONFIG else entry


def _info(root: Path, config: str, splits: DatasetDict) -> DatasetInfo:
    sizes = SplitDict()
    for split, rows in splits.items():
        size = pq.read_table(next((root / config).glob(f"{split}-*.parquet"))).nbytes
        sizes.add(SplitInfo(name=str(split), num_bytes=size, num_examples=len(rows)))
    files_size = sum(path.stat().st_size for path in (root / config).glob("*.parquet"))
    features = next(iter(splits.values())).features
    total = sum(info.num_bytes for info in sizes.values())
    return DatasetInfo(
        config_name=config, features=features, splits=sizes, download_size=files_size, dataset_size=total
    )


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    summary = manifest["summary"]
    student = ", ".join(
        f"{split} {count['correct']} of {count['asked']}"
        for split, count in summary["student"]["splits"].items()
    )
    stages = "\n".join(
        f"| {s['stage']} | {s['split']} | {s['rows_in']} | {s['rows_out']} |" for s in summary["stages"]
    )
    rejected = "\n".join(f"- {count} × {reason}" for reason, count in summary["rejected"].items())
    sources = "\n".join(
        f"| {name} | {s['responses']} | {share(s['tool'], s['responses'])} | "
        f"{share(s['correct'], s['responses'])} |"
        for name, s in summary["sources"].items()
    )
    models = "\n".join(f"- `{role}`: {model}" for role, model in manifest["models"].items())
    home = manifest["homepage"]
    return {
        "snippet": "\n".join(
            f'{name} = load_dataset("PATH_OR_REPO", "{name}")'
            for name, splits in summary["configs"].items()
            if any(splits.values())
        ),
        "name": manifest["name"],
        "description": f"{manifest['description']}\n\n" if manifest["description"] else "",
        "version": manifest["toolgen_hf"],
        "student": student,
        "teachers": ", ".join(f"{n} by `{t}`" for t, n in summary["teachers"].items()) or "none",
        "stages": stages,
        "rejected": rejected or "None.",
        "sources": sources,
        "models": models,
        "strategy": manifest["strategy"],
        "license": manifest["license"],
        "source_dataset": f"[{manifest['source_dataset']}]({home})" if home else manifest["source_dataset"],
        "citation": f"\n{manifest['citation'].strip()}\n" if manifest["citation"] else "",
    }
