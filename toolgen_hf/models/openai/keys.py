"""The API keys that are sent, and the servers that may get them."""

from __future__ import annotations

import logging
import os
import socket
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from toolgen_hf._utils import cache_home, expanded
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.secrets import NO_KEY, SHORTEST_KEY

logger = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1"

_KNOWN = (".openai.com", ".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
"""Not all of ``azure.com``: any machine may be called ``x.westeurope.cloudapp.azure.com``."""


def load_keys(config: OpenAIConfig, base_url: str) -> tuple[str, ...]:
    """The keys to use: from ``keys_file``, else ``$OPENAI_API_KEY``, else the file ``$OPENAI_API_KEY_PATH``, else
    ``openai_keys`` in the cache folder. A server that is not OpenAI's needs none.

    Raises:
        ConfigError: there is no key, the file cannot be read or holds something else, or the key would be sent to
            another machine without encryption.
    """
    if config.keys_file is not None:
        keys, place = read_keys(expanded(config.keys_file)), config.keys_file
    else:
        keys, place = _usual_keys()
    if keys:
        if not (config.allow_http or _is_private(base_url)) and any(len(key) >= SHORTEST_KEY for key in keys):
            raise ConfigError(
                f"engine {config.engine!r}: the key of {place} would be sent to {base_url} without encryption, and "
                "others on the way could read it. Give an https URL, or the near end of a tunnel (ssh -L "
                "8000:localhost:8000 HOST; base_url: http://localhost:8000/v1). For a server that asks for no key, "
                "name a keys_file that holds EMPTY. To send the key all the same, set allow_http: true"
            )
        if config.base_url is not None and not is_known(base_url):
            logger.warning("the key of %s is sent to %s, which the recipe names", place, base_url)
        return keys
    if base_url != OPENAI_URL:
        return (NO_KEY,)
    raise ConfigError(
        f"engine {config.engine!r} needs an API key: set OPENAI_API_KEY, name a file with keys_file (one key a line), "
        f"or write it to {place!r}"
    )


def _usual_keys() -> tuple[tuple[str, ...], str]:
    """The keys that no recipe names, and their place; without keys, the place where they could be.

    Raises:
        ConfigError: the file cannot be read, or does not hold a key.
    """
    if key := os.environ.get("OPENAI_API_KEY", "").strip():
        if not _can_be_sent(key):
            raise ConfigError("$OPENAI_API_KEY holds no API key: a key has no spaces and is plain ASCII")
        return (key,), "$OPENAI_API_KEY"
    if path := os.environ.get("OPENAI_API_KEY_PATH", ""):
        return read_keys(expanded(path)), "$OPENAI_API_KEY_PATH"
    kept = cache_home() / "openai_keys"
    return read_keys(kept) if kept.is_file() else (), str(kept)


def _is_private(base_url: str) -> bool:
    """Whether no one on the network can read what is sent: it is encrypted, or does not leave this machine."""
    parts = urlsplit(base_url)
    return parts.scheme == "https" or is_this_machine(parts.hostname or "")


def is_known(base_url: str) -> bool:
    """Whether a server is OpenAI's, one of OpenAI's models at Azure, or this machine's own."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return False
    return is_this_machine(host) or host.endswith(_KNOWN)


@cache
def is_this_machine(host: str) -> bool:
    """Whether a host is this machine: ``localhost``, or an address that is its own. No name is looked up."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    if address.is_multicast or host == "255.255.255.255":
        return False
    try:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))  # only an address of its own can be bound to
    except OSError:
        return False
    return True


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys of a file, one a line; blank lines and ``#`` comments are ignored, as are repetitions.

    Raises:
        ConfigError: it cannot be read, holds no key, or a line is not a key; the line is named, not shown.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors begin a file with a mark
    except OSError as error:
        raise ConfigError(f"cannot read the API keys in {str(path)!r}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the API keys in {str(path)!r}: it is not UTF-8 text") from error
    keys = []
    for number, line in enumerate(lines, start=1):
        key = line.partition("#")[0].strip()
        if key and not _can_be_sent(key):
            raise ConfigError(f"{path}:{number}: this line is not an API key; write one key a line")
        keys.append(key)
    if not (found := tuple(dict.fromkeys(filter(None, keys)))):
        raise ConfigError(f"{str(path)!r} holds no API key; write one a line")
    return found


def _can_be_sent(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
