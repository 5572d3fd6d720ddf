"""Numbers in words."""

from __future__ import annotations

import pytest

from toolgen_hf.tasks.math.numbers import read_words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("zero", 0),
        ("seven", 7),
        ("Nineteen", 19),
        ("twenty", 20),
        ("twenty-five", 25),
        ("twenty five", 25),
        ("one hundred", 100),
        ("a hundred", 100),
        ("one hundred and five", 105),
        ("three hundred sixty-five", 365),
        ("twelve hundred", 1200),
        ("two thousand and one", 2001),
        ("one hundred twenty-three thousand four hundred fifty-six", 123456),
        ("two million three thousand", 2003000),
        ("dozen", None),
        ("a dozen", 12),
        ("two dozen", 24),
        ("one hundred dozen", 1200),
        ("", None),
        ("a", None),
        ("and", None),
        ("five twenty", None),
        ("twenty eleven", None),
        ("five six", None),
        ("twenty zero", None),
        ("five and six", None),
        ("one hundred and", None),
        ("thousand", None),
        ("two thousand million", None),
        ("one can see", None),
        ("one, two", None),
        ("seven apples", None),
        ("one " * 100, None),
    ],
)
def test_read_words(text: str, value: int | None) -> None:
    assert read_words(text) == value
