"""``toolgen-hf check``: what a recipe needs (needs.py, files.py for its models' files), printed by report.py."""

from toolgen_hf.check.needs import ModelNeed, Needs, check

__all__ = ["ModelNeed", "Needs", "check"]
