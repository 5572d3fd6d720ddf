"""Both scoring strategies, against the published example and by their properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgen_hf.stages.score import score_consistency, score_distance
from toolgen_hf.tasks import get_task

MATH = get_task("math")
predictions = st.lists(
    st.tuples(st.none() | st.integers(-2000, 2000).map(lambda n: str(n / 100)), st.booleans()),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize(
    ("predictions", "uses_tool", "scores"),
    [
        (["57.0", "57.0", "57.0", "25.0", "54.0"], [True, True, True, False, False], [20, 20, 20, 10, 15]),
        (["57.0", "57.0", "57.0", "25.0", "54.0"], [True, True, False, False, False], [20, 20, 15, 5, 10]),
        (["57.0", "56.0", "58.0", "60.0", "54.0"], [True] * 5, [20, 15, 15, 10, 10]),
        (["57.0", None, "58.0", None, "99.0"], [True] * 5, [20, 0, 15, 0, 10]),
        (["57.0", "1.0", "2.0", "3.0", "4.0", "5.0", "6.0"], [True] * 7, [20, 0, 0, 0, 5, 10, 15]),
        (["57.0"], [False], [20]),
        (["57.0", "57.0"], [True, False], [20, 15]),
    ],
)
def test_distance(predictions: list[str | None], uses_tool: list[bool], scores: list[int]) -> None:
    assert score_distance(predictions, uses_tool, ["57"], MATH) == scores


@pytest.mark.parametrize(("gold", "near"), [("0.2", ["0.1", "0.3"]), ("16.67", ["16.6", "16.74"])])
def test_equal_distance_is_equal_to_two_decimals(gold: str, near: list[str]) -> None:
    assert score_distance([gold, *near], [True] * 3, [gold], MATH) == [20, 15, 15]


@pytest.mark.parametrize(
    ("predictions", "uses_tool", "scores"),
    [
        (["57.0", "57.0", "57.0", "25.0", "54.0"], [True, True, False, True, False], [20, 20, 15, 10, 5]),
        (["57.0", None, None], [True, True, False], [20, 0, 0]),
        (["57.0", "57.0", "57.0"], [False, False, True], [20, 20, 15]),
    ],
)
def test_consistency(predictions: list[str | None], uses_tool: list[bool], scores: list[int]) -> None:
    assert score_consistency(predictions, uses_tool, ["57"], MATH) == scores


@given(predictions)
def test_nearer_never_scores_less_and_no_answer_scores_nothing(rows: list[tuple[str | None, bool]]) -> None:
    given_predictions = ["7.0", *(prediction for prediction, _ in rows)]
    scores = score_distance(given_predictions, [True, *(uses for _, uses in rows)], ["7"], MATH)
    assert scores[0] == 20
    assert set(scores) <= {20, 15, 10, 5, 0}
    wrong = sorted(
        (round(abs(float(p) - 7), 2), score)
        for p, score in zip(given_predictions, scores, strict=True)
        if p is not None and float(p) != 7
    )
    assert [score for _, score in wrong] == sorted((score for _, score in wrong), reverse=True)
    assert all(score == 0 for p, score in zip(given_predictions, scores, strict=True) if p is None)


@given(predictions)
def test_the_order_of_sources_does_not_matter(rows: list[tuple[str | None, bool]]) -> None:
    def by_row(order: list[int]) -> dict[int, int]:
        scores = score_distance(
            ["7.0", *(rows[i][0] for i in order)], [True, *(rows[i][1] for i in order)], ["7"], MATH
        )
        return dict(zip(order, scores[1:], strict=True))

    order = list(range(len(rows)))
    assert by_row(order) == by_row(order[::-1])
