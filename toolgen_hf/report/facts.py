"""What a card says of the rows: counts, sources, scores, columns. Each fact is Markdown, or "" of nothing.

    results(manifest, configs)["student_table"]  ->  "| split | questions | right | ..."

Who wrote them and under which licence is in provenance.py. All comes from the manifest and the tables' columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.report.markdown import bullets, code, details, plain, table
from toolgen_hf.report.plots import WHAT
from toolgen_hf.runtime.summary import NOT_JUDGED, Summary, share
from toolgen_hf.schemas import SOUNDNESS
from toolgen_hf.stages.near_duplicates import in_words
from toolgen_hf.stages.score import SCORES

HERE = "PATH_OR_REPO"
"""Stands in the snippets for where the data is; a push puts the repository there."""
FIRST = ("stage1", "stage2")
"""The configs whose columns are shown without being asked for."""
STRATEGIES = {
    "distance": "a right response with gold's decision on the tool gets 20, a right one with the other decision 15; "
    "wrong ones get the levels that are left, the nearest to an accepted answer the highest; no answer gets 0.",
    "consistency": "a right response with gold's decision on the tool gets 20, a right one with the other decision "
    "15, a wrong one 10 and 5; no answer gets 0.",
}
TRAINERS = {
    "sft": "SFTTrainer(model, train_dataset={rows}).train()",
    "tool_calling": "SFTTrainer(model, SFTConfig(assistant_only_loss=True), train_dataset={rows}).train()",
    "preference": "DPOTrainer(model, train_dataset={rows}).train()  # or RewardTrainer",
}


def results(manifest: Mapping[str, Any], configs: Mapping[str, DatasetDict]) -> dict[str, str]:
    """The facts by the card's placeholders; ``configs`` are those that can be loaded."""
    summary = Summary.from_dict(manifest["summary"])
    strategy = str(manifest["strategy"])
    return {
        "configs": _configs(configs),
        "loading": _loading(configs),
        "training": _training(configs),
        "calling": "tool_calling" if "tool_calling" in configs else "",
        "ranking": "stage2" if "stage2" in configs else "",
        "flow": _flow(summary),
        "counts": _counts(summary),
        "questions_count": f"{sum(summary.configs.get('raw', {}).values()):,}",
        "rejected_count": f"{sum(summary.rejected.values()):,}",
        "rejected": _rejected(summary),
        "near_duplicates": _near_duplicates(summary),
        "student": _student_name(manifest),
        "student_table": _student(summary),
        "calls": _calls(summary),
        "soundness": _soundness(summary),
        "sources": _sources(summary),
        "strategy": strategy if "stage2" in configs else "",
        "strategy_meaning": STRATEGIES.get(strategy, "see the library's documentation."),
        "scores": _scores(summary),
        "columns": _columns(configs),
    }


def plot_facts(plots: Sequence[str]) -> dict[str, str]:
    """The plots that were drawn, as images with what they show in words."""
    return {
        f"{name}_plot": f"![{what}](plots/{name}.png)" if name in plots else "" for name, what in WHAT.items()
    }


def splits_of(configs: Mapping[str, Any]) -> list[str]:
    """The names of all splits, in their order."""
    return list(dict.fromkeys(str(split) for splits in configs.values() for split in splits))


def _configs(configs: Mapping[str, DatasetDict]) -> str:
    splits = splits_of(configs)
    rows = [
        (
            code(name),
            *(f"{len(held[split]):,}" if split in held else "" for split in splits),
            _about(name, at == 0),
        )
        for at, (name, held) in enumerate(configs.items())
    ]
    numbers = range(1, 1 + len(splits))
    return table(["config", *(f"{plain(split)} rows" for split in splits), "what it is"], rows, numbers)


def _about(config: str, is_first: bool) -> str:
    source = config.removeprefix(RESPONSES)
    said = schemas.CONFIGS.get(config) or schemas.CONFIGS["responses-NAME"].replace("NAME", code(source))
    return f"{said} (opens by default)" if is_first and config == "stage2" else said


