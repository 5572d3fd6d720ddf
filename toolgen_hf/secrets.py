"""Finds what must not be published: keys and tokens by their form or value, and paths of this machine.

[*Scanner.here().secrets("my key: sk-proj-aB3d...")]
-> ["what looks like an OpenAI or Anthropic API key (it ends in …Q3sT): take it out of where it came from, ..."]

The forms come from ``detect-secrets`` and, for the services that it does not know, from a table here. A form is not
enough: ``sk-Latn2024-transliterationTable`` has it too, so the part after the prefix must look random. The plugins of
``detect-secrets`` for names and entropy are not used, because they report every digest in a manifest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Self

from huggingface_hub import get_token


class Rule(NamedTuple):
    """A kind of secret.

    ``hint``: part of every text that the form matches. It is looked for first, which is ten times faster.
    ``is_real``: tells a real value (the group ``value``, or else the whole match) from a word or a placeholder.
    ``after``: what must stand right before the match.
    """

    what: str
    hint: str
    form: re.Pattern[str]
    is_real: Callable[[str], bool]
    after: re.Pattern[str] | None = None

    def find(self, text: str) -> Iterator[str]:
        """The secrets of this kind in a text."""
        for found in self.form.finditer(text) if self.hint in text else ():
            value, start = found.groupdict().get("value") or found[0], found.start()
            if self.after is not None:
                fits = self.after.search(text, max(0, start - 24), start) is not None
            else:
                fits = not text[start].isalnum() or _begins_a_word(text, start)
            if fits and self.is_real(value) and not value.endswith("EXAMPLE"):
                yield value


def _begins_a_word(text: str, start: int) -> bool:
    """Whether a word begins at ``start``. An escape such as JSON's ``\\n`` may stand before it."""
    before = text[max(0, start - 2) : start]
    return re.search(r"[A-Za-z0-9_-]$", before) is None or re.fullmatch(r"\\[nrtbf]", before) is not None


_HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def is_random(text: str) -> bool:
    """Whether a text looks like a random key, such as ``aB3dE5gH7jK9mN1pQ3sT`` or 32 hex digits.

    In random text the kind of character changes every second character; in words and years it does not.
    """
    if _HEX.fullmatch(text):
        return len(set(text)) > 5 and sum(map(str.isdigit, text)) > 2 and sum(map(str.isalpha, text)) > 2
    parts = [part for part in re.findall(r"[A-Za-z0-9]+", text) if len(part) >= 8]
    whole, runs = "".join(parts), sum(len(_RUN.findall(part)) for part in parts)
    return is_mixed(whole) and 16 <= len(whole) < 3 * runs


def is_mixed(text: str) -> bool:
    """Whether a text has small letters, capital letters and digits. Enough if it follows a prefix without a gap."""
    return all(any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit))


def is_lettered(text: str) -> bool:
    """Whether a text mixes small and capital letters. A Hugging Face token may have no digits."""
    return len(set(text)) > 8 and any(map(str.islower, text)) and any(map(str.isupper, text))


def is_varied(text: str) -> bool:
    """Whether a text is not a placeholder (``xxxx``). Enough for a form that no word has."""
    return len(set(text)) > 5 and any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _is_password(text: str) -> bool:
    """Whether the password in an address is not a placeholder."""
    named = r"(?:(?:your|my|the|db|user)[_-]?)?(?:pass(?:wor)?d?|pwd?|secret|token|key|port)[0-9]*"
    placeholder = re.fullmatch(rf"(?i)[<{{*.%…].*|x+|[0-9]{{1,5}}|{named}", text)
    return len(text) > 2 and placeholder is None


def _is_any(_: str) -> bool:
    return True


