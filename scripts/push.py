"""Push a result to the Hub as a version: a produced directory, or one made from files in the published layout."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from toolgen_hf.published import command
from toolgen_hf.published.command import Parser, add_task, add_tools, main

EXAMPLE = "push.py --data_path ../data --dataset_name GSM8K --repo_id user/set --version 1.0.0"
MODERN = "toolgen-hf push outputs/quickstart user/set --version 1.0.0"


def parser() -> Parser:
    made = Parser(__doc__, EXAMPLE, MODERN)
    made.add("--data_path", Path, "stage1/ and stage2/ are in it", default=Path("../data"))
    made.add("--dataset_name", str, "build a result from its files, such as GSM8K, before it is pushed")
    directory = (
        "the produced directory; with --dataset_name, where it is built (default: ../outputs/DATASET_NAME)"
    )
    made.add("--output_dir", Path, directory)
    made.add("--repo_id", str, "the dataset repository, user/name; made if there is none", required=True)
    made.add_argument("--version", required=True, metavar="1.0.0", help="the tag is v1.0.0")
    made.add_argument("--private", action="store_true", help="the repository is private")
    made.add_argument("--create_pr", action="store_true", help="open a pull request, and set no tag")
    branch = "the branch to commit to (default: main)"
    made.add_argument("--revision", default="main", metavar="BRANCH", help=branch)
    made.add_argument("--force", action="store_true", help="give the version's tag to this content")
    strategies = ("distance", "consistency")
    made.add_argument("--strategy", choices=strategies, default="distance", help="of the scores")
    add_task(made)
    add_tools(made)
    return made


def step(options: Namespace, workspace: command.Workspace) -> command.Done:
    from toolgen_hf.cli.hub import push
    from toolgen_hf.errors import ConfigError

    name, directory = options.dataset_name, options.output_dir
    if name is None and directory is None:
        raise ConfigError(
            "what is pushed? Give --dataset_name (files in the published layout) or --output_dir"
        )
    if name is not None:
        from toolgen_hf.published.assemble import release

        directory = directory or Path("..") / "outputs" / name
        release(options.data_path, name, directory, workspace, command.task(options), options.strategy)
    push(Namespace(**vars(options), directory=directory, repo=options.repo_id))
    return None


if __name__ == "__main__":
    sys.exit(main(parser(), step))
