from __future__ import annotations

import re
from collections import Counter
from datetime import date
from importlib.resources import files

import pytest
import yaml
from pydantic import ValidationError

from toolgen_hf.models.config import PriceConfig
from toolgen_hf.models.openai import catalog
from toolgen_hf.models.openai.catalog import find_engine, retired

TEXT = (files("toolgen_hf.models.openai") / "catalog.yaml").read_text(encoding="utf-8")
RAW = yaml.safe_load(TEXT)
NAMES = sorted(RAW["engines"])
TODAY = date(2026, 11, 22)  # the table's own date


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_is_well_formed(name: str) -> None:
    engine = find_engine(name)
    assert (engine.name, engine.known) == (name, True)
    assert engine.replacement is None or engine.replacement in RAW["engines"]
    if price := engine.price:
        assert 0 < price.input <= price.output
        assert price.cached_input is None or 0 < price.cached_input < price.input
    # ``find_engine`` would say the same of it, were it not listed; the chat variants do not reason
    unlisted = find_engine(f"{name}-of-tomorrow")
    assert not unlisted.known
    if "chat-latest" not in name:
        assert engine.reasoning == unlisted.reasoning


def test_no_engine_is_listed_twice() -> None:
    lines = Counter(re.findall(r"^  (\S+): \{", TEXT, flags=re.MULTILINE))
    assert sorted(lines) == NAMES
    assert set(lines.values()) == {1}


@pytest.mark.parametrize(("alias", "name"), sorted(RAW["aliases"].items()))
def test_every_alias_resolves(alias: str, name: str) -> None:
    assert find_engine(alias) == find_engine(name)
    assert find_engine(alias).name == name


@pytest.mark.parametrize(
    ("snapshot", "listed"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-3.5-turbo-16k-0613", "gpt-3.5-turbo-16k"),
        ("gpt-3.5-turbo-instruct-0914", "gpt-3.5-turbo-instruct"),
        ("gpt-4-0613", "gpt-4"),
        ("o3-mini-2025-01-31", "o3-mini"),
    ],
)
def test_a_snapshot_takes_the_facts_of_its_undated_name(snapshot: str, listed: str) -> None:
    assert snapshot not in RAW["engines"]
    assert find_engine(snapshot) == find_engine(listed).model_copy(update={"name": snapshot})


def test_a_listed_snapshot_has_facts_of_its_own() -> None:
    assert find_engine("gpt-4o-2024-05-13").price == PriceConfig(input=5.0, output=15.0)
    assert find_engine("gpt-4o").price == PriceConfig(input=2.5, output=10.0, cached_input=1.25)
    assert find_engine("gpt-3.5-turbo-0613").shutdown != find_engine("gpt-3.5-turbo").shutdown


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-mega",
        "gpt-4o-mini-audio-preview",
        "gpt-4o-search-preview-2025-03-11",
        "gpt-4o-2024",
        "gpt-4o-9999",
        "gpt-4o-0018",
        "gpt-4o-2024-13-01",
        "gpt-4o-2024-0806",
        "gpt-4o-2024-08-06-tuned",
        "gpt-5-pro",
        "gpt-4",
        "xgpt-4o",
        "gpt-4O",
    ],
)
def test_nothing_else_takes_a_price(name: str) -> None:
    engine = find_engine(name)
    if name in RAW["engines"]:
        assert engine.price != find_engine("gpt-4o").price
    else:
        assert (engine.name, engine.known, engine.price, engine.shutdown) == (name, False, None, None)


@pytest.mark.parametrize(
    ("name", "api", "reasoning"),
    [
        ("ft:gpt-3.5-turbo-0125:org::id", "chat", False),
        ("ft:davinci-002:org::id", "completions", False),
        ("ft:o4-mini-2025-04-16:org:suffix:id", "chat", True),
        ("ft:gpt-9:org::id", "chat", True),
        ("davinci:ft-org-2023-01-01", "completions", False),
        ("text-davinci-004", "completions", False),
        ("code-davinci-001", "completions", False),
        ("text-ada-002", "completions", False),
        ("gpt-3.5-mini-instruct", "completions", False),
        ("mistral-7b-instruct", "chat", False),
        ("gpt-3.5-turbo-instruct-x", "chat", False),
        ("o1-pro", "chat", True),
        ("o3-deep-research", "chat", True),
        ("gpt-5.2-codex", "chat", True),
        ("gpt-6", "chat", True),
        ("gpt-10.1-sol", "chat", True),
        ("gpt-4.2", "chat", False),
        ("gpt-40", "chat", False),
        ("gpt-oss-120b", "chat", False),
        ("olmo-7b", "chat", False),
        ("", "chat", False),
    ],
)
def test_an_unlisted_name_tells_its_api(name: str, api: str, reasoning: bool) -> None:
    engine = find_engine(name)
    assert (engine.name, engine.api, engine.reasoning) == (name, api, reasoning)
    assert (engine.known, engine.price, engine.shutdown, engine.replacement) == (False, None, None, None)


