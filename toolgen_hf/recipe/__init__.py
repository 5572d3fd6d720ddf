"""What to build, as one YAML file: validated when it is read, saved with the result.

recipe      its keys
files       those that ship and anybody's, the recipes that a mix names, and changes to single keys
origin      the file that each part is written in, and whether it came with a data set
permission  what one that came with a data set may not do
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
