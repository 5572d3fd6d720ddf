"""The facts in a dataset card, by the placeholders of card.md. Each is Markdown, or "" if there is nothing to say.

card_facts(manifest, configs, recipe_yaml)["student_table"]  ->  "| split | asked | right | ..."

Everything comes from the manifest, the tables' columns and the recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import DatasetDict

from toolgen_hf import stages
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.report.figures import mixed_counts
from toolgen_hf.report.markdown import block, bullets, code, details, link, plain, table
from toolgen_hf.report.plots import WHAT
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.summary import NOT_JUDGED, Summary, share
from toolgen_hf.safe_yaml import parse_yaml
from toolgen_hf.schemas import SOUNDNESS
from toolgen_hf.stages.mix import ALIKE
from toolgen_hf.stages.near_duplicates import in_words
from toolgen_hf.stages.score import SCORES

PLACEHOLDER = "PATH_OR_REPO"
"""Stands for the directory or repository in the code that the card shows. A push replaces it."""
_ANNOTATIONS = "annotations"
_STRATEGIES = {
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
_ORDERS = {
    "interleave": "each part's rows evenly over the whole",
    "concatenate": "one part after the other",
}


def card_facts(
    manifest: Mapping[str, Any],
    configs: Mapping[str, DatasetDict],
    recipe_yaml: str = "",
    plots: Sequence[str] = (),
) -> dict[str, str]:
    """The facts by placeholder.

    Args:
        configs: the tables that can be loaded.
        plots: the names of the plots that were drawn.
    """
    summary = Summary.from_dict(manifest["summary"])
    models = manifest.get("models", {})
    citation = manifest["citation"].strip()
    facts = {
        "title": plain(manifest["name"]),
        "description": plain(manifest["description"]),
        "version": plain(manifest["toolgen_hf"]),
        "configs": _configs(configs),
        "loading": _loading(configs),
        "training": _training(configs),
        "calling": "tool_calling" if "tool_calling" in configs else "",
        "ranking": "stage2" if "stage2" in configs else "",
        "counts": _counts(summary),
        "questions_count": f"{sum(summary.configs.get('raw', {}).values()):,}",
        "responses": f"{sum(sum(source['scores'].values()) for source in summary.sources.values()):,}",
        "rejected_count": f"{sum(summary.rejected.values()):,}",
        "rejected": table(["reason", "questions"], [(plain(why), n) for why, n in summary.rejected.items()]),
        "near_duplicates": _near_duplicates(summary),
        "student": _model_name(models.get("student")),
        "student_table": _student(summary),
        "soundness": _soundness(summary),
        "sources": _sources(summary),
        "strategy": str(manifest["strategy"]) if "stage2" in configs else "",
        "strategy_meaning": _STRATEGIES.get(manifest["strategy"], "see the library's documentation."),
        "scores": _scores(summary),
        "columns": _columns(configs),
        "models": _models(manifest, summary),
        "roles": ", ".join(map(_role, models)),
        "adapters": _adapters(manifest, summary),
        "prompts": _prompts(manifest, parse_yaml(recipe_yaml, "recipe.yaml") or {}),
        "recipe": details("The recipe, every default filled in", block(recipe_yaml, "yaml")),
        "citation": block(citation, "bibtex") if citation else "",
        **{f"{name}_plot": f"![{what}](plots/{name}.png)" * (name in plots) for name, what in WHAT.items()},
    }
    parts = (_origin, _calls, _work, _limits, _mix)
    return facts | {key: fact for part in parts for key, fact in part(manifest, summary).items()}


# What there is to load


def _configs(configs: Mapping[str, DatasetDict]) -> str:
    described = stages.configs()
    splits = list(dict.fromkeys(str(split) for held in configs.values() for split in held))
    rows: list[tuple[object, ...]] = []
    for name, held in configs.items():
        source = code(name.removeprefix(RESPONSES))
        known = described.get(name) or described["responses-NAME"]
        about = known.about.replace("NAME", source)
        if name == "stage2" and not rows:
            about += " (opens by default)"
        rows.append((code(name), *(len(held[split]) if split in held else "" for split in splits), about))
    return table(["config", *(f"{plain(split)} rows" for split in splits), "what it is"], rows)


def _loading(configs: Mapping[str, DatasetDict]) -> str:
    """Code that opens every config; of the sources' responses, only the first."""
    sources = [name for name in configs if name.startswith(RESPONSES) and name != "responses-gold"]
    shown = [name for name in configs if not name.startswith(RESPONSES)] + sources[:1]
    if not shown:
        return ""
    names = {name: "responses" if name.startswith(RESPONSES) else name for name in shown}
    main, split = shown[0], next(iter(configs[shown[0]]))
    return "\n".join(
        [
            "from datasets import load_dataset",
            "",
            *(f'{name} = load_dataset("{PLACEHOLDER}", "{config}")' for config, name in names.items()),
            f'print({names[main]}["{split}"][0])',
            "",
            "# on the Hub, one version for ever; the repository's tags name them",
            f'{names[main]} = load_dataset("{PLACEHOLDER}", "{main}", revision="v1.0.0")',
        ]
    )


