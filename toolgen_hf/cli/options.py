"""What the commands share: options, examples in their help, and the workspace."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from toolgen_hf.runtime.plan import Plan
    from toolgen_hf.runtime.workspace import Workspace

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    command: Callable[[argparse.Namespace], int | None],
    does: str,
    *examples: str,
    description: str | None = None,
) -> argparse.ArgumentParser:
    """A command with its one-line help ``does``, and examples after its options."""
    shown = "".join(f"\n  toolgen-hf {example}" for example in examples)
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=does,
        description=description or f"{does[0].upper()}{does[1:]}.",
        epilog=f"example{'s' if len(examples) > 1 else ''}:{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=command)
    return made


def add_spending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing: show the first prompts, how many requests are not in the store, and their cost",
    )
    parser.add_argument(
        "--max-cost",
        type=_dollars,
        metavar="DOLLARS",
        help="stop before this run's requests cost more than this; texts that were paid for are kept",
    )


def add_common(parser: argparse.ArgumentParser, has_caches: bool = True) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key of the recipe (repeatable)",
    )
    add_workspace(parser, has_caches)


def add_workspace(parser: argparse.ArgumentParser, has_caches: bool = True) -> None:
    """``has_caches`` is false for a command that uses neither cache nor store: it accepts the options, unlisted."""
    cache_dir = "where stages and adapters are cached (default: $TOOLGEN_HF_HOME)"
    store = "the text store: a file, or postgresql://USER@HOST/DATABASE (default: store.sqlite in the cache)"
    parser.add_argument("--cache-dir", type=Path, help=cache_dir if has_caches else argparse.SUPPRESS)
    parser.add_argument("--store", metavar="FILE", help=store if has_caches else argparse.SUPPRESS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no stage lines")


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _dollars(text: str) -> float:
    if not 0 <= (amount := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not an amount of dollars")
    return amount


@contextmanager
def open_workspace(arguments: argparse.Namespace) -> Iterator[Workspace]:
    """The workspace from the options of ``add_workspace`` and ``add_spending``; in a dry run it only counts texts."""
    from toolgen_hf.runtime.workspace import Workspace

    progress, limit = not arguments.quiet, getattr(arguments, "max_cost", None)
    workspace = Workspace(arguments.cache_dir, arguments.store, progress, limit)
    with workspace, workspace.rehearsal() if getattr(arguments, "dry_run", False) else nullcontext():
        yield workspace


def show_plan(plan: Plan, as_json: bool = False) -> None:
    """Print the plan of a dry run."""
    import json

    from toolgen_hf.report.screen import print_plan

    if as_json:
        print(json.dumps(plan.to_dict(), ensure_ascii=False))
    else:
        print_plan(plan)
