"""What must never be recorded: secret settings, secrets in the environment, passwords in addresses.

Decides by names and by the environment's values; callers are responsible for the content of artifacts.
"""

import os
import re
from collections.abc import Mapping

HIDDEN = "(hidden)"
SHORTEST_SECRET = 8  # shorter values of variables, such as "true", occur by chance
# Tokens of models, as in `eos_token` or `max_new_tokens`, are not secret: only these names of settings are.
_SECRET_SETTING = re.compile(
    r"(?:^|[_.\-])(?:api_?key|secret|password|passwd|passphrase|credentials?|authorization|private_?key"
    r"|(?:access|auth|bearer|hf|github|session|refresh)[_\-]?token)(?:$|[_.\-])|(?:^|\.)token$",
    re.IGNORECASE,
)
# PGPASSWORD has no `_` before its password; PWD and OLDPWD are folders, PGPASSFILE names a file.
_SECRET_VARIABLE = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|(?:^|_)(?:API)?(?:KEY|TOKEN|SECRET|CREDENTIALS?|AUTH_STRING))(?:$|_)"
    r"|_(?:PASS|PWD|CONNECTION_STRING)$",
    re.IGNORECASE,
)
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")


def is_secret(name: str) -> bool:
    """Whether a setting with this name is secret."""
    return _SECRET_SETTING.search(name) is not None


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text without passwords in addresses and without the values of secret environment variables."""
    variables = os.environ if environment is None else environment
    text = _PASSWORD_IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    for name, value in variables.items():
        if len(value) >= SHORTEST_SECRET and _SECRET_VARIABLE.search(name):
            text = text.replace(value, HIDDEN)
    return text


def safe(values: Mapping[str, object]) -> dict[str, str]:
    """Settings as text, with dotted names for nested ones and secrets hidden."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= safe({f"{name}.{inner}": item for inner, item in value.items()})
        else:
            flat[name] = HIDDEN if is_secret(name) else redact(str(value))
    return flat
