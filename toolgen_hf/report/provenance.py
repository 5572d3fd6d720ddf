"""What a card says of where its rows are from: questions, models, prompts, the recipe, limits and licences.

provenance(manifest, recipe_yaml)["models"]  ->  "| asked as | model | licence or terms | ..."
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolgen_hf.report.facts import described, model_alone
from toolgen_hf.report.markdown import block, bullets, code, details, link, plain, table
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.summary import Summary
from toolgen_hf.safe_yaml import parse_yaml

ANNOTATIONS = "annotations"


def provenance(manifest: Mapping[str, Any], recipe_yaml: str) -> dict[str, str]:
    """The facts by the card's placeholders."""
    summary = Summary.from_dict(manifest["summary"])
    recipe = parse_yaml(recipe_yaml, "recipe.yaml") or {}
    return {
        "title": plain(manifest["name"]),
        "description": plain(manifest["description"]),
        "version": plain(manifest["toolgen_hf"]),
        "origin": _origin(manifest, summary),
        "models": _models(manifest, summary),
        "adapters": _adapters(manifest, summary),
        "prompts": _prompts(manifest, recipe),
        "recipe": details("The recipe, every default filled in", block(recipe_yaml, "yaml")),
        "work": _work(manifest, summary),
        "limits": bullets(_limits(manifest, summary)),
        "licences": _licences(manifest),
        "citation": block(manifest["citation"].strip(), "bibtex") if manifest["citation"].strip() else "",
    }


def _questions(manifest: Mapping[str, Any]) -> str:
    return link(str(manifest["source_dataset"]), str(manifest["homepage"]))


def _origin(manifest: Mapping[str, Any], summary: Summary) -> str:
    count = sum(summary.configs.get("raw", {}).values())
    said = f"The {count:,} questions are of {_questions(manifest)}.{_outside(manifest)}"
    source = manifest.get("source")
    if not source:
        return said
    at = f" at {code(source['revision'])}" if source.get("revision") else ""
    at += f" (commit {code(source['commit'])})" if source.get("commit") else ""
    taken = f"{said} They were taken from {code(source['config'])} of {code(source['source_dataset'])}{at}"
    if source["config"] == "stage1":
        return f"{taken}: its stage 1 is used as it is, and neither student nor teachers were asked again."
    return f"{taken}."


def _outside(manifest: Mapping[str, Any]) -> str:
    """The task and tool that are not this library's."""
    found = manifest.get("outside") or {}
    parts = [
        f"the {plain(what)} {code(part['name'])} (version {part['version']}) is written in {code(part['file'])}"
        + (f" of {code(part['package'])}" if part.get("package") else "")
        + f", SHA-256 {code(part['sha256'])}"
        for what, part in found.items()
    ]
    return f" Not part of `toolgen_hf`: {'; '.join(parts)}." if parts else ""


def _models(manifest: Mapping[str, Any], summary: Summary) -> str:
    """Who was asked as what; one that plays several roles in the same way comes once."""
    licences = manifest.get("licences", {})
    roles: dict[tuple[str, str], list[str]] = {}
    for role, model in manifest["models"].items():
        licence = licences.get(role, "not stated by its files")
        roles.setdefault((str(model), str(licence)), []).append(role)
    rows = [
        (", ".join(_role(role) for role in names), described(model), plain(licence))
        for (model, licence), names in roles.items()
    ]
    if ANNOTATIONS in summary.teachers:
        rows.append((_role(f"teacher {ANNOTATIONS}"), "no model: the source's own worked solutions, composed into "
                     "one call each", plain(manifest["license"])))  # fmt: skip
    return table(["asked as", "model", "licence or terms"], rows)


def _role(role: str) -> str:
    part, _, role = role.rpartition(": ")
    if part:
        return f"{_role(role)} of part {code(part)}"
    name = role.removeprefix("teacher ")
    return role if role == "student" else f"teacher {code(name)}" if name != role else f"source {code(role)}"


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
    header = ["adapter", "of", "used by", "prompt form", "rows", "step used", "rows a step", "learning rate",
              "rank, alpha"]  # fmt: skip
    return table(header, rows, range(4, len(header)))


