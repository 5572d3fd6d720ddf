"""What this machine has, found without importing torch: memory, a GPU, room on the disk, packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from toolgen_hf.models.config import LocalConfig, OpenAIConfig
from toolgen_hf.models.local import resolve_dtype

BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "8bit": 8, "4bit": 4}
_LOCAL = ("torch", "transformers", "peft", "accelerate")


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory and free disk space in bytes; None where it cannot be found out. ``gpu`` is one's name, None without."""

    memory: int | None
    free: int
    gpu: str | None = None
    gpu_memory: int | None = None

    def device(self, config: LocalConfig) -> str:
        """Where a model runs: ``auto`` is a CUDA GPU where PyTorch can use one."""
        if config.device != "auto":
            return config.device
        return "cuda" if self.gpu is not None and _sees_gpus() else "cpu"

    def dtype(self, config: LocalConfig) -> str:
        """What the weights are computed in; as `resolve_dtype`, which would import torch to look for a GPU."""
        return resolve_dtype(config.dtype, self.device(config))

    def bits(self, config: LocalConfig) -> int:
        """Of each weight when it is loaded."""
        return BITS[config.quantization or self.dtype(config)]


def this_machine(cache: Path) -> Machine:
    """What is here; ``cache`` is where much will be written."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not on every system
        memory = None
    place = next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())
    return Machine(memory, shutil.disk_usage(place).free, *_gpu())


def _gpu() -> tuple[str | None, int | None]:
    """The first NVIDIA GPU, by its driver's own tool."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
        name, _, mebibytes = told.splitlines()[0].rpartition(",")
        return name.strip(), int(mebibytes) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None, None


def _sees_gpus() -> bool:
    try:
        return not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return True  # whoever installs it here takes the build for the GPU


def missing_packages(config: LocalConfig | OpenAIConfig) -> list[str]:
    """Packages that a generator needs and that are not installed."""
    if isinstance(config, OpenAIConfig):
        return [name for name in ("openai", "aiohttp") if find_spec(name) is None]
    wanted = [*_LOCAL]
    wanted += ["gguf"] if config.model.startswith("pip:") or config.model.endswith(".gguf") else []
    wanted += ["bitsandbytes"] if config.quantization else []
    return [name for name in wanted if not _is_installed(name)]


def to_install(config: LocalConfig | OpenAIConfig, missing: list[str]) -> str:
    """The command that installs them."""
    extra = "openai" if isinstance(config, OpenAIConfig) else "local"
    wanted = [f"'toolgen_hf[{extra}]'"] if missing != ["bitsandbytes"] else []
    wanted += ["bitsandbytes"] if "bitsandbytes" in missing else []
    return f"pip install {' '.join(wanted)}"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
