"""What a run asks of engines and what it costs: planned before, bounded while, counted after, paid once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, DatasetDict

from tests.support import scripted
from tests.support.recipes import ROWS, sums_data
from toolgen_hf import MixRecipe, Recipe, Workspace, run
from toolgen_hf.builders import Produced, load
from toolgen_hf.cli import main
from toolgen_hf.errors import BudgetError, ConfigError
from toolgen_hf.flow import plan
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.schemas import RAW
from toolgen_hf.stages import answer as answer_stage
from toolgen_hf.testing import ApiRequest, ApiServer, Reply

PRICE = {"input": 1000.0, "output": 2000.0}  # a request here: 10 + 5 tokens, $0.02
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


def sums(request: ApiRequest) -> Reply:
    """A right call for the teacher and the sources, a wrong answer for the student."""
    asked = request.user.rpartition("Ann has ")[2].split()
    call = f"calculator({asked[0]}+{asked[4]})"
    return Reply("The answer is 1." if "step by step" in request.prompt else call, usage=USAGE)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(sums) as running:
        yield running


def recipe_data(folder: Path, server: ApiServer, **changes: Any) -> dict[str, Any]:
    engine = {"kind": "openai", "engine": "gpt-4o-mini", "base_url": server.base_url, "price": PRICE}
    engine["max_tokens"] = 10
    return sums_data(
        folder,
        **{
            "answer": {"generator": engine},
            "tool_api": {"teachers": [engine, {"kind": "annotations"}]},
            "sources": {"chatgpt": {"generator": engine, "prompt": "few_shot"}},
            **changes,
        },
    )


def write_recipe(folder: Path, server: ApiServer, **changes: Any) -> str:
    path = folder / "sums.yaml"
    path.write_text(yaml.safe_dump(recipe_data(folder, server, **changes)), encoding="utf-8")
    return str(path)


def test_a_dry_run_sends_nothing_and_says_what_is_missing(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path, server)
    assert main(["run", path, "--dry-run", "-q"]) == 0
    shown = capsys.readouterr().out
    assert server.count == 0
    assert f"{3 * len(ROWS)} requests, about $" in shown
    assert "up to 24" in shown  # the teachers' depend on the student's answers, and on the first attempts
    assert "Ann has 10 pens and buys 3 more" in shown
    assert not (tmp_path / "outputs").exists()


@pytest.mark.usefixtures("scripted_models")
def test_a_dry_run_of_local_models_says_nothing_of_dollars(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sums.yaml"
    path.write_text(yaml.safe_dump(sums_data(tmp_path)), encoding="utf-8")
    assert main(["run", str(path), "--dry-run", "-q"]) == 0
    shown = capsys.readouterr().out
    assert "48 requests, which cost nothing; nothing was sent (dry run)" in shown
    assert "about $" not in shown


def test_a_plan_is_what_the_run_then_costs(server: ApiServer, tmp_path: Path) -> None:
    recipe = Recipe.parse(recipe_data(tmp_path, server))
    with Workspace(progress=False) as workspace:
        planned = plan(recipe, workspace)
        result = run(recipe, tmp_path / "out", workspace)
        assert (planned.requests, server.count, result.summary.generated) == (36, 36, 36)
        assert result.summary.cost == pytest.approx(36 * 0.02)
        assert planned.max_cost is not None
        assert result.summary.cost < planned.max_cost
        assert plan(recipe, workspace).requests == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["summary"]["cost"] == pytest.approx(0.72)
    assert (manifest["summary"]["prompt_tokens"], manifest["summary"]["completion_tokens"]) == (360, 180)


def test_a_plan_expects_texts_as_long_as_those_in_the_store(server: ApiServer, tmp_path: Path) -> None:
    with Workspace(progress=False) as workspace:
        run(Recipe.parse(recipe_data(tmp_path, server)), tmp_path / "out", workspace)
        more = [*ROWS, {**ROWS[0], "question": "Ann has 3 pens and buys 2 more pens. How many has she?"}]
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in more))
        (entry, *_) = plan(Recipe.parse(recipe_data_as_written(tmp_path, server)), workspace).entries
    assert entry.requests == 1
    assert entry.cost == pytest.approx((entry.prompt_tokens * 1000 + 5 * 2000) / 1_000_000)


def recipe_data_as_written(folder: Path, server: ApiServer) -> dict[str, Any]:
    """The recipe over the files as they are now."""
    before = {name: (folder / f"{name}.jsonl").read_text() for name in ("train", "test")}
    data = recipe_data(folder, server)
    for name, text in before.items():
        (folder / f"{name}.jsonl").write_text(text)
    return data


def test_a_plan_takes_what_is_cached_as_done_also_without_its_texts(
    server: ApiServer, tmp_path: Path
) -> None:
    recipe = Recipe.parse(recipe_data(tmp_path, server))
    run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    with Workspace(tmp_path / "cache", tmp_path / "new.sqlite", progress=False) as workspace:
        assert plan(recipe, workspace).requests == 0


def test_max_cost_stops_before_it_is_exceeded_and_a_larger_one_goes_on(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path, server)
    out = str(tmp_path / "out")
    assert main(["run", path, "-q", "-o", out, "--max-cost", "0.3"]) == 1
    assert "budget of $0.3" in capsys.readouterr().err
    paid = server.count
    assert 0 < paid * 0.02 <= 0.3
    assert main(["run", path, "-q", "-o", out, "--max-cost", "10"]) == 0
    assert server.count == 36  # in all: nothing was paid twice


def test_max_cost_of_an_engine_without_a_price_is_refused(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path, server, answer__generator__price=None)
    assert main(["run", path, "-q", "-o", str(tmp_path / "out"), "--max-cost", "1"]) == 2
    assert "needs the price of" in capsys.readouterr().err
    assert server.count == 0


def test_mode_a_keeps_the_rows_of_an_output_and_adds_the_others(server: ApiServer, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, server)
    raw, out = tmp_path / "raw.jsonl", tmp_path / "answered.jsonl"
    rows = [{"id": f"r{n}", **row, "answer": [row["answer"]]} for n, row in enumerate(ROWS[:6])]
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows[:4]))
    command = ["answer", str(raw), str(out), "--recipe", recipe, "-q"]
    assert main(command) == 0
    kept = [{**json.loads(line), "response": "mine"} for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps(row) + "\n" for row in kept))
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([*command, "--mode", "a"]) == 0
    made = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in made] == [f"r{n}" for n in range(6)]
    assert [row["response"] == "mine" for row in made] == [True] * 4 + [False] * 2
    assert server.count == 6
    assert main([*command, "--mode", "w"]) == 0  # anew, and still paid once
    assert "mine" not in out.read_text()
    assert server.count == 6


def test_a_stage_alone_can_be_planned(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, server)
    raw, out = tmp_path / "raw.jsonl", tmp_path / "responses.jsonl"
    raw.write_text(json.dumps({"id": "r", **ROWS[0], "answer": [ROWS[0]["answer"]]}) + "\n")
    command = ["respond", str(raw), str(out), "--name", "chatgpt", "--recipe", recipe, "-q"]
    assert main([*command, "--dry-run"]) == 0
    assert "1 requests" in capsys.readouterr().out
    assert not out.exists()
    assert server.count == 0


def test_questions_among_the_examples_are_marked_and_may_be_dropped(
    server: ApiServer, tmp_path: Path
) -> None:
    shown = {
        "question": "Natalia sold clips to 48 of her friends in April,  and then she sold half as many clips in May. "
        "How many clips did Natalia sell altogether in April and May?",
        "answer": "72",
        "solution": "48/2 = <<48/2=24>>24. 48+24 = <<48+24=72>>72.",
    }
    data = recipe_data(tmp_path, server)
    local = {"kind": "openai", "engine": "gpt-4o-mini", "base_url": server.base_url}
    data |= {"answer": {"generator": local}, "tool_api": {"teachers": [{"kind": "annotations"}]}}
    data["sources"] = {"chatgpt": {"generator": local}}
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [shown, *ROWS[:2]]))
    server.configure(script="The answer is 1.")
    run(Recipe.parse(data), tmp_path / "keep", Workspace(progress=False))
    for config in ("stage1", "stage2"):
        kept = load(Produced(config, data_dir=tmp_path / "keep"))["train"]
        assert list(kept["fewshot_overlap"]) == [True, False, False]
    data["dataset"]["fewshot_overlap"] = "drop"
    result = run(Recipe.parse(data), tmp_path / "drop", Workspace(progress=False))
    assert len(result.configs["stage1"]["train"]) == 2
    assert list(result.configs["rejected"]["train"]["reason"]) == ["the question is a few-shot example"]


def test_the_order_of_examples_follows_a_seed(server: ApiServer, tmp_path: Path) -> None:
    def prompts(seed: int | None, home: str) -> list[str]:
        data = recipe_data(tmp_path, server, tool_api__example_seed=seed)
        server.reset()
        run(Recipe.parse(data), tmp_path / home / "out", Workspace(tmp_path / home, progress=False))
        return sorted(r.user for r in server.requests if "Golden answers" in r.user)

    published, seven = prompts(None, "a"), prompts(7, "b")
    assert published[0].startswith("Question: Natalia")
    assert published != seven
    assert prompts(7, "c") == seven
    assert sorted(published[0].split("Question: ")) == sorted(seven[0].split("Question: "))


def test_at_most_is_every_attempt_of_every_teacher(server: ApiServer, tmp_path: Path) -> None:
    """Nothing that the teachers write is right: each question takes all that there is."""
    engine = recipe_data(tmp_path, server)["answer"]["generator"]
    teachers = [engine, {**engine, "temperature": 1.0}]
    recipe = Recipe.parse(recipe_data(tmp_path, server, tool_api={"teachers": teachers}))
    server.configure(
        script=lambda request: Reply(f"calculator({request.index}-{request.index})", usage=USAGE)
    )
    with Workspace(progress=False) as workspace:
        planned = plan(recipe, workspace)
        result = run(recipe, tmp_path / "out", workspace)
    asked = {entry.stage: entry.max_requests for entry in planned.entries}
    assert asked["tool_api"] == 2 * 12  # the second teacher's, to which all may be passed on
    assert server.count == 12 + 4 * 12 + 12
    assert server.count == sum(entry.max_requests for entry in planned.entries)
    assert planned.max_cost is not None
    assert result.summary.cost is not None
    assert result.summary.cost < planned.max_cost
    manifest = json.loads((result.directory / "manifest.json").read_text())
    temperatures = {role: made["parameters"]["temperature"] for role, made in manifest["generators"].items()}
    assert (temperatures["teacher gpt-4o-mini"], temperatures["teacher gpt-4o-mini-2"]) == (0.0, 1.0)
    (reason,) = result.summary.rejected
    assert reason.count("the result is not the gold answer") == 2  # told apart, though of one name
    assert "gpt-4o-mini-2" in reason


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"completion_tokens": 5},
        {"prompt_tokens": 10},
        {"prompt_tokens": 10, "completion_tokens": 0},
        {"prompt_tokens": None, "completion_tokens": "5"},
        {"prompt_tokens": -10, "completion_tokens": 10**30},
        {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10**6}},
        {"total_tokens": 15},
    ],
)
@pytest.mark.parametrize("text", ["The answer is 1.", ""])
def test_an_engine_that_does_not_say_what_it_used_is_charged_the_most(
    server: ApiServer, tmp_path: Path, usage: dict[str, Any], text: str
) -> None:
    """Each request takes all that it may: a token for each byte of its prompt, and ``max_tokens``."""
    bills: list[float] = []
    price = {"input": 10.0, "output": 20_000.0, "cached_input": 0.0}

    def script(request: ApiRequest) -> Reply:
        told = (usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)
        asked = told[0] if told[0] > 0 else len(request.prompt.encode())
        answered = told[1] if told[1] == 5 else 10
        bills.append((asked * price["input"] + answered * price["output"]) / 1_000_000)
        return Reply(text, usage=usage)

    server.configure(script=script)
    engine = {**recipe_data(tmp_path, server)["answer"]["generator"], "price": price}
    recipe = recipe_data(tmp_path, server, answer={"generator": engine})
    with pytest.raises(BudgetError), Workspace(progress=False, max_cost=1.0) as workspace:
        run(Recipe.parse(recipe), tmp_path / "out", workspace)
    assert 0 < sum(bills) <= 1.0


@pytest.mark.parametrize("amount", ["nan", "inf", "-3"])
def test_a_budget_is_an_amount(amount: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "quickstart", "--max-cost", amount])
    assert "is not an amount" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="max_cost"):
        Workspace(max_cost=float(amount))


def test_equal_questions_are_planned_once(server: ApiServer, tmp_path: Path) -> None:
    data = recipe_data(tmp_path, server)
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({**ROWS[0]}) + "\n" for _ in range(250)))
    with Workspace(progress=False) as workspace:
        (entry, *_) = plan(Recipe.parse(data), workspace).entries
    assert entry.requests == 1 + 4


@pytest.fixture
def without_a_key(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is OpenAI's own, as it were: it does need a key."""
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("toolgen_hf.models.openai.keys.OPENAI_URL", server.base_url)


