"""What a recipe needs before it can run: models, memory, disk space, API keys, requests, US dollars.

    check(Recipe.load("gsm8k")).missing
    -> ("engine 'gpt-5.6-terra' needs an API key: set OPENAI_API_KEY, name a file with keys_file ...", ...)

No model is loaded, no text is generated and torch is not imported. The questions are read. For a model on the Hub only
the list of files is fetched, and its config and card if no revision is pinned. Requests are counted by a dry run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toolgen_hf.check.files import FileLookup, Files
from toolgen_hf.errors import ConfigError, HubError, ToolgenError
from toolgen_hf.flow.make import rehearse
from toolgen_hf.hub.repo import HUB, split_source
from toolgen_hf.models import build
from toolgen_hf.models.absent import AbsentConfig
from toolgen_hf.models.config import AnnotationsConfig, FileConfig, LocalConfig, OpenAIConfig
from toolgen_hf.models.local import is_cpu_build, resolve_dtype
from toolgen_hf.models.openai.catalog import retired
from toolgen_hf.models.openai.engine import OpenAIGenerator
from toolgen_hf.models.openai.keys import load_keys
from toolgen_hf.models.weights import ADAPTER, MODEL, Kind
from toolgen_hf.recipe import Recipe
from toolgen_hf.recipe.questions import as_questions, fewer, load_raw
from toolgen_hf.recipe.roles import Role, planned_for, remarks, roles_of
from toolgen_hf.runtime.plan import Planned, total
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.secrets import NO_KEY
from toolgen_hf.stages import near_duplicates
from toolgen_hf.stages.chat_template import check_rows, sample
from toolgen_hf.tasks import get_task
from toolgen_hf.tools.config import EngineConfig

_BYTES_PER_RESPONSE = 2_000  # of a result, for each question and source including gold; measured on GSM8K
_LARGE = 1_000_000_000  # parameters from which a GPU is advised
_BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "8bit": 8, "4bit": 4}
_UNCHECKED = (
    "tool_calling: some chat templates leave tool calls out without an error (those of SmolLM2, Llama 3, Phi-3 and "
    "DeepSeek-R1's distilled models): --tokenizer MODEL checks the model that you will train"
)


@dataclass(frozen=True, slots=True)
class RoleNeed:
    """The requests of one role: the student, a teacher, a source, or an adapter to train (``kind`` is ``lora``).

    ``requests`` is the most there can be: one for each question, for a teacher one for each attempt. ``to_ask`` of them
    are not in the store, ``stored`` are; both are None for a role that makes no requests, and ``stored`` also if the
    prompts depend on texts that do not exist yet. Tokens and ``cost`` (US dollars, None without a price) are what is
    expected for ``to_ask``; ``max_cost`` is the upper limit.
    """

    role: str
    kind: str
    who: str
    requests: int
    to_ask: int | None = None
    stored: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0
    max_cost: float | None = 0.0


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """A model or LoRA adapter and the roles that use it; ``memory`` is the size of its loaded weights in bytes."""

    name: str
    revision: str | None
    roles: tuple[str, ...]
    files: Files
    memory: int | None
    gpu: str  # needed, advised, no


@dataclass(frozen=True, slots=True)
class EngineNeed:
    """An engine behind an API and the roles that use it.

    ``key`` says where an API key was found, or ``none needed``, or ``missing``; then ``problem`` says what to do.
    ``shutdown`` is a warning with the date on which OpenAI stops or stopped the engine, and its replacement.
    """

    engine: str
    api: str
    host: str
    roles: tuple[str, ...]
    key: str
    problem: str | None = None
    shutdown: str | None = None
    is_gone: bool = False
    has_price: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory and free disk space of this machine in bytes, None if unknown; the name of its GPU, if it has one."""

    memory: int | None
    free: int
    gpu: str | None = None
    gpu_memory: int | None = None

    def device(self, config: LocalConfig) -> str:
        """Where a model runs: ``auto`` is a CUDA GPU if PyTorch can use one."""
        if config.device != "auto":
            return config.device
        return "cuda" if self.gpu is not None and _torch_has_cuda() else "cpu"

    def dtype(self, config: LocalConfig) -> str:
        """The type of the weights, found without importing torch."""
        return resolve_dtype(config.dtype, self.device(config))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a recipe needs; sizes in bytes, costs in US dollars, None if unknown.

    ``questions`` counts rows by dataset and split. Each line of ``missing`` is a reason why it cannot run here now,
    with what to do. ``warnings`` and ``notes`` do not stop a run.
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
        """The expected cost."""
        return total(role.cost for role in self.roles)

    @property
    def max_cost(self) -> float | None:
        """The upper limit of the cost."""
        return total(role.max_cost for role in self.roles)

    @property
    def download(self) -> int | None:
        """The downloads of all models together."""
        return total({(model.name, model.revision): model.files.download for model in self.models}.values())

    @property
    def disk(self) -> int | None:
        """All that will be written: downloads, converted models and the result."""
        converted = {model.name: model.files.disk for model in self.models}
        return total([self.download, self.output, *converted.values()])

    def to_dict(self) -> dict[str, Any]:
        totals = {"cost": self.cost, "max_cost": self.max_cost, "download": self.download, "disk": self.disk}
        return {**asdict(self), **totals, "can_run": not self.missing}


