r"""Finds the number that a response states as its answer.

    "9*2 = 18. The answer is 18, for 2 of 9 eggs."            18, stated: a marker says so
    "So it is \boxed{72} clips in 2 months."                   72, stated
    "The answer is 20. Wait, no: it should be 18."             18, stated: the last statement counts
    "Therefore, it takes 5 hours to read all 120 pages."       5, stated: the closing sentence is about it
    "Tom has 10 apples, Ann has 8 pears and Bo 6 plums."       6, not stated: it is only the last number
    "The answer is 18 or 20."                                  None: this states no single number

A text is read in this order:

1. the last marker (``\boxed``, ``####``, ``<answer>``, "the answer is", ``A:``) that a statement follows, and then a
   correction of that statement ("wait", "I mean");
2. without a marker, the last sentence with a number. Notes, checks, questions, and sentences about another period
   ("over 7 days that would be $126") are skipped.

In a sentence, the result of an equation comes first, then what follows "so" or "which is", then what is bold, then the
number that the sentence predicates: 18 in "each gets 18 slices out of the 3 pizzas".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

from toolgen_hf.tasks.math.numbers import CURRENCY, Number, numbers, plain, read_words, spelled

_MAX_TEXT: Final = 20_000
_MAX_MARKERS: Final = 20  # a text with more than this repeats itself and gives no answer
_MAX_SENTENCE: Final = 800
_TAIL: Final = 1_000
"""The closing sentence is usually in the last 1,000 characters, which are searched first."""


class Reading(NamedTuple):
    """The answer of a response, None if it gives none; and whether the response says that it is the answer."""

    value: float | None = None
    is_stated: bool = False


_says = partial(Reading, is_stated=True)
_NO_NUMBER: Final = _says(None)
"""The text speaks of its answer and gives no single number: "18 or 20", ``12*5``, "unknown"."""


def read_statement(text: str) -> Reading:
    """The number that a response states as its answer. ``text`` comes without thinking and run-on."""
    text = _ANNOTATION.sub("", text)
    if len(text) > _MAX_TEXT:
        text = text[-_MAX_TEXT:].partition("\n")[2] or text[-_MAX_TEXT:]
    text = _without_enumerators(plain(text))
    marked, start = _marked(text)
    if marked is not None:
        return _correction(text[start:], marked.value) or marked
    return _closing(text) or Reading(read_words(text.strip(" \n*.!")))


def _without_enumerators(text: str) -> str:
    """The text with bullets in place of the ``1.``, ``2.``, ``3.`` of a list."""
    spans: list[tuple[int, int]] = []
    for item in _ITEM.finditer(text):
        if int(item["number"]) == len(spans) + 1:
            spans.append(item.span("number"))
    for start, end in spans if len(spans) > 1 else ():
        text = f"{text[:start]}{'•' * (end - start)}{text[end:]}"
    return text


def _numbers(text: str) -> tuple[Number, ...]:
    """The numbers in digits. If there are none, those in words."""
    return numbers(text) or spelled(text)


def _usable(text: str) -> list[Number]:
    return [number for number in _numbers(text) if not number.is_label]


def _any(*phrases: str) -> str:
    """A pattern for words and phrases that bars separate, the longest first."""
    found = sorted((phrase.strip() for phrase in "|".join(phrases).split("|")), key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, found))})"


_i = partial(re.compile, flags=re.IGNORECASE)
_ix = partial(re.compile, flags=re.IGNORECASE | re.VERBOSE)
_ITEM = re.compile(r"^[ \t*_>-]*(?P<number>[0-9]{1,2})[.)][ \t*]", re.MULTILINE)
_ANNOTATION = re.compile(r"<<[^<>]*>>")
_MONEY = rf"(?:(?:{CURRENCY})[ ]?)?"
_MARKUP = r"[*_\"'`]{0,3}"

# ---------------------------------------------------------------------------------------------- markers

_IS: Final = _any(
    "is|was|are|equals|should be|must be|would be|will be|becomes|comes to|comes out to|has to be|turns out to be"
)
_ADVERBS: Final = _any(
    "then|therefore|thus|now|actually|indeed|in fact|simply|just|equal to|given by|exactly|about|approximately|around",
    "roughly|clearly|obviously",
)
_MARKER_WORDS: Final = (
    "boxed|answer|####|a:|ans:|right |actual|true |real |ans.|ans*|correct|final|result|solution|antwort|réponse"
    "|reponse"
    "|respuesta|resposta|risposta|antwoord|odpowiedź|jawaban|cevap|ответ|答|正解|정답|الإجابة|الجواب|उत्तर|đáp án"
)
_MAY_MARK: Final = tuple(_MARKER_WORDS.split("|"))
"""A fast test before the slow pattern: most texts hold none of these."""
_MARKER = re.compile(
    rf"""
    (?P<box> \\(?:boxed|fbox)[ ]?\{{ )
    |(?P<tag> <(?:final_)?answer> | \[(?:final[ _])?answer\](?!\() )
    |(?P<hashes> (?<!\#)\#{{4}}(?!\#) )
    |(?P<words>
        (?<![^\W_])(?:answers?|(?:right|correct|actual|true|real)[ ](?:number|value|result|total|figure|amount))\b
        {_MARKUP}
        (?: [ ](?:to|for|of)\b[^.:\n]{{0,60}}? | ,[ ](?:then|therefore)\b,? | [ ]?\([^()\n]{{0,60}}\) )?
        {_MARKUP}[ ]?
        (?: \b{_IS}\b | [:=] | (?=\n) | (?:→|⇒|->|=>|[-–—](?=[ ])) | of(?=[ ]{_MONEY}[0-9]) )
        (?:[ ]{_ADVERBS}\b)*
      | ^[ \t]*{_MARKUP}(?:A|Ans|Correction|Corrected|(?:Final|Corrected)[ ](?:result|value|total)|Result|Solution)
        \.?{_MARKUP}:{_MARKUP}
      | (?:答案|正确答案|最终答案|正解|答え?)(?:是|为|は|等于|:)? | 정답(?:은|:)?
      | (?:الإجابة|الجواب)[ ]?(?:هي|هو|:) | उत्तर[ ]?(?:है|:) | đáp[ ]án[ ]?(?:là|:)
      | \b(?:Antwort|r[eé]ponse|respuesta|resposta|risposta|ответ|antwoord|odpowiedź|jawaban(?:nya)?|cevap)
        (?:[ ](?:finale?|correcta|correcte|correta))?
        [ ]?(?:ist|lautet|est|es|é|è|is|to|adalah|:|—|-)(?:[ ]?:)?
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_NESTED_MARKER = _i(
    rf"\s{{0,4}}(?:{_MARKUP}(?:the )?(?:final |correct )?answer(?: is)?[ ]?{_MARKUP}:?{_MARKUP}|<answer>)"
)
_BRACE = re.compile(r"[{}]")
_TAG_END = re.compile(r"</|\[/")
_BLANK = re.compile(r"[\s:*_]{0,12}")
_HEADING = re.compile(r"[ \t]*[0-9]{1,2}(?:[.)][ \t]|[ ][A-Z][a-z])")
_DOUBTS: Final = _any(
    "thought|assumed|guess|guessed|at first|initially|originally|if|whether|suppose|might think|not|wrong|incorrect",
    "what",
)
_WHOSE: Final = _any("first|second|third|fourth|each|his|her|their|every|other")
_DOUBTED = _i(rf"\b{_DOUBTS}\b[^.\n]{{0,40}}$|\b{_WHOSE}[ ]$")


def _marked(text: str) -> tuple[Reading | None, int]:
    """The statement after the last marker that has one, and where the statement begins."""
    lowered = text.lower()
    for word in _MAY_MARK:
        if word in lowered:
            break
    else:
        return None, 0
    for marker in reversed(list(_MARKER.finditer(text))[-_MAX_MARKERS:]):
        if marker["words"] and _DOUBTED.search(text, max(0, marker.start() - 60), marker.start()):
            continue
        if marker["hashes"] and _is_heading(text, marker.end()):
            continue
        start, end = _extent(text, marker)
        said = text[start : min(end, start + _MAX_SENTENCE)]
        if not said.rstrip("*_ ").endswith("?") and (reading := _stated(said)) is not None:
            return reading, start
    return None, 0


def _is_heading(text: str, start: int) -> bool:
    """``#### 2. Add them`` and, if more numbers follow, ``#### 3 Total cost``."""
    line, _, rest = text[start:].partition("\n")
    heading = _HEADING.match(line)
    return heading is not None and (heading[0].rstrip()[-1] in ".)" or any(map(str.isdigit, rest)))


def _extent(text: str, marker: re.Match[str]) -> tuple[int, int]:
    """Start and end of a marker's statement: a box, a tag, or the rest of the sentence."""
    start = marker.end()
    if marker["box"]:
        depth = 1
        for brace in _BRACE.finditer(text, start, start + 400):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                return start, brace.start()
        line = text.find("\n", start)
        return start, line if line >= 0 else len(text)
    if marker["tag"]:
        tag = _TAG_END.search(text, start)
        return start, tag.start() if tag else len(text)
    if nested := _NESTED_MARKER.match(text, start):
        start = nested.end()
    if blank := _BLANK.match(text, start):
        start = blank.end()
    end = _SENTENCE_END.search(text, start)
    return start, end.end() if end else len(text)


_LEAD = re.compile(rf"(?:[\s:*_$(\[{{}}\"'`~≈=>⇒→,]|{CURRENCY}|[-+–](?=[ ]?[$€£]?[0-9])|\\boxed){{0,24}}")
_JSON_VALUE = re.compile(r"[^,}\n]{1,40}(?=[,}])")
_UNKNOWN = _i(
    r"\b"
    + _any(
        "unknown|undefined|undetermined|unclear|not given|not known|not possible|not enough|not clear|not specified",
        "not provided|cannot|can't|can not|could not|impossible|insufficient|indeterminate|no solution|no answer|n/a",
        "depends",
    )
    + r"\b"
)
_SEVERAL_PARTS = _i(r"\(a\).*\(b\)")
_NOTHING = _i(r"(?:none|nothing|zero)\b(?! of)")
_GOES_ON = _i(
    r"(?:[^.;,]|[.,](?=[0-9]))*?=|[ ]?%?[ ]of\b[^.;]*?(?:=|\b(?:which is|i\.e\.))"
    r"|[^.;=]{0,30},? (?:which (?:is|equals|gives)|i\.e\.) ?"
)
_TOTALS: Final = r", (?:which makes|which totals|making|totall?ing|for a total of)"
_ADDED_UP = _i(rf"{_TOTALS}\b")
_COMES_TO = _i(rf"(?:,? or|→|⇒|->|:|{_TOTALS}) ?[*_]*{_MONEY}$")  # "9 × 2, or 18"
_ALTERNATIVE = _i(r"|or|and|,|, and|, or|/|to|–|-|&|(?!yesterday|today|now|more)[a-z]+,? and")
_UNIT_OR = _i(r"([a-z]+),? or(?: about)?")


def _stated(said: str) -> Reading | None:
    """What the words after a marker state; None if they are about no number."""
    if (value := _JSON_VALUE.match(said)) and "}" in said:
        said = value[0]
    if _SEVERAL_PARTS.search(said):
        return _NO_NUMBER
    lead = _LEAD.match(said)
    start = lead.end() if lead else 0
    found = _usable(said)
    if found and found[0].start <= start:
        return _from_first(said, found)
    is_unknown = _UNKNOWN.search(said) is not None
    if found and (not is_unknown or _BUT.search(said)):
        return _predicated(said)
    if is_unknown:
        return _NO_NUMBER
    if _NOTHING.match(said, start):
        return _says(0.0)
    words = read_words(said.strip(" *_.!\"'`"))
    return None if words is None else _says(words)


def _from_first(said: str, found: Sequence[Number]) -> Reading:
    """Reads a statement that begins with a number: that number, unless it calculates on, or names a second one."""
    first, last, rest = found[0], found[-1], said[found[0].end :]
    calculates, is_share = _OPERATOR.match(rest) is not None, rest.lstrip(" %").startswith("of ")
    if (calculates or is_share or "=" in rest.partition(",")[0]) and _GOES_ON.match(rest):
        reading = _predicated(said)
        return _NO_NUMBER if reading is None else _says(reading.value)
    if calculates or is_share or _ADDED_UP.search(rest):
        if _COMES_TO.search(said[: last.start]) and not _OPERATOR.match(said, last.end):
            return _says(last.value)
        if calculates:
            return _NO_NUMBER
    if len(found) > 1 and _is_alternative(said[first.end : found[1].start], said[found[1].end :]):
        return _NO_NUMBER
    return _says(first.value)


def _is_alternative(between: str, after: str) -> bool:
    """Whether two numbers are a choice or a list: "18 or 20", "4 cats and 6 dogs"; not "2.5 hours or 150 minutes"."""
    between = re.sub(rf"(?:{CURRENCY})\s?$", "", between.strip(" *_")).strip()
    unit = _UNIT_OR.fullmatch(between)
    same_unit = unit and re.match(rf" ?{re.escape(unit[1])}\b", after, re.IGNORECASE)
    return bool(_ALTERNATIVE.fullmatch(between) or same_unit)


_RETRACTIONS: Final = _any(
    "wait|oops|sorry|correction|edit|update|erratum|it should read|actually|no|i mean|i meant|scratch that|i was wrong",
    "i made a mistake|i made an error|i miscalculated|that's wrong|that is wrong|that was wrong|that's not right",
    "that is incorrect|let me recheck|let me recalculate|let me double|let me correct|let me fix|let me redo",
    "let me re-check|on second thought|hold on|or rather",
)
_TAKEN_BACK = _i(rf"[.!?;:,\n—–-][\s*_(]*(?:but |and |oh,? |no,? )*{_RETRACTIONS}\b[,:]?")
_CONFIRMS = _i(r"\b(?:yes|correct|right|confirm\w*|match\w*|checks out|adds? up|holds|verified|consistent)\b")


def _correction(rest: str, stated: float | None) -> Reading | None:
    """The number that a text gives after it takes back what it stated. None if it takes nothing back or confirms it."""
    cues = list(_TAKEN_BACK.finditer(rest, 0, 2000))
    if not cues:
        return None
    after = rest[cues[-1].end() :]
    if _CONFIRMS.search(after) and stated in [number.value for number in numbers(after)]:
        return None
    reading = _closing(after)
    return None if reading is None or reading.value is None else _says(reading.value)


# ---------------------------------------------------------------------------------------------- the closing sentence

_SENTENCE_END = re.compile(  # a full stop that does not end an initial or an abbreviation
    r"[.!?](?<![.\s][A-Z].)(?<!\b(?:Mr|Ms|Dr|St|Rs|vs|No|eq|RM|oz).)(?<!\b(?:Mrs|i\.e|e\.g|etc|Php).)"
    r"(?<!\b(?:max|min|avg|est).)(?<!\b(?:incl|excl).)(?<!approx.)[.!?]*[*_\"')\]]*(?=\s|$)"
    r"|[。!?；](?=[^\s\d])|\n+"
)
_RULE = re.compile(
    r"^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*$"
    r"|^[ \t#*_]*(?:references?|sources?|notes?|footnotes?|(?:key )?takeaways?|further reading|assumptions?)[ \t*_:]*$",
    re.MULTILINE | re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BROKEN_OFF = _i(  # the text ends before its answer
    r"(?::|\b(?:and|or|the|of|to|an?|is|are|was|by|with|for|we|he|she|so|then|that))[\s*_]*$"
)
_ASIDES: Final = _any(
    "note|notes|n.b|nb:|p.s|ps:|verification|verify|verifying|checking|check:|check|let's check|let me check|to check",
    "to verify|double-check|double check|proof:|sanity|time taken|time spent|time used|confidence|source|reference",
    "footnote|hint|disclaimer|token|score|difficulty|assumption|let me know|i hope|hope this|hope that|this assumes",
    "this uses|this took|this problem|rounded|human|user|assistant|question|input|q:|next question|explanation:",
    "for reference|for comparison|for example|by the way|fun fact|remember|in case|feel free|does this|is there",
    "would you|if you have|if you need|if you want|if you'd|end of|level:|rating|generated|total time|this is because",
    "this means each",
)
_ASIDE = _ix(
    rf"""[\s*_>#"'(\[✓✅-]*(?:
    {_ASIDES}
    |(?:that|this)(?:'s|[ ]is)[ ](?:how|what|our|my|the[ ](?:number|amount|total|answer))\b[^=]*$
    |i[ ]?'?a?m[ ][0-9]+[ ]?% | steps?[ ][0-9]+[ ]?[:.]?\s*$ | \[\^?[0-9]+\] | [¹²³†*][ ](?=[A-Za-z]) | ©
    )"""
)
_PERIOD: Final = (
    r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|annually|yearly|monthly|weekly|daily)"
)
_ELSEWHERE = re.compile(
    r"[\s*_(]*(?:(?:over|in|per|for|during|after|across|each|every|by|within)\b"
    rf"[^.]*?\b{_PERIOD}\b.*?\b(?:would|could|that's|that is)\b"
    r"|if\b.*?\b(?:were|had|was|did|instead)\b.*?\bwould\b"
    r"|(?:that|this|which)(?:'s| is| would be| equals)\b.*?\b(?:per|each|every|a|an)\b)",
    re.IGNORECASE | re.DOTALL,
)
_CONCLUDES = _i(
    r"[\s*_>#-]*"
    + _any("thus|therefore|so|hence|in total|altogether|overall|in all|finally|in conclusion|consequently")
    + r"\b"
)
_NONE_LEFT = _i(
    r"\b(?:nobody|no one|none of \w+) (?:has|have|had) any\b"
    r"|\b(?:has|have|had|is|are|were|was|with|leaving|leaves) (?:no|zero|nothing)\b"
    r"|^[\s*_]*(?:none\b(?! of)|nothing (?:is|was|remains|left)\b)"
)
_CANNOT_TELL = _i(
    r"(?:does|do|did)(?:n't| not) (?:say|tell|specify|state|give)|n't enough (?:information|data|details)"
    r"|\b(?:(?:cannot|can't|can not|could not|impossible to|unable to) (?:be )?"
    r"(?:determin|know|solv|find|tell|answer|calculat|work|give|provide)"
    r"|(?:not|n't|in)[ ]?(?:enough|sufficient) (?:information|data|details)|insufficient (?:information|data))"
)
_IN_BRACKETS = re.compile(r"[\s*_]*[(（].*[)）][\s.*_]*", re.DOTALL)


def _closing(text: str) -> Reading | None:
    """The number of the last sentence that is about the answer; None if there is no number."""
    if _BROKEN_OFF.search(text[-40:]):
        return _NO_NUMBER
    if "```" in text and _usable(without_code := _CODE.sub("\n", text)):
        text = without_code
    if (rule := _RULE.search(text)) and numbers(text[: rule.start()]):
        text = text[: rule.start()]  # a footnote stands below a ruled line
    elsewhere: Reading | None = None
    aside: Reading | None = None
    for sentence in _from_last(text):
        if _is_aside(sentence):
            aside = aside or _predicated(sentence)
            continue
        if _CANNOT_TELL.search(sentence):
            return _NO_NUMBER
        reading = _predicated(sentence)
        if reading is None and _NONE_LEFT.search(sentence):
            reading = _NO_NUMBER if _UNKNOWN.search(sentence) else _says(0.0)
        if reading is None:
            continue
        if elsewhere is not None:
            return reading if reading.is_stated and "would" not in sentence else elsewhere
        if "=" in sentence or _CONCLUDES.match(sentence) or not _ELSEWHERE.match(sentence):
            return reading
        elsewhere = reading
    return elsewhere or (Reading(aside.value) if aside else None)


def _from_last(text: str) -> Iterator[str]:
    """The sentences, the last one first. Each line has at least one."""
    tail = max(text.find("\n", max(0, len(text) - _TAIL)) + 1, 0) if len(text) > _TAIL else 0
    for start, end in ((tail, len(text)), (0, tail)):
        cuts = [start, *(match.end() for match in _SENTENCE_END.finditer(text, start, end)), end]
        for left, right in zip(reversed(cuts[:-1]), reversed(cuts[1:]), strict=True):
            if text[left:right].strip():
                yield text[left:right]


def _is_aside(sentence: str) -> bool:
    """Whether a sentence is a note, a check, a question or a remark in brackets."""
    if _ASIDE.match(sentence) or _IN_BRACKETS.fullmatch(sentence):
        return True
    return sentence.rstrip(' *_"\n').endswith("?") and "=" not in sentence


# ---------------------------------------------------------------------------------------- the number of a sentence

_SUBORDINATORS: Final = _any(
    "since|because|if|when|after|before|of|in|for|with|out of|from|at|by|on|over|during|given|as|once|while|although",
    "though|every|each|per|to|across|within|using|assuming",
)
_PREPOSITIONS: Final = _any(
    "for|in|over|out of|from|per|by|at|on|with|within|after|before|during|every|each|among|across|than|of|into|through",
    "between|against|under|above|below|until|since|using|the|all|these|those|her|his|their|our|my|its|both|including",
    "incl.|excluding|excl.|other|remaining|first|last|next|original|initial",
)
_DETERMINERS: Final = _any(
    "the|a|an|all|these|those|his|her|their|its|our|my|each|every|other|remaining|first|last|next|about|around|only|just",
    "original|same|total",
)
_QUANTITIES: Final = _any(
    "total|sum|profit|cost|price|average|balance|amount|number|loss|income|length|width|height|area|volume|weight",
    "distance|speed|age|rate|score|revenue|saving|savings|discount|fee|bill|mean|maximum|minimum|difference|product",
    "quotient|remainder|value|change",
)
_VERBS: Final = _any(
    "is|are|was|were|be|been|has|have|had|having|will|would|can|could|must|should|make|makes|made|earn|earns|earned",
    "need|needs|needed|get|gets|got|cost|costs|take|takes|took|left|sell|sells|sold|pay|pays|paid|spend|spends|spent",
    "save|saves|saved|give|gives|gave|eat|eats|ate|buy|buys|bought|drink|drinks|drank|run|runs|ran|walk|walks|walked",
    "read|reads|write|writes|wrote|receive|receives|received|lose|loses|lost|gain|gains|gained|weigh|weighs|weighed",
    "owe|owes|owed|use|uses|used|collect|collects|collected|remain|remains|remained|travel|travels|traveled|work|works",
    "worked|contain|contains|hold|holds|held|produce|produces|produced|raise|raises|raised|charge|charges|charged|drive",
    "drives|drove|score|scores|scored|plant|plants|planted|pick|picks|picked|find|finds|found|equal|equals|total|totals",
    "require|requires|required|last|lasts|lasted|lay|lays|grow|grows|grew|count|counts|counted|win|wins|won|bring|brings",
    "brought|keep|keeps|kept|cover|covers|covered|leave|leaves|become|becomes|became|go|goes|went|did|does|do|feed|feeds",
    "fed|bake|bakes|baked|finish|finishes|finished|consume|consumes|consumed|share|shares|see|saw",
)
_REASONS: Final = _any(
    "since|because|as opposed to|rather than|instead of|compared to|compared with|given that|where|whereas|while",
    "provided|excluding|not counting|as you|as it|as there|as we|as he|as she|as they",
)
_CONTRASTS: Final = _any(
    "and not|not|with|more than|less than|up from|down from|spaced|each|costing|weighing|holding|containing|measuring",
    "divided|shared|split",
)
_COMPARED: Final = _any(
    "percent|more|less|fewer|times|higher|lower|longer|shorter|older|younger|taller|heavier|lighter|faster|slower|better",
    "above|below",
)
_SO: Final = _any(
    "so|thus|therefore|hence|which gives|which makes|which means|which leaves|, making|, giving|, leaving|, meaning",
    "i mean",
)
_RESULTS: Final = _any(
    "which is|which equals|which comes to|which totals|i.e.|that is,|totaling|totalling|comes to|comes out to",
    "amounts to|adds up to|equals|is equal to|are equal to|was equal to|rounds to|rounds up to|rounds down to",
    "rounded to|for a total of|a total of|the total of|it is|that is|this is|it's|that's",
)
_FIRST_THOUGHTS: Final = _any(
    "thought|at first|first got|initially|originally|expected|assumed|seems|seemed|wrong|unknown"
)
_CONNECTIVES: Final = _any("so|thus|therefore|hence|then|and|but|now|finally|also")

_BUT = _i(r"[,;]? (?:but|however|yet)\b|;")
_RELATIVE = _i(r", (?:who|whose|which had|which has|which were)\b[^,.;]*,")
_FIRST_THOUGHT = _i(rf"\b{_FIRST_THOUGHTS}\b")
_TAIL_CLAUSE = _i(
    rf",? {_REASONS}\b|,? (?:and )?not (?={_MONEY}[0-9])|, {_CONTRASTS}\b"
    rf"|, (?:which (?:is|was) )?(?:(?:roughly|about|nearly|almost|around) )?"
    rf"(?={_MONEY}[0-9.]+ ?(?:%|(?:[a-z°]+ )?{_COMPARED}\b))"
    r"|[,;；](?=[^\W\d_a-zA-Z])| ?(?:[—–]|--| - ) ?(?=[a-zA-Z]{2})|;"
)
_SUM = _i(r"\b(?:sum|total|altogether|combined|in all|overall)\b")
_SO_THEN = _i(r"[,;] (?:and )?(?:so|thus|therefore|hence)\b")
_REASON = _i(r",? (?:since|because)\b")
_CONCLUSION = _i(
    rf"(?<!\w)(?<!when )(?<!if )(?<!because )(?:{_SO}\b"
    rf"|(?:{_RESULTS}"
    rf"(?=(?: (?:about|approximately|only|just|exactly|now))?,? [*_]{{0,2}}{_MONEY}[*_]{{0,2}}[0-9.-])))"
)
_PARENTHESIS = re.compile(r"[(（\[][^()（）\[\]]*[)）\]]")
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*|__([^_\n]+)__")
_IS_WHAT = _i(r"(?: [a-z]+)? (?:is|are|was|were) (?:the|his|her|their|its|our|how|what|all)\b")
_IS_THE_ANSWER = _i(r" (?:is|was|must be|should be) (?:the|our|my|your) (?:final |correct |right )?answer\b")
_OPERATOR = _i(
    r"(?: ?\^|(?: ?[^\W\d_][^\d=+×÷*/<>.,;:!?()^-]{0,40}?)? ?"  # a unit may come first: "5 apples + 3"
    rf"(?:[-+*/×÷−–]|x(?= ?[$(0-9])|\b(?:times|plus|minus|divided by)\b)) ?{_MONEY}(?:\.?[0-9]|[({{])"
)
_OPERAND = re.compile(rf"[0-9)\]}}%] ?(?:[-+*/x×÷^−–]|times|plus|minus|divided by) ?{_MONEY}[({{]{{0,3}}$")
_SUBORDINATE = _i(rf"[\s*_>#-]*(?:{_CONNECTIVES}\b,? )*{_SUBORDINATORS}\b[^,]{{0,160}}, ")
_ADJUNCT = _i(rf"\b{_PREPOSITIONS}(?: (?:{_DETERMINERS}|\w+ing))* {_MONEY}[*_]*$")
_QUANTITY_OF = _i(
    rf"\b(?:{_QUANTITIES} of|(?:left|ends? up|remains?|leaves \w+) with)"
    rf"(?: (?:about|around|exactly|approximately|just|only))? {_MONEY}[*_]*$"
)
_DEPENDENT = _i(rf"\b(?:to [a-z]+|{_SUBORDINATORS}|that|who|which|than|without)\b")
_VERB = _i(rf"(?<!\bthe )(?<!\ba )(?<!\bper )(?<!\bof )(?<!total )\b{_VERBS}\b")
_EQUATIONS_IN_X = re.compile(r"[a-z] ?=[^=]*\bor\b[^=]*[a-z] ?=")  # "x = 3 or x = 5"
_COPULA = re.compile(r"\b(?:is|are|was|were|equals|gives|makes|make)\b")
_RANGE = _i(rf"(?:or|to|[-–])(?: ?(?:{CURRENCY}))?")


def _predicated(sentence: str) -> Reading | None:
    """The number that a sentence is about; None if it has no number."""
    sentence = sentence[-_MAX_SENTENCE:]
    every = _numbers(sentence)
    if not every or (not numbers(sentence) and all(_is_adjunct(sentence, number) for number in every)):
        return None
    if not (usable := [number for number in every if not number.is_label]):
        return Reading(every[-1].value)
    sentence = _main_clause(sentence)
    if (answer := _IS_THE_ANSWER.search(sentence)) and (named := _usable(sentence[: answer.start()])):
        return _says(named[-1].value)
    if "=" in sentence or "≈" in sentence:
        return _result(sentence)
    bold = [match[1] or match[2] for match in _BOLD.finditer(sentence)]
    emphasized = _usable(bold[0]) if len(bold) == 1 else []
    if len(emphasized) == 1 and not _OPERATOR.match(bold[0], emphasized[0].end):
        return _says(emphasized[0].value)
    if (subordinate := _SUBORDINATE.match(sentence)) and _usable(sentence[subordinate.end() :]):
        sentence = sentence[subordinate.end() :]
    usable = _usable(sentence) or usable
    return _one(sentence, usable[0]) if len(usable) == 1 else _one_of(sentence, usable)


def _main_clause(sentence: str) -> str:
    """The part that concludes: without first thoughts, reasons, contrasts and remarks in brackets."""
    sentence = _RELATIVE.sub(" ", sentence)
    but = _BUT.search(sentence)
    if but and _FIRST_THOUGHT.search(sentence[: but.start()]) and _numbers(sentence[but.end() :]):
        sentence = sentence[but.end() :]
    if (so := _SO_THEN.search(sentence)) and _usable(sentence[so.end() :]):
        sentence = sentence[so.end() :].lstrip()
    for tail in _TAIL_CLAUSE.finditer(sentence):
        if tail[0] == ";" and _SUM.search(sentence[tail.end() :]) and _usable(sentence[tail.end() :]):
            sentence = sentence[tail.end() :].lstrip()
            break
        head, rest = sentence[: tail.start()], sentence[tail.start() :]
        is_reason = _REASON.match(rest) is not None and not head.endswith("and")
        if ("=" in head or "=" not in rest or is_reason) and _numbers(head):
            sentence = head
            break
    without = _PARENTHESIS.sub(" ", sentence)
    if _numbers(without):
        sentence = without
    for conclusion in reversed(list(_CONCLUSION.finditer(sentence))):
        if _usable(sentence[conclusion.end() :]):
            return sentence[conclusion.end() :].lstrip()
    return sentence


def _result(sentence: str) -> Reading:
    """The right side of the last equation: ``60*2 = $120 in 2 weeks``."""
    if _EQUATIONS_IN_X.search(sentence):
        return _NO_NUMBER
    *_, left, right = re.split(r"[=≈]", sentence)
    if re.match(r"[\s$*_]*[a-zA-Z](?![a-zA-Z])", right):  # "20 = A", but not "2x + 3 = y"
        nearest = re.split(r"[,:;]|\b(?:or|and|so|get)\b", left)[-1].strip(" $*_")
        return _says(float(nearest)) if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", nearest) else _NO_NUMBER
    right = f"={right}"  # a minus after it is a sign
    lead = _LEAD.match(right)
    found = _usable(right)
    if not found or _OPERATOR.match(right, found[0].end):
        return _NO_NUMBER
    return Reading(found[0].value, is_stated=found[0].start <= (lead.end() if lead else 0) + 12)


def _one(sentence: str, number: Number) -> Reading:
    """The only number of a sentence, unless the sentence ends in a calculation: ``100*2``."""
    before = sentence[max(0, number.start - 16) : number.start]
    is_operand = _OPERAND.search(before) or _OPERATOR.match(sentence, number.end)
    return _NO_NUMBER if is_operand and (number.value or 0) >= 0 else _says(number.value)


def _is_adjunct(sentence: str, number: Number) -> bool:
    """Whether a number says for how many, of which, or how often; the sentence is about another number then."""
    before = sentence[max(0, number.start - 80) : number.start]
    return _ADJUNCT.search(before) is not None and _QUANTITY_OF.search(before) is None


def _one_of(sentence: str, found: Sequence[Number]) -> Reading:
    """The number, of several, that the sentence predicates."""
    first, second = found[:2]
    gaps = [sentence[a.end : b.start].strip(" *_") for a, b in pairwise(found)]
    between = gaps[0]
    if gaps[-1] in ("or", ", or") and all(gap in (",", "or", ", or") for gap in gaps):  # "7, 8, or 9"
        return _NO_NUMBER
    if _IS_WHAT.match(sentence, first.end):  # "$6 is the cost of 3 pens"
        return _says(first.value)
    copula = _COPULA.search(sentence[second.end :])
    if copula and (named := _usable(sentence[second.end + copula.end() :])):
        return Reading(named[0].value, is_stated=len(named) == 1)  # "the difference between 20 and 2 is 18"
    if _RANGE.fullmatch(between):
        return _NO_NUMBER
    if _UNIT_OR.fullmatch(between):  # "48 hours, or 2 days"
        return _NO_NUMBER if _is_alternative(between, sentence[second.end :]) else _says(first.value)
    is_choice = re.search(r"\b(?:between|either)\b", sentence[: first.start], re.IGNORECASE)
    if is_choice and re.search(r"\b(?:and|or)\b", between):
        return _NO_NUMBER
    if _OPERAND.search(sentence[: found[-1].start]) and all(
        _OPERATOR.match(sentence, n.end) for n in found[:-1]
    ):
        return _NO_NUMBER
    verb = _VERB.search(sentence)
    main = [number for number in found if not _is_adjunct(sentence, number)]
    told = [number for number in main if verb is not None and number.start > verb.start()]
    if len(told) == 1 or (not told and len(main) == 1):
        return _says((told or main)[0].value)
    if not told:
        return Reading((main or found)[-1].value)
    clauses = [re.split(r",|;|\b(?:and|but)\b", sentence[told[0].end : n.start])[-1] for n in told[1:]]
    if all(map(_DEPENDENT.search, clauses)):  # "132 spoons to make 16 muffins"
        return _says(told[0].value)
    is_list = all(re.search(r",|\band\b", sentence[a.end : b.start]) for a, b in pairwise(told))
    return Reading((told[-1] if is_list else told[0]).value)
