"""The settings of each generator: frozen plain data, light to import, printed and saved with the result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from toolgen_hf.models.extra import Scanner, find_secret

DEVICE = r"^(auto|cpu|mps|cuda(:\d+)?)$"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_OURS = {"stream", "n", "best_of", "model", "messages", "prompt"}
FinishMeaning = Literal["stop", "length", "content_filter", "refusal", "empty", "error"]
_FIELDS = {"frequency_penalty", "max_tokens", "presence_penalty", "seed", "stop", "temperature", "top_p"}


class Reach(Enum):
    """What a key of a recipe reaches beside the recipe: a mark on its field, which recipe/permission.py reads.

    A field without one is text or a number that reaches nothing.
    """

    RUNS = "the file is run"
    MODEL = "a model or adapter on this machine is read"
    TEMPLATE = "the file of a prompt template is read"
    FILE = "a file or folder is read"
    SET = "a produced set on this machine is read"
    SERVER = "the server gets a key and every question"
    KEYS = "the file's content is sent as a key"
    UNENCRYPTED = "a key may be sent without encryption"
    OUTPUT = "the folder is written"


class Config(BaseModel):
    """Base of every config: frozen, and an unknown key is an error rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class LocalConfig(Config):
    """A causal LM run on this machine with transformers, with or without a LoRA adapter.

    ``model`` is a local folder, a ``.gguf`` file, a Hub id (``org/name``, pin it with ``revision``)
    or ``pip:NAME`` for a GGUF that an installed Python package carries.
    """

    kind: Literal["local"] = "local"
    """Says which generator it is. May be left out."""
    model: Annotated[str, Reach.MODEL]
    """A folder, a ``.gguf`` file, a Hub id, or ``pip:NAME``."""
    revision: str | None = None
    """The Hub's commit, branch or tag; a commit pins it."""
    adapter: Annotated[str | None, Reach.MODEL] = None
    """LoRA adapter: a local folder or Hub id; in a recipe's sources also ``finetune:NAME``."""
    adapter_revision: str | None = None
    """The same of the adapter."""
    template: Annotated[str, Reach.TEMPLATE] = "chat"
    """``chat`` (the tokenizer's own), ``completion`` (plain text), or a prompt template: the name of
    one that ships (``alpaca``, ``vicuna``) or a path to a JSON file of that form."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Tokens of a text at most; one that reaches it is cut."""
    num_beams: int = Field(default=1, ge=1)
    """Above 1, beam search."""
    do_sample: bool = False
    """Off, decoding is greedy or a deterministic beam search, and the next three have no effect."""
    temperature: float = Field(default=1.0, gt=0)
    """Of sampling."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample among the likeliest tokens of this share together."""
    top_k: int = Field(default=0, ge=0)
    """0 turns it off."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Above 1, tokens that were written already are less likely."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Text is cut before the first of these."""
    seed: int = 0
    """Used only when ``do_sample`` is on."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights while computing; ``auto`` is float32 on a CPU and bfloat16 on a CUDA GPU, where those before
    Ampere (T4, V100) are faster with float16."""
    quantization: Literal["8bit", "4bit"] | None = None
    """Load the weights in fewer bits; on a CUDA GPU, with ``bitsandbytes`` installed."""
    batch_size: int | None = Field(default=None, ge=1)
    """Sequences decoded together, default as many as the memory at hand allows and the machine is fastest with;
    changes speed, not (in float32) the text."""
    device: str = Field(default="auto", pattern=DEVICE)
    """``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; ``auto`` takes a GPU where there is one."""

    @model_validator(mode="after")
    def _samples_or_searches(self) -> Self:
        if self.do_sample and self.num_beams > 1:
            raise ValueError(f"do_sample with num_beams={self.num_beams}: sample with num_beams=1, or search")
        return self

    @property
    def trained_adapter(self) -> str | None:
        """The NAME of ``adapter: finetune:NAME``, which a recipe trains itself; None for any other adapter."""
        prefix, colon, name = (self.adapter or "").partition(":")
        return name if colon and prefix == "finetune" else None

    @property
    def name(self) -> str:
        """The model's short name, without where it comes from."""
        return self.model.rstrip("/").rpartition(":")[2].rpartition("/")[2]


