"""``push``, ``versions``, ``pull``, ``diff``: results as versions of a dataset repository on the Hub."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from toolgen_hf.cli.options import Commands, add_command

REPO = "the dataset repository, user/name"


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    _add_push(commands)
    parser = add_command(
        commands,
        "versions",
        list_versions,
        "list the versions of a result on the Hub",
        "versions user/set",
        "versions user/set --json",
        description="List what was pushed, newest first: version, date, commit, rows, student, teachers, sources.",
    )
    parser.add_argument("repo", help=REPO)
    parser.add_argument("--json", action="store_true", help="print all of it as one line of JSON")
    _add_pull(commands)
    _add_diff(commands)


def push(arguments: argparse.Namespace) -> None:
    """``toolgen-hf push``"""
    from toolgen_hf.hub import push as push_it
    from toolgen_hf.hub.show import print_pushed

    _bars(arguments)
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


def list_versions(arguments: argparse.Namespace) -> None:
    """``toolgen-hf versions``"""
    from toolgen_hf.hub import versions
    from toolgen_hf.hub.show import print_versions

    found = versions(arguments.repo)
    if arguments.json:
        print(json.dumps([version.to_dict() for version in found], ensure_ascii=False))
    else:
        print_versions(arguments.repo, found)


def pull(arguments: argparse.Namespace) -> None:
    """``toolgen-hf pull``"""
    from toolgen_hf.hub import pull as pull_it
    from toolgen_hf.hub.show import print_pulled

    _bars(arguments)
    done = pull_it(arguments.repo, arguments.directory, arguments.version)
    print_pulled(done, arguments.repo, arguments.directory)


def diff(arguments: argparse.Namespace) -> None:
    """``toolgen-hf diff``"""
    from toolgen_hf.hub import diff as compare
    from toolgen_hf.hub.show import print_diff

    _bars(arguments)
    found = compare(arguments.old, arguments.new)
    if arguments.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        print_diff(found)


def _bars(arguments: argparse.Namespace) -> None:
    """The client's progress bars, unless quiet."""
    if arguments.quiet:
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()


def _quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars")


def _add_push(commands: Commands) -> None:
    parser = add_command(
        commands,
        "push",
        push,
        "push a result to the Hub as a version",
        "push outputs/quickstart user/set --version 1.0.0",
        "push outputs/quickstart user/set --version 1.1.0 --private",
        "push outputs/quickstart user/set --version 1.1.0 --create-pr",
        description="Check a result, commit all of it at once, and tag that commit. The same content again does "
        "nothing; a push that was killed is completed by the next one. What people wrote into the card there stays.",
    )
    parser.add_argument("directory", type=Path, help="a produced directory")
    parser.add_argument("repo", help=f"{REPO}; made if there is none")
    parser.add_argument("--version", required=True, metavar="1.2.0", help="the version; the tag is v1.2.0")
    parser.add_argument(
        "--private", action="store_true", help="the repository is private; one that is public is refused"
    )
    parser.add_argument("--create-pr", action="store_true", help="open a pull request, and set no tag")
    parser.add_argument(
        "--revision", default="main", metavar="BRANCH", help="the branch to commit to (default: main)"
    )
    parser.add_argument(
        "--force", action="store_true", help="give the version's tag to this content, if it has other content"
    )
    _quiet(parser)


def _add_pull(commands: Commands) -> None:
    parser = add_command(
        commands,
        "pull",
        pull,
        "pull a version from the Hub into a directory",
        "pull user/set outputs/pulled",
        "pull user/set outputs/pulled --version 1.0.0",
        description="Download a version, check every file's digest, and put it in place of what was there. A pull that "
        "was cut short goes on where it stopped.",
    )
    parser.add_argument("repo", help=REPO)
    parser.add_argument("directory", type=Path, help="where it goes: a produced directory, or none")
    parser.add_argument("--version", metavar="1.1.0", help="which (default: the newest)")
    _quiet(parser)


def _add_diff(commands: Commands) -> None:
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
    what = "a produced directory, or user/name@version (no version: the newest)"
    parser.add_argument("old", help=what)
    parser.add_argument("new", help=what)
    parser.add_argument("--json", action="store_true", help="print all of it as one line of JSON")
    _quiet(parser)
