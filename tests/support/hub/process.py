"""The real clients against a local hub: in a process of their own, or in the test's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfFileSystem
from huggingface_hub.utils import close_session

_SECONDS = 120.0
_PREFIXES = ("HF_", "HUGGING")


def environment(endpoint: str, home: Path, token: str | None) -> dict[str, str]:
    """The variables of a process that has the hub at ``endpoint``, and no other settings of the Hub's clients."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)}
    return {**kept, **_variables(endpoint, home), **({"HF_TOKEN": token} if token is not None else {})}


def run_python(endpoint: str, code: str, cache: Path | None, token: str | None) -> str:
    """``LocalHub.python``."""
    with tempfile.TemporaryDirectory() as fresh:
        home = Path(fresh) if cache is None else cache
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(endpoint, home, token),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    assert done.returncode == 0, f"exit code {done.returncode} of\n{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def point_here(monkeypatch: pytest.MonkeyPatch, endpoint: str, home: Path, token: str | None) -> None:
    """Points the clients that this process has already imported at the hub; ``monkeypatch`` points them back.

    Both libraries read their environment once, into constants that they look up at each use: these are replaced,
    with the endpoint of the one client made at import, and nothing else of them.
    """
    for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
        monkeypatch.delenv(name)
    for name, value in environment(endpoint, home, token).items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    constants = {
        "huggingface_hub.constants": _hub(endpoint, home),
        "datasets.config": _datasets(endpoint, home),
    }
    for module, values in constants.items():
        for name, constant in values.items():
            monkeypatch.setattr(f"{module}.{name}", constant)
    monkeypatch.setattr(
        "huggingface_hub.hf_api.api.endpoint", endpoint
    )  # of huggingface_hub.upload_file and such
    nothing_to_detect: dict[str, Any] = {"standardEnvVars": [], "harnesses": {}}
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", nothing_to_detect)
    HfFileSystem.clear_instance_cache()
    close_session()


def _hub(endpoint: str, home: Path) -> dict[str, Any]:
    return {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_OFFLINE": False,
    }


def _datasets(endpoint: str, home: Path) -> dict[str, Any]:
    return {
        "HF_ENDPOINT": endpoint,
        "HUB_DATASETS_URL": endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}",
        "HF_CACHE_HOME": str(home),
        "HF_DATASETS_CACHE": home / "datasets",
        "DOWNLOADED_DATASETS_PATH": home / "datasets" / "downloads",
        "EXTRACTED_DATASETS_PATH": home / "datasets" / "downloads" / "extracted",
        "HF_MODULES_CACHE": home / "modules",
        "HF_UPDATE_DOWNLOAD_COUNTS": False,
        "HF_HUB_OFFLINE": False,
        "HF_DATASETS_OFFLINE": False,
    }


def _variables(endpoint: str, home: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
