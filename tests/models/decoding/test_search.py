from __future__ import annotations

from collections import Counter

import pytest
import torch

from toolgen_hf.models.decoding.search import Beam, Penalty, Row, draw, extend


def test_samples_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    rows = 4000
    generators = [torch.Generator().manual_seed(seed) for seed in range(rows)]
    counts = Counter(draw(probabilities.log().expand(rows, -1), generators).tolist())
    assert counts[4] == 0
    for token, probability in enumerate(probabilities[:4].tolist()):
        assert counts[token] / rows == pytest.approx(probability, abs=0.03)


def test_a_penalty_is_on_what_a_sequence_has_seen() -> None:
    scores = torch.tensor([[2.0, -2.0, 1.0, 4.0]])
    penalty = Penalty(2.0, 2)
    penalty.start(range(1), [0, 1, 0], scores)
    assert penalty(scores, slice(0, 1)).tolist() == [[1.0, -4.0, 1.0, 4.0]]
    penalty.add(0, [3])
    assert penalty(scores, slice(0, 1)).tolist() == [[1.0, -4.0, 1.0, 2.0]]
    penalty.copy([0], [1])
    assert penalty(scores, slice(1, 2)).tolist() == [[1.0, -4.0, 1.0, 2.0]]
    penalty.start(range(1), [2], scores)  # the slot has a new row
    assert penalty(scores, slice(0, 1)).tolist() == [[2.0, -2.0, 0.5, 4.0]]


def row(*texts: tuple[float, list[int]], ended: tuple[float, list[int]] | None = None) -> Row:
    made = Row(0, [1], 9, 0, beams=[Beam(*text) for text in texts])
    made.ended = [Beam(*ended)] if ended else []
    return made


def test_a_step_keeps_the_best_that_go_on() -> None:
    search = row((-1.0, [5]), (-2.0, [6]))
    parents = extend(
        search, [(-1.5, 1, 7), (-1.6, 0, 2), (-1.7, 0, 8), (-3.0, 1, 9)], [False, True, False, False], 2
    )
    assert parents == [1, 0]
    assert search.beams == [Beam(-1.5, [6, 7]), Beam(-1.7, [5, 8])]
    assert search.ended == [Beam(-0.8, [5, 2])]
    assert search.result is None, "there is room for another complete text"


def test_a_search_is_over_when_no_beam_can_get_better() -> None:
    search = row((-4.0, [5]), (-4.5, [6]), ended=(-0.5, [2]))
    extend(search, [(-4.1, 0, 2), (-4.2, 0, 7), (-4.6, 1, 7), (-5.0, 1, 8)], [True, False, False, False], 2)
    assert [beam.tokens for beam in search.ended] == [[2], [5, 2]]
    assert search.result == [2]


def test_a_complete_text_below_the_best_so_many_does_not_count() -> None:
    search = row((-1.0, [5]), (-2.0, [6]))
    extend(search, [(-1.1, 0, 7), (-1.2, 0, 8), (-1.3, 0, 2), (-1.4, 1, 9)], [False, False, True, False], 2)
    assert not search.ended


def test_at_the_limit_the_best_complete_text_is_the_result() -> None:
    search = row((-1.0, [5]), (-2.0, [6]))
    extend(search, [(-1.1, 0, 7), (-2.2, 1, 8), (-9.0, 0, 9), (-9.5, 1, 9)], [True] * 4, 2)
    assert search.result == [5, 7]
