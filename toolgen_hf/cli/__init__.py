"""``toolgen-hf``: the whole flow, or one stage of it, from the command line.

Exit codes: 0 done; 1 the work failed (what was generated is safe, run again to go on), or ``check`` found
something missing; 2 the command, the recipe or the input cannot be used as given; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence

from toolgen_hf.cli import build, check, evaluate, hub, look, mix, stage
from toolgen_hf.errors import ConfigError, DataError, ToolgenError

GROUPS = (build, check, stage, mix, evaluate, look, hub)
"""The modules that add commands, in the order in which help lists them."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return attempt(parser().parse_args(argv))


def attempt(arguments: argparse.Namespace) -> int:
    """Run ``arguments.command`` and say what went wrong, if anything did; returns the exit code."""
    _log_to_stderr(arguments)
    try:
        command: Callable[[argparse.Namespace], int | None] = arguments.command
        return command(arguments) or 0
    except KeyboardInterrupt:
        print(
            "\ninterrupted: what was done so far is kept; run the same command to go on",
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


def parser() -> argparse.ArgumentParser:
    """The whole command line; nothing heavy is imported until a command runs."""
    made = argparse.ArgumentParser(
        prog="toolgen-hf",
        description="Build training data that teaches a language model when and how to call a tool.",
        epilog="examples:\n"
        "  toolgen-hf check gsm8k\n"
        "  toolgen-hf run quickstart\n"
        "  toolgen-hf run quickstart --set score.strategy=consistency -o outputs/consistency\n"
        "  toolgen-hf run mine.yaml --dry-run\n"
        "  toolgen-hf show outputs/quickstart --config stage2 -n 1\n"
        "  toolgen-hf score candidates.json stage2.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in GROUPS:
        group.add(commands)
    return made


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"toolgen_hf {version('toolgen_hf')}")
        parser.exit()


class _AboveBars(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints a message above a progress bar that is shown, not behind it."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            super().emit(record)
            return
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def _log_to_stderr(arguments: argparse.Namespace) -> None:
    handler = _AboveBars()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("toolgen_hf")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if getattr(arguments, "quiet", False) else logging.INFO)