class AnnotationsConfig(Config):
    """The dataset's own worked solution, composed into one tool call; needs no model."""

    kind: Literal["annotations"] = "annotations"
    """Says which generator it is."""
    accept: Literal["explained", "ambiguous", "unexplained"] = "explained"
    """The least sound call that is taught. ``explained``: every number is the question's, a common constant or an
    earlier result. ``ambiguous``: also calls with a number that may be either, of which the likelier is taken.
    ``unexplained``: also calls with a number from nowhere, such as a result whose step the solution leaves out."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """Every soundness that is taught."""
        levels = ("explained", "ambiguous", "unexplained")
        return levels[: levels.index(self.accept) + 1]

    @property
    def name(self) -> str:
        """What summaries call it."""
        return self.kind


class FileConfig(Config):
    """Texts that somebody has already: a responses file of the published layout, or any with question and response.

    A row is known again by its id or its question's words. Nobody is asked, and nothing is paid. A teacher's are tool
    calls, in the column ``tool`` as in the published ``GSM8K_wrong.json``; each is run and verified.
    """

    kind: Literal["file"] = "file"
    """Says which generator it is."""
    path: Annotated[str | tuple[str, ...], Reach.FILE]
    """JSON Lines, JSON, CSV or Parquet; several where each split has its own."""

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path if isinstance(self.path, str) else self.path[0]).name

    @property
    def trained_adapter(self) -> None:
        """A file has no adapter."""
        return None


class PriceConfig(Config):
    """US dollars a million tokens, for an engine that the catalogue does not list (0 for one of your own)."""

    input: float = Field(ge=0)
    """Of a prompt."""
    output: float = Field(ge=0)
    """Of a completion."""
    cached_input: float | None = Field(default=None, ge=0)
    """Of a prompt's tokens that are billed as cached; default ``input``."""


def endpoint(url: str) -> str:
    """The URL of an API, without a slash at its end.

    Raises:
        ValueError: it is no whole URL, or may hold a secret; the message does not repeat it.
    """
    try:
        parts = urlsplit(url)
        is_plain = (
            url.isascii() and url.isprintable() and not {" ", "\\"} & set(url)
        )  # others read it differently
        is_whole = parts.scheme in ("http", "https") and is_plain and _is_host(parts) and parts.port != 0
    except ValueError:  # of a port that is no number, say; its message may hold a part of the URL
        is_whole = False
    if not is_whole:
        raise ValueError("give a whole URL, such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a URL is saved with the result: no user, password or query; put keys in keys_file")
    return url.rstrip("/")


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return ip_address(host).version == 6
    return _HOST.fullmatch(host) is not None


def _scanner() -> Scanner:
    """Imported where ``extra`` is used: it comes with the Hub's client."""
    from toolgen_hf.secrets import Scanner as Secrets

    return Secrets.here()