def check(recipe: Recipe, workspace: Workspace | None = None, tokenizer: str | None = None) -> Needs:
    """What ``run`` would need for this recipe.

    Args:
        tokenizer: check that the chat template of this model (a folder, a Hub id, ``pip:NAME``) renders the tool calls
            of the config ``tool_calling``; default: the recipe's ``tool_calling.tokenizer``.

    Raises:
        ConfigError, DataError: the questions cannot be used.
    """
    workspace = workspace or Workspace(progress=False)
    with workspace:  # it opens again when it is next used
        checker = _Checker(workspace, tokenizer)
        for name, each in recipe.recipes.items():
            checker.add(each, f"{name}: " if name else "")
        for name, part in recipe.mix.parts.items() if recipe.mix else ():
            if part.source is not None:
                checker.add_produced(f"{name}: {part.source}", checker.files.dataset(part.source))
        return checker.needs(recipe.name)


class _Checker:
    """Collects what the recipes of one command need."""

    def __init__(self, workspace: Workspace, tokenizer: str | None) -> None:
        self.workspace, self.tokenizer = workspace, tokenizer
        self.files, self.machine = FileLookup(), this_machine(workspace.cache_dir)
        self.questions: dict[str, dict[str, int]] = {}
        self.roles: list[RoleNeed] = []
        self.local: list[tuple[str, LocalConfig]] = []  # (role, its model)
        self.engines: list[tuple[str, OpenAIConfig]] = []
        self.output: int | None = 0  # bytes
        self.missing: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def add(self, recipe: Recipe, prefix: str = "") -> None:
        """Add what a recipe needs; ``prefix`` names the part of a mix in messages and roles."""
        self.warnings += [f"{prefix}{remark}" for remark in remarks(recipe)]
        self._check_template(recipe, prefix)
        roles = roles_of(recipe)
        configs = {role.key: self._add_role(role, prefix) for role in roles}
        try:
            raw, origin = load_raw(recipe.dataset)
        except HubError as error:
            source = recipe.dataset.source or ""
            is_gone = (
                source.startswith(HUB) and self.files.dataset(split_source(source)[0]).state == "missing"
            )
            (self.missing if is_gone else self.warnings).append(f"{prefix}the questions: {error}")
            self.output = None
            self.roles += [
                RoleNeed(f"{prefix}{role.name}", role.config.kind, role.who, 0, cost=None, max_cost=None)
                for role in roles
            ]
            return
        if recipe.answer is None:
            raw = as_questions(raw)[0]
        splits = {str(split): len(table) for split, table in raw.items()}
        rows = sum(splits.values())
        self.questions[prefix.removesuffix(": ") or recipe.name] = splits
        if self.output is not None:
            self.output += rows * (len(recipe.sources) + 1) * _BYTES_PER_RESPONSE
        self.warnings += [f"{prefix}{remark}" for remark in fewer(raw, recipe.dataset)]
        self.notes += [
            f"{prefix}{near_duplicates.in_words(fact)}: leave them out by the column near_duplicate_of, or set "
            "dataset.near_duplicates to drop"
            for fact in near_duplicates.near_counts(raw, near_duplicates.NearDuplicates(raw).between_splits())
        ]
        if origin.moved:
            self.notes.append(
                f"{prefix}dataset.splits: {origin.moved:,} rows go to another split than is written, with their near "
                "duplicates"
            )
        planned = planned_for(roles, rehearse(_with_generators(recipe, configs), self.workspace))
        self.roles += [_role_need(role, prefix, planned.get(role.key), rows) for role in roles]

    def add_produced(self, name: str, files: Files) -> None:
        """Add a part of a mix that was produced before."""
        if files.state == "missing":
            self.missing.append(f"{name}: {files.problem}")
        elif files.state != "here":
            size = files.problem if files.download is None else f"{files.download / 1e6:.1f} MB to download"
            self.warnings.append(f"{name}: {size}")

    def needs(self, recipe: str) -> Needs:
        """All that was collected."""
        models, engines = self._models(), self._engines()
        lines = [tuple(dict.fromkeys(found)) for found in (self.missing, self.warnings, self.notes)]
        needs = Needs(
            recipe, self.questions, tuple(self.roles), models, engines, self.output, self.machine, *lines
        )
        free = self.machine.free
        if needs.disk is None or needs.disk <= free:
            return needs
        full = (
            f"{needs.disk / 1e9:.1f} GB will be written, and {free / 1e9:.1f} GB are free on the disk of the cache: "
            "free some, or set HF_HOME to another disk"
        )
        return replace(needs, missing=(*needs.missing, full))

    def _check_template(self, recipe: Recipe, prefix: str) -> None:
        """Whether the chat template of the model to train renders tool calls."""
        own = recipe.tool_calling
        model, revision = (self.tokenizer, None) if self.tokenizer else (own.tokenizer, own.revision)
        if model is None:
            self.notes.append(_UNCHECKED)
            return
        try:
            check_rows([sample(get_task(recipe.task).tool)], model, revision)
        except HubError as error:
            self.warnings.append(f"{prefix}tool_calling: {error}")
        except ConfigError as error:  # if the recipe names the model, this error stops a run
            (self.warnings if self.tokenizer else self.missing).append(f"{prefix}tool_calling: {error}")
        else:
            self.notes.append(
                f"tool_calling: the chat template of {model!r} renders tool calls and their results"
            )

    def _add_role(self, role: Role, prefix: str) -> Any:
        """Add a role's generator and what it lacks; returns the config to count its requests with."""
        config, problem = role.config, None
        counted: Any = config
        if isinstance(config, OpenAIConfig):  # counting needs no client and no key
            self.engines.append((f"{prefix}{role.name}", config))
        elif isinstance(config, LocalConfig):
            self.local.append((f"{prefix}{role.name}", config))
            counted, problem = self._counted_local(config)
        elif isinstance(config, FileConfig) and (problem := _problem(config)):
            counted = AbsentConfig(config=LocalConfig(model=config.name))
        elif isinstance(config, EngineConfig):
            problem = _problem(config)
        if problem:
            self.missing.append(f"{prefix}{role.key}: {problem}")
        if packages := _missing_packages(config):
            extra = "openai" if isinstance(config, OpenAIConfig) else "local"
            wanted = [f"'toolgen_hf[{extra}]'"] if packages != ["bitsandbytes"] else []
            wanted += ["bitsandbytes"] if "bitsandbytes" in packages else []
            self.missing.append(f"{', '.join(packages)} is not installed: pip install {' '.join(wanted)}")
        return counted

    def _counted_local(self, config: LocalConfig) -> tuple[Any, str | None]:
        """The config to count a local model's requests with, and what is wrong with the model, if anything.

        The device is set, so that no GPU is looked for: texts depend on the device only by their dtype.
        """
        absent = AbsentConfig(config=config, adapter=config.adapter)
        if any(self.files.model(*part).state in ("missing", "unknown") for part in _parts(config)):
            return absent, None
        here = config.model_copy(update={"device": "cpu", "dtype": self.machine.dtype(config)})
        problem = _problem(here.model_copy(update={"adapter": None}) if here.trained_adapter else here)
        return (absent if problem else here), problem

    def _models(self) -> tuple[ModelNeed, ...]:
        """One entry for each model and way of loading it."""
        found: dict[tuple[Any, ...], ModelNeed] = {}
        for role, config in self.local:
            for name, revision, kind in _parts(config):
                files = self.files.model(name, revision, kind)
                bits = _BITS[config.quantization or self.machine.dtype(config)]
                memory = None if files.parameters is None else files.parameters * bits // 8
                needs_gpu = config.quantization is not None or config.device.startswith("cuda")
                gpu = "needed" if needs_gpu else "advised" if (files.parameters or 0) >= _LARGE else "no"
                key = (name, revision, kind.noun, memory, gpu)
                roles = (*found[key].roles, role) if key in found else (role,)
                found[key] = ModelNeed(name, revision, roles, files, memory, gpu)
                self._check_model(found[key], config)
        return tuple(found.values())

    def _check_model(self, need: ModelNeed, config: LocalConfig) -> None:
        """Add why a model cannot be used on this machine."""
        machine, on_gpu = self.machine, self.machine.device(config).startswith("cuda")
        if need.files.problem is not None:
            (self.missing if need.files.state == "missing" else self.warnings).append(need.files.problem)
        if need.gpu == "needed" and machine.gpu is None:
            why = (
                f"quantization {config.quantization}" if config.quantization else f"device {config.device!r}"
            )
            self.missing.append(f"{need.name}: {why} needs a CUDA GPU, and none was found on this machine")
            return
        there = machine.gpu_memory if on_gpu else machine.memory
        if need.memory is not None and there is not None and need.memory > there:
            self.missing.append(
                f"{need.name} takes {need.memory / 1e9:.1f} GB when loaded, and "
                f"{machine.gpu if on_gpu else 'this machine'} has {there / 1e9:.1f} GB: use a smaller model, fewer "
                "bits (dtype, quantization) or a larger machine"
            )

    def _engines(self) -> tuple[EngineNeed, ...]:
        """One entry for each engine and way of reaching it."""
        ways = ("engine", "api", "base_url", "keys_file", "allow_http", "price")
        grouped: dict[tuple[Any, ...], list[tuple[str, OpenAIConfig]]] = {}
        for role, config in self.engines:
            grouped.setdefault(tuple(getattr(config, way) for way in ways), []).append((role, config))
        needs = tuple(
            _engine_need(users[0][1], tuple(role for role, _ in users)) for users in grouped.values()
        )
        for need in needs:
            to_ask = sum(role.to_ask or 0 for role in self.roles if role.role in need.roles)
            if need.shutdown:
                self.warnings.append(need.shutdown)
            if not to_ask:
                continue
            if need.problem:
                self.missing.append(need.problem)
            if need.is_gone:
                self.missing.append(
                    f"{need.engine!r} is no longer served by OpenAI, and {to_ask} texts are still to ask"
                )
            if not need.has_price:
                self.warnings.append(
                    f"the price of {need.engine!r} is not known: add price: {{input: ..., output: ...}}"
                )
        return needs


