"""The command line ``toolgen-hf``: the whole flow, or one stage of it.

Exit codes: 0 done; 1 the work failed (the texts generated so far are stored; run again to go on), or ``check`` found
something missing; 2 the command, the recipe or the input cannot be used; 130 interrupted.
"""

from __future__ import annotations

import argparse
import codecs
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from toolgen_hf.cli import build, check, evaluate, hub, mix, stage
from toolgen_hf.errors import FULL, ConfigError, DataError, ToolgenError

_ESCAPE = "toolgen_hf-json"
GROUPS = (build, check, stage, mix, evaluate, hub)
"""The modules of the commands, in the order of ``--help``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    ready_streams()
    return attempt(parser().parse_args(argv))


def attempt(arguments: argparse.Namespace) -> int:
    """Run ``arguments.command`` and print an error, if there is one; returns the exit code."""
    try:
        _check_folder()
        command: Callable[[argparse.Namespace], int | None] = arguments.command
        with _log_to_stderr(arguments):
            code = command(arguments) or 0
        sys.stdout.flush()  # raises BrokenPipeError here, not at exit, if the reader is gone
        return code
    except KeyboardInterrupt:
        print(
            "\ninterrupted: what was done so far is kept; run the same command to go on",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at exit
        return 0
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return 0  # rich exits by itself on a broken pipe
    except ToolgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError | DataError) else 1
    except RuntimeError as error:
        if "home directory" not in str(error):  # raised by pathlib for a path with ~
            raise
        print(f"error: {error} Write whole paths in place of ~, or set HOME", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in FULL and error.filename is None:
            raise
        hint = " Free some space and run again: what was generated is stored." if error.errno in FULL else ""
        print(
            f"error: {error.strerror or error}: {error.filename or 'while writing'}.{hint}", file=sys.stderr
        )
        return 1


def ready_streams() -> None:
    """Make printing work for any encoding of the terminal, and if stdout or stderr is closed.

    A character that the encoding lacks is written as in JSON, ``\\u20ac``, so printed JSON stays valid.
    """
    codecs.register_error(_ESCAPE, _as_json)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ESCAPE)


def _as_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _check_folder() -> None:
    """Raises `ConfigError` if the current folder does not exist any more."""
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the current folder cannot be used ({error.strerror}): change to another"
        ) from None


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; heavy modules are imported only when a command runs."""
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
    """Looks the version up only when it is needed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"toolgen_hf {version('toolgen_hf')}")
        parser.exit()


def _log_to_stderr(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Print log messages to stderr; within the context above a progress bar, not into it."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("toolgen_hf")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if getattr(arguments, "quiet", False) else logging.INFO)
    return logging_redirect_tqdm([logger])
