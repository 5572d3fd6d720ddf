"""The upper part of the page: what was made, where the questions went, the sources side by side, the rejects.

It is built as a tree and not as text, so that nothing a name or a reason contains can become markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

from toolgen_hf.data.manifest import Manifest
from toolgen_hf.report.figures import Part, flow, score_counts
from toolgen_hf.runtime.budget import dollars
from toolgen_hf.runtime.summary import Summary, share


def overview(manifest: Manifest, summary: Summary, lengths: Mapping[str, Sequence[float]]) -> str:
    """The overview as HTML. ``lengths`` as of `toolgen_hf.report.figures.length_quantiles`."""
    parts = [_header(manifest, summary), _flow(summary), _sources(summary, lengths), _rejected(summary)]
    return "\n".join(tostring(part, encoding="unicode", method="html") for part in parts if part is not None)


def tag(name: str, *children: Element | str | None, **attributes: str) -> Element:
    """An element. ``class_`` is the attribute class, ``data_x`` is data-x; a child that is None is left out."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child and len(element):
            element[-1].tail = (element[-1].tail or "") + child
        elif child:
            element.text = (element.text or "") + child
    return element


def _header(manifest: Manifest, summary: Summary) -> Element:
    facts: dict[str, Element | str] = {
        "Questions": _link(manifest.source_dataset, manifest.homepage),
        "Licence": manifest.license,
        "Scores by": manifest.strategy,
        "Work": _work(summary),
        "Made": f"{manifest.created_at or ''} with toolgen_hf {manifest.toolgen_hf}",
    }
    models = manifest.models.items()
    versions = manifest.versions.items()
    return tag(
        "header",
        tag("h1", manifest.name or summary.name),
        tag("p", manifest.description, class_="lead") if manifest.description else None,
        _facts({name: value for name, value in facts.items() if value != ""}),
        tag(
            "details",
            tag("summary", f"Models ({len(models)})"),
            _facts({k: v.replace("`", "") for k, v in models}),
        ),
        tag("details", tag("summary", "Versions"), _facts(dict(versions))),
    )


def _facts(facts: Mapping[str, Element | str]) -> Element:
    lines = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items())
    return tag("dl", *lines, class_="facts")


def _link(text: str, address: str) -> Element | str:
    if not address.startswith(("https://", "http://")):
        return text
    return tag("a", text, href=address, rel="noreferrer")


def _work(summary: Summary) -> str:
    parts = [f"{summary.generated:,} texts generated, {summary.reused:,} from the store"]
    if summary.prompt_tokens or summary.completion_tokens:
        parts.append(f"{summary.prompt_tokens:,} + {summary.completion_tokens:,} tokens")
    if summary.cost is None and summary.generated:
        parts.append("at a price that is not known")
    elif summary.cost:
        parts.append(dollars(summary.cost))
    return ", ".join(parts)


def _flow(summary: Summary) -> Element:
    steps = flow(summary)
    total = max((part.start + part.count for _, parts in steps for part in parts), default=0)
    splits = " + ".join(f"{rows:,} {split}" for split, rows in summary.configs.get("raw", {}).items())
    lines = [
        tag("li", tag("b", name), _flow_bar(parts, total), _flow_parts(parts, total)) for name, parts in steps
    ]
    return tag(
        "section",
        tag("h2", f"Where {total:,} questions went"),
        tag("p", splits, class_="quiet"),
        tag("ol", *lines, class_="flow"),
    )


def _flow_bar(parts: Sequence[Part], total: int) -> Element:
    shares = [(part.kind, part.start / total, part.count / total, "") for part in parts]
    return _bar(shares, "; ".join(f"{part.count:,} {part.label}" for part in parts) or "none")


def _flow_parts(parts: Sequence[Part], total: int) -> Element:
    def item(part: Part) -> Element:
        of = tag("small", share(part.count, total)) if part.count < total else None
        return tag("li", _swatch(part.kind), f"{part.count:,} {part.label} ", of)

    return tag("ul", *(item(part) for part in parts), tag("li", "none") if not parts else None)


