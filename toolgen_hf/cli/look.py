"""``report``: a result as one HTML file, for any browser and without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from toolgen_hf.cli.options import Commands, add_command


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = add_command(
        commands,
        "report",
        report,
        "write a result as one HTML file to look through",
        "report outputs/quickstart",
        "report outputs/quickstart -o quickstart.html",
        description="Write a result as one HTML file that needs no network: where the questions went, the sources side "
        "by side, and every question with all its responses, to search and filter.",
    )
    parser.add_argument("directory", type=Path, help="a produced directory")
    parser.add_argument(
        "-o", "--output", type=Path, help="where to (default: DIRECTORY-report.html, beside the directory)"
    )
    parser.add_argument(
        "--task", help="a name or FILE.py:NAME: whose calls are marked (default: the directory's own task)"
    )


def report(arguments: argparse.Namespace) -> None:
    """``toolgen-hf report``"""
    from toolgen_hf.report.html import write_report

    print(write_report(arguments.directory, arguments.output, arguments.task))
