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

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from datasets import DatasetInfo

from toolgen_hf.builders.base import RowsBuilder
from toolgen_hf.builders.columns import answers, known, nearest, optional_lines, optional_text, text
from toolgen_hf.builders.hub import from_hub
from toolgen_hf.builders.inputs import DataFiles, StrPath, bundled, from_files, from_folder
from toolgen_hf.builders.question_sets import CONFIGS, VERSION, QAConfig
from toolgen_hf.builders.rows import Row, read_rows
from toolgen_hf.errors import ConfigError, DataError
from toolgen_hf.schemas import RAW

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_FIELDS = ("question", "answer", "solution", "context", "id")

_ENDS_SENTENCE = (".", "?", "!", ":", ";", ",", "…", "。", "？", "！")
_CLOSERS = "\"')]”’»"


class QA(RowsBuilder):
    """Raw rows (``id, question, answer, solution``) from files of any columns.

        load(QA(data_files="faq.csv", columns={"question": "prompt", "answer": "gold"}, dataset_name="FAQ"))
        load(QA("svamp"))  # SVAMP, which ships with this package
        load(QA("nq_open"))  # from the Hub; the configs are in toolgen_hf.builders.question_sets
        load(QA("mlqa.en.de", data_files={"test": "test-context-en-question-de.json"}))  # your copy of the files

    ``columns`` names the file's columns for ``question`` and ``answer`` (default: the same names) and, if there are
    any, for ``solution``, ``context`` (goes before the question) and ``id`` (unique within a split; default
    ``{dataset_name}-{split}-{n}``). A column may be a path: ``answer.value``, ``answers.text``, ``choices.0.text``.

    In a set from the Hub, rows with the same question become one, with the answers of all, and rows without an answer
    are left out, with a warning.

    Raises:
        DataError: at the first row that cannot be used.
        HubError: a set on the Hub cannot be read.
    """

    VERSION = VERSION
    BUILDER_CONFIG_CLASS = QAConfig
    BUILDER_CONFIGS = CONFIGS
    DEFAULT_CONFIG_NAME = "default"

    def __init__(
        self,
        config_name: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        revision: str | None = None,
        data_dir: StrPath | None = None,
        data_files: DataFiles | None = None,
        dataset_name: str | None = None,
        cache_dir: StrPath | None = None,
    ) -> None:
        config = self.known_config(config_name or "default")
        if revision is not None and (not config.repo or data_files is not None or data_dir is not None):
            raise ConfigError(
                f"revision={revision!r} is of a repository on the Hub, and files of your own are read"
            )
        if data_files is not None:
            inputs = from_files(data_files, config.split, data_dir)
        elif data_dir is not None:
            inputs = from_folder(data_dir, config.split)
        elif config.bundled is not None:
            inputs = {config.split: (bundled(config.bundled),)}
        elif config.repo:
            inputs = from_hub(config.repo, revision or config.revision, config.folders, config.splits)
        else:
            raise ConfigError(
                "QA has no files: give data_files or data_dir, or a config that has files: QA('svamp')"
            )
        mapped = None if columns is None else _checked(columns)
        self.shape = None if mapped else config.shape
        super().__init__(
            config.name, inputs, cache_dir, columns=mapped, revision=revision, dataset=dataset_name
        )

    @classmethod
    def known_config(cls, name: str) -> Any:
        """The config with this name. Raises `ConfigError` if it does not exist."""
        if name in cls.builder_configs:
            return cls.builder_configs[name]
        choices = known(one for one in cls.builder_configs if "." not in one)
        languages = "; with languages, such as 'xquad.de' or 'mlqa.en.de'"
        hint = nearest(name, cls.builder_configs)
        raise ConfigError(f"QA has no config {name!r}; there is {choices}{languages}{hint}")

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

    def _rows(self, split: str) -> Iterator[tuple[str, Row]]:
        if not self.config.repo:
            yield from super()._rows(split)
            return
        by_question: dict[str, tuple[str, Row]] = {}
        unanswered = 0
        for where, row in super()._rows(split):
            made = self._made(row, where)
            if not made["answer"]:
                unanswered += 1
                continue
            _, first = by_question.setdefault(made["question"], (where, made))
            first["answer"] = list(dict.fromkeys([*first["answer"], *made["answer"]]))
        if unanswered:
            logger.warning(
                "%s, %s: %d rows without an answer are left out", self.config.name, split, unanswered
            )
        if not by_question:
            raise DataError(f"{known(map(str, self.inputs[split]))}: no row of {split!r} has an answer")
        yield from by_question.values()

    def _row(self, row: Row, where: str, new_id: str) -> Row:
        return {"id": new_id, **(row if self.config.repo else self._made(row, where))}

    def _made(self, row: Row, where: str) -> Row:
        """A row of the dataset. It has an id if ``columns`` names one."""
        columns = self.config.columns
        row = row if self.shape is None else self.shape(row, where)
        question = text(row, columns.get("question", "question"), where)
        if "context" in columns:
            question = join(optional_text(row, columns["context"], where), question)
        given = {"id": text(row, columns["id"], where)} if "id" in columns else {}
        return {
            **given,
            "question": question,
            "answer": answers(row, columns.get("answer", "answer"), where, may_lack=bool(self.config.repo)),
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