class OpenAIConfig(Config):
    """An engine behind OpenAI's API: OpenAI's own, Azure's, vLLM's, llama.cpp's, ``transformers serve``'s.

    The first block determines the texts, the second only how fast and with which key they come.
    """

    kind: Literal["openai"] = "openai"
    """Says which generator it is."""
    engine: str = Field(min_length=1)
    """Also by the names that the method was published with: ``gpt-turbo-0301``, ``text-davinci-003``."""
    api: Literal["auto", "chat", "completions"] = "auto"
    """``auto`` takes it from the engine's name."""
    base_url: Annotated[str | None, Reach.SERVER] = None
    """Up to and with ``/v1``; default ``$OPENAI_BASE_URL``, else OpenAI's own."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens of a text at most; default 128, and 2048 for reasoning engines, whose hidden reasoning counts as well."""
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """null leaves it to the engine. Reasoning engines refuse 0, so that 0, given or by default, is not sent to them."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """As the API has it; sent only if given."""
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    """As the API has it; sent only if given."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """As the API has it; sent only if given."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Where the engine stops."""
    seed: int | None = None
    """As the API has it; sent only if given."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Any other parameter of the request, such as ``{reasoning_effort: low}``; none that has a field here."""

    finish_reasons: dict[str, FinishMeaning] = Field(default_factory=dict)
    """What the server's own finish reasons mean, where they are not known: ``{done: stop}``. ``stop`` is a whole text,
    ``length`` a cut one, ``empty`` no text, ``error`` is asked again. Answers that are stored are read by it too."""
    max_answer_bytes: int = Field(default=8 * 2**20, ge=1024)
    """Of an answer at most, uncompressed; a larger one is an error."""
    # A saved recipe does not say where keys lie, nor how they travel.
    keys_file: Annotated[str | None, Reach.KEYS] = Field(default=None, exclude=True)
    """API keys, one a line (``#`` comments); default ``$OPENAI_API_KEY``, the file ``$OPENAI_API_KEY_PATH``,
    or ``openai_keys`` in the cache home."""
    allow_http: Annotated[bool, Reach.UNENCRYPTED] = Field(default=False, exclude=True)
    """Send a key to another machine by ``http``, where others on the way can read it. Without a key it is fine."""
    concurrency: int = Field(default=64, ge=1, le=1000)
    """Requests in flight at most; fewer where the engine says that it is too many."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """For each key. What an engine says of its limits is kept to anyway."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """For each key, prompt and completion together."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds until a request counts as failed."""
    max_retries: int = Field(default=6, ge=0)
    """For each request that times out, breaks off or meets a server error."""
    wait_for_engine: float | None = Field(default=None, ge=0)
    """Seconds to wait for an engine that is still starting. Default 600 where the server says that its model is being
    loaded, and none where nothing answers; a number holds for both, so that a run may start before its server."""
    batch: bool = False
    """Through the Batch API: half the price, done within a day."""
    poll_seconds: float = Field(default=30.0, gt=0)
    """How often a batch is looked at."""
    price: PriceConfig | None = None
    """Default the catalogue's."""

    @field_validator("extra")
    @classmethod
    def _asks_for_one_whole_text(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if extra and (place := find_secret(extra, _scanner())):
            raise ValueError(
                f"{place!r} would be saved with the result: keys go into keys_file, headers nowhere"
            )
        if taken := sorted(_OURS & extra.keys()):
            raise ValueError(f"{taken[0]!r} is not yours to set: each request asks for one whole text")
        if taken := sorted((_FIELDS | {"max_completion_tokens"}) & extra.keys()):
            field = taken[0] if taken[0] in _FIELDS else "max_tokens"
            as_wanted = "" if taken[0] in _FIELDS else " (it is sent under the name that the engine wants)"
            raise ValueError(f"{taken[0]!r} has a setting of its own: use {field}, beside extra{as_wanted}")
        return extra

    @field_validator("keys_file")
    @classmethod
    def _is_no_key(cls, path: str | None) -> str | None:
        if path and next(_scanner().secrets(path), None) is not None:
            raise ValueError("give the path of a file that holds the key, not the key")
        return path

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        return None if url is None else endpoint(url)

    @property
    def name(self) -> str:
        """What teachers and summaries call it."""
        return self.engine

    @property
    def trained_adapter(self) -> None:
        """Engines have no adapters of a recipe's own."""
        return None


def _kind(value: Any) -> Any:
    """A config's kind; ``local`` where it is not said."""
    return value.get("kind", "local") if isinstance(value, Mapping) else getattr(value, "kind", None)


_Local = Annotated[LocalConfig, Tag("local")]
_OpenAI = Annotated[OpenAIConfig, Tag("openai")]
_Annotations = Annotated[AnnotationsConfig, Tag("annotations")]
_File = Annotated[FileConfig, Tag("file")]

GeneratorConfig = Annotated[_Local | _OpenAI | _File, Discriminator(_kind)]
TeacherConfig = Annotated[_Annotations | _File | _Local | _OpenAI, Discriminator(_kind)]
KINDS = ("annotations", "file", "local", "openai")


def unique(names: Sequence[str]) -> list[str]:
    """Names that tell apart what has the same one: ``["a", "b", "a"]`` are ``["a", "b", "a-2"]``.

    A number that another name ends with already is passed over: ``["a", "a-2", "a"]`` are ``["a", "a-2", "a-3"]``.
    """
    made: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        free = name if name not in made else next(new for new in numbered if new not in {*names, *made})
        made.append(free)
    return made
