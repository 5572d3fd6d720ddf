"""``toolgen-hf check``: what a recipe needs, found before anything runs (needs.py) and printed (report.py)."""

from toolgen_hf.check.needs import ModelNeed, Needs, check

__all__ = ["ModelNeed", "Needs", "check"]
