"""What answers the calls of a tool: the settings of a recipe's key ``tools``, by the name of the tool.

tools:
  WikiSearch: {kind: search, corpus: pages.jsonl, k: 2}
  QA: {kind: qa, search: {corpus: pages.jsonl}, reader: {kind: openai, engine: gpt-6-luna}}
  translator: {kind: translator, generator: {kind: openai, engine: gpt-6-luna}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from toolgen_hf.models.config import Config, GeneratorConfig, Reach, TranslatorModel, endpoint

FACTBOOK = "factbook"
"""The corpus of the builder ``factbook``."""


class EngineConfig(Config):
    """Base of the tools that are one engine themselves."""

    kind: str

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.kind

    @property
    def engines(self) -> Mapping[str, Any]:
        """What is asked, by its key below the tool's own."""
        return {"": self}


class SearchConfig(EngineConfig):
    """Searches a corpus on this machine. The index is built once, and kept in the cache."""

    kind: Literal["search"] = "search"
    """The kind of tool."""
    corpus: Annotated[str, Reach.CORPUS]
    """Passages ``{id, title, contents}``: a JSON Lines, JSON or Parquet file or a folder of them, ``hub:user/repo``, a
    file in a package, ``pip:NAME/FILE``, or ``factbook``."""
    engine: Literal["fts5", "bm25s"] = "fts5"
    """``fts5`` is part of SQLite. ``bm25s`` is faster for many queries; it is a package."""
    k: int = Field(default=2, ge=1, le=100)
    """How many passages a call gives."""


class SearchServerConfig(EngineConfig):
    """Searches with a server that speaks Search-R1's protocol (``POST {queries, topk}``)."""

    kind: Literal["search_server"] = "search_server"
    """The kind of tool."""
    url: Annotated[str, Reach.SERVER]
    """The whole URL, such as ``http://localhost:8000/retrieve``."""
    corpus_name: str = ""
    """The name and version of the server's corpus. Change it when the corpus changes: results are recorded under it."""
    k: int = Field(default=2, ge=1, le=100)
    """How many passages a call gives."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds after which a request counts as failed."""

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        return endpoint(url)


class WikipediaConfig(EngineConfig):
    """Searches Wikipedia itself, one request after the other."""

    kind: Literal["wikipedia"] = "wikipedia"
    """The kind of tool."""
    contact: str = Field(min_length=3)
    """Your e-mail address or page. Wikipedia asks for it in the name of the client."""
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[a-z]+)*$")
    """The language of the encyclopedia."""
    k: int = Field(default=2, ge=1, le=20)
    """How many pages a call gives, each with its first paragraph."""


class QAModelConfig(Config):
    """Answers a question with a model that reads what a search finds; without a search from what it knows."""

    kind: Literal["qa"] = "qa"
    """The kind of tool."""
    search: SearchConfig | SearchServerConfig | WikipediaConfig | None = None
    """The search."""
    reader: GeneratorConfig
    """The model."""

    @property
    def engines(self) -> Mapping[str, Any]:
        """What is asked, by its key below the tool's own."""
        return {**({"search": self.search} if self.search else {}), "reader": self.reader}


class TranslatorConfig(Config):
    """Translates a text with a model, or with a file of translations."""

    kind: Literal["translator"] = "translator"
    """The kind of tool."""
    generator: TranslatorModel
    """A chat model, a translation model (``kind: seq2seq``), or ``kind: file`` with ``question`` and ``response``."""
    language: str = "English"
    """The language of the result."""

    @property
    def engines(self) -> Mapping[str, Any]:
        """What is asked, by its key below the tool's own."""
        return {"generator": self.generator}


class FunctionConfig(Config):
    """A typed Python function with a docstring, or a tool object, in a file."""

    kind: Literal["function"] = "function"
    """The kind of tool."""
    path: Annotated[str, Reach.RUNS]
    """``./tools.py:weather``, relative to the recipe's folder. The file is run."""

    @property
    def engines(self) -> Mapping[str, Any]:
        """None: it runs in this process."""
        return {}


def _kind(value: Any) -> Any:
    return value.get("kind", "search") if isinstance(value, Mapping) else getattr(value, "kind", None)


_Kinds = (
    Annotated[SearchConfig, Tag("search")]
    | Annotated[SearchServerConfig, Tag("search_server")]
    | Annotated[WikipediaConfig, Tag("wikipedia")]
    | Annotated[QAModelConfig, Tag("qa")]
    | Annotated[TranslatorConfig, Tag("translator")]
    | Annotated[FunctionConfig, Tag("function")]
)
ToolConfig = Annotated[_Kinds, Discriminator(_kind)]
