"""The settings of each generator: frozen plain data, light to import, printed and saved with the result."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEVICE = r"^(auto|cpu|mps|cuda(:\d+)?)$"


class Config(BaseModel):
    """Base of every config: frozen, and an unknown key is an error rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LocalConfig(Config):
    """A causal LM run on this machine with transformers, with or without a LoRA adapter.

    ``model`` is a local folder, a ``.gguf`` file, a Hub id (``org/name``, pin it with ``revision``)
    or ``pip:NAME`` for a GGUF that an installed Python package carries.
    """

    kind: Literal["local"] = "local"
    model: str
    revision: str | None = None
    adapter: str | None = None
    """LoRA adapter: a local folder or Hub id; in a recipe's sources also ``finetune:NAME``."""
    adapter_revision: str | None = None
    template: str = "chat"
    """``chat`` (the tokenizer's own), ``completion`` (plain text), or a prompt template: the name of
    one that ships (``alpaca``, ``vicuna``) or a path to a JSON file of that form."""
    max_new_tokens: int = Field(default=128, ge=1)
    num_beams: int = Field(default=1, ge=1)
    do_sample: bool = False
    """Off, decoding is greedy or a deterministic beam search, and the next three have no effect."""
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0 turns it off."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Text is cut before the first of these."""
    seed: int = 0
    """Used only when ``do_sample`` is on."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_size: int = Field(default=32, ge=1)
    """Sequences decoded together; changes speed, not (in float32) the text."""
    device: str = Field(default="auto", pattern=DEVICE)

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


GeneratorConfig = LocalConfig
TeacherConfig = Annotated[AnnotationsConfig | LocalConfig, Field(discriminator="kind")]
