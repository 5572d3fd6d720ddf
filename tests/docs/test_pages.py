"""Every command, Python block and recipe that a page shows is executed."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import EXECUTED, MARKS, ROOT, SHOWN, pages
from tests.docs.runner import Site

PAGES = pages()
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * page.is_slow) for name, page in PAGES.items()]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_does_what_it_says(name: str, site: Site) -> None:
    for block in PAGES[name].blocks:
        site.run(block)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_of_a_known_kind(name: str) -> None:
    page = PAGES[name]
    assert page.text.count("```") == 2 * len(page.blocks), "a fence is not closed, or indented"
    for block in page.blocks:
        assert block.language in (*EXECUTED, *SHOWN), block.where
    for comment in re.findall(r"<!-- *([^\n]*?) *-->\n+```", page.text):
        assert comment.partition(":")[0].partition(",")[0] in MARKS, comment