def _training(configs: Mapping[str, DatasetDict]) -> str:
    """TRL's trainers for the configs that have a train split."""
    lines = [
        line.format(rows=f'{name}["train"]')
        for name, line in TRAINERS.items()
        if "train" in configs.get(name, ())
    ]
    names = [name for name in ("DPOTrainer", "SFTConfig", "SFTTrainer") if f"{name}(" in "".join(lines)]
    return "\n".join([f"from trl import {', '.join(names)}", "", *lines]) if lines else ""


def _columns(configs: Mapping[str, DatasetDict]) -> str:
    """Every column. The sources' configs have the same columns and are listed once."""
    described = stages.configs()
    groups: dict[str, list[str]] = {}
    for name in configs:
        groups.setdefault("responses-NAME" if name.startswith(RESPONSES) else name, []).append(name)
    parts = {}
    for group, names in groups.items():
        told = described[group].columns if group in described else {}
        about = {**stages.OF_A_MIX, **told}
        features = next(iter(configs[names[0]].values())).features
        lines = bullets(f"{code(column)}: {about.get(column, 'not _described')}" for column in features)
        parts[group] = f"**{', '.join(map(code, names))}**\n\n{lines}"
    first = [parts.pop(name) for name in ("stage1", "stage2") if name in parts]
    rest = details("Columns of the other configs", "\n\n".join(parts.values())) if parts else ""
    return "\n\n".join([*first, rest]).strip()


# Counts and figures


def _counts(summary: Summary) -> str:
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for stage in summary.stages:
        stages.setdefault(stage["stage"], []).append(stage)
    rows = [
        (
            code(name),
            *(" + ".join(f"{part[key]:,}" for part in parts) for key in ("rows_in", "rows_out")),
            sum(sum(part["rejected"].values()) for part in parts) or "",
        )
        for name, parts in stages.items()
    ]
    splits = " + ".join(plain(split) for split in summary.configs.get("raw", {}))
    made = table(["stage", "rows in", "rows out", "rejected"], rows)
    return details(f"Rows in and out of every stage ({splits})", made) if made else ""


def _near_duplicates(summary: Summary) -> str:
    """Near duplicates in two splits; "" if there is one split, or if an older version did not look for them."""
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


def _student(summary: Summary) -> str:
    splits = {split: n for split, n in summary.student["splits"].items() if n["asked"]}
    return table(
        ["split", "asked", "right", "accuracy", "cut at the token limit"],
        [
            (plain(split), n["asked"], n["correct"], share(n["correct"], n["asked"]), n["truncated"])
            for split, n in splits.items()
        ],
    )


def _calls(manifest: Mapping[str, Any], summary: Summary) -> dict[str, str]:
    needed, verified = summary.calls_needed, sum(summary.teachers.values())
    by = ", ".join(f"{count:,} by {code(teacher)}" for teacher, count in summary.teachers.items())
    return {
        "calls_needed": f"{needed:,}" if needed else "",
        "verified": f"{verified:,}",
        "verified_share": share(verified, needed) + (f": {by}" if by else ""),
        "teachers": ", ".join(map(code, summary.teachers)),
    }


