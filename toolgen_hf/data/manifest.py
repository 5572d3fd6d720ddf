"""The manifest of a result, ``manifest.json``: it is checked as it is read, because anyone may have written it.

    parse_manifest(b'{"toolgen_hf": "0.1.0", "files": {}, "summary": 5}', "out/manifest.json")
    DataError: out/manifest.json: summary: Input should be a valid dictionary, and it is 5

`toolgen_hf.flow.manifest` makes what is written; the counts of a run are a `Summary`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from toolgen_hf.errors import DataError
from toolgen_hf.runtime.summary import Amount, Count, FileName, Summary

MANIFEST = "manifest.json"
_SHOWN = 3
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Adapter(TypedDict):
    """How an adapter was trained, and the sources that use it."""

    sources: list[str]
    model: str
    template: str
    learning_rate: Amount


class Prompt(TypedDict):
    """What a role was asked."""

    system: str
    user: str
    examples: Count
    example_seed: int | None


class Place(TypedDict, total=False):
    """The set, and its version, that the questions come from."""

    source_dataset: str | None
    config: str | None
    revision: str | None
    commit: str | None
    models: dict[str, str]


class Part(TypedDict, total=False):
    """A part of a mix."""

    source_dataset: str
    homepage: str
    license: str
    source: Place | None


class Manifest(BaseModel):
    """What ``manifest.json`` says. ``files``: SHA-256 by path. ``version`` is None of a result that was not pushed.

    Unknown keys are kept, because another version may have written them.
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="allow", allow_inf_nan=False, protected_namespaces=()
    )

    toolgen_hf: str
    files: dict[FileName, Digest]
    summary: Summary
    key: str | None = None
    version: str | None = None
    created_at: str | None = None
    name: str = ""
    description: str = ""
    task: str | None = None
    source_dataset: str = ""
    homepage: str = ""
    license: str = ""
    language: str | None = None
    citation: str = ""
    strategy: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    models: dict[str, str] = Field(default_factory=dict)
    licences: dict[str, str] = Field(default_factory=dict)
    generators: dict[str, dict[str, Any]] = Field(default_factory=dict)
    finetune: dict[str, Adapter] = Field(default_factory=dict)
    prompts: dict[str, Prompt] = Field(default_factory=dict)
    outside: dict[str, dict[str, Any]] = Field(default_factory=dict)
    source: Place | None = None
    parts: dict[str, Part] = Field(default_factory=dict)

    _data: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Manifest:
        """From plain JSON data. Raises pydantic's ``ValidationError``."""
        made = cls.model_validate_json(json.dumps(data))  # strict Python input would have to hold a Summary
        made._data = data
        return made

    @property
    def data(self) -> dict[str, Any]:
        """All of it as plain JSON data, as it was written."""
        return self._data

    @property
    def rows(self) -> dict[str, int]:
        """Rows by config, all splits together."""
        return {config: sum(splits.values()) for config, splits in self.summary.configs.items()}


def parse_manifest(text: bytes, where: str) -> Manifest:
    """The manifest in a file that may hold anything.

    Args:
        where: what the file is called in the message.

    Raises:
        DataError: it is not JSON, or does not have the form of a manifest. Names the first faults.
    """
    try:
        return Manifest.of(from_json(text))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        listed = "; ".join(_said(one) for one in wrong[:_SHOWN])
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(f"{where}: {listed}{more}") from error
    except ValueError as error:
        raise DataError(f"{where}: it is not JSON ({error})") from error


def _said(wrong: Mapping[str, Any]) -> str:
    """One fault on one line: where, what, and the value there."""
    parts = [str(part) for part in wrong["loc"] if part != "[key]"]
    place = "".join(f".{part}" if part.isidentifier() else f"[{part!r}]" for part in parts).lstrip(".")
    if wrong["type"] == "missing":
        return f"{_short(place)}: it is missing"
    what = str(wrong["msg"]).removeprefix("Value error, ")
    what = what.replace("be an object", "be a valid dictionary").replace("a valid array", "a valid list")
    return f"{_short(place) or 'all of it'}: {what}, and it is {_short(repr(wrong['input']))}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
