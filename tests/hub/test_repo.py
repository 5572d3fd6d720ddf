# ruff: noqa: E501
"""How repositories and versions are named, and the order of versions."""

from __future__ import annotations

import random
import subprocess

import pytest

from toolgen_hf.errors import ConfigError
from toolgen_hf.hub.repo import RepoRef, is_version, tag_of, version_order


@pytest.mark.parametrize(
    "version",
    ["1.0.0", "0.0.0", "10.20.30", "1.0.0-rc.1", "1.0.0-0", "1.0.0-alpha-x.7.b0", "1.0.0-0a", "1.0.0--", "2.0.0+build.7",
     "1.0.0-rc.1+a-b"],
)  # fmt: skip
def test_versions_and_their_tags(version: str) -> None:
    assert tag_of(version) == tag_of(f"v{version}") == f"v{version}"
    assert subprocess.run(["git", "check-ref-format", f"refs/tags/v{version}"], check=False).returncode == 0


@pytest.mark.parametrize(
    "version",
    ["", "1", "1.0", "1.0.0.0", "v", "vv1.0.0", "V1.0.0", "01.0.0", "1.00.0", "1.0.0-01", "1.0.0-", "1.0.0-..", "1.0.0-a..b",
     "1.0.0-a.", "1.0.0+", "1.0.0+a+b", "1.0.0-a.lock", "1.0.0+x.lock", "-1.0.0", "1.-1.0", "+1.0.0", "1.0.0 ", " 1.0.0", "1.0.0\n",
     "1.0.0-rc\n", "1. 0.0", "1.0.0-a/b", "1.0.0-a_b", "1.0.0-\u00e9", "1.0.0\x00", "1,0,0", "1e3.0.0", "1_0.0.0",
     "\uff11.0.0", "1.\u0660.0", "1.0.\u00b2", "\u0967.0.0", "1\uff0e0\uff0e0", "1.0.0-" + "a" * 300, "9" * 5000 + ".0.0"],
)  # fmt: skip
def test_what_is_no_version(version: str) -> None:
    assert not is_version(version)
    with pytest.raises(ConfigError, match="is not a version: ") as caught:
        tag_of(version)
    assert len(str(caught.value)) < 300


def test_the_order_is_that_of_semver() -> None:
    ordered = [
        "v0.9.9", "v1.0.0-0", "v1.0.0-2", "v1.0.0-10", "v1.0.0-alpha", "v1.0.0-alpha.1", "v1.0.0-alpha.beta",
        "v1.0.0-beta", "v1.0.0-beta.2", "v1.0.0-beta.11", "v1.0.0-rc.1", "v1.0.0", "v1.0.0+a", "v1.0.1-rc", "v1.0.1",
        "v1.2.0", "v1.10.0", "v2.0.0", "v10.0.0",
    ]  # fmt: skip
    for seed in range(5):
        shuffled = random.Random(seed).sample(ordered, len(ordered))
        assert sorted(shuffled, key=version_order) == ordered


@pytest.mark.parametrize(
    "text", ["ann", "ann/set\n", "ann/\uff53et", "ann/set@", "ann/set@v1 0", "a/b/c", "ann/set#", "/set", ""]
)
def test_what_names_no_repository(text: str) -> None:
    with pytest.raises(ConfigError, match="names no repository; write user/repo"):
        RepoRef.parse(text)


def test_a_reference_in_parts() -> None:
    assert str(RepoRef.parse("hub:ann/set@1.1.0#stage1")) == "ann/set@v1.1.0#stage1"
    assert RepoRef.parse("ann/set@draft").revision == "draft"