def _soundness(summary: Summary) -> str:
    """Empty if the task judges no call."""
    kinds = [*SOUNDNESS, NOT_JUDGED]
    if not set(SOUNDNESS) & {kind for counts in summary.calls.values() for kind in counts}:
        return ""
    rows = [(code(by), *(n.get(kind, 0) for kind in kinds)) for by, n in summary.calls.items()]
    return table(["verified by", *kinds], rows)


def _sources(summary: Summary) -> str:
    splits = list(dict.fromkeys(split for source in summary.sources.values() for split in source["splits"]))
    rights = [f"right ({plain(split)})" for split in splits] if len(splits) > 1 else ["right"]
    rows = []
    for name, source in summary.sources.items():
        parts = [source["splits"].get(split, {"correct": 0, "responses": 0}) for split in splits]
        if source["responses"]:
            rows.append(
                (
                    code(name),
                    source["responses"],
                    *(share(part["correct"], part["responses"]) for part in parts),
                    share(source["tool"], source["responses"]),
                    share(source["tool"] - source["failed"], source["tool"]),
                    share(source["need_agreed"], source["need_known"]),
                )
            )
    return table(["source", "responses", *rights, "calls the tool", "runs", "meets the need"], rows)


def _scores(summary: Summary) -> str:
    given = {name: source["scores"] for name, source in summary.sources.items() if source["scores"]}
    rows = [(code(name), *(scores.get(score, 0) for score in SCORES)) for name, scores in given.items()]
    return table(["source", *SCORES], rows)


# Questions, models and prompts


def _origin(manifest: Mapping[str, Any], summary: Summary) -> dict[str, str]:
    def rows(config: str) -> str:
        splits = summary.configs.get(config, {})
        apart = " + ".join(f"{count:,} {plain(split)}" for split, count in splits.items())
        return f"{sum(splits.values()):,}" + (f" ({apart})" if len(splits) > 1 else "")

    outside = [
        f"the {plain(what)} {code(part['name'])} (version {part['version']}) is written in {code(part['file'])}"
        + (f" of {code(part['package'])}" if part.get("package") else "")
        + f", SHA-256 {code(part['sha256'])}"
        for what, part in (manifest.get("outside") or {}).items()
    ]
    source, taken = manifest.get("source") or {}, ""
    if source:
        commit = f" (commit {code(source['commit'])})" if source.get("commit") else ""
        taken = f"{code(source['config'])} of {_place(source)}{commit}"
    is_stage1 = source.get("config") == "stage1"
    return {
        "dataset": _dataset(manifest),
        "licence": _licence(manifest, "has no stated licence here", "is under "),
        "outside": "; ".join(outside),
        "taken": "" if is_stage1 else taken,
        "taken_stage1": taken if is_stage1 else "",
        "rows_raw": rows("raw"),
        "rows_stage1": rows("stage1"),
    }


def _licence(part: Mapping[str, Any], unknown: str, known: str) -> str:
    licence = str(part.get("license", "unknown"))
    return unknown if licence.lower() == "unknown" else known + plain(licence)


def _dataset(part: Mapping[str, Any], name: str = "") -> str:
    return link(str(part.get("source_dataset", name)), str(part.get("homepage", "")))


def _place(source: Mapping[str, Any]) -> str:
    at = f" at {code(source['revision'])}" if source.get("revision") else ""
    return code(source["source_dataset"]) + at


def _model_name(description: str | None) -> str:
    """A generator's description without the way in which it is prompted."""
    return _described(str(description).split(", ")[0]) if description else ""


def _described(text: str) -> str:
    """A generator's description as Markdown: what is between backticks is code, whatever else the names in it hold."""
    made = []
    for at, part in enumerate(text.split("`")):
        if part.strip() and at % 2:
            made.append(code(part))
        elif part.strip():
            made.append(" " * part[0].isspace() + plain(part) + " " * part[-1].isspace())
    return "".join(made)


def _role(role: str) -> str:
    part, _, role = role.rpartition(": ")
    if part:
        return f"{_role(role)} of part {code(part)}"
    if role in ("student", "reader"):
        return role
    kind = next((kind for kind in ("teacher", "tool") if role.startswith(f"{kind} ")), None)
    return f"source {code(role)}" if kind is None else f"{kind} {code(role[len(kind) + 1 :])}"


