"""The facts in a dataset card, by the placeholders of card.md. Each is Markdown, or "" if there is nothing to say.

card_facts(manifest, configs, recipe_yaml)["student_table"]  ->  "| split | asked | right | ..."

Everything comes from the manifest, the tables' columns and the recipe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import DatasetDict

from toolgen_hf import schemas
from toolgen_hf.builders.produced import RESPONSES
from toolgen_hf.report.figures import mixed_counts
from toolgen_hf.report.markdown import block, bullets, code, details, link, plain, table
from toolgen_hf.report.plots import WHAT
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.summary import NOT_JUDGED, Summary, share
from toolgen_hf.safe_yaml import parse_yaml
from toolgen_hf.schemas import SOUNDNESS
from toolgen_hf.stages.near_duplicates import in_words
from toolgen_hf.stages.score import SCORES

PLACEHOLDER = "PATH_OR_REPO"
"""Stands for the directory or repository in the code that the card shows. A push replaces it."""
ANNOTATIONS = "annotations"
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
ORDERS = {
    "interleave": "each part's rows evenly over the whole",
    "concatenate": "one part after the other",
}
_ALIKE = {
    "id": "the same row",
    "exact": "exact text",
    "normalised": "normalised text",
    "near": "near duplicate",
}
_TERMS = "What a model wrote is under the licence or terms that the table of models gives for it."


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
    strategy = str(manifest["strategy"])
    citation = manifest["citation"].strip()
    facts = {
        "title": plain(manifest["name"]),
        "description": plain(manifest["description"]),
        "version": plain(manifest["toolgen_hf"]),
        "origin": _origin(manifest, summary),
        "configs": _configs(configs),
        "loading": _loading(configs),
        "training": _training(configs),
        "calling": "tool_calling" if "tool_calling" in configs else "",
        "ranking": "stage2" if "stage2" in configs else "",
        "flow": _flow(summary),
        "counts": _counts(summary),
        "questions_count": f"{sum(summary.configs.get('raw', {}).values()):,}",
        "rejected_count": f"{sum(summary.rejected.values()):,}",
        "rejected": table(["reason", "questions"], [(plain(why), n) for why, n in summary.rejected.items()]),
        "near_duplicates": _near_duplicates(summary),
        "student": model_name(manifest.get("models", {}).get("student")),
        "student_table": _student(summary),
        "calls": _calls(summary),
        "soundness": _soundness(summary),
        "sources": _sources(summary),
        "strategy": strategy if "stage2" in configs else "",
        "strategy_meaning": STRATEGIES.get(strategy, "see the library's documentation."),
        "scores": _scores(summary),
        "columns": _columns(configs),
        "models": _models(manifest, summary),
        "adapters": _adapters(manifest, summary),
        "prompts": _prompts(manifest, parse_yaml(recipe_yaml, "recipe.yaml") or {}),
        "recipe": details("The recipe, every default filled in", block(recipe_yaml, "yaml")),
        "work": _work(manifest, summary),
        "limits": bullets(_limits(manifest, summary)),
        "licences": _licences(manifest),
        "citation": block(citation, "bibtex") if citation else "",
        **{f"{name}_plot": f"![{what}](plots/{name}.png)" * (name in plots) for name, what in WHAT.items()},
    }
    return facts | _mix(manifest, summary)


# What there is to load


def _configs(configs: Mapping[str, DatasetDict]) -> str:
    splits = list(dict.fromkeys(str(split) for held in configs.values() for split in held))
    rows: list[tuple[object, ...]] = []
    for name, held in configs.items():
        source = code(name.removeprefix(RESPONSES))
        about = schemas.CONFIGS.get(name) or schemas.CONFIGS["responses-NAME"].replace("NAME", source)
        if name == "stage2" and not rows:
            about += " (opens by default)"
        rows.append((code(name), *(len(held[split]) if split in held else "" for split in splits), about))
    return table(["config", *(f"{plain(split)} rows" for split in splits), "what it is"], rows)


def _loading(configs: Mapping[str, DatasetDict]) -> str:
    """Code that opens every config, of the sources' responses one."""
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
    groups: dict[str, list[str]] = {}
    for name in configs:
        groups.setdefault("responses-NAME" if name.startswith(RESPONSES) else name, []).append(name)
    parts = {}
    for group, names in groups.items():
        about = {**schemas.MIXED, **schemas.COLUMNS.get(group, {})}
        features = next(iter(configs[names[0]].values())).features
        lines = bullets(f"{code(column)}: {about.get(column, 'not described')}" for column in features)
        parts[group] = f"**{', '.join(map(code, names))}**\n\n{lines}"
    first = [parts.pop(name) for name in ("stage1", "stage2") if name in parts]
    rest = details("Columns of the other configs", "\n\n".join(parts.values())) if parts else ""
    return "\n\n".join([*first, rest]).strip()


