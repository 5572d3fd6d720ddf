# ruff: noqa: E501
"""Which texts hold a secret. Every value is made up when the test runs, so that none stands in this file."""

from __future__ import annotations

import base64
import json
import random
import string
import subprocess
import sys
import uuid

import pytest

from toolgen_hf._utils import bytes_sha256
from toolgen_hf.secrets import OURS, THEIRS, Scanner, is_random, masked

LETTERS = string.ascii_letters + string.digits
URL = LETTERS + "-_"
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
SCANNER = Scanner((), "/nowhere")


def lot(length: int, letters: str = LETTERS, seed: int = 0) -> str:
    """Random text, of every kind of letter in ``letters``."""
    drawn = random.Random(f"{length}{letters}{seed}")
    kinds = [
        kind
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
        if set(kind) & set(letters)
    ]
    while True:
        text = "".join(drawn.choices(letters, k=length))
        if all(set(text) & set(kind) for kind in kinds):
            return text


def jwt(seed: int) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": lot(8, seed=seed), "iat": 1516239022})
    return ".".join(
        [
            *(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts),
            lot(43, URL, seed),
        ]
    )


SECRETS = {
    "OpenAI": lambda s: "sk-" + lot(20, seed=s) + "T3Blbk" + "FJ" + lot(20, seed=s + 1),
    "OpenAI, without its mark": lambda s: "sk-" + lot(48, seed=s),
    "OpenAI project": lambda s: "sk-" + "proj-" + lot(124, URL, s),
    "OpenAI service account": lambda s: "sk-" + "svcacct-" + lot(60, URL, s),
    "Anthropic": lambda s: "sk-" + "ant-api03-" + lot(93, URL, s) + "AA",
    "DeepSeek": lambda s: "sk-" + lot(32, HEX, s),
    "OpenRouter": lambda s: "sk-" + "or-v1-" + lot(64, HEX, s),
    "Groq": lambda s: "gsk" + "_" + lot(52, seed=s),
    "xAI": lambda s: "xai" + "-" + lot(80, seed=s),
    "Perplexity": lambda s: "pplx" + "-" + lot(48, seed=s),
    "Fireworks": lambda s: "fw" + "_" + lot(24, seed=s + 3),
    "Together": lambda s: "tgp" + "_v1_" + lot(43, URL, s),
    "Together, older": lambda s: "TOGETHER_API_KEY=" + lot(64, HEX, s),
    "Replicate": lambda s: "r8" + "_" + lot(37, seed=s),
    "NVIDIA": lambda s: "nvapi" + "-" + lot(64, URL, s),
    "Cohere": lambda s: f'"cohere_api_key": "{lot(40, seed=s)}"',
    "Mistral": lambda s: f"api-key: {lot(32, seed=s)}",
    "Azure OpenAI": lambda s: f"AZURE_OPENAI_API_KEY='{lot(32, HEX, s)}'",
    "Azure OpenAI, newer": lambda s: lot(42, seed=s) + "JQQJ99" + lot(36, seed=s),
    "Azure storage": lambda s: "AccountName=ann;AccountKey=" + base64.b64encode(random.Random(s).randbytes(64)).decode(),
    "Hugging Face": lambda s: "hf" + "_" + lot(34, seed=s),
    "Hugging Face, letters alone": lambda s: "hf" + "_" + lot(34, string.ascii_letters, s),
    "GitHub": lambda s: "gh" + "p_" + lot(36, seed=s),
    "GitHub, fine-grained": lambda s: "github" + "_pat_" + lot(22, seed=s) + "_" + lot(59, seed=s),
    "GitLab": lambda s: "gl" + "pat-" + lot(20, URL, s),
    "Slack": lambda s: "xox" + f"b-{lot(12, string.digits, s)}-{lot(13, string.digits, s)}-{lot(24, seed=s)}",
    "Slack webhook": lambda s: f"https://hooks.slack.com/services/T{lot(9, UPPER, s)}/B{lot(9, UPPER, s)}/{lot(24, seed=s)}",
    "Stripe": lambda s: "sk" + "_live_" + lot(24, seed=s),
    "Stripe, restricted": lambda s: "rk" + "_live_" + lot(99, seed=s),
    "npm": lambda s: "npm" + "_" + lot(36, seed=s),
    "PyPI": lambda s: "pypi" + "-AgEIcHlwaS5vcmc" + lot(120, URL, s),
    "SendGrid": lambda s: "SG" + f".{lot(22, URL, s)}.{lot(43, URL, s)}",
    "Twilio": lambda s: "SK" + lot(32, HEX, s),
    "Twilio token": lambda s: f"TWILIO_AUTH_TOKEN: {lot(32, HEX, s)}",
    "Mailgun": lambda s: "key" + "-" + lot(32, HEX, s),
    "Mailchimp": lambda s: lot(32, HEX, s) + "-us12",
    "Telegram": lambda s: lot(10, "123456789", s) + ":AA" + lot(33, seed=s),
    "Discord": lambda s: f"M{lot(23, seed=s)}.{lot(6, seed=s)}.{lot(27, seed=s)}",
    "Weights & Biases": lambda s: f'{{"WANDB_API_KEY": "{lot(40, HEX, s)}"}}',
    "Databricks": lambda s: "dapi" + lot(32, HEX, s),
    "AWS": lambda s: "AKI" + "A" + lot(16, UPPER, s),
    "AWS secret": lambda s: f"aws_secret_access_key = {lot(40, seed=s)}",
    "Google": lambda s: "AIza" + "Sy" + lot(33, URL, s),
    "Google service account": lambda s: json.dumps({"type": "service_account", "private_key_id": lot(40, HEX, s)}),
    "Shopify": lambda s: "shp" + "at_" + lot(32, HEX, s),
    "Sentry": lambda s: "sntry" + "s_" + lot(80, seed=s),
    "Pinecone": lambda s: "pc" + "sk_" + lot(60, seed=s),
    "Discord webhook": lambda s: f"https://discord.com/api/webhooks/{lot(18, '123456789', s)}/{lot(68, URL, s)}",
    "Azure signature": lambda s: f"https://a.blob.core.windows.net/c?sv=2022-11-02&sig={lot(43, seed=s)}%3D",
    "basic auth in a header": lambda s: f"Authorization: Basic {base64.b64encode(lot(20, seed=s).encode()).decode()}",
    "JSON web token": jwt,
    "bearer": lambda s: f"Authorization: Bearer {lot(48, seed=s)}",
    "basic auth": lambda s: f"postgresql://ann:{lot(12, seed=s)}@db.example.org:5432/x",
    "basic auth without a name": lambda s: f"redis://:{lot(16, seed=s)}@cache:6379",
    "private key": lambda s: "-----BEGIN " + f"OPENSSH PRIVATE KEY-----\n{lot(70, seed=s)}",
    "private key, encrypted": lambda s: "-----BEGIN " + f"ENCRYPTED PRIVATE KEY-----\\n{lot(64, seed=s)}",
}  # fmt: skip


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_found_wherever_they_stand(kind: str) -> None:
    for seed in range(20):
        secret = SECRETS[kind](seed)
        for text in (
            secret,
            f"It is {secret}.",
            json.dumps({"text": f"so:\n{secret}\nand"}),
            f"a, {secret}, b\n" * 2,
        ):
            assert [*SCANNER.secrets(text)], (kind, text)


