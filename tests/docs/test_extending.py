"""Tasks and tools from outside: files that a recipe names, entry points of packages, and what is never run."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

from tests.report.support import questions_of
from tests.support import scripted
from tests.support.recipes import sums_data, sums_recipe
from toolgen_hf import Recipe, Workspace, execute, run
from toolgen_hf.cli import main
from toolgen_hf.errors import ConfigError
from toolgen_hf.flow.make import make
from toolgen_hf.metrics import evaluate_target, tool_use
from toolgen_hf.recipe.questions import load_raw
from toolgen_hf.report.html import write_report
from toolgen_hf.stages.respond import SourceConfig, respond
from toolgen_hf.tasks import Task, get_task, identity
from toolgen_hf.tools import get_tool

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/dates"
SCRIPTED = [
    "answer.generator.model=wrong",
    "sources.smollm2-fewshot.generator.model=right",
    "dataset.splits={train: 'train[:6]', test: 'train[6:8]'}",
]


@pytest.fixture
def dates(tmp_path: Path) -> Path:
    """A copy of the example, to be edited."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "dates", ignore=shutil.ignore_patterns("__pycache__")))


def build(folder: Path, output: Path) -> list[str]:
    """Run the example with scripted models; the stages that ran, and not from the cache."""
    with Workspace() as workspace:
        run(Recipe.load(folder / "dates.yaml", SCRIPTED), output, workspace)
        return [report.stage for report in workspace.reports if not report.cached]


@pytest.mark.usefixtures("scripted_models")
def test_the_example_runs_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = [part for change in SCRIPTED for part in ("--set", change)]
    assert main(["run", str(EXAMPLE / "dates.yaml"), "-o", "out", "-q", *changes]) == 0
    one = load_dataset("out", "stage1", cache_dir=str(tmp_path / "cache"))
    assert [len(one["train"]), len(one["test"])] == [6, 2]
    assert one["train"][2]["output"] == "calendar(weekday(add_days(2012-12-07, 256)))"
    talked = load_dataset("out", "tool_calling", cache_dir=str(tmp_path / "cache"))["train"][2]
    assert talked["tools"][0]["function"]["name"] == "calendar"
    assert [turn["content"] for turn in talked["messages"]][2:] == ["Tuesday", "The answer is Tuesday."]
    assert main(["evaluate", "out", "--task", f"{EXAMPLE / 'dates.py'}:Dates", "--json"]) == 0
    monkeypatch.chdir(ROOT)
    again = run(Recipe.load("docs/examples/dates/dates.yaml", SCRIPTED), tmp_path / "out")
    assert again.summary.up_to_date


