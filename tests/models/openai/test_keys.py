"""Where keys are found, and that messages never show one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engines import SECRET, collect, config, generator, numbered
from toolgen_hf._utils import cache_home
from toolgen_hf.errors import ConfigError, GenerationError
from toolgen_hf.models.openai.keys import (
    OPENAI_URL,
    is_known,
    is_this_machine,
    load_keys,
    read_keys,
)
from toolgen_hf.secrets import NO_KEY, mask, redact, without_keys
from toolgen_hf.testing import ApiServer, Reply

OWN = "http://localhost:1/v1"


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"sk-one-aaaaaaaa\n", ("sk-one-aaaaaaaa",)),
        (b"sk-one-aaaaaaaa", ("sk-one-aaaaaaaa",)),
        (
            b"# mine\n\n  sk-one-aaaaaaaa  # Ann's\r\nsk-two-bbbbbbbb\r\n",
            ("sk-one-aaaaaaaa", "sk-two-bbbbbbbb"),
        ),
        (b"sk-two-bbbbbbbb\nsk-one-aaaaaaaa\nsk-two-bbbbbbbb\n", ("sk-two-bbbbbbbb", "sk-one-aaaaaaaa")),
        (b"\xef\xbb\xbfsk-one-aaaaaaaa\n", ("sk-one-aaaaaaaa",)),
    ],
)
def test_a_file_of_keys(tmp_path: Path, content: bytes, keys: tuple[str, ...]) -> None:
    (tmp_path / "keys").write_bytes(content)
    assert read_keys(tmp_path / "keys") == keys


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"# fine\n{SECRET}\n{SECRET} and more\n".encode(), "keys:3: this line is not an API key"),
        (f"{SECRET}\u00e9\n".encode(), "keys:1: this line is not an API key"),
        (f"{SECRET}\x07\n".encode(), "keys:1: this line is not an API key"),
        (SECRET.encode("utf-16"), "it is not UTF-8 text"),
        (b"# nothing\n\n", "holds no API key"),
        (None, "cannot read the API keys"),
    ],
)
def test_a_file_that_is_none_is_named_and_never_shown(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_keys(tmp_path / "keys")
    assert SECRET[8:] not in str(caught.value)


def test_where_keys_are_found_the_nearest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'gpt-4o-mini' needs an API key: set OPENAI_API_KEY.*openai_keys"):
        load_keys(config(), OPENAI_URL)
    assert load_keys(config(), OWN) == (NO_KEY,)
    cache_home().mkdir(parents=True, exist_ok=True)
    (cache_home() / "openai_keys").write_text("from-the-cache-home")
    assert load_keys(config(), OPENAI_URL) == ("from-the-cache-home",)
    (tmp_path / "path").write_text("from-the-path")
    monkeypatch.setenv("OPENAI_API_KEY_PATH", str(tmp_path / "path"))
    assert load_keys(config(), OPENAI_URL) == ("from-the-path",)
    monkeypatch.setenv("OPENAI_API_KEY", "  from-the-environment\n")
    assert load_keys(config(), OPENAI_URL) == ("from-the-environment",)
    (tmp_path / "file").write_text("from-the-file\nanother-of-the-file\n")
    named = config(keys_file=str(tmp_path / "file"))
    assert load_keys(named, OPENAI_URL) == ("from-the-file", "another-of-the-file")


@pytest.mark.parametrize("key", [f"{SECRET} {SECRET}", f"{SECRET}\u00e9", f"{SECRET}\n{SECRET}"])
def test_an_environment_that_holds_no_key_is_an_error_without_it(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match=r"\$OPENAI_API_KEY holds no API key") as caught:
        load_keys(config(), OPENAI_URL)
    assert SECRET[8:] not in str(caught.value)


def test_a_key_is_called_by_its_last_four_characters() -> None:
    assert (mask(SECRET), mask(NO_KEY), mask("hunter2")) == ("…wxyz", "without a key", "…")


def test_what_an_engine_says_is_shown_without_keys() -> None:
    said = f"wrong key {SECRET}, not hunter2 nor sk-other-0123456789abcd or sk-ab*****6789"
    assert redact(said, [SECRET, "hunter2"]) == "wrong key …wxyz, not … nor …abcd or …6789"
    assert redact("a task-management-question, risk-adjusted-something", []) == (
        "a task-management-question, risk-adjusted-something"
    )


@pytest.mark.parametrize("prefix", ["gsk_", "xai-", "pplx-", "nvapi-", "sk-or-v1-", "Bearer "])
def test_keys_of_other_engines_are_not_shown_either(prefix: str) -> None:
    made = "aB3dE5gH7jK9mN1pQ3sT" * 2
    assert redact(f"Invalid key {prefix}{made}.", []).endswith("…Q3sT.")
    assert made[:8] not in redact(f"Invalid key {prefix}{made}.", [])


@pytest.mark.parametrize("key", ["EMPTY", "ollama", "1", "x", NO_KEY])
def test_a_placeholder_for_a_key_does_not_change_a_text(key: str) -> None:
    text = '{"content": "The EMPTY box of ollama has no-key 1 x"}'
    assert without_keys(text, [key]) == text


@pytest.mark.parametrize("place", ["$OPENAI_API_KEY", "$OPENAI_API_KEY_PATH", "openai_keys", "keys_file"])
@pytest.mark.parametrize(("url", "is_said"), [("https://else.where/v1", True), (OWN, False)])
def test_that_a_key_goes_to_a_server_which_a_recipe_names_is_said_wherever_it_was_found(
    tmp_path: Path,
    place: str,
    url: str,
    is_said: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY_PATH", raising=False)
    kept = cache_home() / "openai_keys"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(SECRET)
    if place == "$OPENAI_API_KEY":
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    elif place == "$OPENAI_API_KEY_PATH":
        monkeypatch.setenv("OPENAI_API_KEY_PATH", str(kept))
    named = {}
    if place == "keys_file":
        place = str(kept.rename(tmp_path / "keys.txt"))
        named = {"keys_file": place}
    assert load_keys(config(base_url=url, **named), url) == (SECRET,)
    said = f"{place} is sent to {url}, which the recipe names"
    assert any(said in message for message in caplog.messages) == is_said
    assert SECRET not in caplog.text


LAN = "http://10.255.0.9:8000/v1"


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://else.where/v1", True),
        ("http://localhost:1/v1", True),
        ("http://127.0.0.1:1/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        (LAN, False),
        ("http://else.where/v1", False),
        ("http://api.openai.com/v1", False),
        ("HTTP://API.OPENAI.COM/v1", False),
        ("http://localhost.else.where/v1", False),
        ("http://127.0.0.1.else.where/v1", False),
        ("http://[2001:db8::1]/v1", False),
        ("http://2130706433/v1", False),
    ],
)
@pytest.mark.parametrize("is_usual", [False, True])
def test_a_key_travels_encrypted_or_not_at_all(
    url: str, is_fine: bool, is_usual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a recipe names the server or the environment does."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    if is_usual:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
    asked = generator(base_url=None if is_usual else url)
    if is_fine:
        assert asked.check() is None
        return
    problem = asked.check() or ""
    assert f"the key of $OPENAI_API_KEY would be sent to {asked.base_url} without encryption" in problem
    assert "https" in problem
    assert "ssh -L" in problem
    assert SECRET[8:] not in problem
    with pytest.raises(ConfigError, match="without encryption"):
        list(asked.generate(iter(numbered(1))))


def test_without_a_key_or_by_the_users_word_http_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_keys(config(base_url=LAN), LAN) == (NO_KEY,)
    (tmp_path / "placeholder").write_text("EMPTY\n")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    placeholder = config(base_url=LAN, keys_file=str(tmp_path / "placeholder"))
    assert load_keys(placeholder, LAN) == ("EMPTY",)
    willed = config(base_url=LAN, allow_http=True)
    assert load_keys(willed, LAN) == (SECRET,)
    assert "allow_http" not in willed.model_dump()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_key_to_another_server(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ApiServer("4") as other:
        there = f"{other.base_url}/chat/completions"
        for host in ("127.0.0.1", "localhost"):
            reply = Reply(status=status, headers={"location": there.replace("127.0.0.1", host)}, body=b"")
            with ApiServer(reply) as server:
                asked = generator(server, max_retries=0)
                try:
                    assert [made.text for made in collect(asked, numbered(1))] == ["4"]
                except GenerationError:
                    assert status < 307  # which make it a GET
                assert server.requests[0].key == SECRET
    assert {request.key for request in other.requests} <= {""}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@else.where/v1",
        "https://else.where\\.openai.com/v1",
        "https://else.where;.openai.com/v1",
        "https://else.where%2f.openai.com/v1",
        "https://else.where\t.openai.com/v1",
        "https://else.where#.openai.com/v1",
        "https://\u043epenai.com/v1",
        "https://.openai.com/v1",
        "https://a..openai.com/v1",
        "https://[::1/v1",
        "https://[v1.x]/v1",
        "file:///etc/passwd",
        "//api.openai.com/v1",
    ],
)
def test_a_url_that_is_read_in_two_ways_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"give a whole URL|no user, password or query"):
        config(base_url=url)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("10.255.0.9", False),
        ("8.8.8.8", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::ffff:8.8.8.8", False),
        ("fe80::1%eth0", False),
        ("127.1", False),
        ("localhost.else.where", False),
        ("", False),
    ],
)
def test_what_is_this_machine(host: str, is_it: bool) -> None:
    assert is_this_machine(host) is is_it


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("https://api.openai.com/v1", True),
        ("https://mine.openai.azure.com/openai/v1", True),
        ("https://openai.com.else.where/v1", False),
        ("https://evilopenai.com/v1", False),
        ("https://mine.westeurope.cloudapp.azure.com/v1", False),
        ("http://[::1", False),
    ],
)
def test_which_servers_are_known(url: str, is_it: bool) -> None:
    assert is_known(url) is is_it
