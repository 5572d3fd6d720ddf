"""The errors of this library.

    ToolgenError
    ├── ConfigError (ValueError)        a recipe, an argument or a model reference cannot be used
    ├── DataError (ValueError)          an input file or a dataset is not what it should be
    ├── GenerationError (RuntimeError)  a model or an engine gave no text after its retries
    │   ├── RefusedError                an engine refused every request
    │   └── BudgetError                 the run has reached its cost limit
    ├── ToolError                       a tool call cannot be parsed or run
    │   ├── CallSyntaxError             no balanced call, or its argument is not an expression
    │   ├── ForbiddenError              the argument has something that a tool never runs (a name, a string)
    │   ├── LimitError                  too long, too deep or too large to be worth computing
    │   └── UndefinedError              no finite result: division by zero, NaN, infinity
    └── HubError                        a repository on the Hub could not be read or written

A message says what is wrong, the value, where it is, and what to do. A bad *row* is not an error: it
keeps its ``reason`` and goes to ``rejected``.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The codes of an `OSError` for a full disk."""


class ToolgenError(Exception):
    """Base of every error of this library."""


class ConfigError(ToolgenError, ValueError):
    """A recipe, an argument or a model reference cannot be used as given."""


class DataError(ToolgenError, ValueError):
    """An input file or dataset is not what it should be."""


class GenerationError(ToolgenError, RuntimeError):
    """A model or an engine gave no text after its retries."""


class RefusedError(GenerationError):
    """An engine refused every request and answered none. Nothing of them is stored."""


class BudgetError(GenerationError):
    """The next request might cost more than the run may. The texts that were paid for are in the store."""


class ToolError(ToolgenError):
    """A tool call cannot be parsed or run.

    ``code`` is the kind of failure in one word (``"syntax"``, ``"limit"``, ...), for counting.
    """

    code = "tool"


class CallSyntaxError(ToolError):
    """There is no balanced call, or its argument is not an expression."""

    code = "syntax"


class ForbiddenError(ToolError):
    """The argument has something that the tool never runs, such as a name or a string."""

    code = "forbidden"


class LimitError(ToolError):
    """The call is too long, too deep or too large to be worth computing."""

    code = "limit"


class UndefinedError(ToolError):
    """The call has no finite result: division by zero, NaN or infinity."""

    code = "undefined"


class HubError(ToolgenError):
    """A repository on the Hub could not be read or written."""


def closest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that is most like ``name``, for a message ("did you mean"); None if none is like it."""
    folded = {choice.casefold(): choice for choice in choices}
    found = get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else None


def did_you_mean(name: str, choices: Iterable[str], hint: str = "; did you mean {!r}?") -> str:
    """The end of a message about an unknown name: ``"; did you mean 'train'?"``, or "" if no choice is like it."""
    found = closest(name, choices)
    return hint.format(found) if found else ""
