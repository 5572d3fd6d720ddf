"""What an engine behind an API needs: a key (whether there is one, never which), and that it is still served."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import OpenAIConfig
from toolgen_hf.models.openai.catalog import retired
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.models.openai.keys import NO_KEY, load_keys


@dataclass(frozen=True, slots=True)
class EngineNeed:
    """One engine, and whom it serves.

    ``key`` says where one was found, ``none needed``, or ``missing``; ``problem`` what to do then. ``shutdown`` says
    since when or from when on the engine is gone, and which one OpenAI names in its place.
    """

    engine: str
    api: str
    host: str
    roles: tuple[str, ...]
    key: str
    problem: str | None = None
    shutdown: str | None = None
    is_gone: bool = False
    has_price: bool = True


def engine_need(config: OpenAIConfig, roles: tuple[str, ...]) -> EngineNeed:
    """What one engine needs.

    Raises:
        ConfigError: ``$OPENAI_BASE_URL`` is no URL.
    """
    generator = OpenAIGenerator(config)
    key, problem = _key(config, generator.base_url)
    shutdown, is_gone = None, False
    if generator.is_openais and generator.engine.shutdown is not None:
        gone = retired(generator.engine, date.today())
        is_gone = gone is not None
        shutdown = gone or (
            f"{generator.engine.name!r} will be shut down on {generator.engine.shutdown}"
            + (f"; OpenAI names {generator.engine.replacement!r}" if generator.engine.replacement else "")
        )
    return EngineNeed(
        engine=config.engine,
        api=generator.api,
        host=urlsplit(generator.base_url).netloc,
        roles=roles,
        key=key,
        problem=problem,
        shutdown=shutdown,
        is_gone=is_gone,
        has_price=generator.cost(0, 0) is not None,
    )


def _key(config: OpenAIConfig, base_url: str) -> tuple[str, str | None]:
    """Where a key is, in the order in which they are looked for, or what to do."""
    try:
        keys = load_keys(config, base_url)
    except ConfigError as error:
        return "missing", str(error)
    if keys == (NO_KEY,):
        return "none needed", None
    count = f" ({len(keys)} keys)" if len(keys) > 1 else ""
    if config.keys_file is not None:
        return f"found in keys_file{count}", None
    if os.environ.get("OPENAI_API_KEY", "").strip():
        return "found in $OPENAI_API_KEY", None
    named = "the file $OPENAI_API_KEY_PATH" if os.environ.get("OPENAI_API_KEY_PATH") else "openai_keys"
    return f"found in {named}{count}", None
