"""The report in a real browser: what a person does with it, hostile text, eight thousand questions, no network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.support import EVIL, make_result
from toolgen_hf.report.html import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

Tab = Any


class Watch:
    """What a page did that it should not: messages on its console, errors, and requests but for itself."""

    def __init__(self, tab: Tab) -> None:
        self.seen: list[str] = []
        tab.on("console", lambda message: self.seen.append(message.text))
        tab.on("pageerror", lambda error: self.seen.append(str(error)))
        tab.on("request", lambda request: request.is_navigation_request() or self.seen.append(request.url))
        tab.on("dialog", lambda dialog: (self.seen.append("dialog"), dialog.dismiss()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    tab = context.new_page()
    watch = Watch(tab)
    yield tab
    context.close()
    assert watch.seen == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 questions, 54 of them in both stages, 6 rejected."""
    return write_report(make_result(tmp_path_factory.mktemp("results") / "out", rows=60, test_rows=10))


def visit(tab: Tab, report: Path, hash_: str = "") -> None:
    tab.goto("about:blank")
    tab.goto(f"{report.as_uri()}{hash_}")
    tab.wait_for_selector("body[data-ready]")


def status(tab: Tab) -> str:
    tab.wait_for_timeout(200)  # the search waits for a pause in the typing
    text: str = tab.inner_text("#status")
    return text


def choose(tab: Tab, **values: str) -> str:
    """The status once these filters are set and no others."""
    tab.click("button[type=reset]")
    for name, value in values.items():
        if name == "search":
            tab.fill("[name=search]", value)
        else:
            tab.select_option(f"[name={name}]", label=value)
    return status(tab)


def test_every_filter_finds_what_it_names(tab: Tab, report: Path) -> None:
    visit(tab, report)
    assert status(tab) == "Questions 1 to 20 of 60"
    assert choose(tab, split="test") == "Questions 1 to 10 of 10 (60 in all)"
    assert choose(tab, stage="rejected") == "Questions 1 to 6 of 6 (60 in all)"
    assert choose(tab, stage="stage 2") == "Questions 1 to 20 of 54 (60 in all)"
    assert choose(tab, source="caller") == "Questions 1 to 20 of 54 (60 in all)"
    assert choose(tab, source="teacher writer") == "Questions 1 to 6 of 6 (60 in all)"
    assert choose(tab, score="15", source="talker") == "Questions 1 to 20 of 54 (60 in all)"
    assert choose(tab, score="15", source="caller") == "No question fits (60 in all)"
    assert choose(tab, verdict="✗ wrong") == "Questions 1 to 6 of 6 (60 in all)"
    assert choose(tab, verdict="– no answer", tool="calls it") == "Questions 1 to 20 of 54 (60 in all)"
    assert (
        choose(tab, verdict="✓ right", tool="does not", split="test") == "Questions 1 to 7 of 7 (60 in all)"
    )
    reason = "no verified tool call (writer: the result is not the gold answer)"
    assert choose(tab, reason=reason, split="train") == "Questions 1 to 3 of 3 (60 in all)"
    assert choose(tab) == "Questions 1 to 20 of 60"


def test_the_search_looks_at_question_response_and_id(tab: Tab, report: Path) -> None:
    visit(tab, report)
    assert choose(tab, search="what is 33 plus") == "Questions 1 to 1 of 1 (60 in all)"
    assert tab.inner_text("article mark >> nth=0") == "What is 33 plus"
    assert choose(tab, search="CALCULATOR(41+2)") == "Questions 1 to 1 of 1 (60 in all)"
    assert choose(tab, search="sums-test-") == "Questions 1 to 10 of 10 (60 in all)"
    assert choose(tab, search=".*") == "No question fits (60 in all)"
    assert choose(tab, search="(3+", split="test") == "Questions 1 to 7 of 7 (60 in all)"


def test_a_question_shows_its_responses_side_by_side(tab: Tab, report: Path) -> None:
    visit(tab, report, "#sums-train-7")
    article = tab.locator("article:focus")
    assert article.locator("h3").inner_text() == "sums-train-7"
    assert article.locator(".gold").inner_text() == "9"
    cards = article.locator(".card")
    assert cards.locator("h4").all_inner_texts() == ["gold", "talker", "caller"]
    assert cards.locator(".badge").all_inner_texts() == ["20", "15", "0"]
    assert cards.nth(0).locator("code").inner_text() == "calculator(7+2)"
    assert cards.nth(0).locator(".text").inner_text() == "calculator(7+2) → 9.0"
    assert "never closes" in cards.nth(2).inner_text()
    tops = {card.bounding_box()["y"] for card in cards.all()}
    assert len(tops) == 1
    tab.set_viewport_size({"width": 390, "height": 844})
    lefts = {card.bounding_box()["x"] for card in cards.all()}
    assert len(lefts) == 1
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_an_address_brings_back_a_question_or_a_view(tab: Tab, report: Path) -> None:
    visit(tab, report, "#sums-train-45")
    assert tab.inner_text("article:focus h3") == "sums-train-45"
    assert status(tab) == "Questions 41 to 60 of 60"
    choose(tab, split="test", score="15")
    address = tab.url
    assert address.endswith("#?split=test&score=15")
    tab.click("article h3 a >> nth=2")
    assert tab.url.endswith("#sums-test-2")
    assert tab.inner_text("article:focus h3") == "sums-test-2"
    tab.goto(address)
    assert status(tab) == "Questions 1 to 7 of 7 (60 in all)"
    tab.evaluate("location.hash = '#sums-train-1'")  # which the filters hide: they give way
    assert status(tab) == "Questions 1 to 20 of 60"
    for nonsense in ("#%E0%A4%A", "#?split=none&list=1&x", "#nobody"):
        visit(tab, report, nonsense)
        assert tab.locator("article").count() == 20 or "No question" in status(tab)


