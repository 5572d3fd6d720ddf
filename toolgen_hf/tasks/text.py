"""Grading of answers that are short texts, as the field does it.

    answers     ["J. K. Rowling", "Rowling"]
    response    "The author is J.K. Rowling."     prediction "author is jk rowling"      right: it has "rowling"
    answers     ["eight"]                         prediction "dracula weighs"            wrong: "eight" is no word of it

Texts are normalized as in SQuAD's evaluation: lower case, without punctuation and articles. A prediction is right if it
is an accepted answer, or has all of its words side by side. Only the first 20 words of a prediction count, as in the
paper. The published scripts look for the answer's letters anywhere in the response; that is `PublishedText`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Final

from toolgen_hf.ask import Ask, Prompt
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.responses import read_response

WORDS: Final = 20
"""The words of a prediction that count."""

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation + "‘’“”„«»–—…")
_STATED = re.compile(
    r"\banswer(?: to [^.:\n]{1,100}?)?(?:\s+(?:is|was)\b|\s*:)[:\s*_\"'“]*(?P<answer>[^\n]+)", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"(?<=\w{4})[.!?](?=\s)")


def normal_form(text: str) -> str:
    """A text as SQuAD compares it. A text of articles alone keeps them."""
    plain = unicodedata.normalize("NFKC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", plain).split()) or " ".join(plain.split())


class Text(Task):
    """Base of the tasks whose answers are short texts. Any of the accepted answers counts."""

    version = 1

    def extract(self, text: str) -> str | None:
        """What follows the last "the answer is" or "Answer:", or else the response's first words."""
        stated = list(_STATED.finditer(text))
        answer = _SENTENCE_END.split(stated[-1]["answer"])[0] if stated else ""
        return self._first_words(answer) or self._first_words(text)

    def normalize(self, value: str) -> str | None:
        """As SQuAD compares it."""
        return normal_form(value) or None

    def is_correct(self, prediction: str | None, answer: Sequence[str]) -> bool:
        """Whether the prediction has all words of an accepted answer, side by side."""
        if prediction is None:
            return False
        accepted = map(self.normalize, answer)
        return any(f" {one} " in f" {prediction} " for one in accepted if one is not None)

    def _first_words(self, text: str) -> str | None:
        found = self.normalize(text)
        return found and " ".join(found.split()[:WORDS])

    async def read(self, ask: Ask, prompt: Prompt) -> str | None:
        """What the reader answers."""
        made = await ask.read(prompt)
        return self.extract(read_response(made.text, made.finish_reason == "length").text)


class PublishedText(Text):
    """Grades as the published scripts: an accepted answer occurs in the response's first 20 words, in any case.

    It accepts parts of words: "eight" is in "weight".
    """

    def normalize(self, value: str) -> str | None:
        """In small letters."""
        return " ".join(value.lower().split()) or None

    def is_correct(self, prediction: str | None, answer: Sequence[str]) -> bool:
        """Whether the prediction has the letters of an accepted answer."""
        accepted = map(self.normalize, answer)
        return prediction is not None and any(one in prediction for one in accepted if one is not None)
