"""One HTML file that shows a whole result, from any disk and with no network.

The rows travel in it as compressed JSON, which only its own script reads; the page's policy lets nothing else run
and nothing be fetched. What a model wrote is put on the page as text, never as markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from html import escape
from importlib.resources import files
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any

from datasets import DatasetDict

from toolgen_hf._utils import replacing
from toolgen_hf.builders import Produced, load
from toolgen_hf.data.manifest import Manifest
from toolgen_hf.data.produced import load_manifest, task_of
from toolgen_hf.errors import ConfigError
from toolgen_hf.report.figures import length_quantiles
from toolgen_hf.report.html.overview import overview
from toolgen_hf.report.html.rows import questions
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders

CONFIGS = ("raw", "stage1", "stage2", "rejected")


def write_report(directory: Path, target: Path | None = None, task: str | Task | None = None) -> Path:
    """Write the page of a produced directory. Equal results give equal bytes.

    Args:
        target: where to; default ``{directory}-report.html``, beside the directory (within it, the next run would
            have to refuse: it replaces the directory whole).
        task: whose calls are marked and answers graded; default the directory's own, in a mix of several each row's.

    Returns:
        Where it was written.

    Raises:
        ConfigError: the directory holds no result, its task is not known here, or the target is a directory.
        DataError: its tables are not there or damaged.
        OSError: it cannot be written there.
    """
    directory = directory.resolve()
    target = directory.with_name(f"{directory.name}-report.html") if target is None else target
    if target.is_dir():
        raise ConfigError(
            f"{str(target)!r} is a directory; name a file, such as {str(target / 'report.html')!r}"
        )
    page = render(directory, task)
    with replacing(target) as scratch:
        scratch.write_text(page, encoding="utf-8", newline="\n")
    return target


def render(directory: Path, task: str | Task | None = None) -> str:
    """The page of a produced directory. Raises as ``write_report`` does."""
    manifest = load_manifest(directory)
    summary = manifest.summary
    tables = _tables(directory, summary.configs, manifest)
    rows = {
        config: {str(split): table.to_list() for split, table in splits.items()}
        for config, splits in tables.items()
    }
    data = {
        "questions": questions(
            rows, Graders(get_task(task) if task else None, task_of(directory), directory.name)
        ),
        "sources": list(summary.sources),
    }
    style, script = (_resource(f"report.{kind}") for kind in ("css", "js"))
    return Template(_resource("report.html")).substitute(
        title=escape(manifest.name or summary.name),
        policy=_policy(style, script),
        style=style,
        script=script,
        overview=overview(manifest, summary, length_quantiles(tables.get("stage2", DatasetDict()))),
        data=pack(data),
    )


def pack(data: Any) -> str:
    """JSON, compressed, as letters that mean nothing to HTML."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)).decode("ascii")


def _tables(directory: Path, configs: dict[str, Any], manifest: Manifest) -> dict[str, DatasetDict]:
    """The configs, and the student's responses from the exports where these are of one dataset."""
    found = {name: load(Produced(name, data_dir=directory)) for name in CONFIGS if name in configs}
    exported = [PurePosixPath(name) for name in manifest.files]
    names = {path.parts[2] for path in exported if path.parts[:2] == ("data", "raw") and len(path.parts) == 4}
    if len(names) == 1:
        for config in ("right", "wrong"):
            if any(path.name.endswith(f"_{config}.json") for path in exported):
                found[config] = load(Produced(config, data_dir=directory))
    return found


def _policy(style: str, script: str) -> str:
    """What the page may do: run this very script, and nothing else."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"

    return (
        f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return files("toolgen_hf.report.html").joinpath(name).read_text(encoding="utf-8")