# Counts and figures


def _flow(summary: Summary) -> str:
    def count(config: str) -> str:
        splits = summary.configs.get(config, {})
        apart = " + ".join(f"{rows:,} {plain(split)}" for split, rows in splits.items())
        return f"{sum(splits.values()):,}" + (f" ({apart})" if len(splits) > 1 else "")

    return (
        f"Questions: {count('raw')}. In stage 1: {count('stage1')}. In stage 2: as many, with {_responses(summary):,} "
        "responses. Every question is in stage 1, or was rejected with a reason."
    )


def _responses(summary: Summary) -> int:
    return sum(sum(source["scores"].values()) for source in summary.sources.values())


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
    kinds = [*SOUNDNESS, NOT_JUDGED]
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


def _origin(manifest: Mapping[str, Any], summary: Summary) -> str:
    count = sum(summary.configs.get("raw", {}).values())
    said = f"The {count:,} questions are of {_dataset(manifest)}."
    if outside := manifest.get("outside"):  # a task and a tool that are not this library's
        parts = [
            f"the {plain(what)} {code(part['name'])} (version {part['version']}) is written in {code(part['file'])}"
            + (f" of {code(part['package'])}" if part.get("package") else "")
            + f", SHA-256 {code(part['sha256'])}"
            for what, part in outside.items()
        ]
        said += f" Not part of `toolgen_hf`: {'; '.join(parts)}."
    source = manifest.get("source")
    if not source:
        return said
    said += f" They were taken from {code(source['config'])} of {_place(source)}"
    said += f" (commit {code(source['commit'])})" if source.get("commit") else ""
    if source["config"] == "stage1":
        return f"{said}: its stage 1 is used as it is, and neither student nor teachers were asked again."
    return f"{said}."


def _dataset(part: Mapping[str, Any], name: str = "") -> str:
    return link(str(part.get("source_dataset", name)), str(part.get("homepage", "")))


def _place(source: Mapping[str, Any]) -> str:
    at = f" at {code(source['revision'])}" if source.get("revision") else ""
    return code(source["source_dataset"]) + at


def model_name(description: str | None) -> str:
    """A generator's description without the way in which it is prompted."""
    return described(str(description).split(", ")[0]) if description else ""


def described(text: str) -> str:
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
    name = role.removeprefix("teacher ")
    return role if role == "student" else f"teacher {code(name)}" if name != role else f"source {code(role)}"


def _models(manifest: Mapping[str, Any], summary: Summary) -> str:
    """A row for each model; one that has several roles comes once."""
    licences = manifest.get("licences", {})
    roles: dict[tuple[str, str], list[str]] = {}
    for role, model in manifest["models"].items():
        licence = licences.get(role, "not stated by its files")
        roles.setdefault((str(model), str(licence)), []).append(_role(role))
    rows = [(", ".join(names), described(model), plain(licence)) for (model, licence), names in roles.items()]
    if ANNOTATIONS in summary.teachers:
        what = "no model: the source's own worked solutions, composed into one call each"
        rows.append((_role(f"teacher {ANNOTATIONS}"), what, plain(manifest["license"])))
    return table(["asked as", "model", "licence or terms"], rows)


