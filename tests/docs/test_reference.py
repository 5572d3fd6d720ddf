"""The reference is what the code says now, links lead somewhere, and what is not executed is known."""

from __future__ import annotations

import re

import pytest

from tests.docs.generate import generated
from tests.docs.pages import ROOT, pages
from tests.docs.reference.recipe import anchor

PAGES = pages()
NOT_RUN = {
    "CONTRIBUTING.md": ["makes an environment, or runs the tests"],
    "README.md": ["installs from the network, and asks a real model", "installs from the network"],
    "docs/concepts.md": ["of the run with the real model"],
    "docs/how-to/check.md": ["what it says depends on the machine, its keys and its network"],
    "docs/how-to/endpoints.md": ["installs from the network", "needs vLLM and a GPU", "needs llama.cpp"],
    "docs/how-to/local-models.md": ["installs from the network"],
    "docs/how-to/train-with-trl.md": ["installs from the network"],
}
"""Every block that no test executes, with its reason."""


def test_the_reference_is_current() -> None:
    """After a change of what it is made from:  python -m tests.docs.generate"""
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is stale: python -m tests.docs.generate"
        )


def test_what_is_not_run_is_known() -> None:
    found = {
        name: [block.value for block in page.blocks if block.mark == "not run"]
        for name, page in PAGES.items()
    }
    assert {name: reasons for name, reasons in found.items() if reasons} == NOT_RUN


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    prose = re.sub(r"```.*?```", "", PAGES[name].text, flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("http://", "https://")):
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, titles), f"{name}: {link}"


def test_every_page_is_linked() -> None:
    linked = {
        ((ROOT / name).parent / link.partition("#")[0]).resolve()
        for name, page in PAGES.items()
        for link in re.findall(r"\]\(([^)\s]+)\)", page.text)
    }
    assert [name for name in PAGES if name != "README.md" and (ROOT / name).resolve() not in linked] == []


def test_the_messages_that_are_explained_are_said() -> None:
    sources = "".join(
        file.read_text(encoding="utf-8")
        for folder in ("toolgen_hf", "builders")
        for file in (ROOT / folder).rglob("*.py")
    )
    table = PAGES["docs/errors.md"].text.partition("### More of them")[2]
    messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(messages) > 10
    for message in messages:
        assert message in sources, message