def _models(manifest: Mapping[str, Any], summary: Summary) -> str:
    """A row for each model; one that has several roles comes once."""
    licences = manifest.get("licences", {})
    roles: dict[tuple[str, str], list[str]] = {}
    for role, model in manifest["models"].items():
        licence = licences.get(role, "not stated by its files")
        roles.setdefault((str(model), str(licence)), []).append(_role(role))
    rows = [
        (", ".join(names), _described(model), plain(licence)) for (model, licence), names in roles.items()
    ]
    if _ANNOTATIONS in summary.teachers:
        what = "no model: the source's own worked solutions, composed into one call each"
        rows.append((_role(f"teacher {_ANNOTATIONS}"), what, plain(manifest["license"])))
    return table(["asked as", "model", "licence or terms"], rows)


def _adapters(manifest: Mapping[str, Any], summary: Summary) -> str:
    rows_in = {stage["stage"]: stage["rows_in"] for stage in summary.stages}
    rows = [
        (
            code(name),
            code(tuned["model"]),
            ", ".join(map(code, tuned["sources"])),
            code(tuned["template"]),
            rows_in.get(f"{''.join(name.rpartition(': ')[:2])}finetune {name.rpartition(': ')[2]}", ""),
            f"{tuned['checkpoint']} of {tuned['max_steps']}",
            tuned["batch_size"],
            f"{tuned['learning_rate']:g}",
            f"{tuned['lora_r']}, {tuned['lora_alpha']}",
        )
        for name, tuned in manifest.get("finetune", {}).items()
    ]
    header = ["adapter", "of", "used by", "prompt form", "rows", "step used", "rows a step", "learning rate"]
    return table([*header, "rank, alpha"], rows)