@pytest.mark.parametrize(
    ("price", "usage", "dollars"),
    [
        (PriceConfig(input=0.15, output=0.60), {"prompt_tokens": 1_000_000, "completion_tokens": 0}, 0.15),
        (PriceConfig(input=0.15, output=0.60), {"prompt_tokens": 0, "completion_tokens": 1_000_000}, 0.60),
        (PriceConfig(input=2.0, output=8.0), {"prompt_tokens": 1500, "completion_tokens": 250}, 0.005),
        (
            PriceConfig(input=2.0, output=8.0, cached_input=0.5),
            {"prompt_tokens": 1500, "completion_tokens": 250, "cached_tokens": 1000},
            0.0035,
        ),
        (
            PriceConfig(input=2.0, output=8.0),
            {"prompt_tokens": 1500, "completion_tokens": 250, "cached_tokens": 1000},
            0.005,
        ),
        (
            PriceConfig(input=2.0, output=8.0, cached_input=0.0),
            {"prompt_tokens": 1000, "completion_tokens": 0, "cached_tokens": 1000},
            0.0,
        ),
        (
            PriceConfig(input=2.0, output=8.0, cached_input=0.5),
            {"prompt_tokens": 1000, "completion_tokens": 0, "cached_tokens": 5000},
            0.0005,
        ),
        (PriceConfig(input=2.0, output=8.0), {"prompt_tokens": 0, "completion_tokens": 0}, 0.0),
    ],
)
def test_costs(price: PriceConfig, usage: dict[str, int], dollars: float) -> None:
    assert price.cost(**usage) == pytest.approx(dollars)


def test_a_price_of_the_table_is_per_million_tokens() -> None:
    price = find_engine("gpt-4o-mini-2024-07-18").price
    assert price is not None
    assert price.cost(10_000, 2_000, cached_tokens=4_000) == pytest.approx(0.0009 + 0.0003 + 0.0012)


ELSE = "or any engine of another endpoint (base_url)"


@pytest.mark.parametrize(
    ("name", "today", "message"),
    [
        (
            "text-davinci-003",
            date(2024, 6, 1),
            "'text-davinci-003' was shut down on 2024-01-04; use 'gpt-3.5-turbo-instruct', "
            f"which speaks the same API, {ELSE}",
        ),
        (
            "text-davinci-003",  # what replaced it is gone too
            TODAY,
            "'text-davinci-003' was shut down on 2024-01-04; use 'gpt-5.6-terra', "
            f"which speaks the chat API instead of completions, {ELSE}",
        ),
        (
            "gpt-turbo-0301",
            TODAY,
            "'gpt-3.5-turbo-0301' was shut down on 2024-09-13; use 'gpt-5.6-terra', "
            f"which speaks the same API, {ELSE}",
        ),
        (
            "gpt-5.1",
            date(2027, 4, 2),
            f"'gpt-5.1' was shut down on 2027-04-01; use an engine that is still served, {ELSE}",
        ),
        ("gpt-4o-mini", TODAY, None),
        ("gpt-6-luna", TODAY, None),
        ("nobody-knows", TODAY, None),
    ],
)
def test_retired(name: str, today: date, message: str | None) -> None:
    assert retired(find_engine(name), today) == message


def test_an_engine_is_retired_from_its_shutdown_date_on() -> None:
    engine = find_engine("gpt-3.5-turbo-instruct")
    assert retired(engine, date(2026, 9, 27)) is None
    assert "2026-09-28" in (retired(engine, date(2026, 9, 28)) or "")


GOOD = {
    "aliases": {"a": "x"},
    "batch_factor": 0.5,
    "engines": {"x": {"api": "chat", "input": 1, "output": 2}, "y": {"api": "completions"}},
}
PAST = {"api": "chat", "shutdown": date(2024, 1, 4)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"engine": {}}, "engine"),
        ({"batch_factor": 0}, "greater than 0"),
        ({"aliases": {"a": "z"}}, "'a'"),
        ({"aliases": {"y": "x"}}, "'y'"),
        ({"engines": {"x": {"api": "chat", "prise": 1}}}, "prise"),
        ({"engines": {"x": {"api": "responses"}}}, "responses"),
        ({"engines": {"x": {"api": "chat", "input": 1}}}, "together"),
        ({"engines": {"x": {"api": "chat", "input": -1, "output": 1}}}, "greater than or equal to 0"),
        ({"engines": {"x": {"api": "chat", "cached_input": 1}}}, "without input"),
        ({"engines": {"x": {"api": "chat", "replacement": "x"}}}, "without shutdown"),
        ({"engines": {"x": {**PAST, "replacement": "z"}}}, "'z'"),
        ({"engines": {"x": {**PAST, "replacement": "y"}, "y": {**PAST, "replacement": "x"}}}, "circle"),
    ],
)
def test_a_malformed_catalogue_is_an_error(change: dict[str, object], says: str) -> None:
    catalog._Catalog.model_validate(GOOD)
    with pytest.raises(ValidationError, match=re.escape(says)):
        catalog._Catalog.model_validate({**GOOD, **change})
