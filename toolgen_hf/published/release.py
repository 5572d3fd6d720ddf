"""From a folder in the published layout to a produced directory: Parquet, card and manifest, as it can be pushed.

    data/stage1/GSM8K/GSM8K.json, data/stage2/GSM8K/GSM8K_davinci_response.json, ...  ->  outputs/GSM8K

It is a run of a recipe that starts from that stage 1, and whose sources are those files: nobody is asked.
"""

from __future__ import annotations

from pathlib import Path

from toolgen_hf.errors import DataError
from toolgen_hf.flow import Result, run
from toolgen_hf.published.scoring import response_files
from toolgen_hf.recipe import Recipe
from toolgen_hf.runtime.workspace import Workspace
from toolgen_hf.stages.score import Strategy


def release(
    data: Path,
    dataset: str,
    output: Path,
    workspace: Workspace,
    task: str = "math",
    strategy: Strategy = "distance",
) -> Result:
    """Build a produced directory from one dataset's files.

    Raises:
        ConfigError: the output holds what is not this library's.
        DataError: there is no stage 1 or no source, or a file is malformed.
    """
    sources: dict[str, list[str]] = {}
    for files in response_files(data / "stage2" / dataset).values():
        for source, path in files.items():
            if source != "gold":
                sources.setdefault(source, []).append(str(path))
    if not sources:
        raise DataError(f"{str(data / 'stage2' / dataset)!r} holds no responses of a source besides gold")
    recipe = Recipe.parse(
        {
            "name": dataset,
            "task": task,
            "dataset": {"source": f"{data}#stage1", "name": dataset},
            "sources": {
                source: {"generator": {"kind": "file", "path": paths}} for source, paths in sources.items()
            },
            "score": {"strategy": strategy},
        },
        f"{str(data)!r} with its sources",
    )
    return run(recipe, output, workspace)
