"""What a recipe will need, said before anything starts: models, memory, disk, keys, requests, dollars.

    check(Recipe.load("gsm8k")).missing
    -> ("engine 'gpt-5.6-terra' needs an API key: set OPENAI_API_KEY, name a file with keys_file ...", ...)

Nothing is loaded, generated or sent, and torch is not imported. Questions are read; of models on the Hub only the list
of files is fetched, and of one without a pinned revision its config and card.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from datasets import DatasetDict

from toolgen_hf.check.asking import RoleNeed, counted, usable
from toolgen_hf.check.engines import EngineNeed, engine_need
from toolgen_hf.check.machine import Machine, missing_packages, this_machine, to_install
from toolgen_hf.check.models import Files, Shelf
from toolgen_hf.errors import ConfigError, HubError
from toolgen_hf.hub.repo import HUB, split_source
from toolgen_hf.models.config import LocalConfig, OpenAIConfig
from toolgen_hf.models.weights import ADAPTER, MODEL
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.questions import as_questions, fewer, load_raw
from toolgen_hf.recipe.roles import Role, remarks, roles_of
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages import near_duplicates
from toolgen_hf.stages.chat_template import check_rows, sample
from toolgen_hf.tasks import get_task

_BYTES_A_RESPONSE = 2_000
"""Of a result, for each question and source, gold included: about what results of GSM8K questions take."""
UNCHECKED = (
    "tool_calling: some chat templates leave tool calls out without a word (those of SmolLM2, Llama 3, Phi-3 and "
    "DeepSeek-R1's distilled models): --tokenizer MODEL checks the model that you will train"
)
_LARGE = 1_000_000_000
"""Parameters from which a GPU is advised."""


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """A model or a LoRA adapter, and whom it serves; ``memory`` are the bytes of its weights once loaded."""

    name: str
    revision: str | None
    roles: tuple[str, ...]
    files: Files
    memory: int | None
    gpu: str
    """``needed``, ``advised`` or ``no``."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a recipe will need; sizes in bytes, costs in US dollars, None where it cannot be known.

    ``questions`` counts rows by dataset and split. ``missing`` is what keeps it from running here and now, each with
    what to do about it; ``warnings`` do not, and ``notes`` are good to know.
    """

    recipe: str
    questions: Mapping[str, Mapping[str, int]]
    roles: tuple[RoleNeed, ...]
    models: tuple[ModelNeed, ...]
    engines: tuple[EngineNeed, ...]
    output: int | None
    machine: Machine
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def cost(self) -> float | None:
        """Expected."""
        return _dollars(role.cost for role in self.roles)

    @property
    def max_cost(self) -> float | None:
        """At most."""
        return _dollars(role.max_cost for role in self.roles)

    @property
    def download(self) -> int | None:
        """Of all models together."""
        return _bytes({(model.name, model.revision): model.files.download for model in self.models}.values())

    @property
    def disk(self) -> int | None:
        """What will be written: downloads, models that are converted once, and the result."""
        converted = {model.name: model.files.disk for model in self.models}
        return _bytes([self.download, self.output, *converted.values()])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        totals = {"cost": self.cost, "max_cost": self.max_cost, "download": self.download, "disk": self.disk}
        return {**asdict(self), **totals, "can_run": not self.missing}


def check(recipe: Recipe, workspace: Workspace | None = None, tokenizer: str | None = None) -> Needs:
    """What ``run`` would need for a recipe, as far as it can be known here.

    Args:
        tokenizer: also check that the chat template of this model (a folder, a Hub id, ``pip:NAME``) renders the tool
            calls of the config ``tool_calling``; default the recipe's ``tool_calling.tokenizer``.

    Raises:
        ConfigError, DataError: the questions cannot be used.
    """
    workspace = workspace or Workspace(progress=False)
    with workspace:  # it opens again when it is next used
        part = _Part(Shelf(), this_machine(workspace.cache_dir), tokenizer)
        for name, each in recipe.recipes.items():
            part.add(each, workspace, f"{name}: " if name else "")
        for name, given in recipe.mix.parts.items() if recipe.mix else ():
            if given.source is not None:
                part.add_set(f"{name}: {given.source}", part.shelf.look_for_set(given.source))
        return part.needs(recipe.name)


@dataclass
class _Part:
    """What was found so far."""

    shelf: Shelf
    machine: Machine
    tokenizer: str | None = None
    questions: dict[str, dict[str, int]] = field(default_factory=dict)
    roles: list[RoleNeed] = field(default_factory=list)
    used: list[tuple[str, LocalConfig | OpenAIConfig]] = field(default_factory=list)
    to_ask: dict[str, int] = field(default_factory=dict)
    output: int | None = 0
    """Bytes; None where questions cannot be counted."""
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, recipe: Recipe, workspace: Workspace, prefix: str = "") -> None:
        """All that a recipe needs; ``prefix`` names the part of a mix."""
        roles = roles_of(recipe)
        self.warnings += [f"{prefix}{remark}" for remark in remarks(recipe)]
        self._look_at_template(recipe, prefix)
        configs = {role.key: self._look(role, prefix) for role in roles}
        try:
            raw, moved = _questions(recipe)
        except HubError as error:
            is_gone = self._is_gone(recipe.dataset.source or "")
            (self.missing if is_gone else self.warnings).append(f"{prefix}the questions: {error}")
            self.output = None
            self.roles += [
                RoleNeed(f"{prefix}{role.name}", role.config.kind, role.who, 0, cost=None, max_cost=None)
                for role in roles
            ]
            return
        rows = {str(split): len(table) for split, table in raw.items()}
        self.warnings += [f"{prefix}{remark}" for remark in fewer(raw, recipe.dataset)]
        self.notes += [f"{prefix}{remark}" for remark in _near_duplicates(raw, moved)]
        self.questions[prefix.removesuffix(": ") or recipe.name] = rows
        if self.output is not None:
            self.output += sum(rows.values()) * (len(recipe.sources) + 1) * _BYTES_A_RESPONSE
        for need in counted(recipe, roles, configs, sum(rows.values()), workspace):
            self.roles.append(replace(need, role=f"{prefix}{need.role}"))
            self.to_ask[f"{prefix}{need.role}"] = need.to_ask or 0

    def _look_at_template(self, recipe: Recipe, prefix: str) -> None:
        """Whether the model that is to be trained on tool calls sees them."""
        own = recipe.tool_calling
        model, revision = (self.tokenizer, None) if self.tokenizer else (own.tokenizer, own.revision)
        if model is None:
            self.notes.append(UNCHECKED)
            return
        try:
            check_rows([sample(get_task(recipe.task).tool)], model, revision)
        except HubError as error:
            self.warnings.append(f"{prefix}tool_calling: {error}")
        except ConfigError as error:  # a run stops at it if the recipe names the model
            (self.warnings if self.tokenizer else self.missing).append(f"{prefix}tool_calling: {error}")
        else:
            self.notes.append(
                f"tool_calling: the chat template of {model!r} renders tool calls and their results"
            )

    def _is_gone(self, source: str) -> bool:
        """Whether the Hub could be asked for the questions, and has none of that version."""
        return source.startswith(HUB) and self.shelf.look_for_set(split_source(source)[0]).state == "missing"

    def add_set(self, name: str, files: Files) -> None:
        """A part that was made before."""
        if files.state == "missing":
            self.missing.append(f"{name}: {files.problem}")
        elif files.state != "here":
            size = files.problem if files.download is None else f"{files.download / 1e6:.1f} MB to download"
            self.warnings.append(f"{name}: {size}")

    def _look(self, role: Role, prefix: str) -> Any:
        """The config to plan a role with; notes what is wrong with it."""
        config, is_here = role.config, True
        if isinstance(config, LocalConfig):
            found = [self.shelf.look(config.model, config.revision, MODEL)]
            if config.adapter is not None and config.trained_adapter is None:
                found.append(self.shelf.look(config.adapter, config.adapter_revision, ADAPTER))
            is_here = all(files.state in ("here", "download") for files in found)
        planned, problem = usable(role, self.machine, is_here)
        if problem is not None:
            self.missing.append(f"{prefix}{problem}")
        if isinstance(config, LocalConfig | OpenAIConfig):
            self.used.append((f"{prefix}{role.name}", config))
            if gone := missing_packages(config):
                self.missing.append(f"{', '.join(gone)} is not installed: {to_install(config, gone)}")
        return planned

    def needs(self, recipe: str) -> Needs:
        """All together."""
        models, engines = self._models(), self._engines()
        made = Needs(
            recipe, self.questions, tuple(self.roles), models, engines, self.output, self.machine,
            tuple(dict.fromkeys(self.missing)), tuple(dict.fromkeys(self.warnings)), tuple(dict.fromkeys(self.notes)),
        )  # fmt: skip
        free = self.machine.free
        if made.disk is None or made.disk <= free:
            return made
        full = (
            f"{made.disk / 1e9:.1f} GB will be written, and where the cache lies {free / 1e9:.1f} GB are free: "
            "free some, or set HF_HOME to another disk"
        )
        return replace(made, missing=(*made.missing, full))

    def _models(self) -> tuple[ModelNeed, ...]:
        """Each model once for each way in which it is loaded."""
        found: dict[tuple[Any, ...], ModelNeed] = {}
        for role, config in self.used:
            if not isinstance(config, LocalConfig):
                continue
            wanted = [(config.model, config.revision, MODEL)]
            if config.adapter is not None and config.trained_adapter is None:
                wanted.append((config.adapter, config.adapter_revision, ADAPTER))
            for name, revision, kind in wanted:
                files, bits = self.shelf.look(name, revision, kind), self.machine.bits(config)
                memory = None if files.parameters is None else files.parameters * bits // 8
                gpu = _gpu(config, files)
                key = (name, revision, kind.noun, memory, gpu)
                before = found[key].roles if key in found else ()
                found[key] = ModelNeed(name, revision, (*before, role), files, memory, gpu)
                self._note(found[key], config)
        return tuple(found.values())

    def _note(self, need: ModelNeed, config: LocalConfig) -> None:
        """What is wrong with a model here."""
        machine, on_gpu = self.machine, self.machine.device(config).startswith("cuda")
        if need.files.problem is not None:
            (self.missing if need.files.state == "missing" else self.warnings).append(need.files.problem)
        if need.gpu == "needed" and machine.gpu is None:
            why = (
                f"quantization {config.quantization}" if config.quantization else f"device {config.device!r}"
            )
            self.missing.append(f"{need.name}: {why} needs a CUDA GPU, and none was found here")
            return
        there = machine.gpu_memory if on_gpu else machine.memory
        if need.memory is not None and there is not None and need.memory > there:
            where = machine.gpu if on_gpu else "this machine"
            self.missing.append(
                f"{need.name} takes {need.memory / 1e9:.1f} GB when loaded, and {where} has {there / 1e9:.1f} GB: give "
                "a smaller model, fewer bits (dtype, quantization) or a larger machine"
            )

    def _engines(self) -> tuple[EngineNeed, ...]:
        """Each engine once for each way to reach it."""
        grouped: dict[tuple[Any, ...], list[str]] = {}
        configs: dict[tuple[Any, ...], OpenAIConfig] = {}
        for role, config in self.used:
            if isinstance(config, OpenAIConfig):
                key = (
                    config.engine,
                    config.api,
                    config.base_url,
                    config.keys_file,
                    config.allow_http,
                    config.price,
                )
                grouped.setdefault(key, []).append(role)
                configs.setdefault(key, config)
        needs = tuple(engine_need(configs[key], tuple(roles)) for key, roles in grouped.items())
        for need in needs:
            asks = sum(self.to_ask.get(role, 0) for role in need.roles)
            if need.problem and asks:
                self.missing.append(need.problem)
            if need.shutdown:
                self.warnings.append(need.shutdown)
            if need.is_gone and asks:
                self.missing.append(
                    f"{need.engine!r} is no longer served by OpenAI, and {asks} texts are still to ask"
                )
            if not need.has_price and asks:
                self.warnings.append(
                    f"the price of {need.engine!r} is not known: add price: {{input: ..., output: ...}}"
                )
        return needs


def _questions(recipe: Recipe) -> tuple[DatasetDict, int]:
    """The questions, and how many of them are in another split than is written."""
    rows, origin = load_raw(recipe.dataset)
    return as_questions(rows)[0] if recipe.answer is None else rows, origin.moved


def _near_duplicates(raw: DatasetDict, moved: int) -> list[str]:
    """What there is over splits, and what to do about it."""
    found = near_duplicates.facts(raw, near_duplicates.marks(raw))
    advice = "leave them out by the column near_duplicate_of, or set dataset.near_duplicates to drop"
    said = [f"{near_duplicates.in_words(one)}: {advice}" for one in found]
    if moved:
        said.append(
            f"dataset.splits: {moved:,} rows go to another split than is written, with their near duplicates"
        )
    return said


def _gpu(config: LocalConfig, files: Files) -> str:
    if config.quantization is not None or config.device.startswith("cuda"):
        return "needed"
    return "advised" if (files.parameters or 0) >= _LARGE else "no"


def _dollars(parts: Iterable[float | None]) -> float | None:
    """The sum; None where one is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def _bytes(parts: Iterable[int | None]) -> int | None:
    """The sum; None where one is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)
