"""From a prompt to the tokens one model is shown, the same for generation and for finetuning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, cast

from toolgen_hf.ask import Prompt
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.templates import load_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "0a8f1c"  # a text no chat template holds of its own


def template_identity(template: str) -> str:
    """What identifies ``template`` in a stored result: its name, or the digest of its text."""
    return template if template in ("chat", "completion") else load_template(template).digest


class PromptFormat:
    """Renders prompts for one tokenizer: as a chat, as plain text, or through a named template.

    Raises:
        ConfigError: the template is unknown, or ``chat`` is asked of a tokenizer that has no chat template.
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
        """The prompt as the text that is tokenized."""
        if self._is_chat:
            return self._chat(prompt)
        if self._template:
            return self._template.render(prompt.system, prompt.user)
        joint = "" if not prompt.system or prompt.system[-1].isspace() else "\n"
        return prompt.system + joint + prompt.user

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt, never none at all.

        A chat template writes its special tokens itself; elsewhere the tokenizer adds its own (BOS).
        """
        if not prompts:
            return []
        texts = [self.render(prompt) for prompt in prompts]
        rows = self._tokenizer(texts, add_special_tokens=not self._is_chat)["input_ids"]
        first = self._tokenizer.bos_token_id or self._tokenizer.eos_token_id or 0
        return [ids or [first] for ids in cast("list[list[int]]", rows)]

    def _chat(self, prompt: Prompt) -> str:
        system, user = prompt.system, prompt.user
        if system and not self._has_system_role:
            system, user = "", f"{system}\n\n{user}"
        messages = [{"role": "system", "content": system}] if system else []
        return self._apply([*messages, {"role": "user", "content": user}])

    @cached_property
    def _has_system_role(self) -> bool:
        """Some chat templates drop a system message, others refuse it."""
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
