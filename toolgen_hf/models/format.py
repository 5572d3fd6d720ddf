"""Turns a prompt into the text and the tokens for a local model, for generation and for finetuning.

    Prompt("Add.", "1, 2")  chat        <|im_start|>system\\nAdd.<|im_end|>\\n<|im_start|>user\\n1, 2<|im_end|>\\n...
                            completion  Add.\\n1, 2
                            alpaca      ... ### Instruction:\\nAdd.\\n\\n### Input:\\n1, 2\\n\\n### Response:\\n

A prompt template is a JSON file in the form of alpaca-lora: ``prompt_input`` has ``{instruction}`` and ``{input}``,
``prompt_no_input`` has ``{instruction}``. Other keys of such files (``response_split``) are not used. ``templates/``
holds the templates of this library.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from toolgen_hf._utils import expanded
from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_GAP = re.compile(r"\{(instruction|input)\}")
_GAPS = {"prompt_input": {"instruction", "input"}, "prompt_no_input": {"instruction"}}
_PROBE = "0a8f1c"  # a text that is in no chat template


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with two gaps, ``{instruction}`` and ``{input}``."""

    prompt_input: str
    prompt_no_input: str

    def render(self, system: str, user: str) -> str:
        """The prompt with ``system`` as its instruction and ``user`` as its input.

        If one of the two is empty, the other is the instruction of ``prompt_no_input``. Braces in them stay braces.
        """
        if not (system and user):
            return _GAP.sub(lambda gap: system or user, self.prompt_no_input)
        return _GAP.sub(lambda gap: system if gap[1] == "instruction" else user, self.prompt_input)

    @property
    def digest(self) -> str:
        """SHA-256 of the two texts."""
        return hashlib.sha256(json.dumps([self.prompt_input, self.prompt_no_input]).encode()).hexdigest()


def load_template(name_or_path: str) -> Template:
    """Load a template of this library (``"alpaca"``, ``"vicuna"``), or a JSON file by its path.

    Raises:
        ConfigError: there is no such template, or the file is not valid.
    """
    source: Path | Traversable | None = template_path(name_or_path)
    if source is None:
        if name_or_path not in (known := template_names()):
            hint = did_you_mean(name_or_path, known, "did you mean {!r}? ")
            raise ConfigError(
                f"unknown template {name_or_path!r}: {hint}"
                f"known are {', '.join(map(repr, known))}, or give the path of a .json file"
            )
        source = _shipped() / f"{name_or_path}.json"
    try:
        fields = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the template {name_or_path!r}: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"the template {name_or_path!r} is not a JSON object but {type(fields).__name__}")
    if missing := [name for name in _GAPS if not isinstance(fields.get(name), str)]:
        raise ConfigError(f"the template {name_or_path!r} has no text for {', '.join(missing)}")
    for name, gaps in _GAPS.items():
        if set(_GAP.findall(fields[name])) != gaps:
            wanted = " and ".join(f"{{{gap}}}" for gap in sorted(gaps, reverse=True))
            raise ConfigError(
                f"the template {name_or_path!r}: {name} must hold {wanted}, got {fields[name]!r}"
            )
    return Template(**{name: fields[name] for name in _GAPS})


def template_path(name_or_path: str) -> Path | None:
    """The path of a template file; None for the name of a template of this library."""
    is_path = name_or_path.endswith(".json") or len(Path(name_or_path).parts) > 1
    return expanded(name_or_path) if is_path else None


def template_names() -> list[str]:
    """The names of this library's templates, sorted."""
    names = (file.name for file in _shipped().iterdir())
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def _shipped() -> Traversable:
    return resources.files("toolgen_hf.models") / "templates"


def template_identity(template: str) -> str:
    """The part of a stored text's key for ``template``: ``chat``, ``completion``, or the digest of its texts."""
    return template if template in ("chat", "completion") else load_template(template).digest


class PromptFormat:
    """Renders prompts for one tokenizer: as a chat, as plain text, or with a prompt template.

    Raises:
        ConfigError: the template is unknown, or is ``chat`` and the tokenizer has no chat template.
    """

    def __init__(self, template: str, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._is_chat = template == "chat"
        self._template = None if template in ("chat", "completion") else load_template(template)
        if self._is_chat and not tokenizer.chat_template:
            raise ConfigError(
                "template 'chat' needs a tokenizer with a chat template, and this model's has none; "
                "use template 'completion', or one that the model was trained with, such as 'alpaca'"
            )

    def render(self, prompt: Prompt) -> str:
        """The prompt as text."""
        system, user = prompt.system, prompt.user
        if self._template:
            return self._template.render(system, user)
        if not self._is_chat:
            return prompt.joined()
        if system and not self._has_system_role:
            system, user = "", f"{system}\n\n{user}"
        messages = [{"role": "system", "content": system}] if system else []
        return self._apply([*messages, {"role": "user", "content": user}])

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt, one token at least.

        A chat template writes its special tokens itself; otherwise the tokenizer adds them (BOS).
        """
        if not prompts:
            return []
        texts = [self.render(prompt) for prompt in prompts]
        rows = self._tokenizer(texts, add_special_tokens=not self._is_chat)["input_ids"]
        first = self._tokenizer.bos_token_id or self._tokenizer.eos_token_id or 0
        return [ids or [first] for ids in cast("list[list[int]]", rows)]

    @cached_property
    def _has_system_role(self) -> bool:
        """Whether the chat template keeps a system message; some drop it, some raise an error."""
        from jinja2 import TemplateError

        try:
            text = self._apply([{"role": "system", "content": _PROBE}, {"role": "user", "content": "?"}])
        except TemplateError:
            return False
        return _PROBE in text

    def _apply(self, messages: list[dict[str, str]]) -> str:
        return cast(
            str, self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
