"""What to build, as one YAML file: validated when it is read, saved with the result.

recipe      its keys
files       those that ship and anybody's, and changes to single keys
mistakes    what is wrong with one, for people
roles       who does what in it
questions   what it starts from, through the builders
"""

from toolgen_hf.recipe.recipe import (
    NAME,
    SKIPPED,
    AnswerConfig,
    DatasetConfig,
    PreferenceConfig,
    Recipe,
    ScoreConfig,
    ToolApiConfig,
)

__all__ = [
    "NAME",
    "SKIPPED",
    "AnswerConfig",
    "DatasetConfig",
    "PreferenceConfig",
    "Recipe",
    "ScoreConfig",
    "ToolApiConfig",
]
