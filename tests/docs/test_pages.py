"""Every command, Python block and recipe that a page shows is executed."""

from __future__ import annotations

import argparse
import re

import pytest

from tests.docs.pages import EXECUTED, MARKS, SHOWN, pages
from tests.docs.runner import Site
from toolgen_hf.cli import parser

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
        assert comment.partition(":")[0].partition(",")[0] in (*MARKS, "generated", "end"), comment


def test_every_command_is_executed_on_some_page() -> None:
    blocks = [block for page in PAGES.values() for block in page.blocks if block.language == "bash"]
    executed = "".join(block.text for block in blocks if block.mark not in ("parsed", "not run"))
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    missing = [
        name for name in commands.choices if not re.search(rf"^toolgen-hf {name}\b", executed, re.MULTILINE)
    ]
    assert missing == []