def _adapters(manifest: Mapping[str, Any], summary: Summary) -> str:
    rows_in = {stage["stage"]: stage["rows_in"] for stage in summary.stages}
    rows = [
        (
            code(name),
            code(tuned["model"]),
            ", ".join(map(code, tuned["sources"])),
            code(tuned["template"]),
            rows_in.get(re.sub(r"([^ ]+)$", r"finetune \1", name), ""),
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


def _work(manifest: Mapping[str, Any], summary: Summary) -> str:
    cached = sum(stage["cached"] for stage in summary.stages)
    if not summary.generated:
        stored = f"{summary.reused:,} from the store" if summary.reused else "every stage from its cache"
        said = f"This run generated no text: it took {stored}."
    else:
        said = f"This run generated {summary.generated:,} texts and took {summary.reused:,} from the store"
        if cached:
            said += f"; {cached} of {len(summary.stages)} stages and splits came whole from the cache"
        said += "."
        if summary.prompt_tokens or summary.completion_tokens:
            said += (
                f" Those generated have {summary.completion_tokens:,} tokens, in answer to prompts of "
                f"{summary.prompt_tokens:,}."
            )
        said += " What they cost is not known." if summary.cost is None else ""
    if summary.cost:
        said += f" They cost {dollars(summary.cost)}."
    if summary.used.get("cost"):
        said += f" All texts in this set together, whichever run generated them, cost {dollars(summary.used['cost'])}."
    versions = {name: v for name, v in manifest.get("versions", {}).items() if v != "not installed"}
    return f"{said} Versions: {', '.join(f'{name} {plain(v)}' for name, v in versions.items())}."


def _limits(manifest: Mapping[str, Any], summary: Summary) -> Iterator[str]:
    earlier = (manifest.get("source") or {}).get("models", {}).get("student")
    who = model_name(manifest.get("models", {}).get("student") or earlier)
    yield (
        f"Which questions come with a tool call is a label of {who or 'the student that it was made with'}, not of the "
        "question."
    )
    splits = summary.student["splits"].values()
    if any(split["asked"] for split in splits) and not any(split["correct"] for split in splits):
        yield "This student got no question right, so stage 1 holds calls only and cannot teach when not to call."
    if summary.teachers:
        yield (
            "A call counts as verified by its result; a formula that is wrong and happens to give it would too. "
            "`soundness` says which calls have a number of doubtful origin."
        )
    stage1 = summary.configs.get("stage1", {})
    if overlap := sum(summary.fewshot_overlap.values()):
        yield (
            f"{overlap:,} of {sum(stage1.values()):,} questions in stage 1 are among the examples that prompts show; "
            "`fewshot_overlap` marks them."
        )
    if others := [split for split, rows in stage1.items() if split != "train" and rows]:
        yield f"Rows of {', '.join(map(code, others))} are to evaluate with: do not train on them."
    if tuned := [name for entry in manifest.get("finetune", {}).values() for name in entry["sources"]]:
        yield f"{', '.join(map(code, tuned))} had seen the train split of stage 1 when responding to it."
    if manifest["models"]:
        yield (
            "Sources bear the recipe's names; who they are is listed under Models. Where the paper asks ChatGPT, "
            "InstructGPT, Vicuna or Alpaca, this set has the models listed there and no others; a prompt form called "
            "`vicuna` or `alpaca` is a way to write a prompt, not that model."
        )


def _licences(manifest: Mapping[str, Any]) -> str:
    licence = str(manifest["license"])
    known = "has no stated licence here" if licence.lower() == "unknown" else f"is under {plain(licence)}"
    said = f"{_dataset(manifest)} {known}; that holds for its questions and solutions in this set."
    return f"{said} {_TERMS + ' ' if manifest['models'] else ''}Please cite the method and the data:"


# Mixes


def _mix(manifest: Mapping[str, Any], summary: Summary) -> dict[str, str]:
    """What a mix has to say of itself, and in place of other facts; "" for the rest."""
    if not summary.mix:
        return {"mixed": "", "mix_order": "", "repeats": ""}
    parts: Mapping[str, Any] = manifest.get("parts", {})
    counts = mixed_counts(summary)
    datasets = {name: _dataset(part, name) for name, part in parts.items()}
    licences = {name: str(part.get("license", "unknown")) for name, part in parts.items()}
    shown = [
        f"questions and solutions of {datasets[name]}: "
        + ("no stated licence here" if licence.lower() == "unknown" else plain(licence))
        for name, licence in licences.items()
    ]
    twice = list(map(plain, repeats(summary.mix)))
    return {
        "mixed": _parts(summary, parts, counts["rows"]),
        "mix_order": f"Order: {ORDERS[summary.mix['order']]}. Seed: {summary.mix['seed']}. A part has the rows that "
        "its weight or count asks for, none of them twice; the others are not drawn.",
        "repeats": bullets(
            twice or ["None: every question stands once, and none of a split to evaluate with is in train."]
        ),
        "origin": f"It is a mix of {len(summary.mix['parts'])} parts: {', '.join(datasets.values())}.",
        "flow": f"The parts have {counts['questions']:,} questions: {counts['rows']:,} are in the mix, in stage 1 and "
        f"in stage 2 with {_responses(summary):,} responses; {counts['undrawn']:,} were not drawn, "
        f"{counts['before']:,} were rejected before the mix and {counts['rejected']:,} by it, with a reason. The "
        "figures below of the student and the tool calls are those of the parts before they were mixed.",
        "licences": f"{bullets(shown)}\n\n{_TERMS} Please cite the method and the data:",
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
            said = (f"{split} {'all' if n is None else f'{n:g}'}".strip() for split, n in by_split.items())
            return f"{kind} {', '.join(said)}"
    return "all"


def repeats(mix: Mapping[str, Any]) -> Iterator[str]:
    """The questions that stand twice, a line for each pair of parts: where, how alike, and whether they were kept."""
    for found in mix["repeats"]:
        count = f"{found['count']:,} of {found['part']}, {found['split']}"
        where = f"in {found['of_split']} of {found['of']}"
        example = " of ".join(found.get("example", ()))
        such = f", such as {example}" if example and found["match"] == "near" else ""
        kept = "rejected" if found["dropped"] else "kept"
        yield f"{count}: also {where} ({_ALIKE[found['match']]}){such}, {kept}"
