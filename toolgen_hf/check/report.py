"""What a recipe needs, printed as tables: requests, models, engines, totals, and what to do first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolgen_hf.check.needs import EngineNeed, ModelNeed, Needs, RoleNeed
from toolgen_hf.report.screen import plain_table
from toolgen_hf.runtime.budget import dollars


def print_needs(needs: Needs, console: Console | None = None) -> None:
    """Print all of it; default: to stdout."""
    console = console or Console()
    counts = "; ".join(
        f"{name}: {', '.join(f'{rows:,} {split}' for split, rows in splits.items())}"
        for name, splits in needs.questions.items()
    )
    console.print(Text.assemble((needs.recipe, "bold"), f" is valid. Questions: {counts or 'unknown'}"), "")
    console.print(_requests(needs.roles), "")
    if needs.models:
        console.print(_models(needs.models), "")
    if needs.engines:
        console.print(_engines(needs.engines), "")
    console.print(_totals(needs), "")
    for title, lines, style in (
        ("Warnings", needs.warnings, "yellow"),
        ("To do first", needs.missing, "red"),
    ):
        if lines:
            console.print(Text(f"{title}:", style=f"bold {style}"))
            for line in lines:
                console.print(Text(f"  - {line}"))
    for line in needs.notes:
        console.print(Text(f"Note: {line}", style="dim"))
    if needs.missing:
        console.print(f"It cannot run here yet: {len(needs.missing)} to do.")
    elif needs.disk is None:
        console.print("It can run here, as far as could be found out.")
    else:
        console.print("It can run here now.")


def size(count: int | None) -> str:
    """Bytes for people, in powers of ten like the sizes of disks: ``3.1 GB``."""
    if count is None:
        return "unknown"
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _requests(roles: Iterable[RoleNeed]) -> Table:
    """A row for each role that generates text; adapters to train are in the table of models."""
    numbers = ("at most", "stored", "to ask", "tokens in", "tokens out", "about $")
    table = plain_table("Requests", ["role"], numbers)
    for role in roles:
        if role.kind == "lora":
            continue
        upper_limit = "≤ " if role.stored is None and role.to_ask else ""
        table.add_row(
            Text(_source_alone(role.role)),
            "" if role.to_ask is None else f"{role.requests:,}",
            "" if role.stored is None else f"{role.stored:,}",
            "nothing" if role.to_ask is None else f"{upper_limit}{role.to_ask:,}",
            f"{role.prompt_tokens:,}" if role.prompt_tokens else "",
            f"{role.completion_tokens:,}" if role.completion_tokens else "",
            "?" if role.cost is None else f"{role.cost:,.2f}" if role.cost else "",
        )
    return table


def _models(models: Iterable[ModelNeed]) -> Table:
    table = plain_table("Models", ["model", "for", "files", "loaded", "GPU", "licence"])
    for model in models:
        files = model.files
        states = {
            "here": "here",
            "download": f"{size(files.download)} to download",
            "missing": "not found",
            "unknown": "unknown (the Hub cannot be reached)",
        }
        table.add_row(
            Text(model.name + (f"@{model.revision[:8]}" if model.revision else "")),
            _used_by(model.roles),
            states[files.state],
            size(model.memory),
            "unknown" if model.memory is None and model.gpu == "no" else model.gpu,
            Text(files.licence or ("unknown" if files.state != "here" else "not stated")),
        )
    return table


def _engines(engines: Iterable[EngineNeed]) -> Table:
    table = plain_table("Engines", ["engine", "for", "API", "key"])
    for engine in engines:
        table.add_row(
            Text(engine.engine), _used_by(engine.roles), f"{engine.api} at {engine.host}", engine.key
        )
    return table


def _totals(needs: Needs) -> Table:
    cost = "not known: a price is missing" if needs.questions else "not known"
    if needs.cost is not None and needs.max_cost is not None:
        most = dollars(needs.max_cost)
        cost = f"about {dollars(needs.cost)}, {most} at most" if needs.max_cost else "nothing"
    machine = needs.machine
    gpu = f"{machine.gpu}, {size(machine.gpu_memory)}" if machine.gpu else "no GPU"
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("cost", cost)
    table.add_row("to download", "nothing" if needs.download == 0 else size(needs.download))
    table.add_row(
        "disk", f"{size(needs.disk)}, the result about {size(needs.output)}; {size(machine.free)} are free"
    )
    table.add_row("this machine", f"{size(machine.memory)} of memory, {gpu}")
    return table


def _source_alone(role: str) -> str:
    """``source NAME`` as ``NAME``, as results call it."""
    return role.replace("source ", "", 1)


def _used_by(roles: Iterable[str]) -> str:
    """The roles of a model or engine; a teacher without its name, which is the model's."""
    return ", ".join(dict.fromkeys(re.sub(r"\bteacher .*", "teacher", _source_alone(role)) for role in roles))
