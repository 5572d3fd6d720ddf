"""The summary of a run, and the plan of one, in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from toolgen_hf.report.facts import asked_for, repeats
from toolgen_hf.report.figures import score_counts, work
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.plan import Plan
from toolgen_hf.runtime.summary import NOT_JUDGED, Stage, Summary, share, soundness_counts
from toolgen_hf.stages.near_duplicates import in_words
from toolgen_hf.stages.score import SCORES


def print_summary(summary: Summary, directory: str | Path, console: Console | None = None) -> None:
    """Print what a run did: stages, student, tool calls, rejects, scores, an example of each stage, and where it is."""
    console = console or Console()
    console.print()
    console.rule(f"[bold]{summary.name}")
    if not any(summary.configs.get("stage1", {}).values()):
        console.print(
            "[bold red]Every question was rejected: there is nothing to train on. See why below.[/bold red]"
        )
    console.print(_stages(summary.stages), "")
    if summary.mix:
        print_mix(summary.mix, console)
        console.print()
    console.print(_numbers(summary), "")
    console.print(_sources(summary), "")
    for config, row in summary.examples.items():
        console.print(Panel(_example(row), title=f"one {config} example", title_align="left", expand=False))
    console.print(_where(summary, directory))


def print_mix(mix: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what was mixed (the facts that `toolgen_hf.mix` gives): its parts, and the questions that come twice."""
    splits = list(dict.fromkeys(split for part in mix["parts"].values() for split in part["splits"]))
    kinds = {"questions": "questions", "before": "rejected before", "rejected": "rejected here",
             "undrawn": "not drawn", "rows": "in the mix"}  # fmt: skip
    title = f"Mix ({' + '.join(splits)}; {mix['order']}, seed {mix['seed']})"
    table = plain_table(title, ["part", "dataset", "asked for"], kinds.values())
    for name, part in mix["parts"].items():
        counts = (_join(part["splits"].get(split, {}).get(kind, 0) for split in splits) for kind in kinds)
        table.add_row(Text(name), Text(part["dataset"]), asked_for(part), *counts)
    found = list(repeats(mix)) or ["no question comes twice, and none of a test split is in train"]
    style = "yellow" if mix["repeats"] else ""
    (console or Console()).print(Group(table, "", *(Text(line, style=style) for line in found)))


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Print which requests a run would send, to which generator, and for how much."""
    console = console or Console()
    is_free = plan.cost == plan.max_cost == 0
    numbers = ["requests"] if is_free else ["requests", "about $", "at most $"]
    table = plain_table("Requests that are not in the store", ["stage", "of"], numbers)
    for entry in plan.entries:
        is_bound = entry.is_bound or entry.max_requests > entry.requests
        count = f"up to {entry.max_requests}" if is_bound else str(entry.requests)
        costs = [
            "?" if cost is None else f"{cost:.2f}" if cost else "" for cost in (entry.cost, entry.max_cost)
        ]
        table.add_row(entry.stage, entry.generator, count, *([] if is_free else costs))
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


def plain_table(title: str | Text | None, texts: Iterable[str], numbers: Iterable[str] = ()) -> Table:
    """A table without lines: columns of text at the left, then columns of numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _join(counts: Iterable[int]) -> str:
    return " + ".join(map(str, counts))


def _stages(stages: Iterable[Stage]) -> Table:
    """One line for each stage, with the counts of its splits side by side."""
    by_name: dict[str, list[Stage]] = {}
    for stage in stages:
        by_name.setdefault(stage["stage"], []).append(stage)
    splits = " + ".join(part["split"] for part in next(iter(by_name.values()), []))
    numbers = ("rows in", "rows out", "rejected", "texts", "time")
    table = plain_table(f"Stages ({splits})", ["stage"], numbers)
    for name, parts in by_name.items():
        texts = {"new": sum(part.get("generated", 0) for part in parts),
                 "stored": sum(part.get("reused", 0) for part in parts)}  # fmt: skip
        table.add_row(
            name,
            _join(part["rows_in"] for part in parts),
            _join(part["rows_out"] for part in parts),
            str(sum(sum(part["rejected"].values()) for part in parts) or ""),
            " + ".join(f"{count} {kind}" for kind, count in texts.items() if count),
            "[dim]cached[/dim]"
            if all(part["cached"] for part in parts)
            else _seconds(sum(part["seconds"] for part in parts)),
        )
    return table


