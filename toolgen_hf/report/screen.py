"""The summary that a run ends with, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from toolgen_hf.report.facts import asked_for, repeats
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.summary import Summary, share, soundness_counts
from toolgen_hf.stages.near_duplicates import in_words
from toolgen_hf.stages.score import SCORES


def print_summary(summary: Summary, directory: str | Path, console: Console | None = None) -> None:
    """Print what a run did: stages, student, tool calls, rejects, scores, one example each, where it is."""
    console = console or Console()
    console.print()
    console.rule(f"[bold]{summary.name}")
    if not any(summary.configs.get("stage1", {}).values()):
        console.print(
            "[bold red]Every question was rejected: there is nothing to train on. See why below.[/bold red]"
        )
    console.print(_stages(summary.stages), "")
    if summary.mix:
        console.print(_mix(summary.mix), "")
    console.print(_numbers(summary), "")
    console.print(_sources(summary.sources), "")
    for config, row in summary.examples.items():
        console.print(Panel(_example(row), title=f"one {config} example", title_align="left", expand=False))
    console.print(_where(summary, directory))


def print_mix(mix: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what was mixed: the facts that `toolgen_hf.mix` gives."""
    (console or Console()).print(_mix(mix))


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Print what a run would ask, of whom, and for how much."""
    console = console or Console()
    table = Table(title="Requests that are not in the store", title_justify="left", box=None, pad_edge=False)
    columns = [("stage", "left"), ("of", "left"), ("requests", "right")]
    is_free = plan.cost == plan.max_cost == 0
    for name, justify in columns if is_free else [*columns, ("about $", "right"), ("at most $", "right")]:
        table.add_column(name, justify=justify, header_style="dim")  # type: ignore[arg-type]
    for entry in plan.entries:
        count = str(entry.requests)
        if entry.is_bound or entry.max_requests > entry.requests:
            count = f"up to {entry.max_requests}"
        costs = (
            "?" if cost is None else f"{cost:.2f}" if cost else "" for cost in (entry.cost, entry.max_cost)
        )
        table.add_row(entry.stage, entry.generator, count, *(() if is_free else costs))
    for entry in plan.entries:
        for at, prompt in enumerate(entry.prompts, start=1):
            text = Text.assemble((prompt.system.strip(), "dim"), "\n" if prompt.system else "", prompt.user)
            console.print(Panel(text, title=f"{entry.stage}, prompt {at}", title_align="left", expand=False))
    console.print(table, "")
    total = "their price is not known"
    if is_free:
        total = "which cost nothing"
    elif plan.cost is not None and plan.max_cost is not None:
        total = f"about {dollars(plan.cost)}, {dollars(plan.max_cost)} at most"
    console.print(f"{plan.requests} requests, {total}; nothing was sent (dry run)")


def _stages(stages: Iterable[Mapping[str, Any]]) -> Table:
    """One line a stage; counts of its splits side by side."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for stage in stages:
        by_name.setdefault(stage["stage"], []).append(stage)
    splits = " + ".join(part["split"] for part in next(iter(by_name.values()), []))
    table = Table(
        title=f"Stages ({splits})", title_justify="left", box=None, pad_edge=False, header_style="dim"
    )
    table.add_column("stage")
    for name in ("rows in", "rows out", "rejected", "texts", "time"):
        table.add_column(name, justify="right")
    for name, parts in by_name.items():
        rejected = sum(sum(part["rejected"].values()) for part in parts)
        table.add_row(
            name,
            " + ".join(str(part["rows_in"]) for part in parts),
            " + ".join(str(part["rows_out"]) for part in parts),
            str(rejected or ""),
            _texts(sum(part["generated"] for part in parts), sum(part["reused"] for part in parts)),
            "[dim]cached[/dim]"
            if all(part["cached"] for part in parts)
            else _seconds(sum(p["seconds"] for p in parts)),
        )
    return table


def _mix(mix: Mapping[str, Any]) -> Group:
    """One line a part, counts of its splits side by side; then the questions that stood twice."""
    splits = list(dict.fromkeys(split for part in mix["parts"].values() for split in part["splits"]))
    title = f"Mix ({' + '.join(splits)}; {mix['order']}, seed {mix['seed']})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in ("part", "dataset", "asked for"):
        table.add_column(name)
    kinds = {"questions": "questions", "before": "rejected before", "rejected": "rejected here",
             "undrawn": "not drawn", "rows": "in the mix"}  # fmt: skip
    for name in kinds.values():
        table.add_column(name, justify="right")
    for name, part in mix["parts"].items():
        counts = ([str(part["splits"].get(split, {}).get(kind, 0)) for split in splits] for kind in kinds)
        table.add_row(
            Text(name), Text(part["dataset"]), asked_for(part), *(" + ".join(found) for found in counts)
        )
    found = list(repeats(mix)) or ["no question stands twice, and none of a test split is in train"]
    return Group(table, "", *(Text(line, style="yellow" if mix["repeats"] else "") for line in found))


