"""What must not be published, as it looks: keys and tokens by their form or their value, and paths of this machine.

A form alone is not enough: ``sk-learn-is-not-a-key-at-all`` has it too. What follows the prefix must look drawn by
lot, with small and capital letters and digits. Published examples, such as AWS's own, are no secrets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from huggingface_hub import get_token


def _form(prefix: str, rest: str) -> re.Pattern[str]:
    """A prefix at the start of a word, or after an escape such as JSON's ``\\n``; searching begins with the prefix,
    which is ten times as quick as with what stands before it."""
    return re.compile(rf"{prefix}(?:(?<![A-Za-z0-9_-]{prefix})|(?<=\\[nrtbf]{prefix})){rest}")


_FORMS = (
    ("an OpenAI or Anthropic API key", _form("sk-", r"(?P<lot>[A-Za-z0-9_-]{20,})")),
    ("a Hugging Face token", _form("hf_", r"(?P<lot>[A-Za-z0-9]{30,})")),
    ("a Hugging Face token", _form("api_org_", r"(?P<lot>[A-Za-z0-9]{30,})")),
    ("a GitHub token", _form("gh[pousr]_", r"(?P<lot>[A-Za-z0-9]{30,})")),
    ("a GitHub token", _form("github_pat_", r"(?P<lot>[A-Za-z0-9_]{30,})")),
    ("a Google API key", _form("AIza", r"(?P<lot>[A-Za-z0-9_-]{35})")),
    ("an AWS access key", _form("A[KS]IA", r"(?P<upper>[0-9A-Z]{16})(?![0-9A-Za-z])")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
)
_HOMES = re.compile(r"(?<![\w./:-])(?:/home/|/Users/|[A-Z]:\\{1,2}Users\\{1,2})[\w.-]+")
_NAMES = re.compile(r"TOKEN|API_?KEY|SECRET|PASSWORD|PASSWD", re.IGNORECASE)
_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Scanner:
    """Finds what looks like a secret, ``own`` values by themselves, and paths below ``home``."""

    own: tuple[tuple[str, str], ...]
    home: str

    @classmethod
    def here(cls) -> Self:
        """With this process's environment, the token that is logged in, and this user's home."""
        own = [(f"the value of ${name}", value) for name, value in os.environ.items() if _NAMES.search(name)]
        own.append(("the Hugging Face token that is logged in here", get_token() or ""))
        return cls(tuple((what, value) for what, value in own if _is_a_secret(value)), str(Path.home()))

    def secrets(self, text: str) -> Iterator[str]:
        """What each secret is, where it ends so that it can be found, and what to do."""
        todo = "take it out of where it came from, make a new key (this one may be known), and run the recipe again"
        for what, form in _FORMS:
            for found in form.finditer(text):
                if _is_drawn(found):
                    yield f"what looks like {what} (it ends in …{found[0][-4:]}): {todo}"
        for what, value in self.own:
            if value in text:
                yield f"{what}: {todo}"

    def paths(self, text: str) -> Iterator[str]:
        """Each home directory in a text."""
        found = {match[0] for match in _HOMES.finditer(text)}
        if len(self.home) > 1 and re.search(rf"(?<![\w./:-]){re.escape(self.home)}(?![\w.-])", text):
            found = {path for path in found if not self.home.startswith(path)} | {self.home}
        for path in sorted(found):
            yield f"a path of this machine, {path!r}: write paths in the recipe relative to where you run it, and rerun"


def _is_drawn(found: re.Match[str]) -> bool:
    """Whether what follows the prefix looks random."""
    groups = found.groupdict()
    if (upper := groups.get("upper")) is not None:
        return any(char.isdigit() for char in upper) and not upper.endswith("EXAMPLE")
    lot = groups.get("lot")
    return lot is None or _is_mixed(lot)


def _is_mixed(text: str) -> bool:
    return all(any(kind(char) for char in text) for kind in (str.islower, str.isupper, str.isdigit))


def _is_a_secret(value: str) -> bool:
    """Whether the value of a variable called a token or a key is one, and not a switch, a number or a path."""
    drawn = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
    return len(value) >= _SHORTEST and drawn and not value.startswith(("/", "~", ".")) and "://" not in value
