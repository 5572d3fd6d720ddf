"""When a text is complete, and what is kept of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from toolgen_hf.ask import Generation


class Ending:
    """Ends a text at an end token, at a stop string, or at its limit.

    Args:
        eos: every token that ends a text.
        stop: strings before the first of which a text is cut.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: Sequence[int], stop: Sequence[str]) -> None:
        self.tokenizer, self.eos, self.stop = tokenizer, frozenset(eos), stop
        # A token is at least a byte, so this many hold any stop string and a character cut in two.
        self._window = max((len(text.encode()) for text in stop), default=0) + 4

    def is_end(self, tokens: Sequence[int], limit: int) -> bool:
        """Whether a text of these tokens, the last one new, is complete."""
        return tokens[-1] in self.eos or len(tokens) >= limit or self.has_stop(tokens)

    def has_stop(self, tokens: Sequence[int]) -> bool:
        """Whether there is a stop string; the last token is new."""
        # The whole text decides; the tail, which is cheap, only says when to ask.
        return bool(self.stop) and self._found(tokens[-self._window :]) and self._found(tokens)

    def generation(self, tokens: Sequence[int], prompt_tokens: int) -> Generation:
        """The text of a row's tokens; what comes after its end, such as padding, is dropped."""
        end = next((at for at, token in enumerate(tokens) if token in self.eos), len(tokens))
        text = self._text(tokens[:end])
        cut = min((at for stop in self.stop if (at := text.find(stop)) >= 0), default=None)
        return Generation(
            text=text[:cut],
            finish_reason="length" if end == len(tokens) and cut is None else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=end,
        )

    def _found(self, tokens: Sequence[int]) -> bool:
        text = self._text(tokens)
        return any(stop in text for stop in self.stop)

    def _text(self, tokens: Sequence[int]) -> str:
        decoded = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(decoded)
