"""What must never be recorded: secret settings, secrets in the environment, logins and keys in addresses, NUL.

Decides by names and by the environment's values; callers are responsible for the content of artifacts.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
SHORTEST_SECRET = 8  # shorter values of variables, such as "true", occur by chance
# Tokens of models, as in `eos_token` or `max_new_tokens`, are not secret: only these names of settings are.
_SECRET_SETTING = re.compile(
    r"(?:^|[_.\-])(?:secret|password|passwd|passphrase|credentials?|authorization"
    r"|(?:access|account|api|auth|client|functions?|private|shared|signing|subscription)[_\-]?(?:key|secret)"
    r"|(?:access|api|auth|bearer|hf|github|session|refresh)[_\-]?token)(?:$|[_.\-])|(?:^|\.)token$",
    re.IGNORECASE,
)
# PGPASSWORD has no `_` before its password; PWD and OLDPWD are folders, PGPASSFILE names a file.
_SECRET_VARIABLE = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|(?:^|_)(?:API)?(?:KEY|TOKEN|SECRET|CREDENTIALS?|AUTH_STRING))(?:$|_)"
    r"|_(?:PASS|PWD|CONNECTION_STRING)$",
    re.IGNORECASE,
)
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^/\s:@]*+):[^/\s]+@")  # to the last @: a password may have one
# A user alone is a token on the web, as in https://TOKEN@github.com; elsewhere it is a name.
_TOKEN_IN_ADDRESS = re.compile(r"(?:(?<=http://)|(?<=https://))[^/\s:?#\"'<>]+@", re.IGNORECASE)
_QUERY = re.compile(r"(?<=[?&])([\w.\-]++)=([^&#\s\"'<>]++)")
_SECRET_QUERY = re.compile(
    r"^(?:apikey|code|key|secret|sig|signature|token)$|[_\-](?:key|secret|signature|token)$|^x-amz-", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """Whether a setting with this name is secret."""
    return _SECRET_SETTING.search(name) is not None


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL, which PostgreSQL takes in no text."""
    return text.replace("\0", "\ufffd")


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A storable text without logins and keys in addresses, and without the values of secret environment variables."""
    variables = os.environ if environment is None else environment
    text = _TOKEN_IN_ADDRESS.sub(f"{HIDDEN}@", _PASSWORD_IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text))
    text = _QUERY.sub(_without_key, text)
    for name, value in variables.items():
        if len(value) >= SHORTEST_SECRET and _SECRET_VARIABLE.search(name):
            text = text.replace(value, HIDDEN)
    return storable(text)


def safe(values: Mapping[str, object]) -> dict[str, str]:
    """Settings as text, with dotted names for nested ones and secrets hidden."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= safe({f"{name}.{inner}": item for inner, item in value.items()})
        else:
            flat[name] = HIDDEN if is_secret(name) else redact(str(_without_secrets(value)))
    return flat


def _without_key(parameter: re.Match[str]) -> str:
    """A parameter of an address's query, hidden if its name is one of keys."""
    name = parameter[1]
    return f"{name}={HIDDEN}" if _SECRET_QUERY.search(name) or is_secret(name) else parameter[0]


def _without_secrets(value: Any) -> Any:
    """A setting's value, with what is secret by its name hidden in groups of settings within lists."""
    if isinstance(value, Mapping):
        return {name: HIDDEN if is_secret(str(name)) else _without_secrets(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        within = [_without_secrets(item) for item in value]
        return within if isinstance(value, list) else tuple(within)
    return value
