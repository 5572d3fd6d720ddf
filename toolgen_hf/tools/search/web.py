"""Searches that a server answers: one with Search-R1's protocol, and Wikipedia.

    POST {"queries": ["capital of Norway"], "topk": 2, "return_scores": true}
    ->   {"result": [[{"document": {"id": "12", "contents": "\"Oslo\"\nOslo is ..."}, "score": 9.1}, ...]]}

A server that fails is asked again, and then it is an error of the run. It is never taken as "nothing is found".
Wikipedia is asked as it wishes: by one client that names its owner, one request after the other, with ``maxlag``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2

from toolgen_hf._utils import backoff, library_version, seconds_asked, well_formed
from toolgen_hf.errors import GenerationError
from toolgen_hf.tools.config import SearchServerConfig, WikipediaConfig
from toolgen_hf.tools.search.corpus import Passage, passage_of
from toolgen_hf.tools.search.fts5 import words_of

_TRIES = 6
_MAX_BYTES = 8 * 2**20
_LONGEST_WAIT = 120.0
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_SYNTAX = str.maketrans(dict.fromkeys('!"*:?\\|~-', " "))
"""What Wikipedia's search reads as operators: ``-word``, ``insource:/.../``, ``"a phrase"``."""


class _Client:
    """Asks a server for JSON, and asks again where that may help."""

    def __init__(self, name: str, timeout: float, agent: str) -> None:
        self.name, self.timeout, self.agent = name, timeout, agent
        self._client: httpx2.Client | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_client": None}

    def ask(self, method: str, url: str, **request: Any) -> Any:
        """The server's JSON.

        Raises:
            GenerationError: it did not answer, or its answer cannot be used.
        """
        if self._client is None:
            self._client = httpx2.Client(timeout=self.timeout, headers={"User-Agent": self.agent})
        for attempt in range(1, _TRIES + 1):
            wait, until = backoff(attempt), time.monotonic() + self.timeout
            try:
                with self._client.stream(method, url, **request) as response:
                    body = self._read(response, until)
                    problem = f"HTTP {response.status_code}: {body[:200].decode(errors='replace')}"
                    if response.is_success and (found := _parsed(body)) is not None:
                        error = found.get("error") if isinstance(found, dict) else None
                        if not error:
                            return found
                        problem = str(error)[:200]
                        if not (
                            isinstance(error, Mapping) and error.get("code") in ("maxlag", "ratelimited")
                        ):
                            break
                    elif not response.is_success and response.status_code not in _AGAIN:
                        break
                    asked = seconds_asked(response.headers.get("Retry-After", ""))
                    wait = wait if asked is None else min(asked, _LONGEST_WAIT)
            except httpx2.RequestError as error:
                problem = f"{type(error).__name__}: {error}"
            if attempt < _TRIES:
                time.sleep(wait)
        raise GenerationError(
            f"{self.name} did not answer: {problem}. Results that arrived are stored; run again when it does"
        )

    def _read(self, response: httpx2.Response, until: float) -> bytes:
        body = b""
        for chunk in response.iter_bytes():
            if time.monotonic() > until:
                raise httpx2.ReadTimeout(f"the answer took more than {self.timeout:g} seconds")
            body += chunk
            if len(body) > _MAX_BYTES:
                raise GenerationError(f"{self.name}: the answer has more than {_MAX_BYTES:,} bytes")
        return body

    def unusable(self, found: Any) -> GenerationError:
        """The error for an answer of another form."""
        shown = json.dumps(found, ensure_ascii=False)[:200]
        return GenerationError(f"{self.name}: this is no list of passages: {shown}")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class SearchServer:
    """A server that speaks Search-R1's protocol."""

    def __init__(self, config: SearchServerConfig) -> None:
        self.config = config
        agent = f"toolgen_hf/{library_version('toolgen_hf')}"
        self._client = _Client(f"the search server {urlsplit(config.url).netloc}", config.timeout, agent)

    def identity(self) -> dict[str, Any]:
        """The name of the corpus. The address is not part of it, so that a server may move."""
        return {"engine": "server", "corpus": self.config.corpus_name}

    def search(self, query: str, k: int) -> list[Passage]:
        """What the server finds. It is not asked without a word."""
        if not words_of(query):
            return []
        asked = {"queries": [well_formed(query)], "topk": k, "return_scores": True}
        found = self._client.ask("POST", self.config.url, json=asked)
        try:
            [results] = found["result"]
            documents = [one.get("document", one) for one in results]
            return [passage_of(one, "the answer", at) for at, one in enumerate(documents)][:k]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._client.unusable(found) from error


class Wikipedia:
    """Wikipedia's own search; of each page the first paragraph."""

    def __init__(self, config: WikipediaConfig, url: str | None = None) -> None:
        self.config = config
        self.url = url or f"https://{config.language}.wikipedia.org/w/api.php"
        agent = f"toolgen_hf/{library_version('toolgen_hf')} ({config.contact})"
        self._client = _Client("Wikipedia", 30.0, agent)

    def identity(self) -> dict[str, Any]:
        """The language. Wikipedia changes; a result that is in the store does not."""
        return {"engine": "wikipedia", "language": self.config.language}

    def search(self, query: str, k: int) -> list[Passage]:
        """What Wikipedia finds for the query as plain words, without its search's syntax (``OR`` is a word, too)."""
        if not words_of(query):
            return []
        plain = " ".join(well_formed(query).translate(_SYNTAX).lower().split())
        wanted = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "maxlag": 5,
            "generator": "search",
            "gsrsearch": plain[:300],
            "gsrlimit": k,
            "prop": "extracts",
            "exintro": 1,
            "explaintext": 1,
            "exlimit": k,
        }
        found = self._client.ask("GET", self.url, params=wanted)
        try:
            pages: Sequence[Mapping[str, Any]] = found.get("query", {}).get("pages", [])
            ranked = sorted(pages, key=lambda page: int(page["index"]))
            return [Passage(str(page["pageid"]), page["title"], page.get("extract") or "") for page in ranked]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._client.unusable(found) from error
