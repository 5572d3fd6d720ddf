"""``toolgen-hf mix``: several files of stage 1 or of stage 2 become one."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

from toolgen_hf.cli.options import Commands, add_command, add_workspace
from toolgen_hf.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "mix",
        mix,
        "mix several files of stage 1, or of stage 2, into one",
        "mix gsm8k=data/stage1/GSM8K svamp=svamp.json mixed --weight gsm8k=2 --weight svamp=1",
        "mix a=a.json b=b.json mixed.json --count b=200 --rejected rejected.jsonl",
        description="Mix several files into one, without repeated questions and questions of a test split. A recipe "
        "with the key mix, such as math-mix, does so for whole datasets: toolgen-hf run math-mix.",
    )
    parser.add_argument(
        "parts",
        nargs="+",
        metavar="NAME=PATH",
        help="a dataset's name, and its rows: a file (NAME_test.json is of test), a folder with one file a split, or "
        "one of the published layout",
    )
    parser.add_argument(
        "output", type=Path, help="a .json, .jsonl or .parquet file, or a folder for several splits"
    )
    _add_settings(parser)
    parser.add_argument("--task", default="math", help="the task of all of them (default: math)")
    parser.add_argument("--rejected", type=Path, help="where the rejected rows go, with their reasons")
    add_workspace(parser)


def mix(arguments: argparse.Namespace) -> None:
    from toolgen_hf._utils import check_apart
    from toolgen_hf.cli.options import open_workspace
    from toolgen_hf.data.tables import check_table_target, write_table
    from toolgen_hf.flow.mix_files import beside, mix_files, read_parts
    from toolgen_hf.recipe.mistakes import validated
    from toolgen_hf.report.screen import print_mix
    from toolgen_hf.stages.draw import MixConfig

    taken: dict[str, dict[str, Any]] = {}
    for what in ("weight", "count"):
        for name, number in _pairs(getattr(arguments, what), f"--{what} NAME=NUMBER").items():
            taken.setdefault(name, {})[what] = _number(number, f"--{what} {name}={number}")
    options = {key: getattr(arguments, key) for key in ("order", "seed", "duplicates", "near_duplicates")}
    parts = {name: Path(path) for name, path in _pairs(arguments.parts, "NAME=PATH").items()}
    unmixed = beside(parts)
    check_apart(
        {f"the part {name}": path for name, path in [*parts.items(), *unmixed.items()]},
        {"the output": arguments.output, "--rejected": arguments.rejected},
    )
    with open_workspace(arguments) as workspace:
        config = validated(MixConfig, {"parts": taken, **options}, "the parts cannot be mixed so")
        mixed = mix_files(read_parts(parts), workspace, config, arguments.task, unmixed)
    (stage,) = (name for name in mixed.configs if name != "rejected")
    targets = {arguments.output: mixed.configs[stage], arguments.rejected: mixed.configs["rejected"]}
    given = {path: table for path, table in targets.items() if path is not None}
    for path, table in given.items():  # all of them, before the first is written
        check_table_target([str(split) for split in table], path)
    for path, table in given.items():
        write_table(table, path)
    print_mix(mixed.facts)


def _pairs(given: list[str], form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise ConfigError(f"{text!r}: write {form}")
        if name in pairs:
            raise ConfigError(f"{text!r}: {name!r} is given twice")
        pairs[name] = value
    return pairs


def _number(text: str, where: str) -> int | float:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    raise ConfigError(f"{where}: {text!r} is not a number")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    weight = "its share of the mix, relative to the others'; the part that runs out first is taken whole"
    for what, does in (("weight", weight), ("count", "the number of its rows in every split")):
        parser.add_argument(
            f"--{what}", action="append", default=[], metavar="NAME=NUMBER", help=f"{does} (repeatable)"
        )
    order = "each dataset's rows evenly over the whole, or one dataset after the other (default: interleave)"
    parser.add_argument("--order", choices=("interleave", "concatenate"), default="interleave", help=order)
    seed = "seed of the draw, if not all rows are taken (default: 0)"
    parser.add_argument("--seed", type=int, default=0, help=seed)
    parser.add_argument(
        "--duplicates",
        choices=("drop", "keep"),
        default="drop",
        help="reject or keep a repeated question; a test question never enters train (default: drop)",
    )
    parser.add_argument(
        "--near-duplicates",
        choices=("apart", "drop", "keep"),
        default="apart",
        help="reject train questions that restate a test question with other numbers or names: apart = only if the "
        "test question is from another dataset; drop = always; keep = never; kept ones are marked (default: apart)",
    )
