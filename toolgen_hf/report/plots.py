"""Plots of a result for its card: where the questions went, tool use, scores and lengths by source.

    write_plots(Path("plots"), load_summary(directory), load(Produced("stage2", data_dir=directory)))
    -> {"flow": plots/flow.png, "tools": plots/tools.png, "scores": plots/scores.png, "lengths": plots/lengths.png}

Equal content gives equal bytes. Needs matplotlib: ``pip install "toolgen_hf[report]"``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import DatasetDict

from toolgen_hf._utils import replacing, shorten
from toolgen_hf.errors import ConfigError
from toolgen_hf.report.figures import Part, flow, flow_title, length_quantiles, longest, score_counts
from toolgen_hf.runtime.summary import Summary, share
from toolgen_hf.stages.score import SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHAT = {
    "flow": "Where the questions went: right or wrong without a tool, verified tool calls, stage 1 and stage 2",
    "tools": "How often each source calls the tool, and how many of the calls fail",
    "scores": "How often each source's responses got each score",
    "lengths": "How long each source's responses are",
}
"""What each plot shows: its alternative text in a card."""

# Okabe and Ito's palette, which colour-blind people can tell apart. Scores are shades of one hue.
COLOURS = {"all": "#5f6b76", "right": "#0072b2", "wrong": "#e69f00", "call": "#009e73", "out": "#d55e00"}
_SCORE_COLOURS = dict(zip(SCORES, ("#08436e", "#2b77b5", "#79b0d9", "#c2daec", "#dddddd"), strict=True))
_INK, QUIET = "#1f2328", "#59636e"
STYLE = {"font.family": "DejaVu Sans", "font.size": 10, "text.parse_math": False, "text.color": _INK}

WIDTH, DPI = 8.0, 200  # inches; a card shows it about 800 pixels wide, so this is crisp on any screen
_LEFT, _TOP, _BOTTOM, _ROW = 2.0, 0.85, 0.3, 0.46


def plots(summary: Summary, stage2: DatasetDict) -> dict[str, Figure]:
    """The four plots by name (see ``WHAT``). matplotlib's global state does not change.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError('plots need matplotlib: pip install "toolgen_hf[report]"') from error
    with matplotlib.rc_context(STYLE):
        return {
            "flow": _flow(summary),
            "tools": _tools(summary),
            "scores": _scores(summary),
            "lengths": _lengths(length_quantiles(stage2)),
        }


def write_plots(folder: Path, summary: Summary, stage2: DatasetDict) -> dict[str, Path]:
    """Write the plots as ``{folder}/{name}.png``, and return the paths by name.

    Raises:
        ConfigError: matplotlib is not installed.
        OSError: they cannot be written there.
    """
    figures = plots(summary, stage2)
    import matplotlib

    paths = {}
    for name, figure in figures.items():
        paths[name] = folder / f"{name}.png"
        with replacing(paths[name]) as scratch, matplotlib.rc_context(STYLE):
            figure.savefig(scratch, format="png", dpi=DPI, metadata={"Software": None})
    return paths


def _flow(summary: Summary) -> Figure:
    steps = flow(summary)
    total, title, splits = flow_title(summary, steps)
    figure, axes = canvas(title, splits, 0.95 * len(steps) + 1, left=1.45, right=0.3)
    axes.set(xlim=(0, total or 1), ylim=(len(steps) - 0.5, -0.3))
    for y, (name, parts) in enumerate(steps):
        axes.annotate(
            name, (0, y), (-10, 0), textcoords="offset points", ha="right", va="center", weight="bold"
        )
        for part in parts:  # a shadow down to where its questions go
            below = {"right": 2, "out": 0}.get(part.kind, 1) if y + 1 < len(steps) else 0
            span = [part.start, part.start + part.count]
            axes.fill_between(span, y, y + below, color=COLOURS[part.kind], alpha=0.13, lw=0)
        for part in parts:
            colour = COLOURS[part.kind]
            axes.barh(y, part.count, 0.36, part.start, color=colour, edgecolor="white", linewidth=1, zorder=3)
        _label_parts(figure, axes, y, parts, total)
        if not parts:
            axes.annotate("none", (0, y), (6, 0), textcoords="offset points", va="center", color=QUIET)
    return figure


