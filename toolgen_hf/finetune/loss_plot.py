"""The loss curve of a training run as a PNG: each step, each saved checkpoint, and the checkpoint to use.

    write_loss_plot(Path("run/loss.png"), [2.6, 1.4, 0.9, 0.8], saved=[2, 4], marked=2)

The same numbers give the same bytes. Needs matplotlib: ``pip install "toolgen_hf[report]"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolgen_hf._utils import replacing
from toolgen_hf.errors import ConfigError
from toolgen_hf.report.plots import COLOURS, DPI, QUIET, STYLE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 3.6  # inches
_MANY = 30  # with more steps, a running mean is drawn over the single losses


def write_loss_plot(path: Path, losses: Sequence[float], saved: Sequence[int], marked: int) -> None:
    """Draw the loss (mean cross-entropy per token, in nats) of each step.

    Args:
        losses: one per step, in order.
        saved: the steps with a checkpoint.
        marked: the step of the checkpoint to name in the plot.

    Raises:
        ConfigError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError('the loss curve needs matplotlib: pip install "toolgen_hf[report]"') from error
    with matplotlib.rc_context(STYLE):
        figure = _figure(losses, saved, marked)
        with replacing(path) as scratch:
            figure.savefig(scratch, format="png", dpi=DPI, metadata={"Software": None})


def running_mean(losses: Sequence[float], keep: float = 0.7) -> list[float]:
    """The exponential moving average of the losses, with bias correction."""
    total, weight, means = 0.0, 0.0, []
    for loss in losses:
        total, weight = keep * total + (1 - keep) * loss, keep * weight + (1 - keep)
        means.append(total / weight)
    return means


def _figure(losses: Sequence[float], saved: Sequence[int], marked: int) -> Figure:
    from matplotlib.ticker import MaxNLocator

    steps, is_long = range(1, len(losses) + 1), len(losses) > _MANY
    note = "Mean cross-entropy of the output tokens, in nats; dashed: checkpoints"
    note += "; bold: running mean" * is_long
    figure, axes = canvas("Training loss", note, _HEIGHT, right=0.35, left=0.7, bottom=0.55)
    blue, orange, grey = COLOURS["right"], COLOURS["out"], "#9aa4ae"
    if is_long:
        axes.plot(steps, losses, color=blue, lw=0.9, alpha=0.35)
    line = running_mean(losses) if is_long else losses
    axes.plot(steps, line, color=blue, lw=2, marker=None if is_long else "o", ms=3.5)

    axes.set(xlim=(0, len(losses) + 0.5), ylim=(0, max(losses) * 1.08 or 1))
    axes.xaxis.set_visible(True)
    axes.yaxis.set_visible(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.set_xlabel("step", color=QUIET)
    axes.set_ylabel("loss", color=QUIET)
    axes.tick_params(length=0, labelcolor=QUIET, pad=5)
    axes.grid(axis="y", color="#e4e7ea", lw=0.8)
    axes.set_axisbelow(True)

    for step in saved:
        color, width, size = (orange, 1.4, 7) if step == marked else (grey, 0.8, 5)
        if step == marked or len(saved) <= _MANY:
            axes.axvline(step, color=color, lw=width, ls=(0, (4, 3)))
        axes.plot([step], [line[step - 1]], "o", ms=size, mec="white", mew=1.2, color=color, zorder=4)
    is_left = marked <= 0.7 * len(line)
    axes.annotate(
        f"checkpoint-{marked}",
        (marked, 1),
        (6 if is_left else -6, -4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if is_left else "right",
        va="top",
        color=orange,
        weight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
    return figure
