"""The named configs of `QA`: question sets that ship, and question sets on the Hub.

    config          repository on the Hub              splits                   for the task
    asdiv           EleutherAI/asdiv                   validation               math
    mgsm, mgsm.de   juletxara/mgsm                     train (8 rows), test     math
    web_questions   stanfordnlp/web_questions          train, test              qa
    nq_open         google-research-datasets/nq_open   train, validation        qa
    trivia_qa       mandarjoshi/trivia_qa              train, validation        qa
    lama            facebook/lama, trex                train                    lama
    mlqa, mlqa.en.de    facebook/mlqa                  validation, test         mlqa
    xquad, xquad.de     google/xquad                   validation               mlqa

A split has the name that it has on the Hub; a recipe's ``dataset.splits`` cuts others from it. The test split of
TriviaQA is left out, because it has no answers. In ``mlqa.en.de`` contexts are English and questions German, as on the
Hub; ``mlqa`` is English contexts with questions in the six other languages, ``xquad`` and ``mgsm`` are all languages.

An entry without a commit as ``revision`` reads ``refs/convert/parquet``, the Parquet files that the Hub made from a
repository with a loading script (`datasets` runs no such script any more). This branch may change: give a commit as
``revision`` to stay with its files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from toolgen_hf.builders.base import RowsConfig
from toolgen_hf.builders.columns import optional_text, pick, text
from toolgen_hf.builders.rows import Row

VERSION: Final = "1.2.0"
CONVERTED: Final = "refs/convert/parquet"
"""The branch of the Parquet files that the Hub makes from other files: ``{config}/{split}/0000.parquet``."""


@dataclass
class QAConfig(RowsConfig):
    """How a file's columns become those of a raw row, and the dataset's name, files and terms."""

    dataset: str = "QA"
    # "answer" -> "Answer"; by default question and answer have these names in the file
    columns: dict[str, str] = field(default_factory=dict)
    shape: Callable[[Row, str], Row] | None = (
        None  # makes the columns of a row that no column of the file holds
    )
    split: str = "train"  # the split of files without a split in their name
    bundled: str | None = None  # the file in this package that is read if none is given
    repo: str = ""  # the repository on the Hub that is read if no file is given
    revision: str = ""  # a commit, or the branch CONVERTED
    folders: tuple[str, ...] = ()  # of the repository: each has the files of all splits
    splits: tuple[str, ...] = ()
    task: str = ""  # the task that these questions are for
    citation: str = ""
    homepage: str = ""
    license: str = ""


def _trivia_qa(row: Row, where: str) -> Row:
    """The answer is its own first alias."""
    return {**row, "answer": [pick(row, f"answer.{part}", where) for part in ("value", "aliases")]}


def _asdiv(row: Row, where: str) -> Row:
    """``"9 (apples)" -> "9"``."""
    answer = text(row, "answer", where)
    return {**row, "answer": _UNIT.sub("", answer).strip() or answer}


def _mgsm(row: Row, where: str) -> Row:
    """Of a train row, ``"Frage: Roger hat ..." -> "Roger hat ..."``. Test rows have no label and no answer text."""
    if row.get("answer") is None:
        return row
    return {**row, "question": _LABEL.sub("", text(row, "question", where))}


def _lama(row: Row, where: str) -> Row:
    """``"[X] was born in [Y] ." -> "Dante was born in [MASK]."``; without a template, the sentence as it is."""
    template = optional_text(row, "template", where)
    if template is None:
        return {**row, "question": pick(row, "masked_sentence", where)}
    masked = _SPACE_BEFORE_STOP.sub(".", template.replace("[Y]", "[MASK]"))
    return {**row, "question": masked.replace("[X]", text(row, "sub_label", where))}


def _reading(row: Row, where: str) -> Row:
    context, question = (text(row, column, where).strip() for column in ("context", "question"))
    return {**row, "question": f"Context: {context}\nQuestion: {question}"}


_UNIT = re.compile(r"\s*\((?![\d\s.,/+*-]*\))[^()]*\)")
_SPACE_BEFORE_STOP = re.compile(r"\s+\.\s*$")
_LABEL = re.compile(r"^[^\s:：]+\s?[:：]\s*")

_DEFAULT = QAConfig(name="default", version=VERSION, description="Questions with known answers.")

_SVAMP = QAConfig(
    name="svamp",
    version=VERSION,
    description="SVAMP: simple variations on arithmetic word problems, a challenge set of 1,000.",
    dataset="SVAMP",
    language="en",
    columns={"question": "Question", "context": "Body", "answer": "Answer", "solution": "Equation"},
    split="test",
    bundled="svamp/SVAMP.json",
    task="math",
    citation="""\
