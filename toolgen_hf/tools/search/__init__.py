"""A search as a tool: the passages that fit a query best, as text.

    "capital of Norway"  ->  "Norway: Government: The capital of Norway is Oslo. ...\nOslo: ..."

corpus     passages from files, the Hub and packages
fts5       an index in SQLite         bm25       the same with bm25s
web        a search server, and Wikipedia itself
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from toolgen_hf.errors import UndefinedError
from toolgen_hf.tools.config import SearchConfig, SearchServerConfig, WikipediaConfig
from toolgen_hf.tools.search.corpus import Passage
from toolgen_hf.tools.service import Service

__all__ = ["Engine", "Passage", "Search"]


class Engine(Protocol):
    """What finds passages."""

    def identity(self) -> Mapping[str, Any]:
        """All that determines what is found, as plain JSON data."""
        ...

    def search(self, query: str, k: int) -> Sequence[Passage]:
        """At most ``k`` passages, the best first."""
        ...


class Search(Service):
    """The engine of a search tool. ``VERSION`` changes when the text of a result may change."""

    VERSION = 2

    def __init__(self, config: SearchConfig | SearchServerConfig | WikipediaConfig) -> None:
        self.config = config
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """Opened when it is first needed; an index is built then."""
        if self._engine is None:
            self._engine = _open(self.config)
        return self._engine

    def identity(self) -> dict[str, Any]:
        """The engine, its corpus, and how many passages it gives."""
        return {"kind": "search", "version": self.VERSION, "k": self.config.k, **self.engine.identity()}

    def check(self) -> None:
        """Build or open the index. Raises ConfigError or DataError where that cannot be."""
        self.identity()

    def result(self, argument: str) -> str:
        """The passages, a line each."""
        found = self.engine.search(argument, self.config.k)
        if not found:
            raise UndefinedError(f"nothing is found for {argument[:200]!r}")
        return "\n".join(map(str, found))

    def describe(self) -> str:
        """The engine and its corpus."""
        match self.config:
            case SearchConfig():
                return f"`{self.config.engine}` over a corpus of `{self.identity()['passages']}` passages"
            case SearchServerConfig():
                name = f" over `{self.config.corpus_name}`" if self.config.corpus_name else ""
                return f"a search server{name}"
        return f"Wikipedia (`{self.config.language}`)"

    def terms(self) -> str:
        """The licence of Wikipedia's texts; of other corpora it is not known."""
        return "CC BY-SA 4.0" if isinstance(self.config, WikipediaConfig) else super().terms()


def _open(config: SearchConfig | SearchServerConfig | WikipediaConfig) -> Engine:
    """The engine, imported when it is needed."""
    match config:
        case SearchConfig(engine="fts5"):
            from toolgen_hf.tools.search.fts5 import Fts5Index

            return Fts5Index(config.corpus)
        case SearchConfig():
            from toolgen_hf.tools.search.bm25 import Bm25Index

            return Bm25Index(config.corpus)
        case SearchServerConfig():
            from toolgen_hf.tools.search.web import SearchServer

            return SearchServer(config)
    from toolgen_hf.tools.search.web import Wikipedia

    return Wikipedia(config)
