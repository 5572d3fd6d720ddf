"""What the Hub's commands print, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolgen_hf.hub.compare import Diff
from toolgen_hf.hub.fetch import Version
from toolgen_hf.hub.release import Pushed

MAIN = ("raw", "stage1", "stage2", "rejected")
"""The configs whose rows are listed; the others follow from them."""
_LONGEST = 60


def print_pushed(done: Pushed, directory: Path) -> None:
    """Print where a version is now, and how to load it."""
    console = Console(soft_wrap=True)
    if done.tag is None:
        if done.pull_request is None:
            console.print(
                f"{done.repo_id} holds this already, at commit {done.commit[:12]}: nothing to propose"
            )
            return
        what = "opened" if done.is_new else "there already"
        console.print(f"pull request {what}: {done.pull_request}", markup=False)
        console.print(
            f"No tag: once it is merged, 'toolgen-hf push {directory} {done.repo_id} --version {done.version}' sets it",
            markup=False,
        )
        return
    what = "pushed" if done.is_new else "nothing to do, it is there already:"
    console.print(f"{what} {done.repo_id} {done.tag}, commit {done.commit[:12]}", markup=False)
    console.print(f'load_dataset("{done.repo_id}", "stage2", revision="{done.tag}")', markup=False)


def print_pulled(done: Version, repo_id: str, directory: Path) -> None:
    """Print what came, and how to load it."""
    console = Console(soft_wrap=True)
    count = len(done.manifest.files) if done.manifest else 0
    console.print(
        f"pulled {repo_id} {done.tag}, commit {done.commit[:12]}: {count} files, all as released",
        markup=False,
    )
    console.print(f'load_dataset("{directory}", "stage2")', markup=False)


def print_versions(repo_id: str, found: Sequence[Version]) -> None:
    """Print one row a version, newest first."""
    console = Console()
    if not found:
        console.print(f"{repo_id} has no version yet; push one with 'toolgen-hf push'", markup=False)
        return
    table = _table(repo_id, "version", "date", "commit", "rows", "student", "teachers", "sources")
    for version in found:
        told = version.to_dict()
        rows = [f"{config} {version.rows[config]}" for config in MAIN if version.rows.get(config)]
        table.add_row(
            *(
                Text(cell)
                for cell in (
                    told["version"],
                    version.date.strftime("%Y-%m-%d %H:%M") if version.date else "",
                    version.commit[:8],
                    "\n".join(rows) or (f"not usable: {version.problem}" if version.problem else "no rows"),
                    told["student"] or "",
                    "\n".join(f"{name} {count}" for name, count in told["teachers"].items()),
                    "\n".join(f"{name}: {model}" for name, model in told["sources"].items()),
                )
            )
        )
    console.print(table)


def print_diff(found: Diff) -> None:
    """Print what changed, and nothing of what did not."""
    console = Console()
    for side in (found.old, found.new):
        commit = f", commit {side['commit'][:8]}" if side["commit"] else ""
        version = f" {side['version']}" if side["version"] else ""
        console.print(
            Text(
                f"{'from' if side is found.old else 'to':<5}{side['asked']}: {side['name']}{version}{commit}"
            )
        )
    tables = [_rows(found.rows), _figures(found)]
    tables += [_shifts("Rejected", "reason", found.rejected), _shifts("Recipe", "key", found.recipe)]
    for table in tables:
        if table.row_count:
            console.print("", table)
    if not any(table.row_count for table in tables):
        console.print("\nno difference")
    _print_examples(console, found.rows)


def _rows(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    table = _table("Rows", "config", "split", ">from", ">to", ">added", ">removed", ">changed", "columns")
    for config, splits in rows.items():
        for split, counts in splits.items():
            moved = [str(counts[kind] or "") for kind in ("added", "removed", "changed")]
            if any(moved):
                columns = ", ".join(f"{name} {count}" for name, count in counts["columns"].items())
                sizes = (str(counts["rows"][side]) for side in ("from", "to"))
                table.add_row(config, split, *sizes, *moved, columns)
    return table


def _figures(found: Diff) -> Table:
    """The student's and the sources' figures that moved."""
    table = _table("Figures", "of", "what", ">from", ">to", ">shift")
    figures = [("student", f"right without a tool, {split}", shift) for split, shift in found.student.items()]
    for name, shifts in found.sources.items():
        figures += [(name, key.replace("_", " "), shift) for key, shift in shifts.items()]
    for of, what, shift in figures:
        old, new = shift["from"], shift["to"]
        if old != new:
            show = _score if what == "mean score" else _percent
            moved = "" if old is None or new is None else show(new - old, signed=True)
            table.add_row(Text(of), what, show(old), show(new), moved)
    return table


def _shifts(title: str, what: str, shifts: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table(title, what, "from", "to")
    for key, shift in shifts.items():
        table.add_row(Text(key), *(Text(_short(shift[side])) for side in ("from", "to")))
    return table


def _print_examples(console: Console, rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Some changed rows of the two sets themselves, column by column."""
    for config in ("stage1", "stage2"):
        for split, counts in rows.get(config, {}).items():
            for kind in ("added", "removed"):
                if ids := counts["examples"][kind]:
                    more = ", ..." if counts[kind] > len(ids) else ""
                    console.print(Text(f"\n{config}/{split} {kind}: {', '.join(ids)}{more}"))
            for example in counts["examples"]["changed"][:1]:
                console.print(Text(f"\n{config}/{split} changed, such as {example['id']}:"))
                for column, shift in example["columns"].items():
                    console.print(Text(f"  {column}: {_short(shift['from'])} -> {_short(shift['to'])}"))


def _table(title: str, *columns: str) -> Table:
    """A table; columns that begin with > hold numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        is_number = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if is_number else "left", overflow="fold")
    return table


def _percent(value: float | None, signed: bool = False) -> str:
    return "-" if value is None else f"{100 * value:+.1f} points" if signed else f"{value:.1%}"


def _score(value: float | None, signed: bool = False) -> str:
    return "-" if value is None else f"{value:+.2f}" if signed else f"{value:.2f}"


def _short(value: Any) -> str:
    text = (
        "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
