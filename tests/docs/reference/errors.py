"""The errors, from their module."""

from __future__ import annotations

import inspect
import re

from tests.docs.reference.markdown import line, table
from toolgen_hf import cli, errors


def tree() -> str:
    """The classes as they stand in the module's docstring."""
    found = re.search(r"\n\n((?:    .*\n)+)", errors.__doc__ or "")
    assert found
    shown = inspect.cleandoc(found[1])
    classes = {
        name for name, made in vars(errors).items() if inspect.isclass(made) and issubclass(made, Exception)
    }
    assert classes == set(re.findall(r"\w+Error", re.sub(r"\(.*?\)", "", shown)))
    return f"```text\n{shown}\n```"


def exit_codes() -> str:
    """What the commands end with."""
    found = re.search(r"Exit codes: (.*)", cli.__doc__ or "", re.DOTALL)
    assert found
    codes = [re.split(r"\s+", code.strip().rstrip("."), maxsplit=1) for code in found[1].split("; ")]
    return table(["exit code", "means"], [[code, re.sub(r"\s+", " ", means)] for code, means in codes])


def tool_errors() -> str:
    """The kinds of tool errors, as `error` and reasons count them."""
    kinds = [made for made in errors.ToolError.__subclasses__() if made.__module__ == errors.__name__]
    return table(
        ["begins with", "class", "means"],
        [[f"`{e.code}`", f"`{e.__name__}`", line(e.__doc__)] for e in kinds],
    )
