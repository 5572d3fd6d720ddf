"""A result as one HTML file to look through: ``write_report``."""

from toolgen_hf.web.page import write_report

__all__ = ["write_report"]
