"""Writes the reference in ``docs/`` from the code: recipe keys, columns, commands, errors.

    python -m tests.docs.generate

It replaces the text between ``<!-- generated: recipe -->`` and ``<!-- end -->`` and leaves the rest of a page alone.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import textwrap
import types
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from datasets import Features, List, Value
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.docs.pages import ROOT
from toolgen_hf import cli, errors, schemas, stages
from toolgen_hf.builders.columns import ALIASES
from toolgen_hf.builders.question_sets import CONFIGS as QUESTION_SETS
from toolgen_hf.cli import parser
from toolgen_hf.data import export
from toolgen_hf.data.tables import OPTIONAL
from toolgen_hf.finetune import FinetuneConfig
from toolgen_hf.models.config import (
    AnnotationsConfig,
    FileConfig,
    LocalConfig,
    OpenAIConfig,
    PriceConfig,
    RayConfig,
    VllmConfig,
)
from toolgen_hf.recipe import (
    AnswerConfig,
    DatasetConfig,
    PreferenceConfig,
    Recipe,
    ScoreConfig,
    ToolApiConfig,
)
from toolgen_hf.recipe.recipe import MixSettings, PartConfig
from toolgen_hf.stages.respond import SourceConfig

# Markdown.


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. A bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def prose(docstring: str | None) -> str:
    """The paragraphs of a docstring, without its examples and sections, as Markdown."""
    text = re.split(r"\n\s*\n(?:Raises|Args|Returns):", docstring or "")[0]
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text) if not p.startswith("    ")]
    return re.sub(r"``(.+?)``", r"`\1`", "\n\n".join(paragraphs))


def line(docstring: str | None) -> str:
    return prose(docstring).replace("\n\n", " ")


def indented(docstring: str | None) -> str:
    """The first indented block of a docstring, as a fence."""
    found = re.search(r"\n\n((?:    .*\n)+)", docstring or "")
    assert found
    return f"```text\n{inspect.cleandoc(found[1])}\n```"


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# The recipe: its keys are the fields of pydantic models, and their docstrings say what a key means.

RECIPE: dict[type[BaseModel], str] = {
    Recipe: "The recipe",
    DatasetConfig: "dataset",
    AnswerConfig: "answer",
    ToolApiConfig: "tool_api",
    FinetuneConfig: "finetune.NAME",
    SourceConfig: "sources.NAME",
    ScoreConfig: "score",
    PreferenceConfig: "preference",
    Recipe.model_fields["tool_calling"].annotation: "tool_calling",  # type: ignore[dict-item]
    RayConfig: "runner",
}
GENERATORS: dict[type[BaseModel], str] = {
    LocalConfig: "kind: local",
    VllmConfig: "kind: vllm",
    OpenAIConfig: "kind: openai",
    AnnotationsConfig: "kind: annotations",
    FileConfig: "kind: file",
    PriceConfig: "price",
}
MIX: dict[type[BaseModel], str] = {
    MixSettings: "mix",
    PartConfig: "mix.parts.NAME",
}
TITLES = RECIPE | GENERATORS | MIX
WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
    dict: "mapping",
    type(None): "null",
}
BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


def keys(model: type[BaseModel]) -> str:
    """A heading, the docstring of a model, and a table of its fields."""
    told = field_docs(model)
    rows = [[f"`{n}`", kind(f), default(f), line(told[n])] for n, f in model.model_fields.items()]
    header = ["key", "type", "default", "meaning"]
    return f"### {TITLES[model]}\n\n{prose(inspect.getdoc(model))}\n\n{table(header, rows)}"


def kind(field: FieldInfo) -> str:
    """The type of a field in words, with its bounds."""
    bounds = [
        words.format(getattr(rule, bound))
        for rule in field.metadata
        for bound, words in BOUNDS.items()
        if hasattr(rule, bound)
    ]
    return ", ".join([type_words(field.annotation), *bounds])


def type_words(annotation: Any) -> str:
    """``int | None`` is "whole number or null"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in TITLES:
        return f"[{TITLES[annotation]}](#{anchor(TITLES[annotation])})"
    if annotation in WORDS:
        return WORDS[annotation]
    if origin is Annotated:
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(type_words, arguments)))
    if origin is tuple:
        return f"list of {type_words(arguments[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        values = type_words(arguments[1])
        return f"mapping of {type_words(arguments[0])} to {f'({values})' if ' or ' in values else values}"
    return str(getattr(annotation, "__name__", annotation))


