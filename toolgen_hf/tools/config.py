"""What answers the calls of a tool: the settings of a recipe's key ``tools``, by the name of the tool.

tools:
  WikiSearch: {kind: search, corpus: pages.jsonl, k: 2}
  QA: {kind: qa, search: {corpus: pages.jsonl}, reader: {kind: openai, engine: gpt-6-luna}}
  translator: {kind: translator, generator: {kind: openai, engine: gpt-6-luna}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from toolgen_hf.models.config import Config, GeneratorConfig, Reach, TranslatorModel, endpoint, scanner

TOOL_NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
"""As APIs take it."""
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


def _kind(value: Any) -> Any:
    return value.get("kind", "search") if isinstance(value, Mapping) else getattr(value, "kind", None)


_Search = (
    Annotated[SearchConfig, Tag("search")]
    | Annotated[SearchServerConfig, Tag("search_server")]
    | Annotated[WikipediaConfig, Tag("wikipedia")]
)


class QAModelConfig(Config):
    """Answers a question with a model that reads what a search finds; without a search from what it knows."""

    kind: Literal["qa"] = "qa"
    """The kind of tool."""
    search: Annotated[_Search, Discriminator(_kind)] | None = None
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


class McpConfig(Config):
    """Tools of an MCP server: a program that is started, or a URL. The key is the server's name, not a tool's."""

    kind: Literal["mcp"] = "mcp"
    """The kind of tool."""
    command: Annotated[tuple[str, ...], Reach.RUNS] = ()
    """The program and its arguments, started in the current folder: ``[python, weather_server.py]``."""
    url: Annotated[str | None, Reach.SERVER] = None
    """In place of a program, the URL of a server (streamable HTTP): ``http://localhost:8000/mcp``."""
    tools: tuple[Annotated[str, Field(pattern=TOOL_NAME)], ...] = Field(min_length=1)
    """The tools to offer. Others of the server are never called."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that a call may take."""
    start_timeout: float = Field(default=60.0, gt=0)
    """Seconds that the start may take."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the program, besides ``PATH``, ``HOME`` and the like. No secrets: they are saved."""
    pass_env: tuple[str, ...] = ()
    """Names of variables whose values the program gets from the environment; for keys."""

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        return None if url is None else endpoint(url)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == (self.url is not None):
            raise ValueError("give either a command to start, or the url of a server")
        saved = {"command": list(self.command), "env": self.env}
        if any(saved.values()) and (place := scanner().place(saved)):
            raise ValueError(f"{place} would be saved with the result: name the variable in pass_env")
        if len({tool.lower() for tool in self.tools}) < len(self.tools):
            raise ValueError("tools: a tool is named twice; calls are read in any case")
        return self

    @property
    def engines(self) -> Mapping[str, Any]:
        """What is asked, by its key below the server's own."""
        return {tool: McpToolConfig(server=self, tool=tool) for tool in self.tools}


class McpToolConfig(EngineConfig):
    """One tool of a server. It is made of a `McpConfig`."""

    kind: Literal["mcp_tool"] = "mcp_tool"
    server: McpConfig
    tool: str

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.tool


_Kinds = (
    _Search
    | Annotated[QAModelConfig, Tag("qa")]
    | Annotated[TranslatorConfig, Tag("translator")]
    | Annotated[FunctionConfig, Tag("function")]
    | Annotated[McpConfig, Tag("mcp")]
)
ToolConfig = Annotated[_Kinds, Discriminator(_kind)]
TOOL_KINDS = ("search", "search_server", "wikipedia", "qa", "translator", "function", "mcp")


def engines_of(tools: Mapping[str, ToolConfig]) -> dict[str, Any]:
    """Everything that tools ask, by its key in a recipe's ``tools``: ``WikiSearch``, ``QA.reader``."""
    return {
        f"{tool}.{key}" if key else tool: engine
        for tool, config in tools.items()
        for key, engine in config.engines.items()
    }
