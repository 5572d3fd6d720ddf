"""What a recipe will need, said before anything starts.

checking    all of it, from a recipe
asking      how much each role is asked, for how much
models      files and their sizes, here or on the Hub
engines     APIs and their keys
machine     what this one has
report      as tables
"""

from toolgen_hf.check.checking import ModelNeed, Needs, check

__all__ = ["ModelNeed", "Needs", "check"]
