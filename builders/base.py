"""The base of the builders: rows from files go into the `datasets` cache under a digest of the files' bytes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets import BuilderConfig, DatasetBuilder, DatasetDict, GeneratorBasedBuilder, SplitGenerator
from datasets.exceptions import DatasetGenerationError

from toolgen_hf._utils import quiet_datasets
from toolgen_hf.builders.columns import known, nearest
from toolgen_hf.builders.inputs import Inputs, StrPath, digest, discard, is_damaged, seal
from toolgen_hf.builders.rows import Row, check_new_id, fault, read_rows
from toolgen_hf.errors import ConfigError, DataError, ToolgenError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

# `datasets` replaces `open`, `os.path` and `pathlib.Path` in every module that defines a builder (to stream
# from URLs), so only inputs.py and rows.py touch files.


def load(builder: DatasetBuilder) -> DatasetDict:
    """Every split of a builder, from the cache if the same inputs were read before; without progress bars.

        load(GSM8K())["test"][0]["answer"]  # ["18"]

    Several processes may do so at once.

    Raises:
        DataError: the input is bad; nothing is cached then.
    """
    with quiet_datasets():
        builder.download_and_prepare()
        return builder.as_dataset()


@dataclass
class RowsConfig(BuilderConfig):  # type: ignore[misc]
    """A config of a builder over files."""

    dataset: str = ""  # the dataset's name in the ids of rows without one: "{dataset}-{split}-{n}"
    language: str = ""  # the language of bundled questions, as the Hub names it; "" if unknown


class RowsBuilder(GeneratorBasedBuilder):  # type: ignore[misc]
    """A builder over local files. A subclass names the files and turns one of their rows into one of the dataset.

    The rows are cached under ``{module}/{config}/{VERSION}/{digest of the inputs}``: raise ``VERSION`` when a change
    of code gives other rows for the same files.
    """

    BUILDER_CONFIG_CLASS = RowsConfig
    may_be_empty = False
    ids_are_unique = True
    only: Collection[str] | None = None
    """If given, only rows with these ids are read."""

    def __init__(self, config_name: str, inputs: Inputs, cache_dir: StrPath | None, **fields: object) -> None:
        self.inputs = inputs
        super().__init__(
            cache_dir=None if cache_dir is None else str(cache_dir),
            config_name=config_name,
            hash=digest(inputs),
            **{name: value for name, value in fields.items() if value is not None},
        )

    @classmethod
    def known_config(cls, name: str) -> Any:
        """The config with this name. Raises `ConfigError` if it does not exist."""
        if name not in cls.builder_configs:
            choices = known(cls.builder_configs)
            hint = nearest(name, cls.builder_configs)
            raise ConfigError(f"{cls.__name__} has no config {name!r}; there is {choices}{hint}")
        return cls.builder_configs[name]

    def _read(self, path: Path, split: str) -> Iterator[tuple[str, Row]]:
        """The rows of one file, each with its place."""
        return read_rows(path, ids=self.only)

    def _rows(self, split: str) -> Iterator[tuple[str, Row]]:
        """The rows of a split's files. Raises `DataError` if a file has none."""
        for path in self.inputs[split]:
            is_empty = True
            for placed in self._read(path, split):
                is_empty = False
                yield placed
            if is_empty and not self.may_be_empty:
                raise fault(str(path), "holds no rows")

    def _row(self, row: Row, where: str, new_id: str) -> Row:
        """One row of the dataset. A row without an id gets ``new_id``."""
        raise NotImplementedError

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """The same as in `datasets`. Our errors are not wrapped, and damaged cached rows are read again."""
        if is_damaged(self.cache_dir):
            logger.warning(
                "%s: the cached rows in %s are damaged and are read again", self.name, self.cache_dir
            )
            discard(self.cache_dir)
        try:
            super().download_and_prepare(*args, **kwargs)
        except DatasetGenerationError as error:
            if isinstance(error.__cause__, ToolgenError | OSError):
                raise error.__cause__ from None
            raise

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        super()._download_and_prepare(*args, **kwargs)
        if digest(self.inputs) != self.hash:  # the rows of other bytes must not be cached under this digest
            files = known(str(path) for paths in self.inputs.values() for path in paths)
            raise DataError(f"{files}: changed since this {type(self).__name__} was made: make a new one")
        seal(self._output_dir)

    def _split_generators(self, dl_manager: object) -> list[SplitGenerator]:
        return [SplitGenerator(name=split, gen_kwargs={"split": split}) for split in self.inputs]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, Row]]:
        seen: dict[str, str] = {}
        for number, (where, raw) in enumerate(self._rows(split)):
            row = self._row(raw, where, f"{self.config.dataset}-{split}-{number}")
            if self.ids_are_unique:
                check_new_id(row["id"], where, seen)
            yield number, row