@inproceedings{patel2021svamp,
  title = {Are {NLP} Models really able to Solve Simple Math Word Problems?},
  author = {Patel, Arkil and Bhattamishra, Satwik and Goyal, Navin},
  booktitle = {Proceedings of the 2021 Conference of the North American Chapter of the Association for
               Computational Linguistics: Human Language Technologies},
  pages = {2080--2094},
  year = {2021}
}""",
    homepage="https://github.com/arkilpatel/SVAMP",
    license="MIT",
)

_ASDIV = QAConfig(
    name="asdiv",
    version=VERSION,
    description="ASDiv: 2,305 math word problems of elementary school, of many kinds.",
    dataset="ASDiv",
    language="en",
    columns={"context": "body", "solution": "formula"},
    shape=_asdiv,
    split="validation",
    repo="EleutherAI/asdiv",
    revision="8f95807222d87b4c688c3c22a6ba2801e1fa03e2",
    folders=("asdiv",),
    splits=("validation",),
    task="math",
    citation="""\
@inproceedings{miao2020asdiv,
  title = {A Diverse Corpus for Evaluating and Developing English Math Word Problem Solvers},
  author = {Miao, Shen-yun and Liang, Chao-Chun and Su, Keh-Yih},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics},
  pages = {975--984},
  year = {2020}
}""",
    homepage="https://github.com/chaochun/nlu-asdiv-dataset",
    license="CC-BY-NC-4.0",
)

_WEB_QUESTIONS = QAConfig(
    name="web_questions",
    version=VERSION,
    description="WebQuestions: what people asked a search engine, with answers from Freebase.",
    dataset="WebQuestions",
    language="en",
    columns={"answer": "answers"},
    repo="stanfordnlp/web_questions",
    revision="0e473cbe21d1e91ec18da343644498be6a3f5454",
    folders=("data",),
    splits=("train", "test"),
    task="qa",
    citation="""\
@inproceedings{berant2013webquestions,
  title = {Semantic Parsing on {F}reebase from Question-Answer Pairs},
  author = {Berant, Jonathan and Chou, Andrew and Frostig, Roy and Liang, Percy},
  booktitle = {Proceedings of the 2013 Conference on Empirical Methods in Natural Language Processing},
  pages = {1533--1544},
  year = {2013}
}""",
    homepage="https://huggingface.co/datasets/stanfordnlp/web_questions",
    license="unknown",
)

_NQ_OPEN = QAConfig(
    name="nq_open",
    version=VERSION,
    description="NQ-Open: questions to a search engine that have a short answer in Wikipedia.",
    dataset="NQ-Open",
    language="en",
    repo="google-research-datasets/nq_open",
    revision="5dd9790a83002ad084ddeb7c420dc716852c6f28",
    folders=("nq_open",),
    splits=("train", "validation"),
    task="qa",
    citation="""\
