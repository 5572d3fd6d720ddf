"""``push``, ``versions``, ``pull``, ``diff``: results as versions of a dataset repository on the Hub."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolgen_hf.cli.options import Commands, add_command

if TYPE_CHECKING:
    from rich.table import Table

    from toolgen_hf.hub import Diff, Pushed, Version

REPO = "the dataset repository, user/name"
_MAIN = ("raw", "stage1", "stage2", "rejected")
"""The configs whose rows ``versions`` lists."""


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = add_command(
        commands,
        "push",
        push,
        "push a result to the Hub as a version",
        "push outputs/quickstart user/set --version 1.0.0",
        "push outputs/quickstart user/set --version 1.1.0 --private",
        "push outputs/quickstart user/set --version 1.1.0 --create-pr",
        description="Check a result, commit all of it at once, and tag that commit. The same content again does "
        "nothing; a push that was killed is completed by the next one. What people write into the card on the Hub, "
        "above or below the generated part, stays.",
    )
    parser.add_argument("directory", type=Path, help="a produced directory")
    parser.add_argument("repo", help=f"{REPO}; created if it does not exist")
    parser.add_argument("--version", required=True, metavar="1.2.0", help="the version; the tag is v1.2.0")
    parser.add_argument(
        "--private", action="store_true", help="create the repository as private; refuse one that is public"
    )
    parser.add_argument("--create-pr", action="store_true", help="open a pull request, and set no tag")
    parser.add_argument(
        "--revision", default="main", metavar="BRANCH", help="the branch to commit to (default: main)"
    )
    parser.add_argument(
        "--force", action="store_true", help="move the version's tag here if it has other content"
    )
    _add_quiet(parser)

    parser = add_command(
        commands,
        "versions",
        _list_versions,
        "list the versions of a result on the Hub",
        "versions user/set",
        "versions user/set --json",
        description="List what was pushed, newest first: version, date, commit, rows, student, teachers, sources.",
    )
    parser.add_argument("repo", help=REPO)
    parser.add_argument("--json", action="store_true", help="print all of it as one line of JSON")

    parser = add_command(
        commands,
        "pull",
        pull,
        "pull a version from the Hub into a directory",
        "pull user/set outputs/pulled",
        "pull user/set outputs/pulled --version 1.0.0",
        description="Download a version, check every file's digest, and put it in place of what was there. A pull that "
        "was interrupted continues where it stopped.",
    )
    parser.add_argument("repo", help=REPO)
    parser.add_argument("directory", type=Path, help="where it goes: a produced directory, or a new path")
    parser.add_argument("--version", metavar="1.1.0", help="which (default: the newest)")
    _add_quiet(parser)

    parser = add_command(
        commands,
        "diff",
        diff,
        "show what changed between two results or versions",
        "diff user/set@1.0.0 user/set@1.1.0",
        "diff user/set outputs/quickstart --json",
        description="Rows added, removed and changed, by id; the student's, the sources' and the rejects' figures; and "
        "the recipe's keys.",
    )
    for name in ("old", "new"):
        parser.add_argument(name, help="a produced directory, or user/name@version (no version: the newest)")
    parser.add_argument("--json", action="store_true", help="print all of it as one line of JSON")
    _add_quiet(parser)


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars")


def _hide_bars(arguments: argparse.Namespace) -> None:
    """Switch off the client's progress bars if ``--quiet`` is given."""
    if arguments.quiet:
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()


def push(arguments: argparse.Namespace) -> None:
    from toolgen_hf.hub import push as push_it

    _hide_bars(arguments)
    done = push_it(
        arguments.directory,
        arguments.repo,
        arguments.version,
        private=arguments.private,
        branch=arguments.revision,
        create_pr=arguments.create_pr,
        force=arguments.force,
    )
    print_pushed(done, arguments.directory)


def print_pushed(done: Pushed, directory: Path) -> None:
    """Print where a version is, and how to load it."""
    commit = done.commit[:12]
    if done.tag is not None:
        what = "pushed" if done.is_new else "nothing to do, it is there already:"
        print(f"{what} {done.repo_id} {done.tag}, commit {commit}")
        print(f'load_dataset("{done.repo_id}", "stage2", revision="{done.tag}")')
    elif done.pull_request is None:
        print(f"{done.repo_id} holds this already, at commit {commit}: nothing to propose")
    else:
        print(f"pull request {'opened' if done.is_new else 'there already'}: {done.pull_request}")
        print(
            f"No tag: once it is merged, 'toolgen-hf push {directory} {done.repo_id} --version {done.version}' sets it"
        )


def pull(arguments: argparse.Namespace) -> None:
    from toolgen_hf.hub import pull as pull_it

    _hide_bars(arguments)
    done = pull_it(arguments.repo, arguments.directory, arguments.version)
    count = len(done.manifest.files) if done.manifest else 0
    print(f"pulled {arguments.repo} {done.tag}, commit {done.commit[:12]}: {count} files, all as released")
    print(f'load_dataset("{arguments.directory}", "stage2")')


