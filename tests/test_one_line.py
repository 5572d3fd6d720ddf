"""A new task, tool, model or stage is one folder or file, and one line in the registry of its kind.

The line is what each test adds: ``TASKS["backwards"] = ...``, ``TOOLS["reverse"] = ...``, ``GENERATORS["echo"] = ...``,
``STAGES["hint"] = ...``.
Everything else (recipes, commands, cards, grading, the store) must then know the new part by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from datasets import Dataset, DatasetDict, Features, Value, load_dataset

from tests.support.recipes import ROWS
from tests.test_layers import file_graph
from toolgen_hf import Workspace, answer, execute, models, respond, schemas, stage1, tasks, tool_api, tools
from toolgen_hf.ask import Ask, Generation, Prompt, Request
from toolgen_hf.cli import main
from toolgen_hf.errors import ConfigError
from toolgen_hf.models.config import Config
from toolgen_hf.runtime.runner import Stage
from toolgen_hf.stages import STAGES, Command, Entry
from toolgen_hf.stages.respond import SourceConfig

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
WORDS = [
    {"question": f"Write {word} backwards.", "answer": word[::-1], "solution": word}
    for word in ("lamp", "snow", "tree", "noon")
]


@pytest.mark.usefixtures("scripted_models")
def test_a_task_and_its_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code: dict[str, Any] = {"__name__": "page"}
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]), code)
    monkeypatch.setitem(tools.TOOLS, "reverse", code["tool"])
    monkeypatch.setitem(tasks.TASKS, "backwards", code["task"])

    assert tools.get_tool("Reverse") is code["tool"]
    assert tasks.get_task("backwards") is code["task"]
    assert tasks.identity(code["task"]) == ["backwards", 1]
    with pytest.raises(ConfigError, match=r"known tasks: math, .*, backwards \("):
        tasks.get_task("chess")

    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in WORDS))
    recipe = {
        "name": "words",
        "task": "backwards",
        "dataset": {
            "builder": "qa",
            "name": "Words",
            "data_files": {"train": str(tmp_path / "words.jsonl")},
            "columns": {"solution": "solution"},
        },
        "answer": {"generator": {"kind": "local", "model": "wrong"}},
        "sources": {"talker": {"generator": {"kind": "local", "model": "wrong"}, "prompt": "few_shot"}},
    }
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(recipe))
    out = str(tmp_path / "out")
    assert main(["check", str(tmp_path / "words.yaml"), "-q"]) == 1  # only the scripted models are not there
    assert main(["run", str(tmp_path / "words.yaml"), "-o", out, "-q"]) == 0
    made = load_dataset(out, "stage1", split="train", cache_dir=str(tmp_path / "cache"))
    assert made["output"] == [f"reverse({row['solution']})" for row in WORDS]
    talked = load_dataset(out, "tool_calling", split="train", cache_dir=str(tmp_path / "cache"))
    assert talked[0]["tools"][0]["function"]["name"] == "reverse"
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["task"] == "backwards"
    assert not manifest.get("outside")  # it ships
    for command in (["show", out], ["evaluate", out], ["report", out], ["diff", out, out]):
        assert main(command) == 0, command
    assert "calculator" not in capsys.readouterr().out


class EchoConfig(Config):
    """The config of the new model; ``says`` is a template over a question's two numbers."""

    kind: Literal["echo"] = "echo"
    says: str
    name: str = "echo"
    trained_adapter: None = None


class Echo:
    """The whole new model."""

    is_batch = False

    def __init__(self, config: EchoConfig) -> None:
        self.config = config

    def identity(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def check(self) -> None:
        return None

    def generate(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Generation]]]:
        for at, request in enumerate(requests):
            one, two = re.findall(r"\d+", request.prompt.user.split("Question: ")[-1])[:2]
            text = self.config.says.format(one=one, two=two, sum=int(one) + int(two))
            yield [(at, Generation(text, "stop", 10, 5))]

    def parse(self, raw: str) -> Generation:
        raise NotImplementedError

    def estimate(self, prompt: Prompt) -> tuple[int, int]:
        return 10, 5

    def describe(self) -> str:
        return "an echo"

    def terms(self) -> str:
        return "not stated"

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        return 0.0


def test_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.GENERATORS, "echo", f"{__name__}:Echo")
    student, teacher = EchoConfig(says="The answer is 1."), EchoConfig(says="calculator({one}+{two})")
    source = EchoConfig(says="That makes {sum}. The answer is {sum}.")
    rows = [{"id": f"Sums-train-{n}", **row, "answer": [row["answer"]]} for n, row in enumerate(ROWS)]
    raw = DatasetDict(train=Dataset.from_list(rows, features=schemas.RAW))
    with Workspace(progress=False) as workspace:
        answered = answer(raw, student, workspace)  # type: ignore[arg-type]
        called = tool_api(answered, [teacher], workspace)  # type: ignore[list-item]
        assert [row["output"].split("(")[0] for row in stage1(called, workspace)["train"]] == [
            "calculator"
        ] * len(ROWS)
        config = SourceConfig.model_construct(generator=source)  # type: ignore[arg-type]
        said = execute(respond(raw, "echo", config, workspace), workspace)["train"]
        assert all(said["correct"])
        assert sum(report.generated for report in workspace.reports) == 3 * len(ROWS)


def test_only_the_registry_names_a_task_and_a_tool() -> None:
    """No other module imports a task of its own accord, or the tool of one."""
    files = file_graph(ROOT)
    allowed = {"toolgen_hf.tasks", "toolgen_hf.stages.tool_api"}  # the version of the annotations teacher
    for module, others in files.items():
        if not module.startswith("toolgen_hf.tasks.math") and module not in allowed:
            assert not [other for other in others if other.startswith("toolgen_hf.tasks.math")], module
        if not module.startswith(("toolgen_hf.tools", "toolgen_hf.tasks.math")):
            assert "toolgen_hf.tools.calculator" not in others, module


HINT = Stage(
    "hint", version=1, features=Features({**schemas.RAW, "hint": Value("string")}), reads=schemas.RAW
)


def run(rows: DatasetDict, recipe: Any, workspace: Workspace, name: str | None = None) -> DatasetDict:
    """The whole new stage: the student gives a hint to every question."""
    student = workspace.texts(models.build(recipe.student.generator), "hint")

    async def function(row: dict[str, Any]) -> dict[str, Any]:
        made = await Ask().text(student, Prompt("Give a hint.", row["question"]))
        return {**{column: row[column] for column in schemas.RAW}, "hint": made.text}

    return HINT.run(rows, function, {"student": student.settings}, workspace, texts=[student])


@pytest.mark.usefixtures("scripted_models")
def test_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed, has a command with its dry run, and its texts are stored and found again."""
    command = Command("get a hint for every question", "raw.jsonl hints.jsonl", asks=True)
    monkeypatch.setitem(STAGES, "hint", Entry("tests.test_one_line:HINT", "a model gives a hint", command))
    raw, out = tmp_path / "raw.jsonl", tmp_path / "hints.jsonl"
    raw.write_text(json.dumps({"id": "a", "question": "2 and 3?", "answer": ["5"], "solution": None}) + "\n")
    words = ["hint", str(raw), str(out), "-q", "--set", "answer.generator={kind: local, model: right}"]

    assert main([*words, "--dry-run"]) == 0
    assert "1" in capsys.readouterr().out
    assert not out.exists()
    for _ in range(2):
        assert main(words) == 0
        assert json.loads(out.read_text())["hint"] == "That makes 5. The answer is 5."
    assert main(["stages"]) == 0
    assert "hint       v1  a model gives a hint" in capsys.readouterr().out