def _loading(configs: Mapping[str, DatasetDict]) -> str:
    """Code that opens what there is."""
    first = next(
        (name for name in configs if name.startswith(f"{RESPONSES}") and name != "responses-gold"), None
    )
    shown = [name for name in configs if not name.startswith(RESPONSES)] + ([first] if first else [])
    if not shown:
        return ""
    lines = [f'{_variable(name)} = load_dataset("{HERE}", "{name}")' for name in shown]
    main, split = shown[0], next(iter(configs[shown[0]]))
    version = f'{_variable(main)} = load_dataset("{HERE}", "{main}", revision="v1.0.0")'
    return "\n".join(
        ["from datasets import load_dataset", "", *lines, f'print({_variable(main)}["{split}"][0])', "",
         "# on the Hub, one version for ever; the repository's tags name them", version]
    )  # fmt: skip


def _variable(config: str) -> str:
    return "responses" if config.startswith(RESPONSES) else config


def _training(configs: Mapping[str, DatasetDict]) -> str:
    """TRL's trainers on what there is to train on."""
    there = [name for name in TRAINERS if "train" in configs.get(name, ())]
    names = [
        name for name in ("DPOTrainer", "SFTConfig", "SFTTrainer") if any(name in TRAINERS[c] for c in there)
    ]
    lines = [TRAINERS[name].format(rows=f'{name}["train"]') for name in there]
    return "\n".join([f"from trl import {', '.join(names)}", "", *lines]) if there else ""


def _flow(summary: Summary) -> str:
    def said(config: str) -> str:
        splits = summary.configs.get(config, {})
        apart = " + ".join(f"{rows:,} {plain(split)}" for split, rows in splits.items())
        return f"{sum(splits.values()):,}" + (f" ({apart})" if len(splits) > 1 else "")

    responses = sum(sum(source["scores"].values()) for source in summary.sources.values())
    return (
        f"Questions: {said('raw')}. In stage 1: {said('stage1')}. In stage 2: as many, with {responses:,} responses. "
        "Every question is in stage 1, or was rejected with a reason."
    )


def _counts(summary: Summary) -> str:
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for stage in summary.stages:
        by_stage.setdefault(stage["stage"], []).append(stage)
    rows = [
        (
            code(name),
            " + ".join(f"{part['rows_in']:,}" for part in parts),
            " + ".join(f"{part['rows_out']:,}" for part in parts),
            sum(sum(part["rejected"].values()) for part in parts) or "",
        )
        for name, parts in by_stage.items()
    ]
    splits = " + ".join(plain(split) for split in summary.configs.get("raw", {}))
    made = table(["stage", "rows in", "rows out", "rejected"], rows, range(1, 4))
    return details(f"Rows in and out of every stage ({splits})", made) if made else ""


def _rejected(summary: Summary) -> str:
    rows = [(plain(reason), f"{count:,}") for reason, count in summary.rejected.items()]
    return table(["reason", "questions"], rows, range(1, 2))


def _near_duplicates(summary: Summary) -> str:
    """What there is over splits; "" of a single split, or where no version of this library looked."""
    if len(summary.configs.get("raw", {})) < 2 or summary.near_duplicates is None:
        return ""
    lines = [f"{plain(in_words(found))}." for found in summary.near_duplicates]
    lines = lines or ["No question has a near duplicate in another split."]
    if summary.moved:
        lines.append(
            f"{summary.moved:,} rows are in another split than the recipe's `dataset.splits` writes, so that near "
            "duplicates stay together."
        )
    return bullets(lines)


def _student_name(manifest: Mapping[str, Any]) -> str:
    return model_alone(manifest.get("models", {}).get("student"))


def model_alone(description: str | None) -> str:
    """A generator's description without how it is prompted."""
    return described(str(description).split(", ")[0]) if description else ""