def default(field: FieldInfo) -> str:
    """The default of a field as it is written in YAML."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own defaults"
    if value is None:
        return "null"
    if value in ((), {}):
        return "none"
    if isinstance(value, tuple):
        return (
            "`["
            + ", ".join(f"{{kind: {one.kind}}}" if hasattr(one, "kind") else str(one) for one in value)
            + "]`"
        )
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The string under each field in the source of a model and its base classes."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
            for field, after in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
                    found[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(after.value))
    return found


def anchor(title: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


# Columns: from the list of stages and the schemas.

CONFIGS = {name: config for name, config in stages.configs().items() if name != "responses-gold"}
CONFIGS |= {name: CONFIGS.pop(name) for name in ("rejected", "responses-NAME")}  # the last ones on the page
ATTEMPTS = (
    "every attempt of a teacher: `result` is the result of its call, `reason` is why it was not accepted"
)


def configs() -> str:
    """A table for each config of a produced directory."""
    parts = []
    for name, config in CONFIGS.items():
        told = columns(config.features, config.columns)
        parts.append(f"### {name}\n\n{sentence(config.about)}\n\n{told}")
    mixed = columns(dict.fromkeys(stages.OF_A_MIX, Value("string")), stages.OF_A_MIX)
    return "\n\n".join([*parts, f"### In a mix\n\nEvery config also has:\n\n{mixed}"])


def stage_files() -> str:
    """The columns of each file between two commands, and the list of stages."""
    told = schema_comments() | {
        "fewshot_overlap": CONFIGS["stage1"].columns["fewshot_overlap"],
        "attempts": ATTEMPTS,
    }
    answered = {n: f for n, f in schemas.ANSWERED.items() if n not in schemas.RAW}
    called = {n: f for n, f in schemas.CALLED.items() if n not in schemas.ANSWERED}
    rows = [[name, str(entry.stage.version), entry.does] for name, entry in stages.STAGES.items()]
    source = "[responses-NAME](#responses-name)"
    return "\n\n".join(
        [
            "### answered\n\n`toolgen-hf answer` writes it, `tool-api` reads it. "
            f"It has the columns of [raw](#raw) and:\n\n{columns(answered, told)}",
            "### called\n\n`toolgen-hf tool-api` writes it, `stage1` reads it. "
            f"It has the columns of `answered` and:\n\n{columns(called, told)}",
            "### responses\n\n`toolgen-hf gold` and `respond` write it, `execute` reads it. "
            f"It has these columns of {source}: {names_of(schemas.RESPONSES)}.",
            "### executed\n\n`toolgen-hf execute` writes it, `score` reads a folder of them. "
            f"It has the columns of {source}.",
            f"These columns may be absent from a file. They are null then: {names_of(OPTIONAL)}.",
            table(["stage", "version", "does"], rows),
        ]
    )


def exports() -> str:
    """The published layout."""
    rows = [[f"`data/{stage}`", names_of(named)] for stage, named in export.PUBLISHED.items()]
    return f"{indented(export.__doc__)}\n\n{table(['its main file', 'columns'], rows)}"


def columns(features: Mapping[str, Any], told: Mapping[str, str]) -> str:
    return table(
        ["column", "type", "holds"], [[f"`{n}`", feature_words(f), told[n]] for n, f in features.items()]
    )


def feature_words(feature: Any) -> str:
    """``List(Value("string"))`` is "list of string"."""
    if isinstance(feature, Value):
        return str(feature.dtype)
    if isinstance(feature, List):
        return f"list of {feature_words(feature.feature)}"
    if isinstance(feature, dict | Features):
        return "{" + ", ".join(f"{name}: {feature_words(one)}" for name, one in feature.items()) + "}"
    return type(feature).__name__.lower()


def schema_comments() -> dict[str, str]:
    """The comments next to the columns of ANSWERED and CALLED in the source of the schemas."""
    source = inspect.getsource(schemas)
    parts = re.findall(r"^(?:ANSWERED|CALLED) = Features\((.*?)^\)", source, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r'^ +"(\w+)": .*?  # (.*)', "".join(parts), re.MULTILINE))


def names_of(columns: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


# Commands: from their parser.


def commands() -> str:
    """Each command with its options and examples. Options that many commands share come first, once."""
    (group,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    made = {
        name: [a for a in one._actions if not isinstance(a, argparse._HelpAction)]
        for name, one in group.choices.items()
    }
    uses = Counter(option(a) for actions in made.values() for a in actions if a.option_strings)
    shared = [both for both, count in uses.items() if count >= 3]
    parts = [f"### Options of many commands\n\n{table(['', ''], shared)}"]
    for name, actions in made.items():
        own = [option(a) for a in actions if option(a) not in shared]
        also = names_of(a.option_strings[-1] for a in actions if option(a) in shared)
        examples = "\n".join(
            example.strip() for example in (group.choices[name].epilog or "").splitlines()[1:]
        )
        told = [f"### {name}", group.choices[name].description or ""]
        told += [table(["", ""], own)] * bool(own) + [f"Also: {also}"] * bool(also)
        parts.append("\n\n".join([*told, f"<!-- parsed -->\n```bash\n{examples}\n```"]))
    return "\n\n".join(parts)


def option(action: argparse.Action) -> tuple[str, str]:
    """How an option is written, and its help."""
    value = action.metavar if isinstance(action.metavar, str) else None
    if not action.option_strings:
        name = (value or action.dest).upper() + ("..." if action.nargs == "+" else "")
    else:
        if action.choices:
            value = "|".join(map(str, action.choices))
        name = ", ".join(action.option_strings) + (
            "" if action.nargs == 0 else f" {value or action.dest.upper()}"
        )
    return f"`{name}`", action.help or ""


# Errors: from their module.


def error_tree() -> str:
    """The tree in the module's docstring, which must name every class."""
    shown = indented(errors.__doc__)
    classes = {n for n, made in vars(errors).items() if inspect.isclass(made) and issubclass(made, Exception)}
    assert classes == set(re.findall(r"\w+Error", re.sub(r"\(.*?\)", "", shown)))
    return shown