def test_it_is_used_with_the_keyboard(tab: Tab, report: Path) -> None:
    visit(tab, report)
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert tab.inner_text("article:focus h3") == "sums-train-1"
    tab.keyboard.press("k")
    assert tab.inner_text("article:focus h3") == "sums-train-0"
    tab.keyboard.press("n")
    assert status(tab) == "Questions 21 to 40 of 60"
    tab.keyboard.press("p")
    tab.keyboard.press("/")
    tab.keyboard.type("jnp plus")
    assert tab.input_value("[name=search]") == "jnp plus"
    assert status(tab) == "No question fits (60 in all)"
    tab.keyboard.press("Enter")
    assert tab.url.endswith("?search=jnp+plus")


def test_names_in_the_overview_are_filters(tab: Tab, report: Path) -> None:
    visit(tab, report)
    tab.click(".rejected button")
    assert status(tab) == "Questions 1 to 6 of 6 (60 in all)"
    tab.click(".sources button >> nth=1")
    assert status(tab) == "Questions 1 to 20 of 54 (60 in all)"
    assert tab.locator(".card.match h4").all_inner_texts() == ["talker"] * 20
    tab.click("[data-page='1'] >> nth=0")
    assert status(tab) == "Questions 21 to 40 of 54 (60 in all)"


def test_everything_that_can_be_used_has_a_name(tab: Tab, report: Path) -> None:
    visit(tab, report)
    unnamed = tab.evaluate(
        """[...document.querySelectorAll("input, select, button, a")]
           .filter((element) => !(element.labels?.[0] ?? element).textContent.trim()).length"""
    )
    assert unnamed == 0
    assert tab.evaluate(
        "[...document.querySelectorAll('svg')].every((bar) => bar.querySelector('title').textContent)"
    )


def test_hostile_text_is_text(tab: Tab, tmp_path: Path) -> None:
    directory = make_result(
        tmp_path / "out", words=EVIL, sources=["gold", EVIL], name=EVIL, description=EVIL, models={EVIL: EVIL}
    )
    visit(tab, write_report(directory))
    assert EVIL in tab.inner_text("article >> nth=0")
    assert tab.inner_text("h1") == tab.title() == EVIL
    assert tab.locator("img").count() == 0
    choose(tab, search="</script><img")
    assert tab.inner_text("article mark >> nth=0") == "</script><img"
    choose(tab, source=EVIL)
    assert tab.locator(".card.match").count() == 20
    assert tab.evaluate("window.hacked") is None


@pytest.mark.parametrize("words", ["and then some more", "\n".join(f"word {n * n}" for n in range(4000))])
def test_a_browser_without_decompression_shows_the_same(browser: Any, tmp_path: Path, words: str) -> None:
    tab = browser.new_page()
    watch = Watch(tab)
    report = write_report(make_result(tmp_path / "out", words=words))
    visit(tab, report)
    expected = tab.inner_text("#list")
    tab.add_init_script("delete window.DecompressionStream")
    visit(tab, report)
    assert tab.evaluate("typeof DecompressionStream") == "undefined"
    assert tab.inner_text("#list") == expected
    assert "plus 2?" in expected
    assert watch.seen == []
    tab.close()


def test_eight_thousand_questions_with_five_sources_are_usable(tab: Tab, tmp_path: Path) -> None:
    sources = ["gold", "talker", "caller", "rambler", "davinci", "vicuna"]
    words = " ".join(f"then step {n} gives {n * 7}" for n in range(12))
    report = write_report(
        make_result(tmp_path / "out", rows=8000, test_rows=500, sources=sources, words=words)
    )
    visit(tab, report)
    shown = tab.evaluate("performance.getEntriesByName('shown')[0].startTime")
    typed = tab.evaluate(
        """() => {
          const search = document.querySelector("[name=search]");
          const began = performance.now();
          search.value = "what is 7123 plus";
          search.dispatchEvent(new Event("input", { bubbles: true }));
          const text = document.getElementById("status");
          return new Promise((done) => new MutationObserver(() => done(performance.now() - began))
            .observe(text, { childList: true }));
        }"""
    )
    assert status(tab) == "Questions 1 to 1 of 1 (8,000 in all)"
    size = report.stat().st_size / 1e6
    print(
        f"\n{size:.1f} MB; shown after {shown:.0f} ms, found after {typed:.0f} ms (120 of them a pause in typing)"
    )
    assert shown < 20_000
    assert typed < 5_000