def _problem(config: LocalConfig | FileConfig | EngineConfig) -> str | None:
    """Why a generator cannot be used."""
    try:
        build(config).check()
    except ToolgenError as error:
        return str(error)
    return None


def _parts(config: LocalConfig) -> list[tuple[str, str | None, Kind]]:
    """The model and the adapter that must exist already: (name, revision, kind)."""
    parts: list[tuple[str, str | None, Kind]] = [(config.model, config.revision, MODEL)]
    if config.adapter is not None and config.trained_adapter is None:
        parts.append((config.adapter, config.adapter_revision, ADAPTER))
    return parts


def _with_generators(recipe: Recipe, configs: Mapping[str, Any]) -> Recipe:
    """The recipe with these generators (by key) and no training; not validated, as no recipe may hold some of them."""
    changes: dict[str, Any] = {"finetune": {}}
    if recipe.answer is not None:
        changes["answer"] = recipe.answer.model_copy(update={"generator": configs["answer.generator"]})
        teachers = tuple(configs[f"tool_api.teachers.{at}"] for at in range(len(recipe.tool_api.teachers)))
        changes["tool_api"] = recipe.tool_api.model_copy(update={"teachers": teachers})
    changes["reader"] = configs.get("reader")
    changes["sources"] = {
        name: source.model_copy(update={"generator": configs[f"sources.{name}.generator"]})
        for name, source in recipe.sources.items()
    }
    return recipe.model_copy(update=changes)