@article{kwiatkowski2019natural,
  title = {Natural Questions: A Benchmark for Question Answering Research},
  author = {Kwiatkowski, Tom and Palomaki, Jennimaria and Redfield, Olivia and Collins, Michael and
            Parikh, Ankur and Alberti, Chris and Epstein, Danielle and Polosukhin, Illia and Devlin, Jacob and
            Lee, Kenton and Toutanova, Kristina and Jones, Llion and Kelcey, Matthew and Chang, Ming-Wei and
            Dai, Andrew M. and Uszkoreit, Jakob and Le, Quoc and Petrov, Slav},
  journal = {Transactions of the Association for Computational Linguistics},
  volume = {7},
  pages = {453--466},
  year = {2019}
}

@inproceedings{lee2019latent,
  title = {Latent Retrieval for Weakly Supervised Open Domain Question Answering},
  author = {Lee, Kenton and Chang, Ming-Wei and Toutanova, Kristina},
  booktitle = {Proceedings of the 57th Annual Meeting of the Association for Computational Linguistics},
  pages = {6086--6096},
  year = {2019}
}""",
    homepage="https://huggingface.co/datasets/google-research-datasets/nq_open",
    license="CC-BY-SA-3.0",
)

_TRIVIA_QA = QAConfig(
    name="trivia_qa",
    version=VERSION,
    description="TriviaQA: questions of trivia enthusiasts, without the evidence documents.",
    dataset="TriviaQA",
    language="en",
    shape=_trivia_qa,
    repo="mandarjoshi/trivia_qa",
    revision="0f7faf33a3908546c6fd5b73a660e0f8ff173c2f",
    folders=("rc.nocontext",),
    splits=("train", "validation"),
    task="qa",
    citation="""\
@inproceedings{joshi2017triviaqa,
  title = {{T}rivia{QA}: A Large Scale Distantly Supervised Challenge Dataset for Reading Comprehension},
  author = {Joshi, Mandar and Choi, Eunsol and Weld, Daniel and Zettlemoyer, Luke},
  booktitle = {Proceedings of the 55th Annual Meeting of the Association for Computational Linguistics},
  pages = {1601--1611},
  year = {2017}
}""",
    homepage="https://nlp.cs.washington.edu/triviaqa/",
    license="unknown",
)

_LAMA = QAConfig(
    name="lama",
    version=VERSION,
    description="LAMA, T-REx: facts of Wikidata as sentences with a [MASK] for the object; one question a fact.",
    dataset="LAMA",
    language="en",
    columns={"answer": "obj_label"},
    shape=_lama,
    repo="facebook/lama",
    revision=CONVERTED,
    folders=("trex",),
    splits=("train",),
    task="lama",
    citation="""\
