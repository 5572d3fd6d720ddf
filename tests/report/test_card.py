"""The card tells what ran and nothing else: its figures, its prompts, its snippets; hostile words stay words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict, get_dataset_config_names, load_dataset
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from tests.report.support import make_result
from tests.support import scripted
from tests.support.hub.views import card_data
from tests.support.recipes import ROWS, sums_data, write_questions
from toolgen_hf import Recipe, Workspace, run
from toolgen_hf.builders.produced import kind_of
from toolgen_hf.data.produced import open_manifest
from toolgen_hf.flow import Result
from toolgen_hf.flow.write import _loadable, is_current
from toolgen_hf.metrics import evaluate_target
from toolgen_hf.report.card import fill_blocks, hub_licence, render_card
from toolgen_hf.report.facts import TRAINERS
from toolgen_hf.report.markdown import block, code, link, plain, table
from toolgen_hf.report.plots import WHAT
from toolgen_hf.runtime.summary import share
from toolgen_hf.stages import configs

EVIL = (
    "a | b `c` <img src=x onerror=alert(1)> --- ``` </details> [x](javascript:alert(1)) & *so* $x$\n---\n"
    "# not a title"
)


def build(tmp_path: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> Result:
    data = sums_data(tmp_path / "questions", **changes)
    write_questions(tmp_path / "questions", rows)
    return run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))


@pytest.fixture
def result(tmp_path: Path, scripted_models: None) -> Result:
    return build(tmp_path, [{**ROWS[0], "answer": "plenty"}, *ROWS[1:]])


def text_of(result: Result) -> str:
    return (result.directory / "README.md").read_text(encoding="utf-8")


def cells(card: str, first: str) -> dict[str, list[str]]:
    """The table whose header begins with ``first``, by its rows' first cell."""
    lines = card.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = [line for line in lines[start + 2 : lines.index("", start)] if line.startswith("|")]
    split = ([cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows)
    return {row[0].strip("`"): row[1:] for row in split}


def test_every_figure_is_that_of_the_tables(result: Result) -> None:
    card, board = text_of(result), evaluate_target(result.directory)
    for config, (train, test, _) in cells(card, "config").items():
        table = result.configs[config]
        assert [train, test] == [str(len(table[s])) if len(table[s]) else "" for s in ("train", "test")]
    for name, (count, train, test, tool, runs, need) in cells(card, "source | responses").items():
        found = board.sources[name]
        overall, splits = found["overall"], found["splits"]
        assert count == str(overall["responses"])
        assert [train, test] == [f"{splits[s]['accuracy']:.1%}" for s in ("train", "test")]
        shares = (overall["tool_use_rate"], overall["execution_success"], overall["tool_need_agreement"])
        assert [tool, runs, need] == ["-" if value is None else f"{value:.1%}" for value in shares]
    for name, scores in cells(card, "source | 20").items():
        given = [
            score
            for rows in result.configs["stage2"].values()
            for row in rows
            for origin, score in zip(row["origin"], row["scores"], strict=True)
            if origin == name
        ]
        assert scores == [str(given.count(score)) for score in (20, 15, 10, 5, 0)]
    assert cells(card, "reason") == {"the gold answer is no answer of the task 'math'": ["1"]}
    for split, (asked, right, accuracy, cut) in cells(card, "split").items():
        count = result.summary.student["splits"][split]
        assert [asked, right, cut] == [str(count[name]) for name in ("asked", "correct", "truncated")]
        assert accuracy == share(count["correct"], count["asked"])


def test_counts_and_work_are_those_of_the_manifest(result: Result) -> None:
    card, summary = text_of(result), result.summary
    stages = cells(card, "stage")
    assert list(stages) == list(dict.fromkeys(stage["stage"] for stage in summary.stages))
    assert stages["answer"] == ["8 + 4", "7 + 4", "1"]
    assert stages["stage1"][1] == " + ".join(str(len(rows)) for rows in result.configs["stage1"].values())
    verified, needed = sum(summary.teachers.values()), summary.calls_needed
    assert f"Of {needed} questions that need a call, {verified} have one that was verified" in card
    assert f"{verified} by `annotations`" in card
    assert f"This run generated {summary.generated} texts and took {summary.reused} from the store." in card
    assert f"{summary.completion_tokens} tokens, in answer to prompts of {summary.prompt_tokens}" in card
    assert "```yaml\n" + (result.directory / "recipe.yaml").read_text() + "```" in card


def test_the_prompts_are_those_that_were_sent(tmp_path: Path, scripted_models: None) -> None:
    teachers = [{"kind": "annotations"}, {"kind": "local", "model": "call"}]
    rows = [{**ROWS[0], "solution": "It is obvious."}, *ROWS[1:]]
    changes = {
        "sources__caller__examples": 2,
        "sources__caller__example_seed": 3,
        "answer__instruction": "Think.",
    }
    result = build(tmp_path, rows, tool_api__teachers=teachers, answer__generator__model="wrong", **changes)
    shown = {(prompt["system"], prompt["user"]) for prompt in manifest(result)["prompts"].values()}
    question, answer = rows[0]["question"], rows[0]["answer"]
    sent = {
        (
            call.prompt.system,
            call.prompt.user.replace(question, "{question}").replace(f"'{answer}'", "'{answer}'"),
        )
        for call in scripted.CALLS
        if question in call.prompt.user
    }
    assert sent == shown
    card = text_of(result)
    for system, user in shown:
        assert f"system\n------\n{system.rstrip()}\n\nuser\n----\n{user}\n```" in card
    assert "Source `caller`: 2 worked examples, shuffled by seed 3." in card
    assert re.search(
        r"Teacher `call`: \d+ worked examples, in the published order\. Asked up to 2 times", card
    )


def manifest(result: Result) -> dict[str, Any]:
    return open_manifest(result.directory).data


def test_every_config_named_opens_and_every_snippet_runs(result: Result, tmp_path: Path) -> None:
    card, cache = text_of(result), str(tmp_path / "hf")
    named = set(re.findall(r'load_dataset\("PATH_OR_REPO", "([^"]+)"', card))
    there = get_dataset_config_names(str(result.directory))
    assert named == {name for name in there if not name.startswith("responses-")} | {"responses-talker"}
    assert set(cells(card, "config")) == set(there)
    for name in there:
        loaded = load_dataset(str(result.directory), name, cache_dir=cache)
        assert {split: len(rows) for split, rows in loaded.items()} == {
            split: len(rows) for split, rows in result.configs[name].items() if len(rows)
        }
    (code_block, _) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    runnable = code_block.split("\n# on the Hub")[0].replace("PATH_OR_REPO", str(result.directory))
    names: dict[str, Any] = {}
    exec(runnable, names)
    assert isinstance(names["tool_calling"], DatasetDict)


def test_the_trainers_take_what_the_snippets_give_them(result: Result) -> None:
    trl = pytest.importorskip("trl")
    (_, training) = re.findall(r"```python\n(.*?)```", text_of(result), re.DOTALL)
    for line in training.splitlines()[2:]:
        compile(line, "card", "eval")
    for name in ("SFTTrainer", "SFTConfig", "DPOTrainer", "RewardTrainer"):
        assert hasattr(trl, name)
    assert set(re.findall(r"train_dataset=(\w+)\[", training)) == set(TRAINERS)


def test_the_metadata_is_what_the_hub_wants(result: Result) -> None:
    found, problem = card_data(text_of(result))
    assert found is not None
    assert problem == ""
    card = DatasetCard.load(result.directory / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "unknown"
    assert data["pretty_name"] == "sums"
    assert data["size_categories"] == "n<1K"
    assert data["task_categories"] == ["text-generation"]
    assert {"tool-use", "math", "trl"} <= set(data["tags"])
    assert "language" not in data  # nobody said in which language these questions are
    assert [entry["config_name"] for entry in data["configs"] if entry.get("default")] == ["stage2"]
    assert {entry["config_name"] for entry in data["dataset_info"]} == {
        e["config_name"] for e in data["configs"]
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("MIT", {"license": "mit"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("unknown", {"license": "unknown"}),
        ("Our own, v2!", {"license": "other", "license_name": "our-own-v2"}),
        ("!!", {"license": "other", "license_name": "unnamed"}),
    ],
)
def test_licences_in_the_hubs_words(said: str, expected: dict[str, str]) -> None:
    assert hub_licence(said) == expected


def test_the_language_of_questions_that_ship_is_known(tmp_path: Path, scripted_models: None) -> None:
    def language(dataset: dict[str, Any]) -> str | None:
        data = {**sums_data(tmp_path / "questions"), "dataset": {**dataset, "rows": {"test": 2}}}
        done = run(Recipe.parse(data), tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
        return DatasetCard.load(done.directory / "README.md").data.to_dict().get("language")

    assert language({"builder": "gsm8k"}) == "en"
    assert language({"builder": "qa", "config": "svamp"}) == "en"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "[SVAMP](https://github.com/arkilpatel/SVAMP) is under MIT" in card
    assert "@inproceedings{patel2021svamp" in card
    assert "Rows of `test` are to evaluate with" in card


def test_what_did_not_run_is_not_in_the_card(tmp_path: Path, scripted_models: None) -> None:
    card = text_of(build(tmp_path, answer__generator__model="right"))  # none needs a call, none is rejected
    absent = "### Rejected/### Tool calls/Adapters that/worked solutions/They cost/counts as verified"
    absent += "/had seen the train split/stage 1 are among/Asked up to/**`rejected`**"
    for words in absent.split("/"):
        assert words not in card
    assert card.split("\n---\n", 1)[1].startswith("# sums\n\nTraining data")  # there is no description
    assert "### The student" in card
    text = card.split("## Prompts")[0].split("\n---\n", 1)[1].replace('row["near_duplicate_of"] is None', "")
    for words in ("None", "$", "<!--", "{}"):
        assert words not in text


def test_a_set_of_which_everything_was_rejected(tmp_path: Path) -> None:
    folder = make_result(tmp_path / "out", rows=4, test_rows=0, rejected=4)
    card = (folder / "README.md").read_text()
    for words in (
        "## The sources",
        "## Columns\n\n**`stage1`**",
        "plots/",
        "TRL",
        "`stage2`",
        "scored responses",
    ):
        assert words not in card
    assert cells(card, "reason")["no verified tool call (writer: the result is not the gold answer)"] == ["4"]
    assert 'raw = load_dataset("PATH_OR_REPO", "raw")' in card


def test_overlap_adapters_and_cost_are_told_where_there_are_any(result: Result) -> None:
    facts = manifest(result)
    trained = {"sources": ["talker"], "model": "base", "checkpoint": 6, "template": "alpaca", "max_steps": 12}
    trained |= {"batch_size": 8, "learning_rate": 3e-4, "lora_r": 8, "lora_alpha": 16, "seed": 0}
    facts["finetune"] = {"a": trained}
    facts["summary"] |= {"fewshot_overlap": {"train": 2, "test": 1}, "cost": 1.5}
    card = render(result, facts)
    assert "3 of 11 questions in stage 1 are among the examples that prompts show" in card
    assert cells(card, "adapter")["a"][:2] == ["`base`", "`talker`"]
    assert "`talker` had seen the train split" in card
    assert "They cost $1.50." in card
    assert "What they cost is not known." in render(
        result, {**facts, "summary": {**facts["summary"], "cost": None}}
    )


def test_a_stage1_that_was_made_before_names_where_and_asks_nobody(result: Result) -> None:
    facts = manifest(result)
    facts["models"].pop("student")
    facts["source"] = {"source_dataset": "ann/set", "config": "stage1", "revision": "v1.1.0", "commit": "c0ffee",
                       "models": {"student": "`small` (sha256:12), prompt form `chat`"}}  # fmt: skip
    facts["summary"] |= {
        "student": {"splits": {"train": {"asked": 0, "correct": 0, "truncated": 0}}}, "teachers": {}, "calls_needed": 0,
    }  # fmt: skip
    card = render(result, facts)
    assert (
        "taken from `stage1` of `ann/set` at `v1.1.0` (commit `c0ffee`): its stage 1 is used as it is" in card
    )
    assert "is a label of `small` (sha256:12), not of the question" in card
    assert "### The student" not in card
    assert "got no question right" not in card


def render(result: Result, facts: dict[str, Any]) -> str:
    recipe = (result.directory / "recipe.yaml").read_text()
    return render_card(result.directory, _loadable(result.configs), facts, recipe, sorted(WHAT))


def test_equal_content_gives_equal_bytes(result: Result, tmp_path: Path) -> None:
    assert render(result, manifest(result)) == text_of(result)
    again = build(tmp_path / "again", [{**ROWS[0], "answer": "plenty"}, *ROWS[1:]])
    elsewhere = text_of(again).replace(str(tmp_path / "again"), str(tmp_path))
    assert elsewhere == text_of(result)


def html(card: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("\n---\n", 1)[1])


def test_hostile_words_stay_words(result: Result) -> None:
    before = html(text_of(result))
    facts = manifest(result)
    facts |= {
        "description": EVIL,
        "source_dataset": EVIL,
        "homepage": "javascript:alert(1)",
        "license": EVIL,
        "citation": EVIL,
    }
    facts["models"] = {f"teacher {EVIL}": EVIL, "student": f"`{EVIL}`", "talker": "`odd"}
    facts["licences"] = dict.fromkeys(facts["models"], EVIL)
    facts["summary"] |= {"rejected": {EVIL: 3}, "teachers": {EVIL: 6}}
    card = render(result, facts)
    metadata = DatasetCard(card).data.to_dict()
    assert metadata["license"] == "other"
    assert [entry["config_name"] for entry in metadata["configs"]] == get_dataset_config_names(
        str(result.directory)
    )
    page = html(card)
    for words in ("<img src=x", 'href="javascript', "<h1>not a title", "<em>so", "<hr"):
        assert words not in page
    assert page.count("<h1>") == 1
    for tag in ("<table>", "<h2>", "<details>", "</details>", "<img"):
        assert len(re.findall(tag, page)) == len(re.findall(tag, before))
    (row,) = re.findall(r"<tr>\n<td>a \|.*?</tr>", page, re.DOTALL)
    assert row.count("<td") == 2


@pytest.mark.parametrize(
    "text", [EVIL, "1. one", "1.5", "# a", "- a", "> a", "a_b __c__ _d_", "\\", "`", "a\u202eb\x00", "| |"]
)
def test_a_plain_text_reads_as_it_is(text: str) -> None:
    shown = MarkdownIt("commonmark").enable("table").parse(table(["x"], [(plain(text),)]))
    inline = [token for token in shown if token.type == "inline"][1]
    kinds = {child.type for child in inline.children or []}
    assert kinds <= {"text", "text_special"}
    read = "".join(child.content for child in inline.children or [])
    assert read == " ".join(re.sub("[\u202e\x00]", " ", text).split())
    (paragraph, *_) = MarkdownIt("commonmark").parse(plain(text) or "x")
    assert paragraph.type == "paragraph_open"


def test_code_holds_anything(tmp_path: Path) -> None:
    for text in ("a`b", "``", "`", "a|b", EVIL):
        (token,) = [
            child
            for token in MarkdownIt("commonmark").enable("table").parse(table(["x"], [(code(text),)]))
            for child in token.children or []
            if child.type == "code_inline"
        ]
        assert token.content == " ".join(text.split())
    (fence,) = MarkdownIt("commonmark").parse(block(EVIL, "text"))
    assert fence.content == f"{EVIL}\n"
    assert link("x", "https://example.org/a") == "[x](https://example.org/a)"
    assert link("x", "https://example.org/) [y](z") == "x"


def test_a_block_without_its_fact_is_left_out() -> None:
    template = "a $x\n<!-- block -->\nb $y $x\n<!-- block -->\nc"
    assert fill_blocks(template, {"x": "1", "y": ""}) == "a 1\n\nc\n"


def test_every_column_and_config_is_described() -> None:
    described = configs()
    written = [
        "raw",
        "stage1",
        "responses-gold",
        "responses-NAME",
        "stage2",
        "sft",
        "tool_calling",
        "preference",
    ]
    assert list(described) == [*written, "rejected"]
    for name, config in described.items():
        assert list(config.columns) == list(config.features)
        assert config.about
        kind = kind_of(name)
        assert kind is not None
        assert set(kind.features) <= set(config.features)
    assert (
        "`explained` (every number of the call has a known source)"
        in described["stage1"].columns["soundness"]
    )


def test_plots_are_shown_with_words_and_are_part_of_the_result(result: Result) -> None:
    pytest.importorskip("matplotlib")
    card, listed = text_of(result), manifest(result)["files"]
    for name, what in WHAT.items():
        assert f"![{what}](plots/{name}.png)" in card
        assert f"plots/{name}.png" in listed
    key = manifest(result)["key"]
    assert is_current(result.directory, key)
    (result.directory / "plots" / "flow.png").write_bytes(b"")
    assert not is_current(result.directory, key)


def test_without_matplotlib_the_result_is_whole_and_says_how_to_get_plots(
    tmp_path: Path, scripted_models: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as without, caplog.at_level("INFO", "toolgen_hf"):
        without.setattr("toolgen_hf.flow.write.can_plot", lambda: False)
        first = build(tmp_path)
        assert build(tmp_path).summary.up_to_date
    assert "pip install 'toolgen_hf[report]'" in caplog.text
    assert not (first.directory / "plots").exists()
    assert "plots/" not in text_of(first)
    pytest.importorskip("matplotlib")
    again = build(tmp_path)  # it is there now: the plots are added
    assert not again.summary.up_to_date
    assert (first.directory / "plots" / "flow.png").is_file()
    assert build(tmp_path).summary.up_to_date


def test_nothing_of_matplotlib_is_imported_before_it_is_needed() -> None:
    code = "import sys, toolgen_hf.flow.make; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