def _role_need(role: Role, prefix: str, planned: Planned | None, rows: int) -> RoleNeed:
    """The requests of a role, from its entry in the dry run; without an entry its stage is cached."""
    name, kind = f"{prefix}{role.name}", role.config.kind if role.stage is not None else "lora"
    if role.stage is None or isinstance(role.config, AnnotationsConfig | FileConfig):
        return RoleNeed(name, kind, role.who, 0)
    to_ask = planned.requests if planned else 0
    is_trained = not isinstance(role.config, EngineConfig) and role.config.trained_adapter is not None
    is_open = role.rounds > 1 or is_trained  # prompts depend on texts to come
    stored = None if is_open else rows - to_ask
    expected = ("prompt_tokens", "completion_tokens", "cost", "max_cost")
    costs = {} if planned is None else {field: getattr(planned, field) for field in expected}
    return RoleNeed(name, kind, role.who, rows * role.rounds, to_ask, stored, **costs)


def _engine_need(config: OpenAIConfig, roles: tuple[str, ...]) -> EngineNeed:
    """Raises `ConfigError` if ``$OPENAI_BASE_URL`` is not a URL."""
    generator = OpenAIGenerator(config)
    engine, shutdown, is_gone = generator.engine, None, False
    if generator.is_openais and engine.shutdown is not None:
        shutdown = retired(engine, date.today())
        is_gone = shutdown is not None
        shutdown = shutdown or f"{engine.name!r} will be shut down on {engine.shutdown}" + (
            f"; OpenAI names {engine.replacement!r} as its replacement" if engine.replacement else ""
        )
    key, problem = _key(config, generator.base_url)
    return EngineNeed(
        config.engine, generator.api, urlsplit(generator.base_url).netloc, roles, key, problem, shutdown, is_gone,
        has_price=generator.cost(0, 0) is not None,
    )  # fmt: skip


