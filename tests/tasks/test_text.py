"""Short texts as answers: normalized as in SQuAD, or compared as the published scripts do."""

from __future__ import annotations

import pytest

from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.text import normal_form


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Beatles!", "beatles"),
        ("  J. K.  Rowling ", "j k rowling"),
        ("U.S.A.", "usa"),
        ("The The", "the the"),
        ("Potosí", "potosí"),
        ("“Dracula”", "dracula"),
        ("?!", ""),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normal_form(text) == normal


@pytest.mark.parametrize(
    ("response", "prediction"),
    [
        ("Paris", "paris"),
        ("The answer is Paris.", "paris"),
        ("The answer is Paris. It is not London.", "paris"),
        ("I think of Rome.\nAnswer: **St. Louis**", "st louis"),
        ("The answer to the question is: Mount Everest", "mount everest"),
        ("It is Oslo. The answer is Oslo, as I said", "oslo as i said"),
        (" ".join(map(str, range(30))), " ".join(map(str, range(20)))),
        ("...", None),
    ],
)
def test_the_answer_of_a_response(response: str, prediction: str | None) -> None:
    assert get_task("qa").extract(response) == prediction


@pytest.mark.parametrize(
    ("response", "answers", "is_right", "as_published"),
    [
        ("Bram Stoker wrote it", ["Abraham Stoker", "bram stoker"], True, True),
        ("It is the weight of Dracula", ["eight"], False, True),
        ("Rowling", ["J. K. Rowling"], False, False),
        ("J.K. Rowling", ["JK Rowling"], True, False),
        ("The U.S.", ["U.S."], True, True),
        (f"{'word ' * 20}Paris", ["Paris"], False, False),
        ("Paris", ["", "?"], False, False),
        ("", ["Paris"], False, False),
    ],
)
def test_grading(response: str, answers: list[str], is_right: bool, as_published: bool) -> None:
    for name, expected in (("qa", is_right), ("qa-published", as_published)):
        task = get_task(name)
        assert task.is_correct(task.extract(response), answers) is expected


@pytest.mark.parametrize("name", ["qa", "lama", "mlqa", "qa-published", "lama-published", "mlqa-published"])
def test_a_stated_answer_is_read_back(name: str) -> None:
    task = get_task(name)
    for answer in ("Bram Stoker", "St. Louis", "the Netherlands", "1897"):
        assert task.is_correct(task.extract(task.state(answer)), [answer])
        assert task.is_correct(task.normalize(answer), [answer])
        assert task.distance("Something else", [answer]) == float("inf")