def exit_codes() -> str:
    found = re.search(r"Exit codes: (.*)", cli.__doc__ or "", re.DOTALL)
    assert found
    codes = [code.strip().rstrip(".").split(maxsplit=1) for code in found[1].split("; ")]
    return table(["exit code", "means"], [[code, line(means)] for code, means in codes])


def tool_errors() -> str:
    kinds = [made for made in errors.ToolError.__subclasses__() if made.__module__ == errors.__name__]
    rows = [[f"`{e.code}`", f"`{e.__name__}`", line(e.__doc__)] for e in kinds]
    return table(["begins with", "class", "means"], rows)


def question_sets() -> str:
    """The sets of ``QA`` on the Hub. Those of several languages have one row, with one of their languages."""
    rows = []
    for config in QUESTION_SETS:
        if not config.repo or "." in config.name:
            continue
        names = [config.name]
        if len(config.folders) > 1:
            names.append(f"{config.name}.{config.folders[1].removeprefix(config.name + '.')}")
        rows.append(
            [
                ", ".join(f"`{name}`" for name in names),
                f"[{config.repo}](https://huggingface.co/datasets/{config.repo})",
                ", ".join(f"`{split}`" for split in config.splits),
                f"`{config.task}`",
                config.license,
            ]
        )
    return table(["config", "on the Hub", "splits", "task", "licence"], rows)


# The pages.

PARTS = {
    "recipe": lambda: "\n\n".join(map(keys, RECIPE)),
    "generators": lambda: "\n\n".join(map(keys, GENERATORS)),
    "mix": lambda: "\n\n".join(map(keys, MIX)),
    "configs": configs,
    "stage files": stage_files,
    "exports": exports,
    "names": lambda: table(
        ["column", "also read as"], [[f"`{ours}`", f"`{other}`"] for ours, other in ALIASES.items()]
    ),
    "commands": commands,
    "errors": error_tree,
    "exit codes": exit_codes,
    "tool errors": tool_errors,
    "question sets": question_sets,
}
_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated() -> dict[Path, str]:
    """The pages with generated parts, as the code has them now."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
    return {
        path: _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", text)
        for path, text in texts.items()
        if _PART.search(text)
    }


if __name__ == "__main__":
    for path, text in generated().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
