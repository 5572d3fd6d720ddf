"""A result as one HTML file: ``write_report(Path("outputs/quickstart"))``."""

from toolgen_hf.report.html.page import write_report

__all__ = ["write_report"]
