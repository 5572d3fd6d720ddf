"""The command line, from its parser."""

from __future__ import annotations

import argparse

from tests.docs.reference.markdown import table
from toolgen_hf.cli import parser


def commands() -> str:
    """Each command: what it does, its options, its examples."""
    (group,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return "\n\n".join(f"### {name}\n\n{_command(made)}" for name, made in group.choices.items())


def _command(made: argparse.ArgumentParser) -> str:
    actions = [action for action in made._actions if not isinstance(action, argparse._HelpAction)]
    options = table(["", ""], [[f"`{_names(action)}`", action.help or ""] for action in actions])
    examples = "\n".join(line.strip() for line in (made.epilog or "").splitlines()[1:])
    return "\n\n".join(
        [
            made.description or "",
            *([options] if actions else []),
            f"<!-- parsed -->\n```bash\n{examples}\n```",
        ]
    )


def _names(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else None
    if not action.option_strings:
        return (value or action.dest).upper() + ("..." if action.nargs == "+" else "")
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    if action.choices:
        value = "|".join(map(str, action.choices))
    return f"{', '.join(action.option_strings)} {value or action.dest.upper()}"