@inproceedings{petroni2019language,
  title = {Language Models as Knowledge Bases?},
  author = {Petroni, Fabio and Rockt{\\"a}schel, Tim and Riedel, Sebastian and Lewis, Patrick and
            Bakhtin, Anton and Wu, Yuxiang and Miller, Alexander},
  booktitle = {Proceedings of the 2019 Conference on Empirical Methods in Natural Language Processing},
  pages = {2463--2473},
  year = {2019}
}

@inproceedings{petroni2020context,
  title = {How Context Affects Language Models' Factual Predictions},
  author = {Petroni, Fabio and Lewis, Patrick and Piktus, Aleksandra and Rockt{\\"a}schel, Tim and Wu, Yuxiang and
            Miller, Alexander H. and Riedel, Sebastian},
  booktitle = {Automated Knowledge Base Construction},
  year = {2020}
}""",
    homepage="https://github.com/facebookresearch/LAMA",
    license="CC-BY-NC-4.0",  # of its LICENSE file; the header of the Hub's card says cc-by-4.0
)

_MLQA_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")
_MLQA = QAConfig(
    name="mlqa",
    version=VERSION,
    description="MLQA: questions on a paragraph of Wikipedia. The paragraph and the question may differ in language.",
    dataset="MLQA",
    columns={"answer": "answers.text"},
    shape=_reading,
    split="validation",
    repo="facebook/mlqa",
    revision=CONVERTED,
    folders=tuple(f"mlqa.en.{language}" for language in _MLQA_LANGUAGES if language != "en"),
    splits=("validation", "test"),
    task="mlqa",
    citation="""\
@inproceedings{lewis2020mlqa,
  title = {{MLQA}: Evaluating Cross-lingual Extractive Question Answering},
  author = {Lewis, Patrick and O{\\u{g}}uz, Barlas and Rinott, Ruty and Riedel, Sebastian and Schwenk, Holger},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics},
  pages = {7315--7330},
  year = {2020}
}""",
    homepage="https://github.com/facebookresearch/MLQA",
    license="CC-BY-SA-3.0",
)

_XQUAD_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
_XQUAD = QAConfig(
    name="xquad",
    version=VERSION,
    description="XQuAD: 1,190 questions of SQuAD with their paragraphs, translated.",
    dataset="XQuAD",
    columns={"answer": "answers.text"},
    shape=_reading,
    split="validation",
    repo="google/xquad",
    revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
    folders=tuple(f"xquad.{language}" for language in _XQUAD_LANGUAGES),
    splits=("validation",),
    task="mlqa",
    citation="""\
@inproceedings{artetxe2020crosslingual,
  title = {On the Cross-lingual Transferability of Monolingual Representations},
  author = {Artetxe, Mikel and Ruder, Sebastian and Yogatama, Dani},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics},
  pages = {4623--4637},
  year = {2020}
}""",
    homepage="https://github.com/google-deepmind/xquad",
    license="CC-BY-SA-4.0",
)

_MGSM_LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
_MGSM = QAConfig(
    name="mgsm",
    version=VERSION,
    description="MGSM: 250 test questions of GSM8K, translated, and 8 examples with worked solutions.",
    dataset="MGSM",
    columns={"answer": "answer_number", "solution": "equation_solution"},
    shape=_mgsm,
    repo="juletxara/mgsm",
    revision="b2f13d426afe3be8d69a7e739b36724db8b66bbc",
    folders=_MGSM_LANGUAGES,
    splits=("train", "test"),
    task="math",
    citation="""\
@inproceedings{shi2023multilingual,
  title = {Language Models are Multilingual Chain-of-Thought Reasoners},
  author = {Shi, Freda and Suzgun, Mirac and Freitag, Markus and Wang, Xuezhi and Srivats, Suraj and
            Vosoughi, Soroush and Chung, Hyung Won and Tay, Yi and Ruder, Sebastian and Zhou, Denny and
            Das, Dipanjan and Wei, Jason},
  booktitle = {The Eleventh International Conference on Learning Representations},
  year = {2023}
}""",
    homepage="https://github.com/google-research/url-nlp",
    license="CC-BY-SA-4.0",
)


def _in(whole: QAConfig, languages: Iterable[tuple[str, ...]], folder: str) -> Iterator[QAConfig]:
    """A config for each language, or for each pair of the context's and the question's."""
    for some in languages:
        one: dict[str, Any] = {
            "name": f"{whole.name}.{'.'.join(some)}",
            "dataset": f"{whole.dataset}-{'-'.join(some)}",
            "language": some[0] if len(set(some)) == 1 else "",
            "folders": (folder + ".".join(some),),
        }
        yield replace(whole, **one)


CONFIGS: Final = (
    *(_DEFAULT, _SVAMP, _ASDIV, _WEB_QUESTIONS, _NQ_OPEN, _TRIVIA_QA, _LAMA, _MLQA, _XQUAD, _MGSM),
    *_in(
        _MLQA, ((context, question) for context in _MLQA_LANGUAGES for question in _MLQA_LANGUAGES), "mlqa."
    ),
    *_in(_XQUAD, ((language,) for language in _XQUAD_LANGUAGES), "xquad."),
    *_in(_MGSM, ((language,) for language in _MGSM_LANGUAGES), ""),
)
