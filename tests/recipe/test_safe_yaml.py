"""Untrusted YAML: read as plain data, or an error with file and line, in little time and memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from toolgen_hf import Recipe
from toolgen_hf.errors import ConfigError
from toolgen_hf.recipe.files import shipped
from toolgen_hf.safe_yaml import parse_yaml, read_yaml

RECIPES = Path(__file__).parents[2] / "toolgen_hf" / "recipes"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("revision: 2024-01-01", {"revision": "2024-01-01"}),
        ("at: 2024-01-01T10:00:00Z", {"at": "2024-01-01T10:00:00Z"}),
        ("at: !!timestamp 2024-01-01", {"at": "2024-01-01"}),
        ("at: 12:30", {"at": "12:30"}),
        ("{no: 1, 2: x, 1.50: y, 2024-01-01: z}", {"no": 1, "2": "x", "1.50": "y", "2024-01-01": "z"}),
        ("[1_000, 0x1f, -5, 3.0e-4, true, off, ~, '7']", [1000, 31, -5, 0.0003, True, False, None, "7"]),
        ("9223372036854775807", 2**63 - 1),
        ("{a: &a {x: 1, y: 2}, b: {<<: *a, y: 3}}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
        ("{a: &a {x: 1}, b: {<<: [*a, {x: 2, z: 2}]}}", {"a": {"x": 1}, "b": {"x": 1, "z": 2}}),
        ('{"smile": "\\ud83d\\ude00"}', {"smile": "\U0001f600"}),
        ("", None),
    ],
)
def test_what_is_read(text: str, value: object) -> None:
    assert parse_yaml(text, "text") == value


@pytest.mark.parametrize("name", shipped())
def test_recipes_that_ship_read_as_any_yaml(name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    assert json.dumps(read_yaml(path)) == json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_an_alias_is_a_copy() -> None:
    data = parse_yaml("{a: &a [1], b: *a}", "text")
    data["a"].append(2)
    assert data["b"] == [1]


def test_a_mark_at_the_beginning_of_a_file_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbfname: a\r\nseed: 1\r\n")
    assert read_yaml(tmp_path / "marked.yaml") == {"name": "a", "seed": 1}


def bomb(first: str, again: str) -> str:
    lines = [f"a: &a {first}"]
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True):
        lines.append(f"{name}: &{name} " + again.format(",".join([f"*{before}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (bomb("[lol]", "[{}]"), 1, "more than 50,000 keys and values"),
        (bomb("{lol: 1}", "{{<<: [{}]}}"), 1, "more than 50,000 keys and values"),
        ("- a\n" * 60_000, 50_001, "more than 50,000 keys and values"),
        ("name: a\nself: &s [1, *s]", 2, r"an alias \(\*name\) is inside its own anchor"),
        ("name: a\nself: &s\n  <<: *s", 2, "an alias"),
        ("name: a\nseed: " + "9" * 5000, 2, r"the number 9{40}\.\.\. has 5,000 digits"),
        ("seed: 9223372036854775808", 1, r"is not below 2\^63"),
        ("seed: -0x" + "f" * 20, 1, r"is not below 2\^63"),
        ("a: 1\nb: .inf", 2, r"\.inf is not a finite number"),
        ("a: 1\nb: -.INF", 2, r"-\.INF is not a finite number"),
        ("a: .nan", 1, r"\.nan is not a finite number"),
        ("a: 1.0e+999", 1, "is not a finite number"),
        ("[" * 100_000, 1, "nested more than 40 deep"),
        ("{a: " * 100_000, 1, "nested more than 40 deep"),
        ("\n".join(" " * n + "a:" for n in range(90)), 40, "nested more than 40 deep"),
        ("- " * 100, 1, "nested more than 40 deep"),
        ("name: a\nseed: \x00", 2, r"the character U\+0000 is not allowed"),
        ("name: a\n\tseed: 1", 2, "indent with spaces, not with tabs"),
        ("name: a\nseed: 1\nname: b", 3, r"the key 'name' is already in line 1"),
        ("1: a\n'1': b", 2, "the key '1' is already in line 1"),
        ("a: 1\n? [x, y]\n: b", 2, "a list or mapping as a key"),
        ("a: 1\n~: b", 2, "an empty key: a key is text"),
        ("a: 1\nb: !!binary aGk=", 2, "the tag '!!binary' is not read"),
        (
            "a: !!python/object/apply:os.system [ls]",
            1,
            "the tag '!!python/object/apply:os.system' is not read",
        ),
        ("!mine {a: 1}", 1, "the tag '!mine' is not read"),
        ("a: !!set {x, y}", 1, "the tag '!!set' is not read"),
        ("a: !!int many", 1, "many is not a number"),
        ('a: "\\U99999999"', 1, "an escape for a character that does not exist"),
        ('a: "\\ud83d"', 1, "an escape that is half a character"),
        ('a: "x\\0y"', 1, "the escape .0 is not allowed"),
        ("a: {<<: 3}", 1, "<<: merges a mapping"),
        ("a: *nothing", 1, "found undefined alias"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: [", 1, "not valid YAML"),
        (b"a: 1\nb: \xff", 2, "not UTF-8 text"),
        ("a: 1".encode("utf-16"), 1, "not UTF-8 text"),
    ],
)
def test_what_is_not_read_is_an_error_with_file_and_line(
    tmp_path: Path, text: str | bytes, line: int, problem: str
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=rf"odd\.yaml:{line}: .*{problem}") as caught:
        Recipe.load(path)
    assert len(str(caught.value)) < 500


def test_a_file_that_is_no_recipe_by_its_size_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ConfigError, match=r"large\.yaml: larger than 1,000,000 bytes"):
        read_yaml(tmp_path / "large.yaml")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read \(No such file"):
        read_yaml(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("dataset.seed=" + "9" * 5000, "--set dataset.seed: its value: the number 9+... has 5,000 digits"),
        ("dataset.rows={train: &a [*a]}", "--set dataset.rows: its value: an alias"),
        ("description=!!binary aGk=", "--set description: its value: the tag"),
        ("dataset.rows={train: 1, train: 2}", "the key 'train' is already in line 1"),
    ],
)
def test_a_value_on_the_command_line_is_read_alike(change: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Recipe.load("quickstart", [change])


def test_a_date_is_a_description_and_a_revision() -> None:
    recipe = Recipe.load("quickstart", ["description=2024-01-01", "answer.generator.revision=2024-01-01"])
    assert (recipe.description, recipe.student.generator.model_dump()["revision"]) == ("2024-01-01",) * 2
