"""GSM8K, grade school math word problems (Cobbe et al. 2021): 7,473 in train, 1,319 in test.

An official row:

    {"question": "Natalia sold clips to 48 of her friends in April, ...",
     "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\n... = <<48+24=72>>72 clips ...\\n#### 72"}

becomes

    {"id": "GSM8K-train-0",
     "question": "Natalia sold clips to 48 of her friends in April, ...",
     "answer": ["72"],
     "solution": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\n... = <<48+24=72>>72 clips ..."}

The whole dataset ships with this package: ``load(GSM8K())`` needs no network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx2
from datasets import DatasetInfo
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError

from toolgen_hf.builders.base import RowsBuilder, RowsConfig
from toolgen_hf.builders.columns import nearest, text
from toolgen_hf.builders.inputs import DataFiles, Inputs, StrPath, bundled, from_files, listing, names
from toolgen_hf.builders.rows import Row, fault, shorten
from toolgen_hf.errors import ConfigError, DataError, HubError
from toolgen_hf.schemas import RAW

_HUB_REPO = "openai/gsm8k"
_HUB_REVISION = "e53f048856ff4f594e959d75785d2c2d37b678ee"
SPLITS = ("train", "test")
SOURCES = ("bundled", "hub")

CITATION = """\
@article{cobbe2021gsm8k,
  title = {Training Verifiers to Solve Math Word Problems},
  author = {Cobbe, Karl and Kosaraju, Vineet and Bavarian, Mohammad and Chen, Mark and Jun, Heewoo and
            Kaiser, Lukasz and Plappert, Matthias and Tworek, Jerry and Hilton, Jacob and
            Nakano, Reiichiro and Hesse, Christopher and Schulman, John},
  journal = {arXiv preprint arXiv:2110.14168},
  year = {2021}
}"""

_FINAL = re.compile(r"(?:^|\n)####(?P<answer>[^\n]*)\s*\Z")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass
class GSM8KConfig(RowsConfig):
    """The source of GSM8K if no files are given."""

    source: str = "bundled"
    revision: str = _HUB_REVISION  # of the Hub's repository, for source "hub"


class GSM8K(RowsBuilder):
    """GSM8K as raw rows: ``id, question, answer, solution``.

        load(GSM8K())                                        # the bundled data
        load(GSM8K(data_dir="grade_school_math/data"))       # the official train.jsonl and test.jsonl
        load(GSM8K(data_files={"train": "my-gsm8k.jsonl"}))  # files of the same form, also Parquet
        load(GSM8K(source="hub"))                            # openai/gsm8k, at a pinned revision

    Raises `DataError` for malformed files, `HubError` if the Hub cannot be read.
    """

    VERSION = "1.0.0"
    BUILDER_CONFIG_CLASS = GSM8KConfig
    BUILDER_CONFIGS = (
        GSM8KConfig(
            name="main",
            version=VERSION,
            dataset="GSM8K",
            description="Questions, worked solutions, answers.",
            language="en",
        ),
    )
    DEFAULT_CONFIG_NAME = "main"

    def __init__(
        self,
        config_name: str | None = None,
        *,
        source: str | None = None,
        revision: str | None = None,
        data_dir: StrPath | None = None,
        data_files: DataFiles | None = None,
        dataset_name: str | None = None,
        cache_dir: StrPath | None = None,
    ) -> None:
        config = self.known_config(config_name or "main")
        if source is not None and (data_dir is not None or data_files is not None):
            raise ConfigError(f"source={source!r} and files were both given: give one of them")
        if data_dir is not None or data_files is not None:
            inputs = _files(data_dir, data_files)
        else:
            inputs = _inputs(source or config.source, revision or config.revision)
        super().__init__(
            config.name, inputs, cache_dir, source=source, revision=revision, dataset=dataset_name
        )

    def _info(self) -> DatasetInfo:
        return DatasetInfo(
            description="GSM8K: grade school math word problems with worked solutions.",
            citation=CITATION,
            homepage="https://github.com/openai/grade-school-math",
            license="MIT",
            features=RAW,
        )

    def _row(self, row: Row, where: str, new_id: str) -> Row:
        question = text(row, "question", where)
        solution, answer = split_answer(text(row, "answer", where), where)
        return {"id": new_id, "question": question, "answer": [answer], "solution": solution}


def split_answer(official: str, where: str) -> tuple[str | None, str]:
    """The worked solution and the final answer: ``"<<3*4=12>>12\\n#### 12" -> ("<<3*4=12>>12", "12")``.

    Raises `DataError` if the text does not end in a ``#### answer`` line.
    """
    final = _FINAL.search(official)
    if final is None or not final["answer"].strip():
        raise fault(where, f"'answer' must end in a line '#### 72', found {shorten(official[-40:])}")
    return official[: final.start()].rstrip() or None, _THOUSANDS.sub("", final["answer"].strip())


def is_worked(answer: str) -> bool:
    """Whether a text ends in a ``#### answer`` line."""
    final = _FINAL.search(answer)
    return final is not None and bool(final["answer"].strip())


def _files(data_dir: StrPath | None, data_files: DataFiles | None) -> Inputs:
    if data_files is not None:
        return from_files(data_files, data_dir=data_dir)
    assert data_dir is not None
    official = {path.stem: path for path in listing(data_dir) if path.name in ("train.jsonl", "test.jsonl")}
    if not official:
        raise DataError(
            f"{data_dir}: neither 'train.jsonl' nor 'test.jsonl' is there; there is {names(data_dir)}"
        )
    return from_files(official)


def _inputs(source: str, revision: str) -> Inputs:
    if source == "bundled":
        if revision != _HUB_REVISION:
            raise ConfigError(f"revision={revision!r} is of the Hub's repository: give source='hub' with it")
        return {split: (bundled(f"gsm8k/{split}.parquet"),) for split in SPLITS}
    if source == "hub":
        return from_files(
            {split: _from_hub(f"main/{split}-00000-of-00001.parquet", revision) for split in SPLITS}
        )
    raise ConfigError(f"GSM8K has no source {source!r}; there is 'bundled', 'hub'{nearest(source, SOURCES)}")


def _from_hub(name: str, revision: str) -> str:
    """The local copy of a file. A file of a pinned commit is downloaded once, and later found without a network."""
    try:
        return hf_hub_download(_HUB_REPO, name, repo_type="dataset", revision=revision)
    except (httpx2.HTTPError, HFValidationError, OSError) as error:
        raise HubError(
            f"{_HUB_REPO}@{revision}: cannot get {name} ({error}). GSM8K() alone takes the data that ships "
            "with this package and needs no network"
        ) from error
