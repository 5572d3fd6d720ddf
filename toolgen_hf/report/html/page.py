"""One HTML file that shows a whole result, from any disk and with no network.

The rows are in it as compressed JSON, which its script reads. The page's content security policy forbids other scripts
and all requests. What a model wrote is put on the page as text, never as markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from xml.etree.ElementTree import Element, tostring

from toolgen_hf._utils import replacing
from toolgen_hf.builders import Produced, load
from toolgen_hf.builders.rows import some_ids
from toolgen_hf.data.manifest import Manifest
from toolgen_hf.data.produced import load_manifest, task_of
from toolgen_hf.errors import ConfigError
from toolgen_hf.report.figures import flow, flow_title, length_quantiles, longest, score_counts, work
from toolgen_hf.report.html.rows import questions
from toolgen_hf.runtime.summary import Source, Summary, share
from toolgen_hf.tasks import get_task
from toolgen_hf.tasks.base import Task
from toolgen_hf.tasks.graders import Graders

MAX_QUESTIONS = 5000
"""The page of a larger result shows a sample."""
Row = dict[str, Any]


def write_report(directory: Path, target: Path | None = None, task: str | Task | None = None) -> Path:
    """Write the page of a produced directory, and return its path. Equal results give equal bytes.

    Args:
        target: default ``{directory}-report.html``, beside the directory. Within it, the next run would refuse to
            replace the directory.
        task: marks the calls and grades the answers; default the directory's own, in a mix of several each row's.

    Raises:
        ConfigError: the directory holds no result, its task is not known here, or the target is a directory.
        DataError: its tables are missing or damaged.
        OSError: it cannot be written there.
    """
    directory = directory.resolve()
    target = directory.with_name(f"{directory.name}-report.html") if target is None else target
    if target.is_dir():
        raise ConfigError(
            f"{str(target)!r} is a directory; name a file, such as {str(target / 'report.html')!r}"
        )
    page = render(directory, task)
    with replacing(target) as scratch:
        scratch.write_text(page, encoding="utf-8", newline="\n")
    return target


def render(directory: Path, task: str | Task | None = None) -> str:
    """The page of a produced directory. Raises as ``write_report`` does."""
    manifest = load_manifest(directory)
    summary, (tables, shown) = manifest.summary, _tables(directory, manifest)
    graders = Graders(get_task(task) if task else None, task_of(directory), directory.name)
    data = {"questions": questions(tables, graders), "sources": list(summary.sources)}
    html, style, script = (
        files("toolgen_hf.report.html").joinpath(f"report.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    return Template(html).substitute(
        title=escape(manifest.name or summary.name),
        policy=f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        overview=overview(manifest, summary, length_quantiles(tables.get("stage2", {})), shown),
        data=pack(data),
    )


def pack(data: Any) -> str:
    """JSON, compressed, in letters that mean nothing to HTML."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)).decode("ascii")


def _tables(directory: Path, manifest: Manifest) -> tuple[dict[str, Mapping[str, Iterable[Row]]], str]:
    """The configs that the page shows, and the student's responses where the exports are of one dataset.

    Of a large result these are the rows of a sample, which the second value describes.
    """
    shown = ["raw", "stage1", "stage2", "rejected"]
    wanted = [config for config in shown if config in manifest.summary.configs]
    exported = [name for name in manifest.files if name.startswith("data/raw/") and name.count("/") == 3]
    if len({name.split("/")[2] for name in exported}) == 1:
        wanted += [c for c in ("right", "wrong") if any(name.endswith(f"_{c}.json") for name in exported)]
    first = next((config for config in wanted if config in manifest.summary.configs), "")
    total = sum(manifest.summary.configs.get(first, {}).values())
    builders = {name: Produced(name, data_dir=directory) for name in wanted}
    if total <= MAX_QUESTIONS:
        return {name: load(builder) for name, builder in builders.items()}, ""
    step = math.ceil(total / MAX_QUESTIONS)
    ids = some_ids((path for paths in builders[first].inputs.values() for path in paths), step)
    note = f"{len(ids):,} of {total:,} questions, one of {step}; the lengths of responses are of these, too"
    return {name: builder.sample(ids) for name, builder in builders.items()}, note


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"


