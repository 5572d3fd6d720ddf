from __future__ import annotations

import pytest

from toolgen_hf.models.config import unique


@pytest.mark.parametrize(
    ("names", "made"),
    [
        (["a", "b", "a"], ["a", "b", "a-2"]),
        (["a", "a", "a"], ["a", "a-2", "a-3"]),
        (["a", "a-2", "a"], ["a", "a-2", "a-3"]),
        (["a", "a", "a-2"], ["a", "a-3", "a-2"]),
        ([], []),
    ],
)
def test_no_two_are_the_same(names: list[str], made: list[str]) -> None:
    assert unique(names) == made