@pytest.mark.usefixtures("without_a_key", "scripted_models")
def test_a_missing_key_stops_a_run_before_any_work(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = {"kind": "local", "model": "half"}
    path = write_recipe(tmp_path, server, answer__generator=student)
    scripted.CALLS.clear()
    assert main(["run", path, "-q", "-o", str(tmp_path / "out")]) == 2
    teacher, source = capsys.readouterr().err.splitlines()
    assert teacher.startswith(
        "error: tool_api.teachers.0: up to 24 of its texts are not in the store, and engine "
    )
    assert "engine 'gpt-4o-mini' needs an API key: set OPENAI_API_KEY" in teacher
    assert source == "sources.chatgpt.generator: 12 of its texts are not in the store"
    assert scripted.CALLS == []
    assert main(["run", path, "-q", "--dry-run"]) == 0  # which may be without
    told = capsys.readouterr()
    assert "sources.chatgpt.generator: engine 'gpt-4o-mini' needs" in told.err
    assert "only texts that are in the store can be used" in told.err


@pytest.mark.usefixtures("without_a_key", "scripted_models")
def test_a_missing_key_of_a_part_stops_a_mix_before_any_work(server: ApiServer, tmp_path: Path) -> None:
    parts = {"local": {"recipe": sums_data(tmp_path / "local", name="local", dataset__name="Local")}}
    parts["api"] = {"recipe": recipe_data(tmp_path / "api", server)}
    scripted.CALLS.clear()
    with pytest.raises(
        ConfigError,
        match=r"^mix\.parts\.api\.recipe\.answer\.generator: 12 of its texts are not in the store, and ",
    ):
        run(MixRecipe.parse({"name": "both", "mix": {"parts": parts}}), tmp_path / "out")
    assert scripted.CALLS == []


@pytest.mark.usefixtures("without_a_key")
@pytest.mark.parametrize("emptied", [(), ("stages",)])
def test_a_run_again_needs_no_key(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emptied: tuple[str, ...]
) -> None:
    recipe = Recipe.parse(recipe_data(tmp_path, server))
    with monkeypatch.context() as before:
        before.setenv("OPENAI_API_KEY", "sk-one-of-a-test")
        run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    for name in emptied:  # then every text comes from the store
        shutil.rmtree(tmp_path / "cache" / name)
    summary = run(recipe, tmp_path / "again", Workspace(tmp_path / "cache", progress=False)).summary
    assert (server.count, summary.generated) == (36, 0)
    more = sums_data(tmp_path)["dataset"]
    (tmp_path / "test.jsonl").write_text(
        json.dumps({**ROWS[0], "question": "Ann has 3 pens and buys 2 more?"}) + "\n"
    )
    with pytest.raises(ConfigError, match="1 of its texts are not in the store"):
        run(
            Recipe.parse({**recipe_data_as_written(tmp_path, server), "dataset": more}),
            tmp_path / "more",
            Workspace(tmp_path / "cache", progress=False),
        )


def test_a_result_says_what_its_texts_took_whoever_paid(server: ApiServer, tmp_path: Path) -> None:
    def built(**changes: Any) -> Summary:
        recipe = Recipe.parse(recipe_data(tmp_path, server, **changes))
        return run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False)).summary

    first, again = built(), built(score__strategy="consistency")
    assert (first.cost, again.cost) == (pytest.approx(0.72), 0.0)
    assert first.used["cost"] == again.used["cost"] == pytest.approx(0.72)
    assert again.used["prompt_tokens"] == 360


