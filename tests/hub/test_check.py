"""What keeps a directory from being released."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub.conftest import Sets
from toolgen_hf._utils import file_sha256
from toolgen_hf.builders import GSM8K, QA, load
from toolgen_hf.errors import DataError
from toolgen_hf.hub.check import _strings, _texts, check_release
from toolgen_hf.secrets import Scanner

OPENAI = "sk-proj-" + "aB3dE5gH7jK9mN1pQ3sT" * 2  # made up, as the next ones
TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWx0123456789"


@pytest.fixture
def made(sets: Sets, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sets.slim_old, tmp_path / "made"))


def signed(root: Path) -> None:
    """The digests as they are now: what is wrong was so when it was written."""
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["files"] = {name: file_sha256(root / name) for name in manifest["files"]}
    (root / "manifest.json").write_text(json.dumps(manifest))


def edit(root: Path, name: str, change: Callable[[str], str]) -> None:
    path = root / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    signed(root)


def edit_manifest(root: Path, **changes: Any) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def edit_rows(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = root / "raw" / "train-00000-of-00001.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    signed(root)


def with_question(text: str) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        questions = [text, *rows["question"].to_pylist()[1:]]
        return rows.set_column(1, rows.schema.field("question"), pa.array(questions))

    return change


def test_whole_results_may_be_released(sets: Sets) -> None:
    for directory in (sets.old, sets.new, sets.slim_old, sets.slim_new):
        assert check_release(directory).name == "sums"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "data/old.json").unlink(), r"data/old\.json is missing; run the recipe again"),
        (lambda root: (root / "README.md").write_text("x"), r"README\.md was changed after it was written"),
        (lambda root: edit_rows(root, lambda t: t.slice(1)), "raw/train has 7 rows; manifest.json says 8"),
        (
            lambda root: edit_rows(root, lambda t: t.drop_columns(["solution"])),
            r"raw/train-00000-of-00001\.parquet does not have the features of 'raw'",
        ),
        (lambda root: edit(root, "README.md", lambda t: t[4:]), "its YAML header cannot be read"),
        (lambda root: edit(root, "README.md", lambda t: t.replace("---\n", "---\na: [\n", 1)), "its YAML header"),
        (
            lambda root: edit(root, "README.md", lambda t: t.replace("raw/train-*", "raw/trane-*")),
            r"config 'raw' names 'raw/trane-\*\.parquet', and there is no such file",
        ),
        (
            lambda root: edit(root, "data/both.json", lambda t: json.dumps({"text": f"key:\n{OPENAI}"})),
            r"data/both\.json holds what looks like an OpenAI or Anthropic API key \(it ends in …Q3sT\): take it out",
        ),
        (
            lambda root: edit_rows(root, with_question(f"My token is {TOKEN}.")),
            r"raw/train-00000-of-00001\.parquet holds what looks like a Hugging Face token",
        ),
        (
            lambda root: edit(root, "recipe.yaml", lambda t: f"{t}# {OPENAI}\n"),
            r"recipe\.yaml holds what looks like an OpenAI",
        ),
        (
            lambda root: edit(root, "recipe.yaml", lambda t: f"{t}output: /home/somebody/out\n"),
            r"recipe\.yaml holds a path of this machine, '/home/somebody': write paths in the recipe relative",
        ),
        (
            lambda root: edit_manifest(root, models={"student": f"`{Path.home()}/models/x`"}),
            r"manifest\.json holds a path of this machine",
        ),
        (lambda root: edit_manifest(root, description=f"made with {TOKEN}"), r"manifest\.json holds what looks"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_to_do(
    made: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(made)
    with pytest.raises(DataError, match=message):
        check_release(made)


def test_all_problems_are_named_at_once(made: Path) -> None:
    for name in ("old.json", "both.json"):
        (made / "data" / name).unlink()
    with pytest.raises(DataError, match=r"(?s)both\.json is missing.*old\.json is missing"):
        check_release(made)


def test_this_processs_own_keys_are_found_by_value(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_API_KEY", "company-key-0042-xyzzy")
    edit(made, "data/both.json", lambda text: text + "company-key-0042-xyzzy")
    with pytest.raises(DataError, match=r"holds the value of \$MY_SERVICE_API_KEY"):
        check_release(made)


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-is-not-a-key-at-all-but-a-package",
        "a risk-" + "adjusted-return-on-capital-2024-Q3",
        "task-0123456789-ABCDEF-abcdef",
        "sk-" + "x" * 48,
        "SK-2024-TABLE-LAMP-WITH-A-LONG-NAME",
        "hf_hub_download_from_the_hub_to_here_and_now",
        "hf_ann",
        "AKIAIOSFODNN7EXAMPLE",
        "the AKIA prefix",
        "ghp_is_how_they_begin",
        "-----BEGIN PUBLIC KEY-----",
        "https://example.org/home/ann and ~/home and data/home/ann/x",
    ],
)
def test_harmless_text_is_not_flagged(text: str) -> None:
    scanner = Scanner((), "/home/ann")
    assert [*scanner.secrets(text), *scanner.paths(text)] == []


def test_harmless_variables_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HF_TOKEN": "hf_ann",
        "TOKENIZERS_PARALLELISM": "false",
        "MAX_TOKENS": "1000000000000000000000",
        "HF_TOKEN_PATH": "/somewhere/cache/token1",
        "SECRET_PROJECT": "a-name-without-digits",
        "TOKEN_URL": "https://login.example.org/v2/token",
    }.items():
        monkeypatch.setenv(name, value)
    assert not {value for _, value in Scanner.here().own} & {"hf_ann", "false", "a-name-without-digits"}
    assert all("/" not in value[:1] and "://" not in value for _, value in Scanner.here().own)


def test_no_real_question_is_flagged() -> None:
    scanner = Scanner((), "/root")
    for builder in (GSM8K(), QA("svamp")):
        for rows in load(builder).values():
            for column in ("question", "solution"):
                text = "\n".join(value for value in rows[column] if value)
                assert [*scanner.secrets(text), *scanner.paths(text)] == []


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array(["a", None, "b", "a"]), ["a", "b"]),
        (pa.array([["a"], None, ["b", "a"]]), ["a", "b"]),
        (pa.array([{"one": {"two": ["a"]}, "n": 1}, None, {"one": {"two": ["b"]}, "n": 2}]), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.json_(pa.string())), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())), ["[('a', 'b')]"]),
        (pa.array([b"a"]), ["b'a'"]),
        (pa.array([1.5, None]), []),
        (pa.nulls(2), []),
    ],
)
def test_every_string_of_a_table_is_looked_at(column: pa.Array, found: list[str]) -> None:
    assert list(_strings(column)) == found


def test_a_large_text_file_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("one line of it\n" * 200_000 + "the last", encoding="utf-8")
    parts = list(_texts(path))
    assert len(parts) > 1
    assert "".join(parts) == path.read_text(encoding="utf-8")
