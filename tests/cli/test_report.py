"""``toolgen-hf report``: where the page goes, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.support import make_result
from toolgen_hf.cli import main


def test_a_report_is_written_beside_the_directory_or_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_result(tmp_path / "out", rows=6, test_rows=0, rejected=1)
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out-report.html'}\n"
    assert main(["report", str(folder), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>made up</h1>" in page
    assert page == (tmp_path / "out-report.html").read_text(encoding="utf-8")


def test_a_directory_without_a_result_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a produced directory" in capsys.readouterr().err
