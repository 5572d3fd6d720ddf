r"""Finds the response in a model's text, without its thinking, invented examples and special tokens.

    "<think>3*6 is 18.</think>\n\nThe answer is 18."           response "The answer is 18.", thinking "3*6 is 18."
    "3*6 is 18.</think>The answer is 18."                      the same: the prompt had the opening tag
    "<think>3*6 is"                                            response "", thinking "3*6 is": cut before the answer
    "The answer is 18.\nInput: Tom has 5 ...\nOutput: 7"       response "The answer is 18.": the model invented the rest
    "<|im_start|>assistant\nThe answer is 18.<|im_end|>"       response "The answer is 18."

Only the response is graded, executed and taught. A text without such marks is its own response, blanks included.
Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Response:
    """The response of a text. ``is_cut``: it ends before its answer, whatever number it ends on."""

    text: str
    thinking: str | None = None
    is_cut: bool = False


@lru_cache(256)
def read_response(text: str, is_cut: bool = False) -> Response:
    """The response in ``text``, with its thinking apart.

    Args:
        is_cut: the text was cut at the token limit. A response that an invented example follows is whole all the same.
            A response whose thinking never ends is always cut.
    """
    said, thinking, never_ends = _split(text)
    response, runs_on = _end(said)
    return Response(response, thinking, (is_cut or never_ends) and not runs_on)


def final_response(text: str) -> str:
    """The part of ``text`` that is graded, executed and taught."""
    return read_response(text, False).text


# ---------------------------------------------------------------------------------------------- thinking

_NAMES = (
    "think(?:ing)?|thoughts?|thought[_ ]process|reason(?:ing)?|reflect(?:ion)?|scratch_?pad|analysis|deliberation"
    "|(?:internal|inner)(?:[_ -]?(?:thoughts?|monologue|reasoning))?|monologue|cot|chain[_ ]of[_ ]thoughts?"
)
_BEGIN, _END_OF = r"(?:start|begin)(?:[_▁ ]of)?[_▁ ]", r"end(?:[_▁ ]of)?[_▁ ]"
_TAG = re.compile(
    rf"""(?:<|&lt;|◁)[|｜]?\s?(?P<close>/|{_END_OF})?[|｜]?(?:{_BEGIN}|[a-z]+:)?(?P<name>{_NAMES})
    (?:\s[^<>]{{0,200}}?)?\s?(?P<void>/)?[|｜]?(?:>|&gt;|▷)
    |\[(?P<close2>/)?(?P<name2>think(?:ing)?|thought)\](?!\()""",
    re.VERBOSE | re.IGNORECASE,
)
_OTHER_MARKS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        # gpt-oss: <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>
        r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*analysis[^<]*<\|message\|>(.*?)"
        r"(?:<\|end\|>|(?=<\|start\|>|<\|channel\|>)|(\Z))",
        r"\A\s*analysis(?=[A-Z(\"'*\d])(.*?)(?:assistant\s?final(?=\S|\s|\Z)|(\Z))",  # its special tokens dropped
        r"\A\s*<\|channel>thought\b(.*?)(?:<channel\|>|(\Z))",  # Gemma 4
        r"\A\s*<unused94>thought\b(.*?)(?:<unused95>|(\Z))",  # MedGemma
        r"\A\s*<\|im_start\|>think\b(.*?)(?:<\|im_start\|>answer\b|(\Z))",  # s1
        r"\A\s*Here is my thought process:(.*?)\n\s*Here is my response:((?!))?",  # Granite
        r"\A\s*Here are my reasoning steps:(.*?)\[BEGIN FINAL RESPONSE\]((?!))?",  # Apriel
    )
)
"""Other marks of thinking. They are rewritten as tags. The second group matches if the thinking never ends."""
_MAY_THINK = re.compile(r"<(?![<0-9(.-])|[\[◁]|&lt;|\A\s*(?:analysis|Here )")
"""A fast test before the slow patterns: most texts have no thinking."""
_EMPTY_FENCE = re.compile(r"```\w*\s*```")
_MENTION_BEFORE = re.compile(r"[\w,)][ \t]+$")
_MENTION_AFTER = re.compile(r"[ \t]+[a-z]|[,.;:?!)]|[ \t]*$")


def _split(text: str) -> tuple[str, str | None, bool]:
    """The response, the thinking, and whether the thinking never ends."""
    if not _MAY_THINK.search(text):
        return text, None, False
    tagged = text
    for pattern in _OTHER_MARKS:
        tagged = pattern.sub(lambda m: f"<think>{m[1]}{'</think>' if m[2] is None else ''}", tagged)
    marks = [mark for mark in _TAG.finditer(tagged) if not _is_quoted(tagged, mark)]
    if not marks:
        return text, None, False
    said, thought, never_ends = _blocks(tagged, marks)
    response = _EMPTY_FENCE.sub("", _joined(said)).strip()
    thinking = "\n\n".join(part.strip() for part in thought if part.strip())
    return response, thinking or None, never_ends


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    """Whether the mark is in quotes, since the text only talks about it."""
    before, after = text[max(0, mark.start() - 1) : mark.start()], text[mark.end() : mark.end() + 1]
    return before in ("`", '"', "'") and after in ("`", '"', "'")


def _blocks(text: str, marks: Sequence[re.Match[str]]) -> tuple[list[str], list[str], bool]:
    """The pieces outside and inside the tags, and whether the last block never ends.

    A lone closing tag ends thinking that began with the text. Tags may be nested, and their names may differ.
    """
    said: list[str] = []
    thought: list[str] = []
    names: list[str] = []  # the names of the open blocks, the outermost first
    start = 0  # of the text that is not yet in a piece
    opening: re.Match[str] | None = None
    inner_end: re.Match[str] | None = None  # a closing tag that closes the outermost block if no other does
    for mark in marks:
        name = (mark["name"] or mark["name2"]).lower()
        if mark["void"]:
            if not names:
                said.append(text[start : mark.start()])
                start = mark.end()
        elif not (mark["close"] or mark["close2"]):
            if not names:
                said.append(text[start : mark.start()])
                start, opening, inner_end = mark.end(), mark, None
            names.append(name)
        elif names:
            closed = name if name in names else names[-1]
            while names.pop() != closed:
                pass
            if names:
                inner_end = mark if name == names[0] else inner_end
                continue
            thought.append(text[start : mark.start()])
            start = mark.end()
        elif thought and mark is marks[-1] and not _end(text[mark.end() :])[0].strip():  # one too many
            said.append(text[start : mark.start()])
            start = mark.end()
        else:
            thought += [*said, text[start : mark.start()]]
            said, start = [], mark.end()
    never_ends = False
    if names and inner_end is not None:
        thought.append(text[start : inner_end.start()])
        rest, more, never_ends = _split(text[inner_end.end() :])
        return [*said, rest], [*thought, more or ""], never_ends
    if names and opening is not None:
        if _is_mentioned(text, opening):
            start = opening.start()
        else:
            thought.append(text[start:])
            never_ends, start = True, len(text)
    said.append(text[start:])
    return said, thought, never_ends


def _is_mentioned(text: str, opening: re.Match[str]) -> bool:
    """Whether an opening tag without a closing one is a word of a sentence: "the tag <think> opens it"."""
    line = text[text.rfind("\n", 0, opening.start()) + 1 : opening.start()]
    rest = text[opening.end() :].partition("\n")[0]
    return bool(_MENTION_BEFORE.search(line) and _MENTION_AFTER.match(rest))


def _joined(pieces: Iterable[str]) -> str:
    """The pieces as one text, with one gap between two pieces."""
    whole: list[str] = []
    gap = ""
    for piece in pieces:
        inner = piece.strip()
        if not inner:
            gap += piece
            continue
        start = piece.index(inner)
        gap += piece[:start]
        if whole:
            whole.append("\n" * min(2, gap.count("\n")) or " " * bool(gap or inner[0].isalnum()))
        whole.append(inner)
        gap = piece[start + len(inner) :]
    return "".join(whole)


# ---------------------------------------------------------------------------------------------- run-ons

_LEADING = re.compile(
    r"""\s*(?:(?:<\|im_start\|>(?:assistant)?|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|</?s>|<bos>
    |<\|begin_of_text\|>|<start_of_turn>model|<\|start\|>\s*assistant|<\|assistant\|>|<[|｜]Assistant[|｜]>|\[/INST\]
    |<\|turn>model|<\|message\|>|<\|(?:end|eot_id|im_end)\|>)\s*)+""",
    re.VERBOSE,
)
_WRAPPER = re.compile(
    r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*final[^<]*<\|message\|>|\[BEGIN FINAL RESPONSE\]"
    r"|<\|(?:begin_of_(?:solution|answer)|START_RESPONSE|START_TEXT)\|>"
)
_END_TOKEN = re.compile(
    r"""</s>|<eos>|<pad>|\[PAD\]|\[/?INST\]|<<SYS>>|\[END\ FINAL\ RESPONSE\]
    |<(?:start|end)_of_turn>|<turn\|>|<\|turn>|(?<=[.!?\d\n])(?:user|assistant)\n  # the last with its tokens dropped
    |<[|｜]\s?(?:end|eo[ts]|eom|im_(?:end|start|sep)|start_header|return|start\b|pad|user|human|system|assistant|observation
               )[^<>|｜\n]{0,40}[|｜]>""",
    re.VERBOSE | re.IGNORECASE,
)
_QUESTION = "input|question|problem|instruction|query|prompt|human|user|q"
_COUNTED = "example|exercise|task"  # only with a number: "Task: 2 hours" may be a line of any solution
_PARTS: Final = (*_COUNTED.split("|"), "q")
"""Words that may number the parts of a response: "Task 1: 2 hours. Task 2: 3 hours." """
_ANSWER = r"output|(?:golden[ ])?answers?|a|response|solution|assistant|ai|bot|model"
_NEXT = "next|new|another|similar|sample|practice|bonus|follow-?up"
_MARKUP = r"[*_<>\[\](){}|]{0,3}"
_LABEL = re.compile(
    rf"""^[ \t>]*(?:\#{{1,6}}[ \t]*)?{_MARKUP}[ ]?(?:(?:{_NEXT})[ ])?
    (?:(?P<question>{_QUESTION}|(?:{_COUNTED})(?=[ ]?\#?[0-9])|(?<=[a-z][ ])(?:{_COUNTED}))|(?P<answer>{_ANSWER}))
    [ ]?\#?(?P<number>[0-9]{{1,3}})?{_MARKUP}[ \t]*
    (?:[:：]|(?<=[0-9])[.)][ ]|(?<=\*\*)[ \t]*$)
    |^[ \t]*\#{{1,6}}[ \t]*(?P<heading>instruction|input|question|problem|human|user|example)\b[^\n]{{0,20}}$
    |^[ \t]*(?:(?:now|okay|ok|next)[, ][ ]?)?
    (?P<phrase>(?:here(?:['’]s|[ ]is)|let['’]s[ ](?:try|do|solve|look[ ]at)|try|consider)[ ]
    (?:another|the[ ]next|a[ ]new|one[ ]more|a[ ]similar)[ ](?:\w+[ ])?(?:question|problem|example|exercise|one))\b""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_TURN_IN_LINE = re.compile(r"(?<=[.!?)\d])[ \t]+(?P<label>Input|Human|User):[ ]")
_REPLY_IN_LINE = re.compile(r"\b(?:Output|Assistant|AI):")
_OPENING = re.compile(
    r"""\s*(?:sure|certainly|of[ ]course|ok(?:ay)?|great|absolutely|hi|hello|let(?:['’]s|[ ]us|[ ]me)|here(?:['’]s|[ ]is
    |[ ]are)|to[ ](?:solve|answer|find)|i(?:['’]ll|[ ]will)|thanks?)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_SEPARATOR = re.compile(r"\s*(?:-{3,}|={3,}|\*{3,}|_{3,}|#{2,})?\s*")


def _end(text: str) -> tuple[str, bool]:
    """The response up to a run-on, and whether there is one."""
    leading = _LEADING.match(text)
    response = _WRAPPER.sub("", text[leading.end() :] if leading else text)
    if len(response) != len(text):
        response = response.strip()
    at = min(_run_ons(response), default=None)
    if at is None:
        return response, False
    lines = response[:at].rstrip().split("\n")
    while len(lines) > 1 and _SEPARATOR.fullmatch(lines[-1]):
        lines.pop()
    return "\n".join(lines).rstrip(), True


def _run_ons(text: str) -> Iterator[int]:
    """Where the response may end: at an end token, and at the question of a next example."""
    for token in _END_TOKEN.finditer(text):
        if not _is_quoted(text, token) and text[: token.start()].strip():
            yield token.start()
            break
    seen: set[str] = set()  # labels of questions that the response restates at its beginning
    series: set[str] = set()  # labels that number the parts of the response
    answer_at = -1  # where the answer to a restated question begins
    for label in _LABEL.finditer(text):
        if label["answer"]:
            answer_at = label.end() if seen and answer_at < 0 else answer_at
            continue
        word = (label["question"] or label["heading"] or label["phrase"]).lower()
        if label["number"] and word in series:
            continue
        is_opening = not seen and _is_opening(text[: label.start()])
        if label["number"] == "1" and (is_opening or word in _PARTS):
            series.add(word)
        elif not is_opening and (not seen or answer_at >= 0 or word in seen):
            yield label.start()
            break
        if is_opening or seen:
            seen.add(word)
    if not seen or answer_at >= 0:
        turn = _TURN_IN_LINE.search(text, max(0, answer_at))
        if turn and _REPLY_IN_LINE.search(text, turn.end()) and not _is_opening(text[: turn.start()]):
            yield turn.start()


def _is_opening(before: str) -> bool:
    """Whether the text before a label answers nothing: it is empty, or "Sure, here is the problem:"."""
    before = before.strip(" \t\r\n#*_-=>`")
    if not before:
        return True
    is_short = len(before) <= 200 and not any(character.isdigit() for character in before)
    return is_short and bool(before.endswith((":", "：")) or _OPENING.match(before))
