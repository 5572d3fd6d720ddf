"""What a card says of a mix: its parts, how much of each is taken, and the questions that stood twice.

mixture(manifest)["mixed"]  ->  "| part | dataset | task | taken | questions | ... |"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolgen_hf.report.figures import mixed_counts
from toolgen_hf.report.markdown import bullets, code, link, plain, table
from toolgen_hf.report.mix_words import asked_for, repeats
from toolgen_hf.runtime.summary import Summary, share

ORDERS = {
    "interleave": "each part's rows evenly over the whole",
    "concatenate": "one part after the other",
}


def mixture(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The facts by the card's placeholders, and those that a mix states in other words; all "" of what is no mix."""
    summary = Summary.from_dict(manifest["summary"])
    if not summary.mix:
        return {"mixed": "", "mix_order": "", "repeats": ""}
    parts: Mapping[str, Any] = manifest.get("parts", {})
    return {
        "mixed": _parts(summary, parts),
        "mix_order": f"Order: {ORDERS[summary.mix['order']]}. Seed: {summary.mix['seed']}. A part has the rows that "
        "its weight or count asks for, none of them twice; the others are not drawn.",
        "repeats": bullets(_repeats(summary.mix)),
        "origin": f"It is a mix of {len(summary.mix['parts'])} parts: {_datasets(parts)}.",
        "flow": _flow(summary),
        "licences": f"{bullets(_licences(parts))}\n\nWhat a model wrote is under the licence or terms that the table "
        "of models gives for it. Please cite the method and the data:",
    }


def _datasets(parts: Mapping[str, Any]) -> str:
    return ", ".join(
        link(str(part.get("source_dataset", name)), str(part.get("homepage", "")))
        for name, part in parts.items()
    )


def _parts(summary: Summary, told: Mapping[str, Any]) -> str:
    whole = mixed_counts(summary)["rows"]
    rows = []
    for name, part in summary.mix["parts"].items():
        counts = part["splits"].values()
        sums = [
            sum(split[kind] for split in counts) for kind in ("questions", "before", "rejected", "undrawn")
        ]
        taken = " + ".join(f"{split['rows']:,} {plain(at)}" for at, split in part["splits"].items())
        rows.append(
            (
                code(name),
                plain(part["dataset"]) + _version(told.get(name, {})),
                plain(part["task"]),
                plain(asked_for(part)),
                *(f"{count:,}" for count in sums),
                taken,
                share(sum(split["rows"] for split in counts), whole),
            )
        )
    header = ["part", "dataset", "task", "asked for", "questions", "rejected before", "rejected here", "not drawn",
              "in the mix", "share"]  # fmt: skip
    return table(header, rows, range(4, len(header)))


def _version(part: Mapping[str, Any]) -> str:
    source = part.get("source") or {}
    if not source.get("source_dataset"):
        return ""
    at = f" at {code(source['revision'])}" if source.get("revision") else ""
    return f" (from {code(source['source_dataset'])}{at})"


def _repeats(mix: Mapping[str, Any]) -> Iterator[str]:
    yield from map(plain, repeats(mix))
    if not mix["repeats"]:
        yield "None: every question stands once, and none of a split to evaluate with is in train."


def _flow(summary: Summary) -> str:
    counts = mixed_counts(summary)
    responses = sum(sum(source["scores"].values()) for source in summary.sources.values())
    return (
        f"The parts have {counts['questions']:,} questions: {counts['rows']:,} are in the mix, in stage 1 and in "
        f"stage 2 with {responses:,} responses; {counts['undrawn']:,} were not drawn, {counts['before']:,} were "
        f"rejected before the mix and {counts['rejected']:,} by it, with a reason. What follows of the student and the "
        "tool calls is of the parts as they were made, before they were mixed."
    )


def _licences(parts: Mapping[str, Any]) -> Iterator[str]:
    for name, part in parts.items():
        licence = str(part.get("license", "unknown"))
        known = "no stated licence here" if licence.lower() == "unknown" else plain(licence)
        dataset = link(str(part.get("source_dataset", name)), str(part.get("homepage", "")))
        yield f"questions and solutions of {dataset}: {known}"