def _key(config: OpenAIConfig, base_url: str) -> tuple[str, str | None]:
    """Where the API key is, never the key itself; and what to do if it is missing."""
    try:
        keys = load_keys(config, base_url)
    except ConfigError as error:
        return "missing", str(error)
    if keys == (NO_KEY,):
        return "none needed", None
    if config.keys_file is not None:
        place = "keys_file"
    elif os.environ.get("OPENAI_API_KEY", "").strip():
        place = "$OPENAI_API_KEY"
    else:
        place = "the file $OPENAI_API_KEY_PATH" if os.environ.get("OPENAI_API_KEY_PATH") else "openai_keys"
    return f"found in {place}" + (f" ({len(keys)} keys)" if len(keys) > 1 else ""), None


def this_machine(cache: Path) -> Machine:
    """What this machine has; ``cache`` is on the disk that counts."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not on every system
        memory = None
    folder = next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())
    gpu, gpu_memory = None, None
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        printed = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
        name, _, mebibytes = printed.splitlines()[0].rpartition(",")
        gpu, gpu_memory = name.strip(), int(mebibytes) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        pass  # no NVIDIA GPU
    return Machine(memory, shutil.disk_usage(folder).free, gpu, gpu_memory)


def _is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _torch_has_cuda() -> bool:
    """Without torch True: on a machine with a GPU, pip installs the build for it."""
    return not _is_installed("torch") or not is_cpu_build()


def _missing_packages(config: object) -> list[str]:
    """Packages that a generator needs and that are not installed."""
    if isinstance(config, OpenAIConfig):
        return [name for name in ("openai", "aiohttp") if find_spec(name) is None]
    if not isinstance(config, LocalConfig):
        return []
    wanted = ["torch", "transformers", "peft", "accelerate"]
    wanted += ["gguf"] if config.model.startswith("pip:") or config.model.endswith(".gguf") else []
    wanted += ["bitsandbytes"] if config.quantization else []
    return [name for name in wanted if not _is_installed(name)]