def _list_versions(arguments: argparse.Namespace) -> None:
    from toolgen_hf.hub import versions

    found = versions(arguments.repo)
    if arguments.json:
        print(json.dumps([version.to_dict() for version in found], ensure_ascii=False))
    else:
        print_versions(arguments.repo, found)


def print_versions(repo_id: str, found: Sequence[Version]) -> None:
    """Print a table with one row for each version, newest first."""
    from rich.console import Console

    from toolgen_hf.report.screen import plain_table

    if not found:
        print(f"{repo_id} has no version yet; push one with 'toolgen-hf push'")
        return
    columns = ["version", "date", "commit", "rows", "student", "teachers", "sources"]
    table = plain_table(repo_id, columns)
    for version in found:
        facts = version.to_dict()
        rows = [f"{config} {version.rows[config]}" for config in _MAIN if version.rows.get(config)]
        _add_row(
            table,
            facts["version"],
            version.date.strftime("%Y-%m-%d %H:%M") if version.date else "",
            version.commit[:8],
            "\n".join(rows) or (f"not usable: {version.problem}" if version.problem else "no rows"),
            facts["student"] or "",
            "\n".join(f"{name} {count}" for name, count in facts["teachers"].items()),
            "\n".join(f"{name}: {model}" for name, model in facts["sources"].items()),
        )
    Console().print(table)


def diff(arguments: argparse.Namespace) -> None:
    from toolgen_hf.hub import diff as compare

    _hide_bars(arguments)
    found = compare(arguments.old, arguments.new)
    if arguments.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _print_diff(found)


def _print_diff(found: Diff) -> None:
    """Print what changed, as tables, and some changed rows."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for word, side in (("from", found.old), ("to", found.new)):
        version = f" {side['version']}" if side["version"] else ""
        commit = f", commit {side['commit'][:8]}" if side["commit"] else ""
        console.print(Text(f"{word:<5}{side['asked']}: {side['name']}{version}{commit}"))
    tables = [table for table in _diff_tables(found) if table.row_count]
    for table in tables:
        console.print("", table)
    if not tables:
        console.print("\nno difference")
    for line in _examples(found):
        console.print(Text(line))


def _diff_tables(found: Diff) -> Iterator[Table]:
    """Rows, figures, rejected questions and keys of the recipe; each table lists only what changed."""
    from toolgen_hf.report.screen import plain_table

    table = plain_table("Rows", ["config", "split"], ["from", "to", "added", "removed", "changed"])
    table.add_column("columns", overflow="fold")
    for config, splits in found.rows.items():
        for split, counts in splits.items():
            moved = [str(counts[kind] or "") for kind in ("added", "removed", "changed")]
            if any(moved):
                columns = ", ".join(f"{name} {count}" for name, count in counts["columns"].items())
                sizes = (str(counts["rows"][side]) for side in ("from", "to"))
                _add_row(table, config, split, *sizes, *moved, columns)
    yield table
    table = plain_table("Figures", ["of", "what"], ["from", "to", "shift"])
    figures = [("student", f"right without a tool, {split}", shift) for split, shift in found.student.items()]
    for name, shifts in found.sources.items():
        figures += [(name, key.replace("_", " "), shift) for key, shift in shifts.items()]
    for of, what, shift in figures:
        old, new = shift["from"], shift["to"]
        form, change, times = (".2f", "+.2f", 1) if what == "mean score" else (".1%", "+.1f", 100)
        unit = " points" if times == 100 else ""
        if old != new:
            shown = ("-" if value is None else f"{value:{form}}" for value in (old, new))
            is_shift = old is not None and new is not None
            _add_row(table, of, what, *shown, f"{times * (new - old):{change}}{unit}" if is_shift else "")
    yield table
    for title, key, moved_keys in (("Rejected", "reason", found.rejected), ("Recipe", "key", found.recipe)):
        table = plain_table(title, [key, "from", "to"])
        for name, shift in moved_keys.items():
            _add_row(table, name, _short(shift["from"]), _short(shift["to"]))
        yield table


def _examples(found: Diff) -> Iterator[str]:
    """Ids of added and removed rows, and one changed row, column by column."""
    for config in ("stage1", "stage2"):
        for split, counts in found.rows.get(config, {}).items():
            for kind in ("added", "removed"):
                if ids := counts["examples"][kind]:
                    more = ", ..." if counts[kind] > len(ids) else ""
                    yield f"\n{config}/{split} {kind}: {', '.join(ids)}{more}"
            for example in counts["examples"]["changed"][:1]:
                yield f"\n{config}/{split} changed, such as {example['id']}:"
                for column, shift in example["columns"].items():
                    yield f"  {column}: {_short(shift['from'])} -> {_short(shift['to'])}"


def _add_row(table: Table, *cells: str) -> None:
    """Add a row of text that may look like rich's markup."""
    from rich.text import Text

    table.add_row(*map(Text, cells))


def _short(value: Any) -> str:
    from toolgen_hf._utils import shorten

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "-" if value is None else shorten(text, 60)
