"""Pull a version of a result from the Hub; its files in the published layout lie in OUTPUT_DIR/data."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, main

EXAMPLE = "pull.py --repo_id user/set --output_dir ../outputs/set --version 1.0.0"
MODERN = "toolgen-hf pull user/set outputs/set --version 1.0.0"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--repo_id", str, "the dataset repository, user/name", required=True)
    made.add("--output_dir", Path, "where it goes: a produced directory, or a new one", required=True)
    made.add_argument("--version", metavar="1.0.0", help="which (default: the newest)")
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.cli.hub import pull

    pull(Namespace(**vars(options), repo=options.repo_id, directory=options.output_dir))
    return None


if __name__ == "__main__":
    sys.exit(main(parser(), step))
