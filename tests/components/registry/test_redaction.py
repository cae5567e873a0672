"""Secrets stay out of the record; counts of tokens do not."""

import pytest

from components.registry.redaction import HIDDEN, is_secret, redact, safe


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "openai.api_key",
        "OPENAI_API_KEY",
        "password",
        "hf_token",
        "auth.token",
        "client_secret",
        "access-token",
        "extra_body.api-key",
        "X-Api-Key",
        "api_token",
        "access_key",
        "subscription-key",
        "headers.Ocp-Apim-Subscription-Key",
        "client-secret",
    ],
)
def test_settings_that_hold_secrets_are_known_by_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["max_new_tokens", "batch_tokens", "eos_token", "tokenizer", "keys", "secretary", "key_variable"]
)
def test_settings_that_only_sound_secret_are_kept(name: str) -> None:
    assert not is_secret(name)


def test_a_secret_of_the_environment_is_hidden_wherever_it_stands() -> None:
    environment = {"OPENAI_API_KEY": "sk-12345678", "HOME": "/home/someone", "X_TOKEN": "true"}
    assert redact("401 for sk-12345678 in /home/someone is true", environment) == (
        f"401 for {HIDDEN} in /home/someone is true"
    )


@pytest.mark.parametrize(
    "name", ["PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "SSH_KEY_PASSPHRASE", "AZURE_STORAGE_CONNECTION_STRING"]
)
def test_a_password_is_hidden_whatever_its_variable_is_called(name: str) -> None:
    assert redact("no login with 0123456789", {name: "0123456789"}) == f"no login with {HIDDEN}"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "PGPASSFILE", "PROXY_BYPASS"])
def test_a_variable_that_only_sounds_secret_is_kept(name: str) -> None:
    assert redact("no file in /home/someone", {name: "/home/someone"}) == "no file in /home/someone"


def test_the_login_of_a_server_of_this_machine_is_hidden() -> None:
    environment = {"PREFECT_API_AUTH_STRING": "gradus:0123456789", "MLFLOW_TRACKING_PASSWORD": "9876543210"}
    assert redact("gradus:0123456789 or 9876543210", environment) == f"{HIDDEN} or {HIDDEN}"


def test_a_password_in_an_address_is_hidden() -> None:
    assert redact("postgresql://ann:s3cret@db/x", {}) == f"postgresql://ann:{HIDDEN}@db/x"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("postgresql://u:p@ss@h/x", f"postgresql://u:{HIDDEN}@h/x"),
        ("postgresql://u:p@s:s@h:5432/x", f"postgresql://u:{HIDDEN}@h:5432/x"),
        ("https://ghp_AbC123@github.com/a/b", f"https://{HIDDEN}@github.com/a/b"),
        ("git+HTTPS://to@ken@host", f"git+HTTPS://{HIDDEN}@host"),
        ("at https://f.net/score?code=SuperSecretKey123 (503)", f"at https://f.net/score?code={HIDDEN} (503)"),
        ("/v1?x=1&api_key=sk-live-1&y=2", f"/v1?x=1&api_key={HIDDEN}&y=2"),
        ("s3?X-Amz-Signature=abc&X-Amz-Expires=9", f"s3?X-Amz-Signature={HIDDEN}&X-Amz-Expires={HIDDEN}"),
        ("https://b.net/a?sv=1&sig=a%2Fb%3D#top", f"https://b.net/a?sv=1&sig={HIDDEN}#top"),
        ("?access_token=a&subscription-key=b&key=c", f"?access_token={HIDDEN}&subscription-key={HIDDEN}&key={HIDDEN}"),
    ],
)
def test_logins_and_keys_in_addresses_are_hidden(text: str, kept: str) -> None:
    assert redact(text, {}) == kept


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann@db/x",
        "ssh://git@github.com/a",
        "https://host:8000/a?page=2&monkey=1&design=x",
        'at ["https://host","ann@example.org"]',
        "https://host/@ann, ann@example.org",
    ],
)
def test_an_address_without_secrets_is_kept(text: str) -> None:
    assert redact(text, {}) == text


def test_secrets_in_lists_of_settings_are_hidden() -> None:
    body = {"tools": [{"headers": {"X-Api-Key": "abc"}, "n": 1}], "stop": ("a",)}
    assert safe({"extra_body": body}) == {
        "extra_body.tools": f"[{{'headers': {{'X-Api-Key': '{HIDDEN}'}}, 'n': 1}}]",
        "extra_body.stop": "('a',)",
    }


def test_nested_settings_get_dotted_names_and_lose_their_secrets() -> None:
    assert safe({"sft": {"epochs": 4, "lora": None}, "api": {"api_key": "abc"}}) == {
        "sft.epochs": "4",
        "sft.lora": "None",
        "api.api_key": HIDDEN,
    }
