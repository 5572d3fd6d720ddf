"""Questions and answers of any dataset, from JSON, JSON Lines, CSV or Parquet, by a mapping of columns or paths.

SVAMP's own row

    {"ID": "chal-1",
     "Body": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack",
     "Question": "How much do you have to pay to buy each pack?",
     "Equation": "( 76.0 - 25.0 )", "Answer": 51.0, "Type": "Subtraction"}

becomes, with ``{"question": "Question", "context": "Body", "answer": "Answer", "solution": "Equation"}``,

    {"id": "SVAMP-test-0",
     "question": "Each pack of dvds costs 76 dollars. If ... on each pack. How much do you have to pay ...?",
     "answer": ["51"],
     "solution": "( 76.0 - 25.0 )"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datasets import DatasetInfo

from toolgen_hf.builders.base import RowsBuilder, RowsConfig
from toolgen_hf.builders.columns import answers, known, nearest, optional_lines, optional_text, text
from toolgen_hf.builders.inputs import DataFiles, StrPath, bundled, from_files, from_folder
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.errors import ConfigError
from toolgen_hf.schemas import RAW

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = ("question", "answer", "solution", "context", "id")

_SVAMP_CITATION = """\
@inproceedings{patel2021svamp,
  title = {Are {NLP} Models really able to Solve Simple Math Word Problems?},
  author = {Patel, Arkil and Bhattamishra, Satwik and Goyal, Navin},
  booktitle = {Proceedings of the 2021 Conference of the North American Chapter of the Association for
               Computational Linguistics: Human Language Technologies},
  pages = {2080--2094},
  year = {2021}
}"""

_ENDS_SENTENCE = (".", "?", "!", ":", ";", ",", "…", "。", "？", "！")
_CLOSERS = "\"')]”’»"


@dataclass
class QAConfig(RowsConfig):
    """How a file's columns become those of a raw row, and the dataset's name."""

    dataset: str = "QA"
    # "answer" -> "Answer"; by default question and answer have these names in the file
    columns: dict[str, str] = field(default_factory=dict)
    split: str = "train"  # the split of files without a split in their name
    bundled: str | None = None  # the file in this package that is read if none is given
    citation: str = ""
    homepage: str = ""
    license: str = ""


class QA(RowsBuilder):
    """Raw rows (``id, question, answer, solution``) from files of any columns.

        load(QA(data_files="faq.csv", columns={"question": "prompt", "answer": "gold"}, dataset_name="FAQ"))
        load(QA("svamp"))  # SVAMP, which ships with this package

    ``columns`` names the file's columns for ``question`` and ``answer`` (default: the same names) and, if there are
    any, for ``solution``, ``context`` (goes before the question) and ``id`` (unique within a split; default
    ``{dataset_name}-{split}-{n}``). A column may be a path: ``answer.value``, ``answers.text``, ``choices.0.text``.

    Raises:
        DataError: at the first row that cannot be used.
    """

    VERSION = "1.1.0"
    BUILDER_CONFIG_CLASS = QAConfig
    BUILDER_CONFIGS = (
        QAConfig(name="default", version=VERSION, description="Questions with known answers."),
        QAConfig(
            name="svamp",
            version=VERSION,
            description="SVAMP: simple variations on arithmetic word problems, a challenge set of 1,000.",
            dataset="SVAMP",
            language="en",
            columns={"question": "Question", "context": "Body", "answer": "Answer", "solution": "Equation"},
            split="test",
            bundled="svamp/SVAMP.json",
            citation=_SVAMP_CITATION,
            homepage="https://github.com/arkilpatel/SVAMP",
            license="MIT",
        ),
    )
    DEFAULT_CONFIG_NAME = "default"

    def __init__(
        self,
        config_name: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        data_dir: StrPath | None = None,
        data_files: DataFiles | None = None,
        dataset_name: str | None = None,
        cache_dir: StrPath | None = None,
    ) -> None:
        config = self.known_config(config_name or "default")
        if data_files is not None:
            inputs = from_files(data_files, config.split, data_dir)
        elif data_dir is not None:
            inputs = from_folder(data_dir, config.split)
        elif config.bundled is not None:
            inputs = {config.split: (bundled(config.bundled),)}
        else:
            raise ConfigError(
                "QA has no files: give data_files or data_dir, or a config that ships: QA('svamp')"
            )
        mapped = None if columns is None else _checked(columns)
        super().__init__(config.name, inputs, cache_dir, columns=mapped, dataset=dataset_name)

    def _info(self) -> DatasetInfo:
        return DatasetInfo(
            description=self.config.description,
            citation=self.config.citation,
            homepage=self.config.homepage,
            license=self.config.license,
            features=RAW,
        )

    def _read(self, path: Path, split: str) -> Iterator[tuple[str, Row]]:
        return read_rows(path, {"question", "answer", *self.config.columns.values()})

    def _row(self, row: Row, where: str, new_id: str) -> Row:
        columns = self.config.columns
        question = text(row, columns.get("question", "question"), where)
        if "context" in columns:
            question = join(optional_text(row, columns["context"], where), question)
        return {
            "id": text(row, columns["id"], where) if "id" in columns else new_id,
            "question": question,
            "answer": answers(row, columns.get("answer", "answer"), where),
            "solution": optional_lines(row, columns["solution"], where) if "solution" in columns else None,
        }


def join(context: str | None, question: str) -> str:
    """``"Ann has 3 pens", "How many?" -> "Ann has 3 pens. How many?"``; adds a full stop if there is none."""
    if context is None:
        return question
    context = context.strip()
    stop = "" if context.rstrip(_CLOSERS).endswith(_ENDS_SENTENCE) else "."
    return f"{context}{stop} {question}"


def _checked(columns: Mapping[str, str]) -> dict[str, str]:
    for name, column in columns.items():
        if name not in _FIELDS:
            hint = nearest(name, _FIELDS)
            raise ConfigError(f"columns: {name!r} is not a field of a row; there is {known(_FIELDS)}{hint}")
        if not isinstance(column, str) or not column:
            raise ConfigError(f"columns: {name!r} must name a column of the file, not {column!r}")
    return dict(columns)
