"""``toolgen-hf``: the whole flow, or one stage of it, from the command line.

Exit codes: 0 done; 1 the work failed (what was generated is safe, run again to go on); 2 the command,
the recipe or the input cannot be used as given; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from toolgen_hf.errors import ConfigError, DataError, ToolgenError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    _log_to_stderr(arguments)
    try:
        from toolgen_hf import commands  # here, so that --help stays light

        getattr(commands, arguments.command)(arguments)
    except KeyboardInterrupt:
        print(
            "\ninterrupted: every text generated so far is stored; run the same command to go on",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ToolgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError | DataError) else 1
    except OSError as error:
        if error.errno not in _DISK and error.filename is None:
            raise
        hint = " Free some space and run again: what was generated is stored." if error.errno in _DISK else ""
        print(
            f"error: {error.strerror or error}: {error.filename or 'while writing'}.{hint}", file=sys.stderr
        )
        return 1
    return 0


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"toolgen_hf {version('toolgen_hf')}")
        parser.exit()


def _log_to_stderr(arguments: argparse.Namespace) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("toolgen_hf")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if getattr(arguments, "quiet", False) else logging.INFO)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toolgen-hf",
        description="Build training data that teaches a language model when and how to call a tool.",
        epilog="examples:\n"
        "  toolgen-hf run quickstart\n"
        "  toolgen-hf run quickstart --set score.strategy=consistency -o outputs/consistency\n"
        "  toolgen-hf run mine.yaml --dry-run\n"
        "  toolgen-hf show outputs/quickstart --config stage2 -n 1\n"
        "  toolgen-hf score candidates.json stage2.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_show(commands)
    listing = commands.add_parser("stages", help="list the stages, their versions and their columns")
    listing.set_defaults(command="stages")
    for stage, (command, does, example) in _SINGLE.items():
        _add_stage(commands, stage, command, does, example)
    return parser


_SINGLE: dict[str, tuple[str, str, str]] = {
    "raw": ("raw", "write the questions of a recipe", "raw raw.jsonl --set 'dataset.rows={train: 8}'"),
    "answer": (
        "one_stage",
        "let the student answer questions without a tool",
        "answer raw.jsonl answered.jsonl",
    ),
    "tool-api": (
        "one_stage",
        "get verified tool calls for the wrong ones",
        "tool-api answered.jsonl called.jsonl",
    ),
    "stage1": ("one_stage", "assemble the behavior cloning set", "stage1 called.jsonl stage1.jsonl"),
    "finetune": (
        "finetune",
        "train a LoRA adapter on stage 1; prints the checkpoint to use",
        "finetune stage1.jsonl adapters/vicuna --name vicuna",
    ),
    "gold": (
        "one_stage",
        "turn stage 1's outputs into the gold responses",
        "gold stage1.jsonl responses/gold.jsonl",
    ),
    "respond": (
        "one_stage",
        "let one source respond to every question",
        "respond raw.jsonl responses/few.jsonl --name smollm2-fewshot",
    ),
    "execute": (
        "one_stage",
        "run the tool calls in responses",
        "execute responses/few.jsonl executed/few.jsonl",
    ),
    "score": (
        "one_stage",
        "score the responses to each question (rows of responses, or a folder of executed sources)",
        "score executed stage2.jsonl --set score.strategy=distance",
    ),
}


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    example = "examples:\n  toolgen-hf run quickstart\n  toolgen-hf run my.yaml -o outputs/mine --json\n"
    example += "  toolgen-hf run my.yaml --dry-run\n  toolgen-hf run my.yaml --max-cost 2.50"
    run = commands.add_parser(
        "run",
        help="build everything a recipe asks for",
        description="Build everything a recipe asks for. Running it again goes on where it stopped.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("recipe", help="a YAML file, or the name of a recipe that ships")
    run.add_argument(
        "-o", "--output", type=Path, help="where the result goes (default: the recipe's, or outputs/NAME)"
    )
    run.add_argument("--json", action="store_true", help="print the summary as one line of JSON")
    _add_spending(run)
    _add_common(run)
    run.set_defaults(command="run")


def _add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    show = commands.add_parser(
        "show",
        help="show the summary or the rows of a result",
        epilog="examples:\n  toolgen-hf show outputs/quickstart\n"
        "  toolgen-hf show outputs/quickstart --config rejected -n 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("directory", type=Path, help="a produced directory")
    show.add_argument("--config", help="which rows: raw, stage1, stage2, rejected (default: the summary)")
    show.add_argument("-n", "--rows", type=_positive, default=3, help="how many rows (default: 3)")
    show.add_argument("--id", help="only the row with this id")
    show.set_defaults(command="show")


def _add_stage(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    stage: str,
    command: str,
    does: str,
    example: str,
) -> None:
    parser = commands.add_parser(
        stage,
        help=does,
        description=f"{does[0].upper()}{does[1:]}: one stage, with the settings of a recipe.",
        epilog=f"example:\n  toolgen-hf {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if stage != "raw":
        table = "JSON Lines (.json, .jsonl), Parquet or CSV, or a folder with one file a split"
        parser.add_argument("input", type=Path, help=table)
    parser.add_argument("output", type=Path, help="a .json, .jsonl or .parquet file, or a folder")
    parser.add_argument(
        "--recipe", default="quickstart", help="where the settings come from (default: quickstart)"
    )
    if stage in ("finetune", "respond"):
        what = "adapter under finetune" if stage == "finetune" else "source under sources"
        parser.add_argument("--name", required=True, help=f"which {what} in the recipe")
    if stage in ("answer", "tool-api", "respond"):
        parser.add_argument(
            "--mode",
            choices=("w", "a"),
            default="w",
            help="w: write the output anew; a: keep its rows, add those whose id is not there. Either way a text "
            "that was generated before comes from the store (default: w)",
        )
        _add_spending(parser)
    _add_common(parser)
    parser.set_defaults(command=command, stage=stage, name=None, mode="w", dry_run=False, max_cost=None)


def _add_spending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing: show the first prompts, how many requests are not in the store, and their cost",
    )
    parser.add_argument(
        "--max-cost",
        type=float,
        metavar="DOLLARS",
        help="stop before this run's requests have cost more; what was paid for is kept",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key of the recipe (repeatable)",
    )
    parser.add_argument(
        "--cache-dir", type=Path, help="where stages and adapters are cached (default: $TOOLGEN_HF_HOME)"
    )
    parser.add_argument(
        "--store", type=Path, help="the text store's file (default: store.sqlite in the cache)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no stage lines")


if __name__ == "__main__":
    sys.exit(main())
