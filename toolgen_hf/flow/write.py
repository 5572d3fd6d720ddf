"""Write a result to a folder beside its directory, and then put it in place at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial as bind
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from toolgen_hf._utils import Job, file_sha256, processes_for, quiet_datasets, replacing_directory, run_jobs
from toolgen_hf.data.manifest import MANIFEST
from toolgen_hf.data.produced import check_target, parquet_path, read_manifest
from toolgen_hf.errors import ConfigError
from toolgen_hf.report.card import render_card
from toolgen_hf.report.plots import write_plots
from toolgen_hf.runtime.summary import Summary

logger = logging.getLogger(__name__)

_PLOTS = "plots"


def is_current(directory: Path, key: str) -> bool:
    """Whether the directory holds exactly this result: every file as it was written, and plots if they can be drawn."""
    manifest = read_manifest(directory)
    if manifest is None or manifest.key != key:
        return False
    has_plots = any(name.startswith(f"{_PLOTS}/") for name in manifest.files)
    if can_plot() and not has_plots and any(manifest.summary.configs.get("stage2", {}).values()):
        return False  # matplotlib was not installed then
    return all(
        (directory / name).is_file() and file_sha256(directory / name) == digest
        for name, digest in manifest.files.items()
    )


def write_produced(
    directory: Path,
    configs: Mapping[str, DatasetDict],
    exports: Callable[[Path], Sequence[Job]],
    recipe_yaml: str,
    manifest: Mapping[str, Any],
) -> None:
    """Write the whole directory, and replace the previous one with it at once.

    Args:
        configs: the tables by config name; ``stage2`` opens by default.
        exports: the jobs that write the JSON exports to the folder that it gets.
        manifest: facts to record; ``key`` identifies the content.

    Raises:
        ConfigError: see ``check_target``.
        OSError: the disk is full or not writable; the previous result is untouched.
    """
    check_target(directory)
    with replacing_directory(directory.resolve(), "partial") as partial, quiet_datasets():
        jobs: list[Job] = []
        for config, splits in configs.items():
            (partial / config).mkdir(parents=True)
            for split, rows in splits.items():
                jobs.append(bind(rows.to_parquet, partial / parquet_path(config, str(split))))
        jobs += exports(partial / "data")
        processes = processes_for(
            max((len(rows) for splits in configs.values() for rows in splits.values()), default=0)
        )
        run_jobs(jobs, processes)
        (partial / "recipe.yaml").write_text(recipe_yaml, encoding="utf-8")
        plots = _write_plots(partial, configs, manifest)
        card = render_card(partial, _loadable(configs), manifest, recipe_yaml, plots)
        (partial / "README.md").write_text(card, encoding="utf-8")
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        names = [path.relative_to(partial).as_posix() for path in files]
        found = run_jobs([bind(file_sha256, path) for path in files], processes)
        digests = dict(zip(names, found, strict=True))
        text = json.dumps({**manifest, "files": digests}, indent=2, ensure_ascii=False)
        (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _write_plots(root: Path, configs: Mapping[str, DatasetDict], manifest: Mapping[str, Any]) -> list[str]:
    """Draw the plots and return their names; none if stage 2 is empty or matplotlib is missing."""
    if not any(map(len, configs.get("stage2", {}).values())):
        return []
    if not can_plot():
        logger.info("no plots in the card: pip install 'toolgen_hf[report]' and run again to get them")
        return []
    try:
        drawn = write_plots(root / _PLOTS, Summary.from_dict(manifest["summary"]), configs["stage2"])
    except ConfigError as error:  # matplotlib is installed but broken: the result must not be lost
        logger.warning("no plots in the card: %s", error)
        return []
    return sorted(drawn)


def can_plot() -> bool:
    """Whether matplotlib is installed, without importing it."""
    return find_spec("matplotlib") is not None


def _loadable(configs: Mapping[str, DatasetDict]) -> dict[str, DatasetDict]:
    """The configs and splits that the card names: those with rows, as ``load_dataset`` fails on an empty split."""
    full = {
        config: DatasetDict({split: rows for split, rows in splits.items() if len(rows)})
        for config, splits in configs.items()
    }
    return {config: splits for config, splits in full.items() if splits}