def _numbers(summary: Summary) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for split, count in summary.student["splits"].items():
        asked, correct = count["asked"], count["correct"]
        cut = f"; {count['truncated']} cut at the token limit (max_new_tokens)" if count["truncated"] else ""
        note = "" if correct or cut else ": every question needs a tool"
        right = f"{correct} of {asked} right without a tool ({share(correct, asked)}){note}{cut}"
        table.add_row(f"student, {split}", right)
    by = ", ".join(f"{count} by {teacher}" for teacher, count in summary.teachers.items())
    verified = f"{sum(summary.teachers.values())} of {summary.calls_needed} verified by running them"
    table.add_row("tool calls", verified + (f" ({by})" if by else ""))
    if (sound := soundness_counts(summary)) and set(sound) != {NOT_JUDGED}:
        table.add_row("in stage 1", ", ".join(f"{count} {name}" for name, count in sound.items()))
    reasons = "".join(f"\n  {count} × {reason}" for reason, count in summary.rejected.items())
    table.add_row("rejected", f"{sum(summary.rejected.values())}{reasons}")
    if summary.near_duplicates:
        table.add_row("near duplicates", "\n".join(map(in_words, summary.near_duplicates)))
    if summary.moved:
        table.add_row("splits", f"{summary.moved} rows moved to another split, next to their near duplicates")
    done = [*work(summary), f"{summary.transforms_run} transforms run"]
    if not summary.generated and not summary.transforms_run:
        done = ["no LM call and no transform: every stage came from the cache"]
    table.add_row("work", ", ".join([*done, _seconds(summary.seconds)]))
    return table


def _sources(summary: Summary) -> Table:
    title = "Responses, and how often each score was given"
    table = plain_table(title, ["source"], ["rows", "with tool", "failed", "right", *SCORES])
    for name, scores in score_counts(summary).items():
        source = summary.sources[name]
        table.add_row(
            Text(name),
            str(source["responses"]),
            share(source["tool"], source["responses"]),
            str(source["failed"] or ""),
            share(source["correct"], source["responses"]),
            *(str(count or "") for count in scores.values()),
        )
    return table


def _example(row: Mapping[str, Any]) -> RenderableType:
    """One row, whole; a stage 2 row as a table of its responses."""
    if "responses" not in row:
        return Group(*(Text.assemble((f"{key}: ", "bold"), str(value)) for key, value in row.items()))
    table = plain_table(None, ["score", "origin", "answer", "response"])
    for score, origin, answer, response in zip(
        row["scores"], row["origin"], row["answer"], row["responses"], strict=True
    ):
        cells: Sequence[Any] = origin, answer or "-", str(response).strip() or "(empty)"
        table.add_row(str(score), *(Text(str(cell)) for cell in cells))
    head = (Text.assemble((f"{key}: ", "bold"), str(row.get(key))) for key in ("id", "query"))
    return Group(*head, table)


def _where(summary: Summary, directory: str | Path) -> Panel:
    """Where the result is, and code that opens it."""
    full = {
        name: [split for split, rows in splits.items() if rows] for name, splits in summary.configs.items()
    }
    opens = [name for name, splits in full.items() if splits]
    empty = ", ".join(name for name in full if name not in opens)
    code = ""
    if opens:
        path = json.dumps(str(directory), ensure_ascii=False)
        code = f'from datasets import load_dataset\n{opens[0]} = load_dataset({path}, "{opens[0]}")\n'
        code += f'print({opens[0]}["{full[opens[0]][0]}"][0])'
    state = "already up to date" if summary.up_to_date else "written"
    text = Text.assemble(
        (str(directory), "bold"),
        f" ({state}): Parquet for {', '.join(opens)}; JSON exports in data/; a card in README.md; recipe.yaml and "
        "manifest.json\n",
        (f"no rows, and so not to be loaded: {empty}\n" if empty else "", "yellow"),
        "\n",
        (code, "cyan"),
    )
    return Panel(text, title="your data", title_align="left", expand=False)


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
