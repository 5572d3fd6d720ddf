"""A result as one HTML file to look through: ``write_report``."""

from toolgen_hf.report.html.page import write_report

__all__ = ["write_report"]