def test_no_message_shows_the_secret() -> None:
    for kind, make in SECRETS.items():
        secret = make(1)
        for said in SCANNER.secrets(secret):
            assert "it ends in …" in said, kind
            assert lot(6, seed=1) not in said
            assert secret not in said


def digest(seed: int) -> str:
    return bytes_sha256(str(seed).encode())


HARMLESS = {
    "transliteration": "sk-Latn2024-transliterationTable",
    "a phone": "sk-iPhone15ProMax-256GB-SpaceBlack",
    "a package": "sk-learn-is-a-package-for-python-3-11",
    "a standard": "sk-SK-2024-Q3-B2B-v1-Final-Edition",
    "a language": "sk-Cyrl2023romanisationRulesV2Final",
    "placeholders": "sk-your-api-key-here-1234567890, sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, hf_" + "x" * 34 + " ghp_" + "x" * 36,
    "variables": "api_key: ${OPENAI_API_KEY} token=os.environ['TOKEN'] password = getpass.getpass('a long prompt here')",
    "addresses": "http://example.org:8000/v1 https://ann@example.org ssh://git@github.com:22/a http://user:password@host",
    "addresses with placeholders": "https://<user>:<password>@host https://user:${PASS}@host https://u:***@h",
    "two addresses": "see http://a.org:80/x, or write to ann@example.org",
    "digests": " ".join(digest(n) for n in range(50)),
    "a manifest": json.dumps({"key": digest(1), "files": {"data/a.json": digest(2)}, "commit": digest(3)[:40]}),
    "a card": f"description: content sha256:{digest(4)}\ntokens: 1234567890123456789012345678901234567890",
    "git": f"commit {digest(5)[:40]}\nindex {digest(6)[:7]}..{digest(7)[:7]} 100644",
    "uuids": " ".join(str(uuid.UUID(digest(n)[:32])) for n in range(50)),
    "base64": base64.b64encode(random.Random(1).randbytes(3000)).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(random.Random(2).randbytes(3000)).decode(),
    "file names": "raw/train-00000-of-00001.parquet model-00001-of-00003.safetensors SmolLM2-135M-Instruct-Q8_0.gguf",
    "model names": "xai-org/grok-1 meta-llama/Llama-3.1-8B-Instruct fw_llama_v3p1_405b_instruct_long_context nvapi-docs",
    "prose": "The secret: multiplication. Password: somethingcompletelyordinary. The bearer of a token: everybodyeverywhere.",
    "times": "2024-01-01T12:00:00Z 1700000000:abcdefabcdefabcdef 12345678:00:11",
    "sums": "key-value pairs, monkey-12345678901234567890123456789012 task-0123456789-ABCDEF-abcdef",
    "a public key": "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY----- -----BEGIN CERTIFICATE-----",
    "prose about keys": "It begins with BEGIN RSA PRIVATE KEY, as AKIA, ghp_ and xoxb- begin others.",
    "Amazon's examples": "AKIAIOSFODNN7EXAMPLE and aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "calls": "calculator(20-(2*1+3*1)) <<48/2=24>>24 #### 72 \\frac{1}{2} 1:2:3 a.b.c.d",
}  # fmt: skip


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_texts_are_left_alone(kind: str) -> None:
    text = HARMLESS[kind]
    assert [*SCANNER.secrets(text)] == []
    assert [*SCANNER.secrets(json.dumps({"text": f"\n{text}\n"}))] == []