@pytest.mark.usefixtures("scripted_models")
def test_a_result_says_what_it_was_made_with_and_not_where(tmp_path: Path, dates: Path) -> None:
    build(dates, tmp_path / "out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["task"] == "dates"
    told = manifest["outside"]
    assert {key: (part["name"], part["version"], part["file"]) for key, part in told.items()} == {
        "task": ("dates", 1, "dates.py"),
        "tool": ("calendar", 1, "calendar_tool.py"),
    }
    assert [told["task"]["sha256"], told["tool"]["sha256"]] == identity(
        get_task(f"{dates / 'dates.py'}:Dates")
    )[2:]
    recipe = yaml.safe_load((tmp_path / "out/recipe.yaml").read_text())
    assert recipe["task"] == "dates"
    assert recipe["dataset"]["data_files"] == {"train": "questions.jsonl"}
    card = (tmp_path / "out/README.md").read_text()
    assert "the tool `calendar` (version 1) is written in `calendar_tool.py`, SHA-256" in card
    for name in ("README.md", "recipe.yaml", "manifest.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()


@pytest.mark.usefixtures("scripted_models")
@pytest.mark.parametrize("name", ["dates.py", "calendar_tool.py"])
def test_an_edited_file_runs_its_stages_again(tmp_path: Path, dates: Path, name: str) -> None:
    build(dates, tmp_path / "out")
    asked = len(scripted.CALLS)
    assert build(dates, tmp_path / "out") == []
    with (dates / name).open("a") as file:
        file.write("\n# a remark\n")
    ran = build(dates, tmp_path / "out")
    assert {"answer", "tool_api", "stage1", "execute gold", "score", "tool_calling"} <= set(ran)
    assert "respond smollm2-fewshot" not in ran  # a source's texts do not depend on how they are graded
    assert len(scripted.CALLS) == asked  # nor do the prompts: the store has every text


def test_an_edited_tool_is_what_runs_in_the_same_process(dates: Path) -> None:
    reference = f"{dates / 'dates.py'}:Dates"
    assert get_task(reference) is get_task(reference)
    assert get_task(reference).tool.run("weekday(2024-03-16)") == "Saturday"
    file = dates / "calendar_tool.py"
    file.write_text(file.read_text().replace('"Saturday"', '"Caturday"'))
    assert get_task(reference).tool.run("weekday(2024-03-16)") == "Caturday"


@pytest.mark.usefixtures("scripted_models")
def test_stages_take_a_task_by_its_path_or_itself(dates: Path) -> None:
    reference = f"{dates / 'dates.py'}:Dates"
    recipe = Recipe.load(dates / "dates.yaml", SCRIPTED)
    source = recipe.sources["smollm2-fewshot"]
    with Workspace() as workspace:
        raw, _ = load_raw(recipe.dataset)
        said = respond(raw, "few", SourceConfig(generator=source.generator), workspace, reference)
        by_path = execute(said, workspace, reference)
        by_itself = execute(said, workspace, get_task(reference))
        assert by_path["train"]._fingerprint == by_itself["train"]._fingerprint
        assert by_path["train"]._fingerprint != execute(said, workspace)["train"]._fingerprint
    figures = tool_use(["calendar(weekday(2024-03-16))"], [["Saturday"]], task=get_task(reference))
    assert figures["accuracy"] == 1.0


def test_what_ships_is_identified_by_name_and_version_alone() -> None:
    """As before there were others: what people have in their caches stays valid."""
    task, tool = get_task("math"), get_tool("calculator")
    assert identity(task) == ["math", task.version]
    assert identity(tool) == ["calculator", tool.version]


# What is said of a file that cannot be used.

TOOL = """
from toolgen_hf.tools import Tool
class Echo(Tool):
    name, version, description = "echo", 1, "Says it again."
    parameter = parameter_description = "text"
    def run(self, argument):
        return argument
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Other: pass", r"'.*t\.py:Echo': the file has no 'Echo'"),
        (TOOL.replace("def run", "def ran"), r"cannot be made: TypeError.*abstract method.*run"),
        (TOOL.replace("1, ", "'1', "), r"lacks 'version', a whole number \(see docs/extending.md\)"),
        (TOOL.replace('"echo"', "None"), r"lacks the text 'name'"),
        (TOOL.replace('"echo"', '"Echo it"'), r"the name 'Echo it' must be of letters"),
        (TOOL.replace('"echo"', '"calculator"'), r"is called 'calculator', as one that ships"),
        ("class Echo: pass", r"lacks the text 'name', .*the method 'schema'"),
        ("x = 1\nclass Echo(", r"tool 't\.py', line 2: cannot be loaded: SyntaxError"),
        ("x = 1\n\n1/0", r"tool 't\.py', line 3: cannot be loaded: ZeroDivisionError"),
        ("import t_helper", r"ModuleNotFoundError.*beside=__file__"),
    ],
)
def test_a_file_that_is_no_tool_says_what_is_missing(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "t.py").write_text(source)
    with pytest.raises(ConfigError, match=message):
        get_tool("t.py:Echo", beside=tmp_path / "task.py")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("dates.py", r"task 'dates.py': say which name of the file"),
        ("./dates:Dates", r"the file ends in .py"),
        (
            "nowhere/dates.py:Dates",
            r"task 'nowhere/dates.py': no such file.*relative to the recipe's own folder",
        ),
        ("mth", r"unknown task 'mth'; known tasks: math, .*; did you mean 'math'\?.*path/to/file.py:NAME"),
    ],
)
def test_a_reference_that_leads_nowhere(reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_task(reference)


def test_prompts_are_checked(dates: Path) -> None:
    file = dates / "dates.py"
    source = file.read_text()
    file.write_text(source.replace('"tool_api": {', '"tool_apy": {'))
    with pytest.raises(ConfigError, match="its prompts lack 'tool_api'"):
        get_task(f"{file}:Dates")
    file.write_text(source.replace("prompts = PROMPTS", "prompts = 'prompts'"))
    with pytest.raises(ConfigError, match=r"give a mapping by name, or a pathlib\.Path"):
        get_task(f"{file}:Dates")


def test_prompts_may_lie_beside_the_file(dates: Path) -> None:
    from toolgen_hf.tasks.prompts import is_example, load_prompts

    inline = get_task(f"{dates / 'dates.py'}:Dates")
    (dates / "prompts").mkdir()
    for name, prompt in inline.prompts.items():
        (dates / "prompts" / f"{name}.json").write_text(json.dumps(prompt))
    source = (dates / "dates.py").read_text()
    there = source.replace(
        "prompts = PROMPTS", "prompts = __import__('pathlib').Path(__file__).parent / 'prompts'"
    )
    (dates / "dates.py").write_text(there)
    beside = get_task(f"{dates / 'dates.py'}:Dates")
    assert load_prompts(beside, "respond") == load_prompts(inline, "respond")
    assert is_example(beside, "How many days is it from 5 March 2021 to 1 June 2021?")


# What a recipe's paths mean, and what is never run.


def test_a_recipes_task_is_seen_from_its_folder_and_a_change_from_here(
    tmp_path: Path, dates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dates.py").write_text("raise AssertionError('not this one')")
    assert Recipe.load("dates/dates.yaml").task == "dates/dates.py:Dates"
    with pytest.raises(ConfigError, match="not this one"):
        Recipe.load("dates/dates.yaml", ["task=dates.py:Dates"])


def test_the_parts_of_a_mix_have_theirs(tmp_path: Path, dates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixes").mkdir()
    parts = {"dates": {"recipe": "dates/dates.yaml"}, "sums": {"recipe": "quickstart"}}
    (tmp_path / "mixes/mix.yaml").write_text(yaml.safe_dump({"name": "both", "mix": {"parts": parts}}))
    mixed = Recipe.load("mixes/mix.yaml")
    assert mixed.recipes["dates"].task == "dates/dates.py:Dates"
    assert yaml.safe_load(mixed.to_yaml())["mix"]["parts"]["dates"]["recipe"]["task"] == "dates"
    assert sum(map(len, load_raw(mixed.recipes["dates"].dataset)[0].values())) == 40


@pytest.mark.usefixtures("scripted_models")
def test_what_came_with_a_data_set_is_never_run(
    tmp_path: Path, dates: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build(dates, tmp_path / "out")
    marker = tmp_path / "it-ran"
    for place in (tmp_path / "out", tmp_path):
        (place / "evil.py").write_text(f"open({str(marker)!r}, 'w')")
    recipe = tmp_path / "out/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("task: dates\n", "task: evil.py:Dates\n"))
    manifest = tmp_path / "out/manifest.json"
    manifest.write_text(manifest.read_text().replace('"task": "dates"', '"task": "evil.py:Dates"'))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"lies in a data set and names the file 'evil.py:Dates'"):
        Recipe.load(recipe)
    for look in (evaluate_target, write_report):
        with pytest.raises(
            ConfigError, match=r"names the file 'evil.py:Dates' as its task, which is not run"
        ):
            look(tmp_path / "out")
    assert main(["show", "out"]) == 0
    assert main(["diff", "out", "out"]) == 0
    load_dataset("out", "stage2", cache_dir=str(tmp_path / "cache"))
    parts = {"old": {"source": "out"}}
    mix = load_recipe_of(tmp_path, {"name": "again", "mix": {"parts": parts}})
    assert run(mix, tmp_path / "mixed").summary.mix
    assert not marker.exists()
    write_report(tmp_path / "out", task=f"{dates / 'dates.py'}:Dates")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"base_url": "https://else.where/v1"},
            "the server 'https://else.where/v1', which would get your key",
        ),
        ({"keys_file": "/etc/hostname"}, "the file '/etc/hostname', whose content would be sent"),
        (
            {"base_url": "https://mine.westeurope.cloudapp.azure.com/v1"},
            "the server 'https://mine.westeurope.cloudapp.azure.com/v1'",
        ),
        ({"base_url": "http://localhost:1/v1"}, None),
        ({"base_url": "https://mine.openai.azure.com/v1"}, None),
    ],
)
@pytest.mark.parametrize("is_mix", [False, True])
def test_a_recipe_that_came_with_a_data_set_sends_nobodys_keys(
    tmp_path: Path, settings: dict[str, str], message: str | None, is_mix: bool
) -> None:
    recipe = sums_data(tmp_path / "set")
    recipe["tool_api"] = {"teachers": [{"kind": "openai", "engine": "x", **settings}]}
    data = {"name": "both", "mix": {"parts": {"one": {"recipe": recipe}}}} if is_mix else recipe
    (tmp_path / "set/manifest.json").write_text('{"toolgen_hf": "0.1.0", "files": {}}')
    (tmp_path / "set/recipe.yaml").write_text(yaml.safe_dump(data))
    if message is None:
        Recipe.load(tmp_path / "set/recipe.yaml")
        return
    with pytest.raises(ConfigError, match=rf"this recipe lies in a data set and names {message}"):
        Recipe.load(tmp_path / "set/recipe.yaml")
    Recipe.load(shutil.copy(tmp_path / "set/recipe.yaml", tmp_path))


def load_recipe_of(folder: Path, data: dict[str, object]) -> Recipe:
    (folder / "again.yaml").write_text(yaml.safe_dump(data))
    return Recipe.load(folder / "again.yaml")  # type: ignore[return-value]


@pytest.mark.usefixtures("scripted_models")
def test_where_a_sets_task_is_not_known_that_is_said(tmp_path: Path, dates: Path) -> None:
    build(dates, tmp_path / "out")
    for look in (evaluate_target, write_report):
        with pytest.raises(
            ConfigError, match=r"is of the task 'dates', which is not known here: give its file with --task"
        ):
            look(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"task: unknown task 'dates'"):
        Recipe.load(tmp_path / "out/recipe.yaml")
    copied = shutil.copy(tmp_path / "out/recipe.yaml", dates / "again.yaml")
    again = Recipe.load(copied, [f"task={dates / 'dates.py'}:Dates"])
    assert again.to_yaml() == (tmp_path / "out/recipe.yaml").read_text()


@pytest.mark.usefixtures("scripted_models")
def test_each_row_of_a_mix_is_graded_by_its_own_task(tmp_path: Path, dates: Path) -> None:
    build(dates, tmp_path / "dated")
    sums = run(sums_recipe(tmp_path / "sums"), tmp_path / "summed").directory
    parts = {"dates": {"source": str(tmp_path / "dated")}, "sums": {"source": str(sums)}}
    mixed = run(
        load_recipe_of(tmp_path, {"name": "both", "mix": {"parts": parts}}), tmp_path / "out"
    ).directory
    for look in (evaluate_target, write_report):
        with pytest.raises(
            ConfigError, match="is of the task 'dates', which is not known here: give its file"
        ):
            look(mixed)
    task = f"{dates / 'dates.py'}:Dates"
    board = evaluate_target(mixed, task=task)
    assert board.task == "math, dates"
    gold = board.sources["gold"]
    assert (gold["overall"]["accuracy"], gold["overall"]["ungradable"]) == (1.0, 0)
    assert gold["datasets"].keys() == {"Dates", "Sums"}
    alone = evaluate_target(sums).sources["gold"]
    assert (gold["datasets"]["Sums"], alone["datasets"]) == (alone["overall"], {})
    mine = tmp_path / "mine.jsonl"
    rows = load_dataset(str(mixed), "stage1", split="train", cache_dir=str(tmp_path / "cache"))
    mine.write_text("".join(json.dumps({"id": row["id"], "response": row["output"]}) + "\n" for row in rows))
    told = evaluate_target(mine, mixed, task=task).sources["mine"]
    assert told["overall"]["accuracy"] == 1.0
    assert told["datasets"].keys() == {"Dates", "Sums"}
    page = write_report(mixed, task=task).read_text(encoding="utf-8")
    assert {entry["responses"][0]["verdict"] for entry in questions_of(page)} == {"right"}


def test_what_the_hubs_client_fetched_is_a_data_set(dates: Path) -> None:
    (dates / ".cache/huggingface/download").mkdir(parents=True)
    with pytest.raises(ConfigError, match="lies in a data set"):
        Recipe.load(dates / "dates.yaml")


# Entry points.


def install(site: Path, package: str, points: dict[str, dict[str, str]], source: str) -> None:
    """A package as pip leaves it: its module, and what it says of itself."""
    (site / package).mkdir(parents=True)
    (site / package / "__init__.py").write_text(source)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    groups = [
        f"[toolgen_hf.{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
        for group, named in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def written(package: str) -> str:
    """The example as one module, as its author would publish it."""
    tool = (EXAMPLE / "calendar_tool.py").read_text()
    task = (EXAMPLE / "dates.py").read_text().replace("from __future__ import annotations\n", "")
    task = task.replace('get_tool("calendar_tool.py:CALENDAR", beside=__file__)', "CALENDAR")
    return tool + f"\nPACKAGE = {package!r}\n" + task


@pytest.mark.usefixtures("scripted_models")
def test_an_installed_package_gives_a_task_a_name(site: Path, tmp_path: Path) -> None:
    points = {"tasks": {"dates": "dated_a:Dates"}, "tools": {"calendar": "dated_a:CALENDAR"}}
    install(site, "dated_a", points, written("dated_a"))
    get_task("math")
    assert "dated_a" not in sys.modules  # nothing is imported before it is asked for
    with pytest.raises(ConfigError, match=r"known tasks: math, .*, dates \("):
        get_task("chess")
    assert "dated_a" not in sys.modules
    task = get_task("Dates")
    assert get_tool("calendar") is task.tool
    assert get_task("dates") is task
    data = Recipe.load(EXAMPLE / "dates.yaml", [*SCRIPTED, "task=dates"])
    result = run(data, tmp_path / "out")
    assert len(result.configs["stage1"]["train"]) == 6
    told = json.loads((tmp_path / "out/manifest.json").read_text())["outside"]
    assert [part["package"] for part in told.values()] == ["dated_a 1.0", "dated_a 1.0"]
    assert evaluate_target(tmp_path / "out").task == "dates"  # known here, so nothing need be given
    assert write_report(tmp_path / "out").exists()


def test_a_name_that_two_have_names_both(site: Path) -> None:
    install(
        site, "dated_b", {"tasks": {"dates": "dated_b:Dates", "math": "dated_b:Dates"}}, written("dated_b")
    )
    install(site, "dated_c", {"tasks": {"Dates": "dated_c:Dates"}}, written("dated_c"))
    with pytest.raises(
        ConfigError, match=r"(?s)'dated_b:Dates'.*'dated_b 1.0'.*'dated_c:Dates'.*'dated_c 1.0'"
    ):
        get_task("dates")
    with pytest.raises(
        ConfigError, match=r"ships with toolgen_hf, and also 'dated_b:Dates' of the package 'dated_b 1"
    ):
        get_task("math")


@pytest.mark.parametrize(
    ("points", "source", "message"),
    [
        ({"times": "dated_{n}:Dates"}, None, r"calls itself 'dates': both must have one name"),
        ({"dates": "dated_{n}:Nothing"}, None, r"cannot be loaded: AttributeError"),
        ({"dates": "dated_{n}:Dates"}, "import not_there", r"cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_package_that_cannot_be_used(
    site: Path, points: dict[str, str], source: str | None, message: str, request: pytest.FixtureRequest
) -> None:
    package = f"dated_{request.node.callspec.indices['message']}"
    named = {name: value.replace("dated_{n}", package) for name, value in points.items()}
    install(site, package, {"tasks": named}, source or written(package))
    with pytest.raises(ConfigError, match=message):
        get_task(next(iter(named)))


# The page.

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


def test_the_pages_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = PAGE.partition("## Tools of an MCP server")[0]  # which needs a file: test_pages.py runs it
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    names: dict[str, object] = {"__name__": "page"}
    exec(code, names)
    assert names["task"].name == "backwards"  # type: ignore[attr-defined]


def test_the_page_names_all_that_a_task_and_a_tool_have() -> None:
    from toolgen_hf import tasks, tools

    for name in {
        *tasks.TEXTS,
        *tasks.METHODS,
        *tasks.PROMPTS,
        *tools.TEXTS,
        *tools.METHODS,
        "version",
        "tool",
        "prompts",
    }:
        assert f"`{name}" in PAGE, name


@pytest.mark.usefixtures("scripted_models")
def test_the_pages_own_task_goes_through_the_whole_flow(tmp_path: Path) -> None:
    """From a file with one class and inline prompts to both sets: nothing else is needed."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2])
    (tmp_path / "words.py").write_text(code)
    rows = [
        {"question": f"Write {w} backwards.", "answer": w[::-1], "solution": w}
        for w in ("lamp", "snow", "noon")
    ]
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "mine",
                "task": "words.py:Backwards",
                "dataset": {
                    "builder": "qa",
                    "data_files": {"train": "words.jsonl"},
                    "columns": {"solution": "solution"},
                },
                "answer": {"generator": {"kind": "local", "model": "wrong"}},
                "sources": {
                    "talker": {"generator": {"kind": "local", "model": "wrong"}, "prompt": "few_shot"}
                },
            }
        )
    )
    with Workspace() as workspace:
        made = make(Recipe.load(tmp_path / "mine.yaml"), workspace)
    assert made.configs["stage1"]["train"]["output"] == ["reverse(lamp)", "reverse(snow)", "reverse(noon)"]
    assert [scores[0] for scores in made.configs["stage2"]["train"]["scores"]] == [20, 20, 20]


def test_a_task_is_checked_by_its_methods_not_its_base() -> None:
    class Like:
        """Not a subclass: what it has is what counts."""

    math = get_task("math")
    for name in dir(Task):
        if not name.startswith("_"):
            setattr(Like, name, getattr(math, name))
    for name in ("name", "version", "tool", "instruction", "query_instruction", "prompts"):
        setattr(Like, name, getattr(math, name))
    assert get_task(Like()).extract("The answer is 3.") == "3.0"  # type: ignore[arg-type]
