"""The commands, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hub.conftest import REPO, Repository, Sets
from tests.support.hub import Fault
from toolgen_hf.cli import main


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_the_whole_of_it(
    repository: Repository, sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "push", sets.slim_new, REPO, "--version", "1.1.0", "-q")
    commit = repository.tags["v1.1.0"]
    assert out.splitlines() == [
        f"pushed ann/set v1.1.0, commit {commit[:12]}",
        'load_dataset("ann/set", "stage2", revision="v1.1.0")',
    ]
    again = said(capsys, "push", sets.slim_new, REPO, "--version", "1.1.0", "-q")
    assert again.startswith("nothing to do, it is there already: ann/set v1.1.0")
    listed = said(capsys, "versions", REPO)
    assert listed.index("1.1.0") < listed.index("1.0.0")
    told = json.loads(said(capsys, "versions", REPO, "--json"))
    assert [version["version"] for version in told] == ["1.1.0", "1.0.0"]
    assert said(capsys, "pull", REPO, tmp_path / "out", "--version", "1.0.0", "-q").startswith(
        "pulled ann/set v1.0.0, commit"
    )
    shown = said(capsys, "diff", tmp_path / "out", f"{REPO}@1.1.0", "-q")
    for part in (
        "score.strategy",
        "distance",
        "consistency",
        "failer",
        "right without a tool",
        "Sums-train-",
    ):
        assert part in shown
    assert said(capsys, "diff", tmp_path / "out", f"{REPO}@1.0.0", "-q").strip().endswith("no difference")
    found = json.loads(said(capsys, "diff", tmp_path / "out", REPO, "--json", "-q"))
    assert found["recipe"]["score.strategy"] == {"from": "distance", "to": "consistency"}


def test_a_pull_request_says_that_there_is_no_tag(
    repository: Repository, sets: Sets, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("push", sets.slim_new, REPO, "--version", "1.1.0", "--create-pr", "-q")
    assert "pull request opened: http" in (out := said(capsys, *arguments))
    assert "No tag: once it is merged" in out
    assert "pull request there already" in said(capsys, *arguments)
    current = ("push", sets.slim_old, REPO, "--version", "1.0.0", "--create-pr", "-q")
    assert "nothing to propose" in said(capsys, *current)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("push", "SET", REPO, "--version", "1.0.0"),
            1,
            "error: 'ann/set' has a version v1.0.0 with other content",
        ),
        (("push", "SET", REPO, "--version", "one"), 2, "error: 'one' is not a version"),
        (("push", "nowhere", REPO, "--version", "1.0.0"), 2, "error: 'nowhere' is not a produced directory"),
        (("versions", "ann/none"), 1, "error: cannot read 'ann/none': there is no such dataset repository"),
        (("pull", REPO, "out", "--version", "9.0.0"), 1, "there is v1.0.0"),
        (("diff", "nowhere", "SET"), 2, "error: 'nowhere' is not a directory here"),
    ],
)
def test_exit_codes(
    repository: Repository, sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = [str(sets.slim_new) if argument == "SET" else argument for argument in arguments]
    assert main([*given, *(["-q"] if given[0] != "versions" else [])]) == code
    assert message in capsys.readouterr().err


def test_what_is_retried_is_told(
    repository: Repository, sets: Sets, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.hub.fault = Fault(503).on("/commit/")
    assert main(["push", str(sets.slim_new), REPO, "--version", "1.1.0", "-q"]) == 0
    assert "trying again in 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["push", "versions", "pull", "diff"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"\n  toolgen-hf {command} " in capsys.readouterr().out


def test_names_that_look_like_markup_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from toolgen_hf.cli.hub import print_pushed
    from toolgen_hf.hub.release import Pushed

    print_pushed(Pushed("ann/set", "1.0.0", "0" * 40, True, "v1.0.0"), Path("[bold]x"))
    assert 'load_dataset("ann/set", "stage2", revision="v1.0.0")' in capsys.readouterr().out
