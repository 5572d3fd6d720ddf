"""What every stage has: columns that it needs, and a `Stage` that runs it."""

from __future__ import annotations

from datasets import DatasetDict, Features

from toolgen_hf import schemas
from toolgen_hf.errors import DataError
from toolgen_hf.runtime.runner import Batch, Row, Stage, empty

__all__ = ["Batch", "Row", "Stage", "empty", "require_columns"]


def require_columns(dataset: DatasetDict, columns: Features, what: str) -> None:
    """Check that every split has these columns.

    Raises:
        DataError: a column is missing (names it, the split and the columns there are), or this is not a DatasetDict.
    """
    if not isinstance(dataset, DatasetDict):
        raise DataError(
            f"{what} needs a DatasetDict, not a {type(dataset).__name__}: wrap it, DatasetDict(train=dataset)"
        )
    for split, rows in dataset.items():
        missing = [name for name in columns if name not in schemas.LATER and name not in rows.column_names]
        if missing:
            raise DataError(
                f"{what} needs the columns {missing} in split {str(split)!r}, which has only "
                f"{rows.column_names}; run the stage before it, or rename the columns"
            )
