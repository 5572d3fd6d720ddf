"""What each command of ``toolgen-hf`` does, given its parsed arguments."""

from __future__ import annotations

import json
from argparse import Namespace

from toolgen_hf.errors import DataError
from toolgen_hf.plan import Plan
from toolgen_hf.recipe import Recipe
from toolgen_hf.report import print_plan, print_summary
from toolgen_hf.workspace import Workspace


def run(arguments: Namespace) -> None:
    """``toolgen-hf run``"""
    from toolgen_hf import pipeline

    recipe = Recipe.load(arguments.recipe, arguments.set)
    with _workspace(arguments) as workspace:
        if arguments.dry_run:
            _print_plan(pipeline.plan(recipe, workspace), as_json=arguments.json)
            return
        result = pipeline.run(recipe, arguments.output, workspace)
    if arguments.json:
        print(
            json.dumps({**result.summary.to_dict(), "directory": str(result.directory)}, ensure_ascii=False)
        )
    else:
        print_summary(result.summary, result.directory)


def show(arguments: Namespace) -> None:
    from toolgen_hf.builders import Produced, load
    from toolgen_hf.produced import load_summary
    from toolgen_hf.tables import show_row

    if arguments.config is None and arguments.id is None:
        print_summary(load_summary(arguments.directory), arguments.directory)
        return
    config = arguments.config or "stage2"
    splits = load(Produced(config, data_dir=arguments.directory))
    rows = (row for split in splits.values() for row in split if arguments.id in (None, row["id"]))
    shown = [row for row, _ in zip(rows, range(arguments.rows), strict=False)]
    if arguments.id is not None and not shown:
        raise DataError(f"no row {arguments.id!r} in {config!r} of {str(arguments.directory)!r}")
    print("\n".join(show_row(row) for row in shown))


def stages(arguments: Namespace) -> None:
    from toolgen_hf.stages import STAGES

    for name, (stage, does) in STAGES.items():
        columns = ", ".join(stage.features)
        print(f"{name:<10} v{stage.version}  {does}\n{'':<14} -> {columns}")


def one_stage(arguments: Namespace) -> None:
    """``toolgen-hf answer``, ``tool-api``, ..."""
    from toolgen_hf.single import run_stage

    recipe = Recipe.load(arguments.recipe, arguments.set)
    with _workspace(arguments) as workspace:
        workspace.plan = Plan() if arguments.dry_run else None
        run_stage(
            arguments.stage,
            arguments.input,
            arguments.output,
            recipe,
            arguments.name,
            workspace,
            arguments.mode,
        )
        if workspace.plan is not None:
            _print_plan(workspace.plan)


def raw(arguments: Namespace) -> None:
    from toolgen_hf.single import write_raw

    write_raw(arguments.output, Recipe.load(arguments.recipe, arguments.set))


def finetune(arguments: Namespace) -> None:
    from toolgen_hf.single import train

    recipe = Recipe.load(arguments.recipe, arguments.set)
    print(train(arguments.input, arguments.output, recipe, arguments.name))


def _workspace(arguments: Namespace) -> Workspace:
    return Workspace(
        arguments.cache_dir, arguments.store, progress=not arguments.quiet, max_cost=arguments.max_cost
    )


def _print_plan(plan: Plan, as_json: bool = False) -> None:
    if as_json:
        print(json.dumps(plan.to_dict(), ensure_ascii=False))
    else:
        print_plan(plan)
