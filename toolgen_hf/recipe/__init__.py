"""What to build, as one YAML file: it is validated when it is read, and saved with the result.

recipe      the keys of a recipe
files       reading recipe files, changes to single keys, and where each value was written
permission  what a recipe may not do if it came with a data set
mistakes    error messages about wrong keys and values
roles       which generator does what: student, teachers, adapters, sources
questions   the questions that a recipe starts from
"""

from toolgen_hf.recipe.recipe import (
    NAME,
    AnswerConfig,
    DatasetConfig,
    MixRecipe,
    PreferenceConfig,
    Recipe,
    ScoreConfig,
    ToolApiConfig,
    key_prefix,
    tools_of,
)

__all__ = [
    "NAME",
    "AnswerConfig",
    "DatasetConfig",
    "MixRecipe",
    "PreferenceConfig",
    "Recipe",
    "ScoreConfig",
    "ToolApiConfig",
    "key_prefix",
    "tools_of",
]