OURS: tuple[tuple[str, str, str, Callable[[str], bool]], ...] = (
    ("an OpenAI or Anthropic API key", "sk-", r"sk-(?P<value>[A-Za-z0-9_-]{20,})", is_random),  # and of many others
    ("an OpenRouter API key", "sk-or-", r"sk-or-(?:v[0-9]-)?(?P<value>[A-Za-z0-9]{32,})", is_random),
    ("a Hugging Face token", "hf_", r"hf_(?P<value>[A-Za-z0-9]{30,})", is_lettered),
    ("a Hugging Face token", "api_org_", r"api_org_(?P<value>[A-Za-z0-9]{30,})", is_lettered),
    ("a GitHub token", "github_pat_", r"github_pat_(?P<value>[A-Za-z0-9_]{30,})", is_random),
    ("a Google API key", "AIza", r"AIza(?P<value>[A-Za-z0-9_-]{35})", is_varied),
    ("a Google OAuth secret", "GOCSPX-", r"GOCSPX-(?P<value>[A-Za-z0-9_-]{24,})", is_varied),
    ("a Google OAuth token", "ya29.", r"ya29\.(?P<value>[A-Za-z0-9_.-]{30,})", is_varied),
    ("a Google service account", "private_key_id", r"private_key_id[\\\"': ]{1,12}(?P<value>[0-9a-f]{40})", is_random),
    ("a private key", "PRIVATE KEY", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----", _is_any),
    ("a JSON web token", "eyJ", r"eyJ[\w-]{10,}\.[\w-]{10,}\.(?P<value>[\w-]{16,})", is_varied),
    ("a Groq API key", "gsk_", r"gsk_(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("an xAI API key", "xai-", r"xai-(?P<value>[A-Za-z0-9_-]{20,})", is_random),
    ("a Perplexity API key", "pplx-", r"pplx-(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("a Fireworks API key", "fw_", r"fw_(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("a Together API key", "tgp_v1_", r"tgp_v1_(?P<value>[A-Za-z0-9_-]{20,})", is_varied),
    ("a Replicate token", "r8_", r"r8_(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("an NVIDIA API key", "nvapi-", r"nvapi-(?P<value>[A-Za-z0-9_-]{20,})", is_varied),
    ("a Cerebras API key", "csk-", r"csk-(?P<value>[A-Za-z0-9]{20,})", is_varied),
    ("a Voyage API key", "pa-", r"pa-(?P<value>[A-Za-z0-9_-]{40,})", is_random),
    ("a LangSmith key", "lsv2_", r"lsv2_(?:pt|sk)_(?P<value>[A-Za-z0-9_]{20,})", is_varied),
    ("a Tavily API key", "tvly-", r"tvly-(?P<value>[A-Za-z0-9-]{20,})", is_random),
    ("a Weights & Biases key", "wandb_v1_", r"wandb_v1_(?P<value>[A-Za-z0-9_-]{20,})", is_varied),
    ("a Databricks token", "dapi", r"dapi(?P<value>[0-9a-f]{32})", is_random),
    ("an Azure API key", "JQQJ99", r"[A-Za-z0-9]{30,}JQQJ99[A-Za-z0-9]{20,}", is_random),
    ("an Azure access key", "SharedAccessKey", r"SharedAccessKey=(?P<value>[A-Za-z0-9+/=]{40,})", is_varied),
    ("an AWS access key", "IA", r"A[KS]IA(?P<value>[0-9A-Z]{16})(?![0-9A-Za-z])", is_varied),
    ("a Slack token", "xox", r"xox[a-z](?:\.xox[a-z])?-(?P<value>[A-Za-z0-9-]{20,})", is_varied),
    ("a Slack token", "xapp-", r"xapp-(?P<value>[A-Za-z0-9-]{20,})", is_varied),
    ("a Stripe key", "k_test_", r"[rs]k_test_(?P<value>[A-Za-z0-9]{16,})", is_random),
    ("a Stripe webhook secret", "whsec_", r"whsec_(?P<value>[A-Za-z0-9+/=]{24,})", is_varied),
    ("an npm token", "npm_", r"npm_(?P<value>[A-Za-z0-9]{30,})", is_mixed),
    ("a PyPI token", "pypi-", r"pypi-(?P<value>[A-Za-z0-9_-]{50,})", is_varied),
    ("a Mailgun key", "key-", r"key-(?P<value>[0-9a-f]{32})(?![0-9A-Za-z])", is_random),
    ("a Docker token", "dckr_", r"dckr_[a-z]{3}_(?P<value>[A-Za-z0-9_-]{20,})", is_varied),
    ("a DigitalOcean token", "_v1_", r"do[opr]_v1_(?P<value>[0-9a-f]{64})", is_random),
    ("a Linear key", "lin_api_", r"lin_api_(?P<value>[A-Za-z0-9]{30,})", is_varied),
    ("a Notion token", "ntn_", r"ntn_(?P<value>[A-Za-z0-9]{40,})", is_random),
    ("a Grafana token", "gl", r"gl(?:c|sa)_(?P<value>[A-Za-z0-9_+/=]{30,})", is_random),
    ("a Shopify token", "shpat_", r"shpat_(?P<value>[0-9a-f]{32})", is_random),
    ("a RubyGems key", "rubygems_", r"rubygems_(?P<value>[0-9a-f]{48})", is_random),
    ("a Sentry token", "sntry", r"sntry[su]_(?P<value>[A-Za-z0-9_+/=-]{40,})", is_varied),
    ("an Atlassian token", "ATATT3", r"ATATT3(?P<value>[A-Za-z0-9_=-]{40,})", is_varied),
    ("a Figma token", "figd_", r"figd_(?P<value>[A-Za-z0-9_-]{36,})", is_varied),
    ("a Supabase key", "sbp_", r"sbp_(?P<value>[0-9a-f]{40})", is_random),
    ("a Doppler token", "dp.", r"dp\.(?:pt|st|ct)\.(?P<value>[A-Za-z0-9.]{40,})", is_varied),
    ("a Pinecone key", "pcsk_", r"pcsk_(?P<value>[A-Za-z0-9_]{40,})", is_random),
    ("a Jina key", "jina_", r"jina_(?P<value>[A-Za-z0-9_-]{40,})", is_random),
    ("an ElevenLabs key", "sk_", r"sk_(?P<value>[A-Za-z0-9_-]{32,})", is_random),
    ("an OpenAI session", "sess-", r"sess-(?P<value>[A-Za-z0-9]{40,})", is_mixed),
    ("a Discord webhook", "/webhooks/", r"/api/webhooks/[0-9]{17,20}/(?P<value>[A-Za-z0-9_-]{60,})", is_random),
    ("a signature of Azure storage", "sig=", r"[?&]sig=(?P<value>[A-Za-z0-9%+/=]{40,})", is_varied),
    ("a password in a header", "Basic ",
     r"[Aa]uthorization[\\\"']{0,3} ?[:=] ?[\\\"']{0,3}Basic (?P<value>[A-Za-z0-9+/=]{16,})", _is_any),
    ("a Vault token", "hvs.", r"hvs\.(?P<value>[A-Za-z0-9_-]{24,})", is_varied),
    ("a password in an address", "://", r"://[^\s:/?#@\[\]\"'<>{}|\\]*:(?P<value>[^\s:/?#@\[\]\"'<>{}|\\]+)@",
     _is_password),
    ("a Telegram bot token", ":", r":(?<=[0-9]{8}:)(?P<value>[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", is_random),
    ("a Discord bot token", ".",
     r"\.(?<=[A-Za-z0-9_-]{23}\.)(?P<value>[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,})", is_random),
    ("a bearer token", "earer ", r"[Bb]earer (?P<value>[A-Za-z0-9_.~+/-]{20,}[A-Za-z0-9_])", is_random),
)  # fmt: skip
"""What it is, the hint, the form, and what tells a real value."""

THEIRS: tuple[tuple[str, str, str], ...] = (
    ("artifactory", "ArtifactoryDetector", "AKC"),
    ("azure_storage_key", "AzureStorageKeyDetector", "AccountKey="),
    ("github_token", "GitHubTokenDetector", "gh"),
    ("gitlab_token", "GitLabTokenDetector", "gl"),
    ("mailchimp", "MailchimpDetector", "-us"),
    ("openai", "OpenAIDetector", "T3BlbkFJ"),
    ("sendgrid", "SendGridDetector", "SG."),
    ("slack", "SlackDetector", "/services/"),
    ("square_oauth", "SquareOAuthDetector", "sq0csp-"),
    ("stripe", "StripeDetector", "k_live_"),
    ("twilio", "TwilioKeyDetector", ""),
)
"""The plugins of detect-secrets that are used, each with its hint.

Our own forms replace the others: theirs for Telegram and Discord are slow, the one for npm reads whole lines again and
again, the one for private keys matches prose, and the one for OpenAI knows only its own keys.
"""

NAMES = {
    "key": r"(?i)(?:api|access|auth|secret|account|subscription|client|private|service)[_ -]?$",
    "token": r"(?i)(?:api|access|auth|secret|bot|refresh|service|[a-z]_)[_ -]?$",
    "secret": "",
    "password": "",
}
"""Names of values without a form of their own (keys of Azure, Cohere, Mistral, Twilio), and what stands before them."""
_VALUE = r"[\\\"']{0,3} {0,3}[:=] {0,3}[\\\"']{0,3}(?P<value>[A-Za-z0-9_/+-]{16,})"

_HOMES = re.compile(r"(?<![\w./:-])(?:/home/|/Users/|[A-Z]:\\{1,2}Users\\{1,2})[\w.-]+")
_NAMES = re.compile(r"TOKEN|API_?KEY|SECRET|PASSWORD|PASSWD", re.IGNORECASE)
_SHORTEST = 16


@cache
def rules() -> tuple[Rule, ...]:
    """All kinds of secrets that have a form. Imports detect-secrets."""
    ours = [Rule(what, hint, re.compile(form, re.ASCII), is_real) for what, hint, form, is_real in OURS]
    theirs = [
        Rule(f"a secret ({plugin.secret_type})", hint, form, is_varied)
        for module, name, hint in THEIRS
        for plugin in [getattr(import_module(f"detect_secrets.plugins.{module}"), name)]
        for form in plugin.denylist
    ]
    named = [
        Rule(f"the value of a {name}", form, re.compile(form + _VALUE), is_random, re.compile(before))
        for name, before in NAMES.items()
        for form in (name, name.capitalize(), name.upper())
    ]
    return (*ours, *theirs, *named)


@dataclass(frozen=True, slots=True)
class Scanner:
    """Finds what looks like a secret, the values ``own`` (each with what it is), and paths below ``home``."""

    own: tuple[tuple[str, str], ...]
    home: str

    @classmethod
    def here(cls) -> Self:
        """With the secrets in this process's environment, the Hugging Face token, and this user's home."""
        own = [(f"the value of ${name}", value) for name, value in os.environ.items() if _NAMES.search(name)]
        own.append(("the Hugging Face token that is logged in here", get_token() or ""))
        return cls(tuple((what, value) for what, value in own if _is_a_secret(value)), str(Path.home()))

    def secrets(self, text: str) -> Iterator[str]:
        """For each secret in a text: what it is, its last four characters, and what to do."""
        todo = "take it out of where it came from, make a new key (this one may be known), and run the recipe again"
        for what, found in _found(text):
            yield f"what looks like {what} (it ends in …{found[-4:]}): {todo}"
        for what, value in self.own:
            if value in text:
                yield f"{what}: {todo}"

    def paths(self, text: str) -> Iterator[str]:
        """For each home directory in a text: the path, and what to do."""
        found = {match[0] for match in _HOMES.finditer(text)}
        if len(self.home) > 1 and re.search(rf"(?<![\w./:-]){re.escape(self.home)}(?![\w.-])", text):
            found = {path for path in found if not self.home.startswith(path)} | {self.home}
        for path in sorted(found):
            yield f"a path of this machine, {path!r}: write paths in the recipe relative to where you run it, and rerun"


def masked(text: str) -> str:
    """A text in which every secret with a form is replaced by its last four characters."""
    for found in {secret for _, secret in _found(text)}:
        text = text.replace(found, f"…{found[-4:]}")
    return text


def _found(text: str) -> Iterator[tuple[str, str]]:
    """What each secret is, and the secret."""
    for rule in rules():
        for found in rule.find(text):
            yield rule.what, found


def _is_a_secret(value: str) -> bool:
    """Whether the value of a variable named like a token or key is one, and not a switch, a number or a path."""
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return (
        len(value) >= _SHORTEST and has_both and not value.startswith(("/", "~", ".")) and "://" not in value
    )
