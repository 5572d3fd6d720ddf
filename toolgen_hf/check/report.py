"""What a recipe will need, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolgen_hf.check import ModelNeed, Needs
from toolgen_hf.check.asking import RoleNeed
from toolgen_hf.runtime.budget import dollars


def print_needs(needs: Needs, console: Console | None = None) -> None:
    """Print it: who is asked how often and for how much, models, engines, disk, and what is missing."""
    console = console or Console()
    counts = "; ".join(
        f"{name}: {', '.join(f'{rows:,} {split}' for split, rows in splits.items())}"
        for name, splits in needs.questions.items()
    )
    console.print(Text.assemble((needs.recipe, "bold"), f" is valid. Questions: {counts or 'unknown'}"), "")
    console.print(_roles(needs.roles), "")
    if needs.models:
        console.print(_models(needs.models), "")
    if needs.engines:
        console.print(_engines(needs), "")
    console.print(_totals(needs), "")
    for title, lines, style in (("Beware", needs.warnings, "yellow"), ("To do first", needs.missing, "red")):
        if lines:
            console.print(Text(f"{title}:", style=f"bold {style}"))
            for line in lines:
                console.print(Text(f"  - {line}"))
    for line in needs.notes:
        console.print(Text(f"Note: {line}", style="dim"))
    if needs.missing:
        console.print(f"It cannot run here yet: {len(needs.missing)} to do.")
    elif needs.disk is None:
        console.print("Nothing is known to be missing but what could not be looked up.")
    else:
        console.print("It can run here now.")


def size(count: int | None) -> str:
    """Bytes for people, in powers of ten as disks are sold: ``3.1 GB``."""
    if count is None:
        return "unknown"
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _roles(roles: Iterable[RoleNeed]) -> Table:
    """One line for each that is asked, and for each teacher and source that nobody needs to ask."""
    table = _table("Requests", "role")
    for name in ("at most", "stored", "to ask", "tokens in", "tokens out", "about $"):
        table.add_column(name, justify="right")
    for role in roles:
        if role.kind == "lora":  # among the models
            continue
        bound = "≤ " if role.stored is None and role.to_ask else ""
        table.add_row(
            Text(_short(role.role)),
            "" if role.to_ask is None else f"{role.requests:,}",
            "" if role.stored is None else f"{role.stored:,}",
            "nothing" if role.to_ask is None else f"{bound}{role.to_ask:,}",
            _count(role.prompt_tokens),
            _count(role.completion_tokens),
            "?" if role.cost is None else f"{role.cost:,.2f}" if role.cost else "",
        )
    return table


def _models(models: Iterable[ModelNeed]) -> Table:
    table = _table("Models", "model", "for", "files", "loaded", "GPU", "licence")
    for model in models:
        files, name = model.files, model.name + (f"@{model.revision[:8]}" if model.revision else "")
        state = {
            "here": "here",
            "missing": "not found",
            "unknown": "unknown (the Hub cannot be reached)",
        }.get(files.state, "")
        if files.state == "download":
            state = f"{size(files.download)} to download"
        table.add_row(
            Text(name),
            ", ".join(dict.fromkeys(map(_shortest, model.roles))),
            state,
            size(model.memory),
            "unknown" if model.memory is None and model.gpu == "no" else model.gpu,
            Text(files.licence or ("unknown" if files.state != "here" else "not stated")),
        )
    return table


def _engines(needs: Needs) -> Table:
    table = _table("Engines", "engine", "for", "API", "key")
    for engine in needs.engines:
        table.add_row(
            Text(engine.engine),
            ", ".join(dict.fromkeys(map(_shortest, engine.roles))),
            f"{engine.api} at {engine.host}",
            engine.key,
        )
    return table


def _totals(needs: Needs) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    cost = "not known: a price is missing" if needs.questions else "not known"
    if needs.cost is not None and needs.max_cost is not None:
        cost = (
            f"about {dollars(needs.cost)}, {dollars(needs.max_cost)} at most" if needs.max_cost else "nothing"
        )
    table.add_row("cost", cost)
    table.add_row(
        "to download",
        size(needs.download) if needs.download else "unknown" if needs.download is None else "nothing",
    )
    table.add_row(
        "disk",
        f"{size(needs.disk)}, the result about {size(needs.output)}; {size(needs.machine.free)} are free",
    )
    gpu = f"{needs.machine.gpu}, {size(needs.machine.gpu_memory)}" if needs.machine.gpu else "no GPU"
    table.add_row("this machine", f"{size(needs.machine.memory)} of memory, {gpu}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _short(role: str) -> str:
    """A source by its name alone, as results call it."""
    return role.replace("source ", "", 1)


def _shortest(role: str) -> str:
    """A teacher without its name, which stands beside it."""
    return re.sub(r"\bteacher .*", "teacher", _short(role))


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