def _sources(summary: Summary, lengths: Mapping[str, Sequence[float]]) -> Element:
    longest = max((values[-1] for values in lengths.values()), default=0.0) or 1.0
    counts = score_counts(summary)
    names = ("source", "responses", "calls the tool", "right", "scores", "characters")
    rows = [
        tag("tr", *(tag("td", *cell, data_label=label) for label, cell in zip(names, cells, strict=True)))
        for name, source in summary.sources.items()
        if (cells := _cells(name, source, counts[name], lengths.get(name), longest))
    ]
    if not rows:
        return tag("section", tag("h2", "Sources"), tag("p", "There are no responses.", class_="quiet"))
    levels = list(next(iter(counts.values())))
    keys = [tag("span", _swatch(f"score-{level}"), level) for level in levels]
    return tag(
        "section",
        tag("h2", "Sources"),
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names))),
            tag("tbody", *rows),
            class_="sources",
        ),
        tag("p", "Scores ", *keys, ". Calls that fail: ", _swatch("out"), ". Characters: the middle half of the "
            "responses as a box, 90% of them as a line, and their median.", class_="quiet key"),
    )  # fmt: skip


def _cells(
    name: str,
    source: Mapping[str, Any],
    scores: Mapping[str, int],
    lengths: Sequence[float] | None,
    longest: float,
) -> list[list[Element | str]]:
    whole, tool, failed = source["responses"], source["tool"], source["failed"]
    calls = f"{share(tool, whole)}" + (f", {failed:,} fail" if failed else "")
    part, fails = (tool / whole, failed / whole) if whole else (0.0, 0.0)
    shares = [("track", 0.0, 1.0, ""), ("call", 0.0, part - fails, ""), ("out", part - fails, fails, "")]
    return [
        [tag("button", name, type="button", data_filter="source", data_value=name)],
        [f"{whole:,}"],
        [_bar(shares, f"{name}: {calls}"), tag("small", calls)],
        [share(source["correct"], whole)],
        [_score_bar(scores)],
        [_box(lengths, longest), tag("small", f"{lengths[2]:,.0f}")] if lengths else ["-"],
    ]


def _score_bar(scores: Mapping[str, int]) -> Element:
    whole, start, shares = sum(scores.values()), 0.0, []
    for score, count in scores.items():
        part = count / whole if whole else 0.0
        shares.append((f"score-{score}", start, part, f"{part:.0%}"))
        start += part
    said = "; ".join(f"score {score}: {count:,}" for score, count in scores.items() if count)
    return _bar(shares, said or "no scores")


def _box(quantiles: Sequence[float], end: float) -> Element:
    low, first, middle, third, high = (value / end for value in quantiles)
    said = "characters: 5% {:,.0f}, 25% {:,.0f}, median {:,.0f}, 75% {:,.0f}, 95% {:,.0f}".format(*quantiles)
    return _svg(
        said,
        tag("rect", class_="whisker", x=_percent(low), width=_percent(high - low), y="7", height="2"),
        tag("rect", class_="box", x=_percent(first), width=_percent(third - first), y="2", height="12"),
        tag("rect", class_="median", x=_percent(middle), width="3", y="1", height="14"),
    )


def _bar(shares: Sequence[tuple[str, float, float, str]], said: str) -> Element:
    """A bar of parts: their class, start and size among the whole, and what stands in them if it fits."""
    parts: list[Element] = []
    for kind, start, size, label in shares:
        if size > 0:
            parts.append(
                tag("rect", class_=kind, x=_percent(start), width=_percent(size), y="0", height="16")
            )
        if label and size >= 0.14:
            parts.append(tag("text", label, class_=f"on-{kind}", x=_percent(start + size / 2), y="12"))
    return _svg(said, *parts)


def _svg(said: str, *children: Element) -> Element:
    return tag("svg", tag("title", said), *children, class_="bar", role="img", width="100%", height="16")


def _swatch(kind: str) -> Element:
    return tag("i", class_=f"swatch {kind}")


def _percent(part: float) -> str:
    return f"{part:.3%}"


def _rejected(summary: Summary) -> Element | None:
    total = sum(summary.rejected.values())
    if not total:
        return None
    rows = [
        tag(
            "tr",
            tag("td", f"{count:,}"),
            tag("td", _bar([("out", 0.0, count / total, "")], f"{count:,} of {total:,}")),
            tag("td", tag("button", reason, type="button", data_filter="reason", data_value=reason)),
        )
        for reason, count in summary.rejected.items()
    ]
    return tag(
        "section",
        tag("h2", f"Why {total:,} {'was' if total == 1 else 'were'} rejected"),
        tag("table", *rows, class_="rejected"),
    )
