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
    ],
)
def test_settings_that_hold_secrets_are_known_by_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["max_new_tokens", "batch_tokens", "eos_token", "tokenizer", "keys", "secretary"])
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


def test_nested_settings_get_dotted_names_and_lose_their_secrets() -> None:
    assert safe({"sft": {"epochs": 4, "lora": None}, "api": {"api_key": "abc"}}) == {
        "sft.epochs": "4",
        "sft.lora": "None",
        "api.api_key": HIDDEN,
    }