def described(text: str) -> str:
    """A generator's own description: its parts in backticks stay code, whatever the names in it hold."""
    parts = enumerate(text.split("`"))
    made = (
        "" if not part.strip() else code(part) if at % 2 else _kept_blanks(part, plain) for at, part in parts
    )
    return "".join(made)


def _kept_blanks(text: str, convert: Callable[[str], str]) -> str:
    """Converted, with the blanks at both ends where they were."""
    return (" " if text[:1].isspace() else "") + convert(text) + (" " if text[-1:].isspace() else "")


def _student(summary: Summary) -> str:
    rows = [
        (
            plain(split),
            f"{count['asked']:,}",
            f"{count['correct']:,}",
            share(count["correct"], count["asked"]),
            f"{count['truncated']:,}",
        )
        for split, count in summary.student["splits"].items()
        if count["asked"]
    ]
    return table(["split", "asked", "right", "accuracy", "cut at the token limit"], rows, range(1, 5))


def _calls(summary: Summary) -> str:
    needed, verified = summary.calls_needed, sum(summary.teachers.values())
    if not needed:
        return ""
    by = ", ".join(f"{count:,} by {code(teacher)}" for teacher, count in summary.teachers.items())
    return (
        f"Of {needed:,} questions that need a call, {verified:,} have one that was verified ({share(verified, needed)})"
        f"{': ' + by if by else ''}. Verified means that it was run, and its result is an accepted answer."
    )


def _soundness(summary: Summary) -> str:
    rows = [
        (
            code(verified_by),
            *(f"{counts.get(name, 0):,}" for name in SOUNDNESS),
            f"{counts.get(NOT_JUDGED, 0):,}",
        )
        for verified_by, counts in summary.calls.items()
    ]
    return table(["verified by", *SOUNDNESS, NOT_JUDGED], rows, range(1, 5))


def _sources(summary: Summary) -> str:
    splits = list(dict.fromkeys(split for source in summary.sources.values() for split in source["splits"]))
    rights = [f"right ({plain(split)})" for split in splits] if len(splits) > 1 else ["right"]
    rows = []
    for name, source in summary.sources.items():
        if not source["responses"]:
            continue
        parts = [source["splits"].get(split, {"correct": 0, "responses": 0}) for split in splits]
        rows.append(
            (
                code(name),
                f"{source['responses']:,}",
                *(share(part["correct"], part["responses"]) for part in parts),
                share(source["tool"], source["responses"]),
                share(source["tool"] - source["failed"], source["tool"]),
                share(source["need_agreed"], source["need_known"]),
            )
        )
    header = ["source", "responses", *rights, "calls the tool", "runs", "meets the need"]
    return table(header, rows, range(1, len(header)))


def _scores(summary: Summary) -> str:
    rows = [
        (code(name), *(f"{source['scores'].get(score, 0):,}" for score in SCORES))
        for name, source in summary.sources.items()
        if source["scores"]
    ]
    return table(["source", *SCORES], rows, range(1, 1 + len(SCORES)))


def _columns(configs: Mapping[str, DatasetDict]) -> str:
    """Every column of what there is; the sources' configs, which are alike, once."""
    groups: dict[str, list[str]] = {}
    for name in configs:
        groups.setdefault("responses-NAME" if name.startswith(RESPONSES) else name, []).append(name)
    parts = {}
    for group, names in groups.items():
        features = next(iter(configs[names[0]].values())).features
        said = schemas.COLUMNS.get(group, {})
        described = {**schemas.MIXED, **said}
        lines = bullets(f"{code(column)}: {described.get(column, 'not described')}" for column in features)
        parts[group] = f"**{', '.join(map(code, names))}**\n\n{lines}"
    first = [parts.pop(name) for name in FIRST if name in parts]
    rest = details("Columns of the other configs", "\n\n".join(parts.values())) if parts else ""
    return "\n\n".join([*first, rest]).strip()