def _prompts(manifest: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Each prompt once, with who was asked by it."""
    by: dict[str, list[str]] = {}
    told: dict[str, Mapping[str, Any]] = {}
    for role, prompt in manifest.get("prompts", {}).items():
        by.setdefault(str(prompt), []).append(role)
        told[str(prompt)] = prompt
    attempts = (recipe.get("tool_api") or {}).get("max_attempts", 1)
    parts = []
    for key, roles in by.items():
        prompt = told[key]
        asked = ", ".join(_role(role) for role in roles)
        again = ""
        if attempts > 1 and any(role.startswith("teacher ") for role in roles):
            again = f" Asked up to {attempts} times: a wrong call comes back with its result."
        whole = f"system\n------\n{prompt['system'].rstrip()}\n\nuser\n----\n{prompt['user']}"
        parts.append(f"{asked[0].upper()}{asked[1:]}: {_examples(prompt)}.{again}\n\n"
                     f"{details('The whole prompt', block(whole, 'text'))}")  # fmt: skip
    return "\n\n".join(parts)


def _examples(prompt: Mapping[str, Any]) -> str:
    count, seed = prompt["examples"], prompt["example_seed"]
    if not count:
        return "no examples"
    order = "in the published order" if seed is None else f"shuffled by seed {seed}"
    return f"{count} worked example{'s' if count > 1 else ''}, {order}"


def _work(manifest: Mapping[str, Any], summary: Summary) -> str:
    cached = sum(stage["cached"] for stage in summary.stages)
    whole = (
        f"; {cached} of {len(summary.stages)} stages and splits came whole from the cache" if cached else ""
    )
    said = (
        f"This run generated {summary.generated:,} texts and took {summary.reused:,} from the store{whole}."
    )
    if not summary.generated:
        stored = (
            f"took {summary.reused:,} from the store" if summary.reused else "took every stage from its cache"
        )
        said = f"This run generated no text: it {stored}."
    elif summary.prompt_tokens or summary.completion_tokens:
        prompt, completion = f"{summary.prompt_tokens:,}", f"{summary.completion_tokens:,}"
        said += f" Those generated have {completion} tokens, in answer to prompts of {prompt}."
    if summary.generated and summary.cost is None:
        said += " What they cost is not known."
    elif summary.cost:
        said += f" They cost {dollars(summary.cost)}."
    if summary.used.get("cost"):
        said += f" All texts in this set together, whichever run generated them, cost {dollars(summary.used['cost'])}."
    versions = {name: v for name, v in manifest.get("versions", {}).items() if v != "not installed"}
    return f"{said} Versions: {', '.join(f'{name} {plain(v)}' for name, v in versions.items())}."


def _limits(manifest: Mapping[str, Any], summary: Summary) -> Iterator[str]:
    student = manifest.get("models", {}).get("student")
    known = (manifest.get("source") or {}).get("models", {}).get("student")
    who = model_alone(student or known) or "the student that it was made with"
    yield f"Which questions come with a tool call is a label of {who}, not of the question."
    splits = summary.student["splits"].values()
    if any(split["asked"] for split in splits) and not any(split["correct"] for split in splits):
        yield "This student got no question right, so stage 1 holds calls only and cannot teach when not to call."
    if summary.teachers:
        yield (
            "A call counts as verified by its result; a formula that is wrong and happens to give it would too. "
            "`soundness` says which calls have a number of doubtful origin."
        )
    overlap, kept = sum(summary.fewshot_overlap.values()), sum(summary.configs.get("stage1", {}).values())
    if overlap:
        yield (
            f"{overlap:,} of {kept:,} questions in stage 1 are among the examples that prompts show; "
            "`fewshot_overlap` marks them."
        )
    others = [split for split, rows in summary.configs.get("stage1", {}).items() if split != "train" and rows]
    if others:
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
    said = f"{_questions(manifest)} {known}; that holds for its questions and solutions in this set."
    if manifest["models"]:
        said += " What a model wrote is under the licence or terms that the table of models gives for it."
    return f"{said} Please cite the method and the data:"
