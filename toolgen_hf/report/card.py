"""The dataset card: YAML that tells ``load_dataset`` what there is, and prose about what ran.

The prose is card.md, whose blocks are filled with facts (facts.py). A block with an empty fact is left out, so what did
not run is not in the card.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pyarrow.parquet as pq
import yaml
from datasets import DatasetDict, DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from toolgen_hf.report.facts import card_facts

_DEFAULT_CONFIG = "stage2"
_BLOCK = "\n<!-- block -->\n"
_LICENCES = frozenset([
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0",
    "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl",
    "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "odbl", "odc-by",
    "openrail", "osl-3.0", "pddl", "postgresql", "unknown", "unlicense", "wtfpl", "zlib",
])  # fmt: skip
"""The Hub's names of licences (huggingface.co/docs/hub/repositories-licenses). It calls any other "other"."""
_SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
}


def render_card(
    root: Path,
    configs: Mapping[str, DatasetDict],
    manifest: Mapping[str, Any],
    recipe_yaml: str = "",
    plots: Sequence[str] = (),
) -> str:
    """The README of a produced directory whose Parquet files are under ``root``. Equal content gives equal bytes.

    Args:
        configs: those that can be loaded; none is empty.
        plots: the names of the plots under ``root/plots``.
    """
    facts = card_facts(manifest, configs, recipe_yaml, plots)
    return fill("toolgen_hf.report", _metadata(root, configs, manifest), facts)


def fill(package: str, metadata: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """The card.md of a package with its facts, without the blocks that have an empty one, below a YAML header."""
    template = files(package).joinpath("card.md").read_text(encoding="utf-8")
    header = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n{fill_blocks(template, facts)}"


def fill_blocks(template: str, facts: Mapping[str, str]) -> str:
    """The template with its facts, without the blocks that have an empty one."""
    blocks = [Template(block.strip()) for block in template.split(_BLOCK)]
    made = [
        block.substitute(facts) for block in blocks if all(facts[name] for name in block.get_identifiers())
    ]
    return "\n\n".join(made) + "\n"


def hub_licence(name: str) -> dict[str, str]:
    """The header keys of a licence: ``{"license": "mit"}``; for one unknown to the Hub, "other" and its name."""
    known = name.strip().lower().replace(" ", "-")
    if known in _LICENCES:
        return {"license": known}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", known).strip("-") or "unnamed"}


def _metadata(root: Path, configs: Mapping[str, DatasetDict], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML header, with the Hub's keys."""
    rows = sum(len(table) for splits in configs.values() for table in splits.values())
    tags = ["tool-use", "function-calling", "trice", "toolgen_hf"]
    tags += [str(manifest["task"])] if manifest.get("task") else []
    tags += ["trl"] if {"sft", "tool_calling", "preference"} & configs.keys() else []
    data = DatasetCardData(
        pretty_name=manifest["name"],
        language=manifest.get("language"),
        task_categories=["text-generation"],
        tags=tags,
        size_categories=next((size for end, size in _SIZES.items() if rows < end), "n>10M"),
    )
    infos = {config: _info(root, config, splits) for config, splits in configs.items()}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    return {
        **hub_licence(str(manifest["license"])),
        **data.to_dict(),  # type: ignore[no-untyped-call]
        "configs": [_config_entry(root, config, splits) for config, splits in configs.items()],
    }


def _config_entry(root: Path, config: str, splits: DatasetDict) -> dict[str, Any]:
    """One entry of the YAML ``configs``.

    ``load_dataset`` caches a local directory by this entry and not by its files. So ``description`` holds a digest of
    them; of all keys that an entry may have, it is the one that changes nothing else.
    """
    digest = hashlib.sha256()
    for split in splits:
        for path in sorted((root / config).glob(f"{split}-*.parquet")):
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
    entry = {
        "config_name": config,
        "data_files": [{"split": str(split), "path": f"{config}/{split}-*.parquet"} for split in splits],
        "description": f"content sha256:{digest.hexdigest()}",
    }
    return {**entry, "default": True} if config == _DEFAULT_CONFIG else entry


def _info(root: Path, config: str, splits: DatasetDict) -> DatasetInfo:
    sizes = SplitDict()
    for split, rows in splits.items():
        found = pq.read_metadata(next((root / config).glob(f"{split}-*.parquet")))
        size = sum(found.row_group(at).total_byte_size for at in range(found.num_row_groups))  # uncompressed
        sizes.add(SplitInfo(name=str(split), num_bytes=size, num_examples=len(rows)))
    return DatasetInfo(
        config_name=config,
        features=next(iter(splits.values())).features,
        splits=sizes,
        download_size=sum(path.stat().st_size for path in (root / config).glob("*.parquet")),
        dataset_size=sum(info.num_bytes for info in sizes.values()),
    )
