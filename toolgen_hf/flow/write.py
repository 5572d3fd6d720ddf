"""Writing a result to its directory, beside its place and then swapped in whole."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from filelock import FileLock

from toolgen_hf._utils import file_sha256, quiet_datasets, replace_directory
from toolgen_hf.data.manifest import MANIFEST, Manifest
from toolgen_hf.data.produced import check_target, parquet_path, read_manifest
from toolgen_hf.errors import ConfigError
from toolgen_hf.report.card import render_card
from toolgen_hf.report.plots import write_plots
from toolgen_hf.runtime.summary import Summary

logger = logging.getLogger(__name__)

PLOTS = "plots"


def is_current(directory: Path, key: str) -> bool:
    """Whether the directory holds exactly this result, every file as it was written."""
    manifest = read_manifest(directory)
    if manifest is None or manifest.key != key or _lacks_plots(manifest):
        return False
    return all(
        (directory / name).is_file() and file_sha256(directory / name) == digest
        for name, digest in manifest.files.items()
    )


def write_produced(
    directory: Path,
    configs: Mapping[str, DatasetDict],
    exports: Callable[[Path], None],
    recipe_yaml: str,
    manifest: Mapping[str, Any],
) -> None:
    """Write the whole directory and put it in place of the previous one, at once.

    Args:
        configs: the tables by config name; the one named ``stage2`` is what opens by default.
        exports: writes the JSON exports under the path it is given.
        manifest: facts to record; ``key`` identifies the content.

    Raises:
        ConfigError: see ``check_target``.
        OSError: the disk is full or not writable; the previous result is untouched.
    """
    check_target(directory)
    directory = directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(directory.parent / f".{directory.name}.lock"), quiet_datasets():
        for left_over in directory.parent.glob(f".{directory.name}.partial-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        partial = directory.parent / f".{directory.name}.partial-{uuid.uuid4().hex[:8]}"
        try:
            _write_tables(partial, configs)
            exports(partial / "data")
            (partial / "recipe.yaml").write_text(recipe_yaml, encoding="utf-8")
            card = render_card(
                partial, _loadable(configs), manifest, recipe_yaml, _write_plots(partial, configs, manifest)
            )
            (partial / "README.md").write_text(card, encoding="utf-8")
            _write_manifest(partial, manifest)
            replace_directory(partial, directory)
        finally:
            with suppress(OSError):
                shutil.rmtree(partial)


def _write_tables(root: Path, configs: Mapping[str, DatasetDict]) -> None:
    for config, splits in configs.items():
        (root / config).mkdir(parents=True)
        for split, rows in splits.items():
            rows.to_parquet(root / parquet_path(config, str(split)))


def _write_plots(root: Path, configs: Mapping[str, DatasetDict], manifest: Mapping[str, Any]) -> list[str]:
    """The names of the plots that were drawn: none where there is nothing to see, or nothing to draw with."""
    if not any(map(len, configs.get("stage2", {}).values())):
        return []
    if not can_plot():
        logger.info("no plots in the card: pip install 'toolgen_hf[report]' and run again to get them")
        return []
    try:
        drawn = write_plots(root / PLOTS, Summary.from_dict(manifest["summary"]), configs["stage2"])
    except ConfigError as error:  # it is there and cannot be imported: no reason to lose the result
        logger.warning("no plots in the card: %s", error)
        return []
    return sorted(drawn)


def can_plot() -> bool:
    """Whether matplotlib is installed; it is not imported for that."""
    return find_spec("matplotlib") is not None


def _lacks_plots(manifest: Manifest) -> bool:
    """Whether the plots were left out for want of matplotlib, which is there now."""
    return (
        can_plot()
        and any(manifest.summary.configs.get("stage2", {}).values())
        and not any(name.startswith(f"{PLOTS}/") for name in manifest.files)
    )


def _write_manifest(root: Path, facts: Mapping[str, Any]) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    digests = {path.relative_to(root).as_posix(): file_sha256(path) for path in files}
    text = json.dumps({**facts, "files": digests}, indent=2, ensure_ascii=False)
    (root / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _loadable(configs: Mapping[str, DatasetDict]) -> dict[str, DatasetDict]:
    """What the card may name: ``load_dataset`` fails on a split without rows, so those are only files."""
    full = {
        config: DatasetDict({split: rows for split, rows in splits.items() if len(rows)})
        for config, splits in configs.items()
    }
    return {config: splits for config, splits in full.items() if splits}