# The overview: what was made, where the questions went, the sources, the rejects. It is built as a tree and not as
# text, so that no name and no reason can become markup.


def overview(manifest: Manifest, summary: Summary, lengths: dict[str, list[float]], shown: str = "") -> str:
    """The overview as HTML.

    Args:
        lengths: from `toolgen_hf.report.figures.length_quantiles`.
        shown: which questions the page shows, if not all.
    """
    parts = [
        _header(manifest, summary, shown),
        _flow(summary),
        _sources(summary, lengths),
        _rejected(summary),
    ]
    return "\n".join(tostring(part, encoding="unicode", method="html") for part in parts if part is not None)


def tag(name: str, *children: Element | str | None, **attributes: str) -> Element:
    """An element without the children that are None. ``class_`` is the attribute class, and ``data_x`` is data-x."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child and len(element):
            element[-1].tail = (element[-1].tail or "") + child
        elif child:
            element.text = (element.text or "") + child
    return element


def _header(manifest: Manifest, summary: Summary, shown: str) -> Element:
    questions: Element | str = manifest.source_dataset
    if manifest.homepage.startswith(("https://", "http://")):
        questions = tag("a", questions, href=manifest.homepage, rel="noreferrer")
    facts: dict[str, Element | str] = {
        "Questions": questions,
        "Shown": shown,
        "Licence": manifest.license,
        "Scores by": manifest.strategy,
        "Work": ", ".join(work(summary)),
        "Made": f"{manifest.created_at or ''} with toolgen_hf {manifest.toolgen_hf}",
    }
    models = {role: model.replace("`", "") for role, model in manifest.models.items()}
    return tag(
        "header",
        tag("h1", manifest.name or summary.name),
        tag("p", manifest.description, class_="lead") if manifest.description else None,
        _facts({name: value for name, value in facts.items() if value != ""}),
        tag("details", tag("summary", f"Models ({len(models)})"), _facts(models)),
        tag("details", tag("summary", "Versions"), _facts(manifest.versions)),
    )


def _facts(facts: Mapping[str, Element | str] | Mapping[str, str]) -> Element:
    lines = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items())
    return tag("dl", *lines, class_="facts")


def _section(title: str, *children: Element) -> Element:
    return tag("section", tag("h2", title), *children)


def _flow(summary: Summary) -> Element:
    steps = flow(summary)
    total, title, splits = flow_title(summary, steps)
    lines = []
    for name, parts in steps:
        items = []
        for part in parts:
            of = tag("small", share(part.count, total)) if part.count < total else None
            items.append(tag("li", _swatch(part.kind), f"{part.count:,} {part.label} ", of))
        bar = _bar(
            [(part.kind, part.start / total, part.count / total, "") for part in parts],
            "; ".join(f"{part.count:,} {part.label}" for part in parts) or "none",
        )
        lines.append(tag("li", tag("b", name), bar, tag("ul", *(items or [tag("li", "none")]))))
    return _section(title, tag("p", splits, class_="quiet"), tag("ol", *lines, class_="flow"))


def _sources(summary: Summary, lengths: dict[str, list[float]]) -> Element:
    if not summary.sources:
        return _section("Sources", tag("p", "There are no responses.", class_="quiet"))
    end, counts = longest(lengths), score_counts(summary)
    names = ("source", "responses", "calls the tool", "right", "scores", "characters")
    rows = []
    for name, source in summary.sources.items():
        cells = _cells(name, source, counts[name], lengths.get(name), end)
        rows.append(
            tag("tr", *(tag("td", *cell, data_label=n) for n, cell in zip(names, cells, strict=True)))
        )
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    keys = [tag("span", _swatch(f"score-{level}"), level) for level in next(iter(counts.values()))]
    key = tag("p", "Scores ", *keys, ". Calls that fail: ", _swatch("out"), ". Characters: the middle half of the "
              "responses as a box, 90% of them as a line, and their median.", class_="quiet key")  # fmt: skip
    return _section("Sources", tag("table", head, tag("tbody", *rows), class_="sources"), key)


def _cells(
    name: str, source: Source, scores: Mapping[str, int], lengths: Sequence[float] | None, end: float
) -> list[list[Element | str]]:
    whole, tool, failed = source["responses"], source["tool"], source["failed"]
    calls = share(tool, whole) + (f", {failed:,} fail" if failed else "")
    runs, fails = ((tool - failed) / whole, failed / whole) if whole else (0.0, 0.0)
    return [
        [tag("button", name, type="button", data_filter="source", data_value=name)],
        [f"{whole:,}"],
        [
            _bar([("track", 0, 1, ""), ("call", 0, runs, ""), ("out", runs, fails, "")], f"{name}: {calls}"),
            tag("small", calls),
        ],
        [share(source["correct"], whole)],
        [_score_bar(scores)],
        [_box(lengths, end), tag("small", f"{lengths[2]:,.0f}")] if lengths else ["-"],
    ]


def _score_bar(scores: Mapping[str, int]) -> Element:
    whole, start, shares = sum(scores.values()), 0.0, []
    for score, count in scores.items():
        part = count / whole if whole else 0.0
        shares.append((f"score-{score}", start, part, f"{part:.0%}"))
        start += part
    text = "; ".join(f"score {score}: {count:,}" for score, count in scores.items() if count)
    return _bar(shares, text or "no scores")


def _box(quantiles: Sequence[float], end: float) -> Element:
    low, first, middle, third, high = (value / end for value in quantiles)
    text = "characters: 5% {:,.0f}, 25% {:,.0f}, median {:,.0f}, 75% {:,.0f}, 95% {:,.0f}".format(*quantiles)
    whisker = _rect("whisker", low, high - low, y="7", height="2")
    box = _rect("box", first, third - first, y="2", height="12")
    return _svg(
        text, [whisker, box, tag("rect", class_="median", x=_percent(middle), width="3", y="1", height="14")]
    )


def _bar(shares: Iterable[tuple[str, float, float, str]], text: str) -> Element:
    """A bar of parts: class, start, size as a share of the whole, and a label that is left out where it does not fit.

    ``text`` is the same in words, for screen readers.
    """
    parts: list[Element] = []
    for kind, start, size, label in shares:
        if size > 0:
            parts.append(_rect(kind, start, size, y="0", height="16"))
        if label and size >= 0.14:
            parts.append(tag("text", label, class_=f"on-{kind}", x=_percent(start + size / 2), y="12"))
    return _svg(text, parts)


def _rect(kind: str, start: float, size: float, **place: str) -> Element:
    return tag("rect", class_=kind, x=_percent(start), width=_percent(size), **place)


def _svg(text: str, children: Iterable[Element]) -> Element:
    return tag("svg", tag("title", text), *children, class_="bar", role="img", width="100%", height="16")


def _swatch(kind: str) -> Element:
    return tag("i", class_=f"swatch {kind}")


def _percent(part: float) -> str:
    return f"{part:.3%}"


def _rejected(summary: Summary) -> Element | None:
    total = sum(summary.rejected.values())
    if not total:
        return None
    rows: list[Any] = []
    for reason, count in summary.rejected.items():
        bar = _bar([("out", 0.0, count / total, "")], f"{count:,} of {total:,}")
        button = tag("button", reason, type="button", data_filter="reason", data_value=reason)
        rows.append(tag("tr", tag("td", f"{count:,}"), tag("td", bar), tag("td", button)))
    title = f"Why {total:,} {'was' if total == 1 else 'were'} rejected"
    return _section(title, tag("table", *rows, class_="rejected"))
