"""Finds what must not be published or printed: keys and tokens by their form, name or value, and paths of this machine.

[*Scanner.here().secrets("my key: sk-proj-aB3d...")]
-> ["what looks like an OpenAI or Anthropic API key (it ends in …Q3sT): take it out of where it came from, ..."]

The forms come from ``detect-secrets`` and, for the services that it does not know, from a table here. A form is not
enough: ``sk-Latn2024-transliterationTable`` has it too, so the part after the prefix must look random. The plugins of
``detect-secrets`` for names and entropy are not used, because they report every digest in a manifest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

from huggingface_hub import get_token

from toolgen_hf._utils import well_formed


class _Rule(NamedTuple):
    """A kind of secret.

    ``hint``: part of every text that the form matches. It is looked for first, which is ten times faster.
    ``is_real``: tells a real value (the group ``value``, or else the whole match) from a word or a placeholder.
    ``after``: a pattern that the text right before the match must have.
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


def _is_lettered(text: str) -> bool:
    """Whether a text mixes small and capital letters. A Hugging Face token may have no digits."""
    return len(set(text)) > 8 and any(map(str.islower, text)) and any(map(str.isupper, text))


def _is_varied(text: str) -> bool:
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
    ("a Hugging Face token", "hf_", r"hf_(?P<value>[A-Za-z0-9]{30,})", _is_lettered),
    ("a Hugging Face token", "api_org_", r"api_org_(?P<value>[A-Za-z0-9]{30,})", _is_lettered),
    ("a GitHub token", "github_pat_", r"github_pat_(?P<value>[A-Za-z0-9_]{30,})", is_random),
    ("a Google API key", "AIza", r"AIza(?P<value>[A-Za-z0-9_-]{35})", _is_varied),
    ("a Google OAuth secret", "GOCSPX-", r"GOCSPX-(?P<value>[A-Za-z0-9_-]{24,})", _is_varied),
    ("a Google OAuth token", "ya29.", r"ya29\.(?P<value>[A-Za-z0-9_.-]{30,})", _is_varied),
    ("a Google service account", "private_key_id", r"private_key_id[\\\"': ]{1,12}(?P<value>[0-9a-f]{40})", is_random),
    ("a private key", "PRIVATE KEY", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----", _is_any),
    ("a JSON web token", "eyJ", r"eyJ[\w-]{10,}\.[\w-]{10,}\.(?P<value>[\w-]{16,})", _is_varied),
    ("a Groq API key", "gsk_", r"gsk_(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("an xAI API key", "xai-", r"xai-(?P<value>[A-Za-z0-9_-]{20,})", is_random),
    ("a Perplexity API key", "pplx-", r"pplx-(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("a Fireworks API key", "fw_", r"fw_(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("a Together API key", "tgp_v1_", r"tgp_v1_(?P<value>[A-Za-z0-9_-]{20,})", _is_varied),
    ("a Replicate token", "r8_", r"r8_(?P<value>[A-Za-z0-9]{20,})", is_mixed),
    ("an NVIDIA API key", "nvapi-", r"nvapi-(?P<value>[A-Za-z0-9_-]{20,})", _is_varied),
    ("a Cerebras API key", "csk-", r"csk-(?P<value>[A-Za-z0-9]{20,})", _is_varied),
    ("a Voyage API key", "pa-", r"pa-(?P<value>[A-Za-z0-9_-]{40,})", is_random),
    ("a LangSmith key", "lsv2_", r"lsv2_(?:pt|sk)_(?P<value>[A-Za-z0-9_]{20,})", _is_varied),
    ("a Tavily API key", "tvly-", r"tvly-(?P<value>[A-Za-z0-9-]{20,})", is_random),
    ("a Weights & Biases key", "wandb_v1_", r"wandb_v1_(?P<value>[A-Za-z0-9_-]{20,})", _is_varied),
    ("a Databricks token", "dapi", r"dapi(?P<value>[0-9a-f]{32})", is_random),
    ("an Azure API key", "JQQJ99", r"[A-Za-z0-9]{30,}JQQJ99[A-Za-z0-9]{20,}", is_random),
    ("an Azure access key", "SharedAccessKey", r"SharedAccessKey=(?P<value>[A-Za-z0-9+/=]{40,})", _is_varied),
    ("an AWS access key", "IA", r"A[KS]IA(?P<value>[0-9A-Z]{16})(?![0-9A-Za-z])", _is_varied),
    ("a Slack token", "xox", r"xox[a-z](?:\.xox[a-z])?-(?P<value>[A-Za-z0-9-]{20,})", _is_varied),
    ("a Slack token", "xapp-", r"xapp-(?P<value>[A-Za-z0-9-]{20,})", _is_varied),
    ("a Stripe key", "k_test_", r"[rs]k_test_(?P<value>[A-Za-z0-9]{16,})", is_random),
    ("a Stripe webhook secret", "whsec_", r"whsec_(?P<value>[A-Za-z0-9+/=]{24,})", _is_varied),
    ("an npm token", "npm_", r"npm_(?P<value>[A-Za-z0-9]{30,})", is_mixed),
    ("a PyPI token", "pypi-", r"pypi-(?P<value>[A-Za-z0-9_-]{50,})", _is_varied),
    ("a Mailgun key", "key-", r"key-(?P<value>[0-9a-f]{32})(?![0-9A-Za-z])", is_random),
    ("a Docker token", "dckr_", r"dckr_[a-z]{3}_(?P<value>[A-Za-z0-9_-]{20,})", _is_varied),
    ("a DigitalOcean token", "_v1_", r"do[opr]_v1_(?P<value>[0-9a-f]{64})", is_random),
    ("a Linear key", "lin_api_", r"lin_api_(?P<value>[A-Za-z0-9]{30,})", _is_varied),
    ("a Notion token", "ntn_", r"ntn_(?P<value>[A-Za-z0-9]{40,})", is_random),
    ("a Grafana token", "gl", r"gl(?:c|sa)_(?P<value>[A-Za-z0-9_+/=]{30,})", is_random),
    ("a Shopify token", "shpat_", r"shpat_(?P<value>[0-9a-f]{32})", is_random),
    ("a RubyGems key", "rubygems_", r"rubygems_(?P<value>[0-9a-f]{48})", is_random),
    ("a Sentry token", "sntry", r"sntry[su]_(?P<value>[A-Za-z0-9_+/=-]{40,})", _is_varied),
    ("an Atlassian token", "ATATT3", r"ATATT3(?P<value>[A-Za-z0-9_=-]{40,})", _is_varied),
    ("a Figma token", "figd_", r"figd_(?P<value>[A-Za-z0-9_-]{36,})", _is_varied),
    ("a Supabase key", "sbp_", r"sbp_(?P<value>[0-9a-f]{40})", is_random),
    ("a Doppler token", "dp.", r"dp\.(?:pt|st|ct)\.(?P<value>[A-Za-z0-9.]{40,})", _is_varied),
    ("a Pinecone key", "pcsk_", r"pcsk_(?P<value>[A-Za-z0-9_]{40,})", is_random),
    ("a Jina key", "jina_", r"jina_(?P<value>[A-Za-z0-9_-]{40,})", is_random),
    ("an ElevenLabs key", "sk_", r"sk_(?P<value>[A-Za-z0-9_-]{32,})", is_random),
    ("an OpenAI session", "sess-", r"sess-(?P<value>[A-Za-z0-9]{40,})", is_mixed),
    ("a Discord webhook", "/webhooks/", r"/api/webhooks/[0-9]{17,20}/(?P<value>[A-Za-z0-9_-]{60,})", is_random),
    ("a signature of Azure storage", "sig=", r"[?&]sig=(?P<value>[A-Za-z0-9%+/=]{40,})", _is_varied),
    ("a password in a header", "Basic ",
     r"[Aa]uthorization[\\\"']{0,3} ?[:=] ?[\\\"']{0,3}Basic (?P<value>[A-Za-z0-9+/=]{16,})", _is_any),
    ("a Vault token", "hvs.", r"hvs\.(?P<value>[A-Za-z0-9_-]{24,})", _is_varied),
    ("a password in an address", "://", r"://[^\s:/?#@\[\]\"'<>{}|\\]*:(?P<value>[^\s:/?#@\[\]\"'<>{}|\\]+)@",
     _is_password),
    ("a Telegram bot token", ":", r":(?<=[0-9]{8}:)(?P<value>[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", is_random),
    ("a Discord bot token", ".",
     r"\.(?<=[A-Za-z0-9_-]{23}\.)(?P<value>[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,})", is_random),
    ("a bearer token", "earer ", r"[Bb]earer (?P<value>[A-Za-z0-9_.~+/-]{20,}[A-Za-z0-9_])", is_random),
)  # fmt: skip
"""Kind, hint, form, and the test of a real value."""

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
"""Names of values that have no form (keys of Azure, Cohere, Mistral, Twilio), each with the text before it."""
_VALUE = r"[\\\"']{0,3} {0,3}[:=] {0,3}[\\\"']{0,3}(?P<value>[A-Za-z0-9_/+-]{16,})"

_HOMES = re.compile(r"(?<![\w./:-])(?:/home/|/Users/|[A-Z]:\\{1,2}Users\\{1,2})[\w.-]+")
_SHORTEST_VALUE = 16  # of an environment variable
NO_KEY = "no-key"
"""The key that is sent to a server of the user's own that asks for none."""
SHORTEST_KEY = 12
"""Fewer characters are a placeholder (``EMPTY``, ``ollama``), not a secret: an answer may well hold them."""
_KEY_LIKE = re.compile(r"\bsk-[A-Za-z0-9_*-]{8,}")
"""A key as engines repeat it, in part or with asterisks; ``masked`` knows whole ones, of others too."""
_SECRET_NAME = re.compile(
    # matched against a name in small letters without separators: "x-api-key" and "apiKey" both have "apikey"
    r"apikey|(access|auth|private|secret|signing|subscription|client|master|account|shared|storage)key|headers?$|header"
    r"|authoriz|authentic|(access|api|auth|bearer|client|csrf|hf|id|jwt|oauth|refresh|security|session|sso|user|xsrf)"
    r"tokens?$|^tokens?$|auth$|bearer|secret|passw|passphrase|^pwd$|^jwt$|credential|cookie|extraquery"
)
_SECRET_VALUES = (
    re.compile(r"^\s*(bearer|basic|digest|negotiate)\s+[\w.~+/=-]{6,}\s*$", re.IGNORECASE),
    re.compile(r"\b(bearer|token)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}", re.IGNORECASE),
    re.compile(r"://[^/\s:@]*:[^/\s@]+@"),  # a URL with a password
)
_PAIR = re.compile(r"""["']?([\w-]+)["']?\s*[:=]\s*["']?[^\s"']""")
"""A name and its value within a text: ``Authorization: Bearer x``, ``{"api_key": "x"}``, ``access_token=x``."""


@cache
def rules() -> tuple[_Rule, ...]:
    """All kinds of secrets that have a form. Imports detect-secrets."""
    ours = [_Rule(what, hint, re.compile(form, re.ASCII), is_real) for what, hint, form, is_real in OURS]
    theirs = [
        _Rule(f"a secret ({plugin.secret_type})", hint, form, _is_varied)
        for module, name, hint in THEIRS
        for plugin in [getattr(import_module(f"detect_secrets.plugins.{module}"), name)]
        for form in plugin.denylist
    ]
    named = [
        _Rule(f"the value of a {name}", form, re.compile(form + _VALUE), is_random, re.compile(before))
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
        own = [
            (f"the value of ${name}", value)
            for name, value in os.environ.items()
            if "token" in name.lower() or _is_secret_name(name)
        ]
        own.append(("the Hugging Face token that is logged in here", get_token() or ""))
        return cls(tuple((what, value) for what, value in own if _is_secret_value(value)), str(Path.home()))

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

    def place(self, value: Any, at: str = "", is_schema: bool = False) -> str | None:
        """The dotted path of the first secret in JSON data, by its name or its value; None if there is none.

        ``{"metadata": {"run": "a"}, "extra_body": {"x-api-key": "..."}}`` gives ``"extra_body.x-api-key"``.

        Args:
            at: the path of ``value``.
            is_schema: the names are properties of a JSON schema, which describe a field and hold no value.
        """
        if isinstance(value, str | bytes):
            text = value if isinstance(value, str) else value.decode("utf-8", "replace")
            return at if self._holds_secret(text) else None
        if isinstance(value, Mapping):
            for name, item in value.items():
                place = f"{at}.{name}" if at else str(name)
                if self._holds_secret(str(name)):
                    return f"{at}.…" if at else "…"
                if _is_secret_name(str(name)) and not (is_schema and isinstance(item, Mapping)):
                    return place
                if found := self.place(item, place, is_schema=name == "properties"):
                    return found
            named = [value[key] for key in ("name", "key", "header") if isinstance(value.get(key), str)][:1]
            is_pair = value.get("value") is not None and any(map(_is_secret_name, named))
            return (at or "value") if is_pair else None
        if isinstance(value, list | tuple | set | frozenset):
            found_in = (self.place(item, f"{at}.{n}") for n, item in enumerate(value))
            return next(filter(None, found_in), None)
        return None

    def _holds_secret(self, text: str) -> bool:
        return (
            any(form.search(text) for form in _SECRET_VALUES)
            or any(_is_secret_name(found[1]) for found in _PAIR.finditer(text))
            or next(self.secrets(text), None) is not None
        )


def masked(text: str) -> str:
    """A text in which every secret with a form is replaced by its last four characters."""
    for found in {secret for _, secret in _found(text)}:
        text = text.replace(found, f"…{found[-4:]}")
    return text


def mask(key: str) -> str:
    """The name of a key in messages: its last four characters."""
    if key == NO_KEY:
        return "without a key"
    return f"…{key[-4:]}" if len(key) >= SHORTEST_KEY else "…"


def without_keys(text: str, keys: Iterable[str]) -> str:
    """``text`` with each of ``keys`` masked that is long enough to be a secret."""
    for key in keys:
        if len(key) >= SHORTEST_KEY:
            text = text.replace(key, mask(key))
    return text


def redact(message: str, keys: Iterable[str]) -> str:
    """A server's message as text that can be printed, without ``keys`` and without what looks like a key."""
    message = well_formed(message)
    for key in keys:
        if key != NO_KEY and len(key) > 5:  # a short password too: no answer is spoilt here
            message = message.replace(key, mask(key))
    return masked(_KEY_LIKE.sub(lambda found: mask(found[0]), message))


def _found(text: str) -> Iterator[tuple[str, str]]:
    """Every secret with a form: its kind and its value."""
    for rule in rules():
        for found in rule.find(text):
            yield rule.what, found


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def _is_secret_value(value: str) -> bool:
    """Whether the value of a variable named like a token or key is one, and not a switch, a number or a path."""
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    is_path = value.startswith(("/", "~", ".")) or "://" in value
    return len(value) >= _SHORTEST_VALUE and has_both and not is_path
