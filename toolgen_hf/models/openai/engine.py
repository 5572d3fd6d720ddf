"""An engine behind OpenAI's API as a source of text.

    OpenAIGenerator(OpenAIConfig(engine="gpt-4o-mini")).generate([Request(Prompt("", "What is 3 * 19?"))])

Requests go through the official ``openai`` client on its aiohttp transport, from an event loop on a thread of its own.
So it also works in a notebook, and no client is shared between event loops.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cached_property
from importlib.util import find_spec
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from toolgen_hf._utils import digest
from toolgen_hf.ask import Generation, Prompt, Request
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import OpenAIConfig, endpoint
from toolgen_hf.models.openai.adaptations import Endpoint, shape_of
from toolgen_hf.models.openai.catalog import Api, Engine, batch_factor, find_engine, retired
from toolgen_hf.models.openai.keys import OPENAI_URL, is_this_machine, load_keys
from toolgen_hf.models.openai.messages import (
    PATHS,
    VERSION,
    MalformedError,
    max_tokens,
    parameters,
    parse,
    question,
    reported_model,
)

_BYTES_PER_TOKEN = 4
"""In English text; digits, symbols and other scripts have fewer."""

logger = logging.getLogger(__name__)


class OpenAIGenerator:
    """Implements `toolgen_hf.models.base.Generator` over HTTP. Cheap to make and to identify.

    Raises:
        ConfigError: ``$OPENAI_BASE_URL`` is needed, and is not a URL or holds a secret.
    """

    def __init__(self, config: OpenAIConfig) -> None:
        self.config = config
        self.base_url = config.base_url or _usual_endpoint()
        self._seen_models: set[str] = set()
        self._has_warned_of_length = False
        self._has_answered = False  # a request of this generator, which serves one stage

    @cached_property
    def engine(self) -> Engine:
        """What is known of the engine."""
        return find_engine(self.config.engine)

    @property
    def api(self) -> Api:
        """The API that the engine speaks."""
        return self.engine.api if self.config.api == "auto" else self.config.api

    @property
    def parser(self) -> Any:
        """Part of the fingerprint of stages: changes when stored answers are read in another way."""
        own = self.config.finish_reasons
        return [VERSION, dict(own)] if own else VERSION

    def identity(self) -> dict[str, Any]:
        return {
            "kind": self.config.kind,
            "base_url": self.base_url,
            "api": self.api,
            "engine": self.engine.name,
            "parameters": self._parameters,
        }

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        return parameters(self.config, self.engine, self.api)

    @property
    def is_batch(self) -> bool:
        return self.config.batch

    def check(self) -> str | None:
        """Find the client. Returns why only stored texts can be used: there is no key, or the engine was shut down.

        Raises:
            ConfigError: the client is not installed.
        """
        if find_spec("openai") is None or find_spec("aiohttp") is None:
            raise ConfigError(
                f"engine {self.config.engine!r} needs the openai client: pip install 'toolgen_hf[openai]'"
            )
        try:
            self._keys()
        except ConfigError as error:
            return str(error)
        if self.is_openais and self.engine.shutdown is not None:
            logger.warning("engine %r will be shut down on %s", self.engine.name, self.engine.shutdown)
        return None

    @property
    def is_openais(self) -> bool:
        """Whether requests go to OpenAI by default. A recipe that gives ``base_url`` knows what is served there."""
        return self.config.base_url is None and self.base_url == OPENAI_URL

    def _keys(self) -> tuple[str, ...]:
        """Raises: ConfigError: the engine has been shut down, or there is no key."""
        if self.is_openais and (gone := retired(self.engine, date.today())):
            raise ConfigError(
                f"engine {self.config.engine!r}: {gone}. If OpenAI still serves it to you, say so with "
                f"base_url: {OPENAI_URL}"
            )
        return load_keys(self.config, self.base_url)

    def describe(self) -> str:
        return f"`{self.engine.name}`, {self.api} API of {urlsplit(self.base_url).netloc}"

    def terms(self) -> str:
        """The terms of the server's operator; a server on this machine does not state any."""
        host = urlsplit(self.base_url).hostname or "its operator"
        return "not stated by its server" if is_this_machine(host) else f"the terms of {host}"

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        """Yields texts as they arrive. Asking for the next chunk makes room for as many new requests.

        After Ctrl-C the requests in flight are awaited and yielded; then KeyboardInterrupt is raised.

        Raises:
            ConfigError: there is no API key, or OpenAI has shut the engine down.
            RefusedError: the engine refused every request, now and before.
            GenerationError: nothing can succeed, or single requests failed after their retries.
        """
        for chunk in (self._in_batches if self.config.batch else self._one_by_one)(requests):
            self._check_model(chunk[0][1])
            self._check_length(made for _, made in chunk)
            self._has_answered = self._has_answered or any(m.finish_reason != "rejected" for _, m in chunk)
            yield chunk

    def _one_by_one(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        from toolgen_hf.models.openai.stream import RequestStream

        wanted = iter(requests)
        if (first := next(wanted, None)) is None:  # nothing is missing: no key is needed
            return iter(())
        return RequestStream(self._endpoint()).run(
            (self.body(request.prompt), sum(self.estimate(request.prompt)))
            for request in chain((first,), wanted)
        )

    def _in_batches(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        from toolgen_hf.models.openai.batch import BatchRun

        if not (whole := list(requests)):
            return iter(())
        return BatchRun(self._endpoint(), digest(self.identity()), self.body).run(whole)

    def _endpoint(self) -> Endpoint:
        shape = shape_of(self.base_url, self.api, self.engine.name)
        return Endpoint(
            self.config, self.base_url, PATHS[self.api], self._keys(), self._parse, shape, self._has_answered
        )

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """The body of a request, before the changes that the engine asks for."""
        return {**self._parameters, **question(self.api, prompt)}

    def parse(self, raw: str) -> Generation | None:
        """Reads a stored answer again; None for an error or a refused request that an earlier version stored."""
        try:
            return self._parse(raw)
        except MalformedError:
            return None

    def _parse(self, raw: str) -> Generation:
        return parse(raw, self.config.finish_reasons, max_tokens(self.config, self.engine))

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        size = len(prompt.system.encode("utf-8", "replace")) + len(prompt.user.encode("utf-8", "replace"))
        return size // _BYTES_PER_TOKEN + 8, max_tokens(self.config, self.engine)

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        """US dollars, by the config's price, else the catalogue's, which is that of OpenAI's own endpoint."""
        price = self.config.price or (self.engine.price if self.base_url == OPENAI_URL else None)
        if price is None:
            return None
        dollars = price.cost(prompt_tokens, completion_tokens, cached_tokens)
        return dollars * batch_factor() if self.config.batch else dollars

    def _check_model(self, made: Generation) -> None:
        """Warn, once for each name, when answers come from a model of another name."""
        model, wanted = reported_model(made.raw), self.engine.name
        if model is None or model in self._seen_models:
            return
        self._seen_models.add(model)
        if not model.startswith(wanted) and not wanted.endswith(model):
            logger.warning("engine %r was asked for; the answers say that they come from %r", wanted, model)

    def _check_length(self, texts: Iterable[Generation]) -> None:
        """Warn once when an engine has used all its tokens and written nothing."""
        is_cut = any(one.finish_reason == "length" and not one.text for one in texts)
        if not is_cut or self._has_warned_of_length:
            return
        self._has_warned_of_length = True
        logger.warning(
            "engine %r used all of its %d tokens before it wrote anything%s: set a larger max_tokens",
            self.engine.name,
            max_tokens(self.config, self.engine),
            " (its reasoning counts as well)" if self.engine.reasoning else "",
        )


def _usual_endpoint() -> str:
    """``$OPENAI_BASE_URL``, else OpenAI's own."""
    try:
        return endpoint(os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
    except ValueError as error:
        raise ConfigError(f"$OPENAI_BASE_URL: {error}") from None
