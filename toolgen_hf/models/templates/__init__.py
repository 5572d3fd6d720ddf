"""Prompt templates as data files, in the form alpaca-lora made common.

A template is a JSON object with ``prompt_input`` (holds ``{instruction}`` and ``{input}``) and
``prompt_no_input`` (holds ``{instruction}``). What else files of the published form have, such as
``response_split``, is not read: a response is what the model wrote after the prompt.
``templates/`` holds those that ship; any other file of the same form is loaded by its path.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from toolgen_hf._utils import expanded
from toolgen_hf.errors import ConfigError, closest

_FIELDS = ("prompt_input", "prompt_no_input")
_PLACEHOLDER = re.compile(r"\{(instruction|input)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with two gaps, ``{instruction}`` and ``{input}``."""

    prompt_input: str
    prompt_no_input: str

    def render(self, system: str, user: str) -> str:
        """The prompt with ``system`` as its instruction and ``user`` as its input.

        With only one of the two, that one is the instruction of ``prompt_no_input``. Texts are put in
        as they are: braces in a question stay braces.
        """
        if not (system and user):
            return _fill(self.prompt_no_input, instruction=system or user)
        return _fill(self.prompt_input, instruction=system, input=user)

    @property
    def digest(self) -> str:
        """Identifies what a model is shown, wherever the file lies."""
        return hashlib.sha256(json.dumps([self.prompt_input, self.prompt_no_input]).encode()).hexdigest()


def load_template(name_or_path: str) -> Template:
    """Loads a template that ships (``"alpaca"``, ``"vicuna"``) or a JSON file by its path.

    Raises:
        ConfigError: there is no such template, or the file is none.
    """
    source = template_path(name_or_path) or _shipped(name_or_path)
    try:
        fields = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the template {name_or_path!r}: {error}") from error
    return _parse(fields, name_or_path)


def template_path(name_or_path: str) -> Path | None:
    """The file that a template is read from; None of a name."""
    is_path = name_or_path.endswith(".json") or len(Path(name_or_path).parts) > 1
    return expanded(name_or_path) if is_path else None


def template_names() -> list[str]:
    """The names of the templates that ship."""
    return sorted(file.name.removesuffix(".json") for file in _folder().iterdir() if _is_json(file))


def _shipped(name: str) -> Traversable:
    known = template_names()
    if name not in known:
        near = closest(name, known)
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"unknown template {name!r}: {hint}"
            f"known are {', '.join(map(repr, known))}, or give the path of a .json file"
        )
    return _folder() / f"{name}.json"


def _parse(fields: object, name: str) -> Template:
    if not isinstance(fields, dict):
        raise ConfigError(f"the template {name!r} is not a JSON object but {type(fields).__name__}")
    missing = [field for field in _FIELDS if not isinstance(fields.get(field), str)]
    if missing:
        raise ConfigError(f"the template {name!r} has no text for {', '.join(missing)}")
    template = Template(**{field: fields[field] for field in _FIELDS})
    for field, gaps in (("prompt_input", {"instruction", "input"}), ("prompt_no_input", {"instruction"})):
        if set(_PLACEHOLDER.findall(fields[field])) != gaps:
            wanted = " and ".join(f"{{{gap}}}" for gap in sorted(gaps, reverse=True))
            raise ConfigError(f"the template {name!r}: {field} must hold {wanted}, got {fields[field]!r}")
    return template


def _fill(text: str, **values: str) -> str:
    return _PLACEHOLDER.sub(lambda gap: values[gap[1]], text)


def _folder() -> Traversable:
    return resources.files(__name__)


def _is_json(file: Traversable) -> bool:
    return file.name.endswith(".json")