def _texts(generated: int, reused: int) -> str:
    counts = {"new": generated, "stored": reused}
    return " + ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _numbers(summary: Summary) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for split, count in summary.student["splits"].items():
        asked, correct = count["asked"], count["correct"]
        cut = f"; {count['truncated']} cut at the token limit (max_new_tokens)" if count["truncated"] else ""
        note = "" if correct or cut else ": every question needs a tool"
        table.add_row(
            f"student, {split}",
            f"{correct} of {asked} right without a tool ({share(correct, asked)}){note}{cut}",
        )
    verified = sum(summary.teachers.values())
    by = ", ".join(f"{count} by {teacher}" for teacher, count in summary.teachers.items())
    table.add_row(
        "tool calls",
        f"{verified} of {summary.calls_needed} verified by running them" + (f" ({by})" if by else ""),
    )
    if sound := soundness_counts(summary):
        table.add_row("in stage 1", ", ".join(f"{count} {name}" for name, count in sound.items()))
    total = sum(summary.rejected.values())
    reasons = "".join(f"\n  {count} × {reason}" for reason, count in summary.rejected.items())
    table.add_row("rejected", f"{total}{reasons}")
    if summary.near_duplicates:
        table.add_row("near duplicates", "\n".join(map(in_words, summary.near_duplicates)))
    if summary.moved:
        table.add_row("splits", f"{summary.moved} rows moved to another split, to their near duplicates")
    work = (
        f"{summary.generated} texts generated, {summary.reused} from the store, "
        f"{summary.transforms_run} transforms run"
    )
    if summary.generated:
        work += f", {summary.prompt_tokens} + {summary.completion_tokens} tokens"
    if summary.cost is None:
        work += ", at a price that is not known"
    elif summary.cost:
        work += f", {dollars(summary.cost)}"
    if summary.used.get("cost") and summary.used["cost"] != summary.cost:
        work += f" (all texts in it: {dollars(summary.used['cost'])})"
    if not summary.generated and not summary.transforms_run:
        work = "no LM call and no transform: every stage came from the cache"
    table.add_row("work", f"{work}, {_seconds(summary.seconds)}")
    return table


def _sources(sources: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(
        title="Responses, and how often each score was given",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    table.add_column("source")
    for name in ("rows", "with tool", "failed", "right", *SCORES):
        table.add_column(name, justify="right")
    for name, source in sources.items():
        table.add_row(
            name,
            str(source["responses"]),
            share(source["tool"], source["responses"]),
            str(source["failed"] or ""),
            share(source["correct"], source["responses"]),
            *(str(source["scores"].get(score, "")) for score in SCORES),
        )
    return table


def _example(row: Mapping[str, Any]) -> RenderableType:
    """One row, whole; a stage 2 row as a table of its responses."""
    if "responses" not in row:
        return Group(*(Text.assemble((f"{key}: ", "bold"), str(value)) for key, value in row.items()))
    table = Table(box=None, pad_edge=False, header_style="dim", show_lines=False)
    for name in ("score", "origin", "answer", "response"):
        table.add_column(name, overflow="fold")
    for cells in zip(row["scores"], row["origin"], row["answer"], row["responses"], strict=True):
        score, origin, answer, response = cells
        table.add_row(
            str(score), Text(str(origin)), str(answer or "-"), Text(str(response).strip() or "(empty)")
        )
    return Group(
        Text.assemble(("id: ", "bold"), str(row["id"])),
        Text.assemble(("query: ", "bold"), str(row["query"])),
        table,
    )


def _where(summary: Summary, directory: str | Path) -> Panel:
    """Where the result is, and code that opens what it holds."""
    full = {
        name: [split for split, rows in splits.items() if rows] for name, splits in summary.configs.items()
    }
    opens = [name for name, splits in full.items() if splits]
    code = ""
    if opens:
        code = f'from datasets import load_dataset\n{opens[0]} = load_dataset({_quoted(directory)}, "{opens[0]}")\n'
        code += f'print({opens[0]}["{full[opens[0]][0]}"][0])'
    state = "already up to date" if summary.up_to_date else "written"
    empty = ", ".join(name for name in full if name not in opens)
    text = Text.assemble(
        (str(directory), "bold"),
        f" ({state}): Parquet for {', '.join(opens)}; JSON exports in data/; a card in README.md; recipe.yaml and "
        "manifest.json\n",
        (f"no rows, and so not to be loaded: {empty}\n" if empty else "", "yellow"),
        "\n",
        (code, "cyan"),
    )
    return Panel(text, title="your data", title_align="left", expand=False)


def _quoted(path: str | Path) -> str:
    """As Python writes it, in double quotes."""
    return json.dumps(str(path), ensure_ascii=False)


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