def test_a_split_without_rows_took_nothing(server: ApiServer, tmp_path: Path) -> None:
    recipe = Recipe.parse(recipe_data(tmp_path, server))
    raw = Dataset.from_dict({name: [] for name in RAW}, features=RAW)
    with Workspace(tmp_path / "cache", progress=False) as workspace:
        answer_stage.run(DatasetDict(train=raw), recipe, workspace)
        (report,) = workspace.reports
    assert (report.rows_in, report.used.cost) == (0, 0.0)


def test_killed_right_after_an_output_its_cost_is_known(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.parse(recipe_data(tmp_path, server))
    rename = Path.replace

    def killed_after(path: Path, target: Path) -> Path:
        made = rename(path, target)
        if made.suffix == ".arrow":
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(Path, "replace", killed_after)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False))
    monkeypatch.setattr(Path, "replace", rename)
    assert len(list((tmp_path / "cache" / "stages").glob("answer-*.arrow"))) == 1
    summary = run(recipe, tmp_path / "out", Workspace(tmp_path / "cache", progress=False)).summary
    assert summary.used["cost"] == pytest.approx(0.72)


def test_mode_a_refuses_another_source_or_question(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = recipe_data(tmp_path, server)["answer"]["generator"]
    sources = {name: {"generator": {**engine, "temperature": at}} for at, name in enumerate(("one", "two"))}
    recipe = write_recipe(tmp_path, server, sources=sources)
    raw, out = tmp_path / "raw.jsonl", tmp_path / "out.jsonl"
    raw.write_text(json.dumps({"id": "r", **ROWS[0], "answer": [ROWS[0]["answer"]]}) + "\n")
    command = ["respond", str(raw), str(out), "--recipe", recipe, "-q", "--mode", "a", "--name"]
    assert main([*command, "one"]) == 0
    assert main([*command, "two"]) == 2
    assert "holds responses of 'one'" in capsys.readouterr().err
    raw.write_text(json.dumps({"id": "r", **ROWS[1], "answer": [ROWS[1]["answer"]]}) + "\n")
    assert main([*command, "one"]) == 2
    assert "another question under the id 'r'" in capsys.readouterr().err
    assert server.count == 1


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_paid(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, server)
    (given := tmp_path / "in").mkdir()
    command = ["answer", str(given), str(tmp_path / "out.jsonl"), "--recipe", recipe, "-q"]
    for split in ("train", "test"):
        rows = [{"id": f"{split}-{n}", **row, "answer": [row["answer"]]} for n, row in enumerate(ROWS[:2])]
        (given / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(command) == 2
    assert "is one file, but there are the splits" in capsys.readouterr().err
    assert server.count == 0
