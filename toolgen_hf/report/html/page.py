"""One HTML file that shows a whole result, from any disk and with no network.

The rows are in it as compressed JSON, which only its own script reads. The page's policy lets no other script run, and
nothing be fetched. What a model wrote is put on the page as text, never as markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from html import escape
from importlib.resources import files
from pathlib import Path
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


def write_report(directory: Path, target: Path | None = None, task: str | Task | None = None) -> Path:
    """Write the page of a produced directory, and return its path. Equal results give equal bytes.

    Args:
        target: default ``{directory}-report.html``, beside the directory. Within it, the next run would refuse to
            replace the directory.
        task: marks the calls and grades the answers; default the directory's own, in a mix of several each row's.

    Raises:
        ConfigError: the directory holds no result, its task is not known here, or the target is a directory.
        DataError: its tables are missing or damaged.
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
    summary, tables = manifest.summary, _tables(directory, manifest)
    graders = Graders(get_task(task) if task else None, task_of(directory), directory.name)
    data = {"questions": questions(tables, graders), "sources": list(summary.sources)}
    html, style, script = (
        files("toolgen_hf.report.html").joinpath(f"report.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    return Template(html).substitute(
        title=escape(manifest.name or summary.name),
        policy=f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        overview=overview(manifest, summary, length_quantiles(tables.get("stage2", DatasetDict()))),
        data=pack(data),
    )


def pack(data: Any) -> str:
    """JSON, compressed, in letters that mean nothing to HTML."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)).decode("ascii")


def _tables(directory: Path, manifest: Manifest) -> dict[str, DatasetDict]:
    """The configs that the page shows, and the student's responses where the exports are of one dataset."""
    shown = ["raw", "stage1", "stage2", "rejected"]
    wanted = [config for config in shown if config in manifest.summary.configs]
    exported = [name for name in manifest.files if name.startswith("data/raw/") and name.count("/") == 3]
    if len({name.split("/")[2] for name in exported}) == 1:
        wanted += [c for c in ("right", "wrong") if any(name.endswith(f"_{c}.json") for name in exported)]
    return {name: load(Produced(name, data_dir=directory)) for name in wanted}


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"