def test_random_or_words() -> None:
    drawn = random.Random(3)
    keys = ["".join(drawn.choices(URL, k=48)) for _ in range(2000)]
    assert sum(map(is_random, keys)) > 1980
    words = ["alpha", "Beta", "gamma", "Delta", "train", "Model", "2024", "V2", "-", "_", "final", "table"]
    names = ["".join(drawn.choices(words, k=9)) for _ in range(2000)]
    assert sum(map(is_random, names)) < 60  # of such as V2V2tableV2Model2024


def test_masked_texts_hold_no_secret() -> None:
    for kind, make in SECRETS.items():
        said = masked(f"wrong key {make(2)}, try another")
        assert [*SCANNER.secrets(said)] == [] or kind.startswith("private key")
        assert said.startswith("wrong key ")
    assert masked("nothing of that sort in task-12") == "nothing of that sort in task-12"


def test_every_hint_stands_in_what_its_form_finds() -> None:
    """A hint that does not would hide the form."""
    from toolgen_hf.secrets import rules

    every = "\n".join(make(seed) for make in SECRETS.values() for seed in range(5))
    for rule in (
        rule for rule in rules() if rule.what != "a secret (Slack Token)"
    ):  # of its two forms, one is ours
        assert all(rule.hint in match[0] for match in rule.form.finditer(every)), rule.what
    assert len(rules()) >= len(OURS) + len(THEIRS)


def test_importing_it_imports_no_detectors() -> None:
    code = "import sys, toolgen_hf.secrets as s; assert 'detect_secrets' not in sys.modules; s.rules(); print('ok')"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "ok\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "sk-",
        "eyJ",
        "://",
        "//",
        "a",
        "gl",
        "key=",
        "AC",
        "-us1",
        "1",
        "A.",
        "xoxb-1-",
        "AKIA",
        "Bearer ",
        "SG.",
        "\\n",
    ],
)
@pytest.mark.timeout(20)
def test_no_text_takes_long(text: str) -> None:
    assert [*SCANNER.secrets(text * 30_000 + ":_auth")] == []