def _prompts(manifest: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Each prompt once, with the roles that it was used for."""
    attempts = (recipe.get("tool_api") or {}).get("max_attempts", 1)
    prompts: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for role, prompt in manifest.get("prompts", {}).items():
        prompts.setdefault(str(prompt), (prompt, []))[1].append(role)
    parts = []
    for prompt, roles in prompts.values():
        asked = ", ".join(map(_role, roles))
        count, seed = prompt["examples"], prompt["example_seed"]
        order = "in the published order" if seed is None else f"shuffled by seed {seed}"
        examples = f"{count} worked example{'s' if count > 1 else ''}, {order}" if count else "no examples"
        again = ""
        if attempts > 1 and any(role.startswith("teacher ") for role in roles):
            again = f" Asked up to {attempts} times: a wrong call comes back with its result."
        whole = f"system\n------\n{prompt['system'].rstrip()}\n\nuser\n----\n{prompt['user']}"
        parts.append(f"{asked[0].upper()}{asked[1:]}: {examples}.{again}")
        parts.append(details("The whole prompt", block(whole, "text")))
    return "\n\n".join(parts)


# Work, limits and licences


def _work(manifest: Mapping[str, Any], summary: Summary) -> dict[str, str]:
    made = bool(summary.generated)
    cached = sum(stage["cached"] for stage in summary.stages)
    counted = made and (summary.prompt_tokens or summary.completion_tokens)
    stored = f"{summary.reused:,} from the store" if summary.reused else "every stage from its cache"
    versions = {name: v for name, v in manifest.get("versions", {}).items() if v != "not installed"}
    of_all = summary.used.get("cost")
    return {
        "generated": f"{summary.generated:,}" * made,
        "taken_instead": "" if made else stored,
        "reused": f"{summary.reused:,}",
        "cached": f"{cached:,}" if made and cached else "",
        "stages": f"{len(summary.stages):,}",
        "completion_tokens": f"{summary.completion_tokens:,}" if counted else "",
        "prompt_tokens": f"{summary.prompt_tokens:,}",
        "unknown_cost": "not known" if made and summary.cost is None else "",
        "cost": dollars(summary.cost) if summary.cost else "",
        "cost_of_all": dollars(of_all) if of_all else "",
        "versions": ", ".join(f"{name} {plain(v)}" for name, v in versions.items()),
    }


def _limits(manifest: Mapping[str, Any], summary: Summary) -> dict[str, str]:
    earlier = (manifest.get("source") or {}).get("models", {}).get("student")
    student = _model_name(manifest.get("models", {}).get("student") or earlier)
    splits = summary.student["splits"].values()
    asked, correct = (sum(split[key] for split in splits) for key in ("asked", "correct"))
    stage1 = summary.configs.get("stage1", {})
    overlap = sum(summary.fewshot_overlap.values())
    tuned = [name for entry in manifest.get("finetune", {}).values() for name in entry["sources"]]
    return {
        "who": student or "the student that it was made with",
        "none_right": f"none of {asked:,} questions" if asked and not correct else "",
        "overlap": f"{overlap:,} of {sum(stage1.values()):,}" if overlap else "",
        "evaluation": ", ".join(code(split) for split, rows in stage1.items() if split != "train" and rows),
        "tuned": ", ".join(map(code, tuned)),
    }


# Mixes


def _mix(manifest: Mapping[str, Any], summary: Summary) -> dict[str, str]:
    """The facts about a mix's parts, which replace those about a single dataset."""
    kinds = ("questions", "rows", "undrawn", "before", "rejected")
    if not summary.mix:
        keys = ("mixed", "mix_order", "mix_seed", "repeats", "parts", "parts_count", "parts_licences")
        return dict.fromkeys((*keys, *(f"mix_{kind}" for kind in kinds)), "")
    about: Mapping[str, Any] = manifest.get("parts", {})
    counts = mixed_counts(summary)
    twice = list(map(plain, repeats(summary.mix)))
    none = "None: every question stands once, and none of a split to evaluate with is in train."
    return {
        "mixed": _parts(summary, about, counts["rows"]),
        "mix_order": _ORDERS[summary.mix["order"]],
        "mix_seed": str(summary.mix["seed"]),
        "repeats": bullets(twice or [none]),
        **{f"mix_{kind}": f"{counts[kind]:,}" for kind in kinds},
        "parts": ", ".join(_dataset(part, name) for name, part in about.items()),
        "parts_count": str(len(summary.mix["parts"])),
        "parts_licences": bullets(
            f"questions and solutions of {_dataset(part, name)}: {_licence(part, 'no stated licence here', '')}"
            for name, part in about.items()
        ),
        **dict.fromkeys(("dataset", "rows_raw"), ""),
    }


def _parts(summary: Summary, parts: Mapping[str, Any], whole: int) -> str:
    rows = []
    for name, part in summary.mix["parts"].items():
        source = parts.get(name, {}).get("source") or {}
        splits = part["splits"]
        kinds = ("questions", "before", "rejected", "undrawn")
        rows.append(
            (
                code(name),
                plain(part["dataset"])
                + (f" (from {_place(source)})" if source.get("source_dataset") else ""),
                plain(part["task"]),
                plain(asked_for(part)),
                *(sum(split[kind] for split in splits.values()) for kind in kinds),
                " + ".join(f"{split['rows']:,} {plain(at)}" for at, split in splits.items()),
                share(sum(split["rows"] for split in splits.values()), whole),
            )
        )
    header = ["part", "dataset", "task", "asked for", "questions", "rejected before", "rejected here"]
    return table([*header, "not drawn", "in the mix", "share"], rows)


def asked_for(part: Mapping[str, Any]) -> str:
    """How much of a part the recipe asks for: ``weight 2``, ``count train 20, test 8``, ``all``."""
    for kind in ("weight", "count"):
        asked = part.get(kind)
        if asked is not None:
            by_split = asked if isinstance(asked, Mapping) else {"": asked}
            counts = (f"{split} {'all' if n is None else f'{n:g}'}".strip() for split, n in by_split.items())
            return f"{kind} {', '.join(counts)}"
    return "all"


def repeats(mix: Mapping[str, Any]) -> Iterator[str]:
    """Repeated questions, a line for each pair of parts: where they are, how alike, and whether they were kept."""
    for found in mix["repeats"]:
        count = f"{found['count']:,} of {found['part']}, {found['split']}"
        where = f"in {found['of_split']} of {found['of']}"
        example = " of ".join(found.get("example", ()))
        such = f", such as {example}" if example and found["match"] == "near" else ""
        kept = "rejected" if found["dropped"] else "kept"
        yield f"{count}: also {where} ({ALIKE[found['match']]}){such}, {kept}"