def _label_parts(figure: Figure, axes: Axes, y: float, parts: Sequence[Part], total: int) -> None:
    """Write names and counts under their bar, moved apart where they would touch; without shares if too wide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    to_data = total / axes.get_window_extent(renderer).width if total else 0
    names = [shorten(part.label, 22) if part.kind == "call" else part.label for part in parts]
    labels = [f"{part.count:,} {name}" for part, name in zip(parts, names, strict=True)]
    shares = [f" ({share(part.count, total)})" if part.count < total else "" for part in parts]
    texts = [axes.text(0, y + 0.28, label + of, ha="center", va="top", zorder=4)
             for label, of in zip(labels, shares, strict=True)]  # fmt: skip

    def widths() -> list[float]:
        return [(text.get_window_extent(renderer).width + 12) * to_data for text in texts]

    if sum(widths()) > total:
        for text, label in zip(texts, labels, strict=True):
            text.set_text(label)
    middles = spread([part.start + part.count / 2 for part in parts], widths(), total)
    for text, middle, part in zip(texts, middles, parts, strict=True):
        text.set_x(middle)
        near = min(max(middle, part.start), part.start + part.count)
        if near != middle:
            axes.plot([near, middle], [y + 0.18, y + 0.27], color=COLOURS[part.kind], lw=1.2, zorder=3)


def spread(wanted: Sequence[float], widths: Sequence[float], end: float) -> list[float]:
    """Middles for labels of these widths: in order, near ``wanted``, between 0 and ``end``, and not touching."""
    placed, edge = list(wanted), 0.0
    for i, width in enumerate(widths):
        placed[i] = max(placed[i], edge + width / 2)
        edge = placed[i] + width / 2
    edge = end
    for i, width in reversed(list(enumerate(widths))):
        placed[i] = min(placed[i], edge - width / 2)
        edge = placed[i] - width / 2
    return placed


def _tools(summary: Summary) -> Figure:
    key = [("calls the tool", COLOURS["right"]), ("the call fails", COLOURS["out"])]
    figure, axes = _by_source("How often each source calls the tool", key, summary.sources, right=2.1)
    for y, source in enumerate(summary.sources.values()):
        whole, tool, failed = source["responses"], source["tool"], source["failed"]
        if whole:
            axes.barh(y, tool / whole, 0.55, color=COLOURS["right"])
            axes.barh(y, failed / whole, 0.55, (tool - failed) / whole, color=COLOURS["out"])
        fails = f", {failed:,} of {tool:,} fail" if failed else ""
        axes.text(tool / whole + 0.012 if whole else 0, y, share(tool, whole) + fails, va="center")
    return figure


def _scores(summary: Summary) -> Figure:
    key = [(f"score {score}" if score == SCORES[0] else score, _SCORE_COLOURS[score]) for score in SCORES]
    counts = score_counts(summary)
    figure, axes = _by_source("How each source's responses score", key, counts, right=0.35)
    for y, scores in enumerate(counts.values()):
        whole, start = sum(scores.values()), 0.0
        for score, count in scores.items():
            width = count / whole if whole else 0.0
            axes.barh(y, width, 0.62, start, color=_SCORE_COLOURS[score], edgecolor="white", linewidth=0.8)
            if width >= 0.07:
                ink = "white" if score in SCORES[:2] else _INK
                axes.text(start + width / 2, y, f"{width:.0%}", ha="center", va="center", color=ink)
            start += width
        if not whole:
            axes.text(0, y, "no responses in stage 2", va="center", color=QUIET)
    return figure


def _lengths(quantiles: dict[str, list[float]]) -> Figure:
    end = longest(quantiles)
    key = [("median", "#08436e"), ("the middle half", "#79b0d9"), ("90% of the responses", QUIET)]
    title = "How long the responses are, in characters"
    figure, axes = _by_source(title, key, quantiles, right=0.9, bottom=0.5)
    axes.set_xlim(0, end)
    for y, (low, first, middle, third, high) in enumerate(quantiles.values()):
        axes.plot([low, high], [y, y], color=QUIET, lw=1.2, zorder=1, solid_capstyle="butt")
        axes.barh(y, max(third - first, end / 200), 0.5, first, color="#79b0d9", zorder=2)
        axes.plot(
            [middle] * 2, [y - 0.25, y + 0.25], color="#08436e", lw=2.5, zorder=3, solid_capstyle="butt"
        )
        axes.text(high + end * 0.012, y, f"{middle:,.0f}", va="center", weight="bold", color="#08436e")
    axes.xaxis.set_visible(bool(quantiles))
    axes.tick_params(length=0, labelcolor=QUIET, pad=6)
    axes.grid(axis="x", color="#e4e7ea", lw=0.8)
    axes.set_axisbelow(True)
    return figure


def _by_source(
    title: str, key: Sequence[tuple[str, str]], sources: Iterable[str], right: float, bottom: float = _BOTTOM
) -> tuple[Figure, Axes]:
    """A figure with one line a source, shares from 0 to 1 across."""
    names = list(sources)
    height = _ROW * max(len(names), 1) + _TOP + bottom
    figure, axes = canvas(title, "", height, right=right, bottom=bottom)
    axes.set(xlim=(0, 1), ylim=(max(len(names), 1) - 0.5, -0.5))
    for y, name in enumerate(names):
        axes.annotate(two_lines(name), (0, y), (-8, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", va="center")  # fmt: skip
    if not names:
        axes.text(0, 0, "there are no responses", va="center", color=QUIET)
    _key(figure, key)
    return figure, axes


def two_lines(name: str, width: int = 22) -> str:
    """A long name on two lines; if they are not enough, its beginning and its end, where names differ."""
    lines = textwrap.wrap(name, width)
    return "\n".join(lines if len(lines) <= 2 else [name[:width], "…" + name[1 - width :]])


def _key(figure: Figure, key: Sequence[tuple[str, str]]) -> None:
    """Write in one line under the title what the colours mean."""
    from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea
    from matplotlib.patches import Rectangle

    def entry(label: str, colour: str) -> HPacker:
        square = DrawingArea(9, 9)
        square.add_artist(Rectangle((0, 0), 9, 9, facecolor=colour))
        words = TextArea(label, textprops={"color": QUIET})
        return HPacker(children=[square, words], pad=0, sep=5, align="center")

    line = HPacker(children=[entry(*item) for item in key], pad=0, sep=14, align="center")
    place = (0.25 / WIDTH, 1 - 0.44 / figure.get_figheight())
    figure.add_artist(AnchoredOffsetbox("upper left", child=line, pad=0, borderpad=0, frameon=False,
                                        bbox_to_anchor=place, bbox_transform=figure.transFigure))  # fmt: skip


def canvas(
    title: str, note: str, height: float, right: float, left: float = _LEFT, bottom: float = _BOTTOM
) -> tuple[Figure, Axes]:
    """A figure with a title, and bare axes below it. Sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    figure.text(0.25 / WIDTH, 1 - 0.13 / height, title, size=13, weight="bold", va="top")
    figure.text(0.25 / WIDTH, 1 - 0.44 / height, note, color=QUIET, va="top")
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (_TOP + bottom) / height)
    )
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_visible(False)
    return figure, axes
