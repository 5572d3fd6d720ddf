"""The files that the pages speak of and do not show: what a reader brings."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.docs.pages import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "dates"
QUESTIONS = """problem,result,steps
"Ann has 12 pens and buys 5 more. How many pens has she?",17,12+5=<<12+5=17>>17
"A box holds 6 eggs. How many eggs are in 4 boxes?",24,6*4=<<6*4=24>>24
"Tom had 30 marbles and lost 8. How many are left?",22,30-8=<<30-8=22>>22
"5 friends share 45 nuts. How many does each get?",9,45/5=<<45/5=9>>9
"A train goes 80 km in an hour. How far does it go in 3 hours?",240,80*3=<<80*3=240>>240
"""


def bring(folder: Path, model: Path) -> None:
    """A table of questions, the example's files, the scripts with keys and a model where the method has its own."""
    (folder / "questions.csv").write_text(QUESTIONS, encoding="utf-8")
    scripts = folder / "scripts"
    shutil.copytree(ROOT / "scripts", scripts, ignore=shutil.ignore_patterns("benchmarks", "__pycache__"))
    (scripts / "openai_api_keys.txt").write_text(
        "sk-first-key-abcdef\nsk-second-key-ghijkl\n", encoding="utf-8"
    )
    for place in (scripts / "PLMs" / "vicuna-7b", folder / "org" / "name"):
        place.parent.mkdir()
        place.symlink_to(model)
    (folder / "docs").symlink_to(ROOT / "docs")
    for example in EXAMPLE.glob("*.*"):
        shutil.copy(example, folder)
