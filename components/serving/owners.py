"""Who asked for an answer, who may give feedback on it, and how often.

Decides how traces and feedback name callers: never by a key or its hash, but by a hash of that with a secret salt,
which recognises a caller without revealing who it is. Without keys all callers are anonymous.
"""

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.errors import ConfigError, DataError
from components.params import FeedbackParams
from components.registry.created import give_name
from components.serving.access import Keys
from components.serving.refusals import RequestError

SALT_VARIABLE = "GRADUS_SALT_FILE"
_SALT_BYTES = 32
_SHOWN = 32  # hexadecimal digits of a salted hash
_MOST_REMEMBERED = 50_000  # requests whose caller is remembered
_MOST_SENDERS = 10_000  # whose feedback of the day is counted; without keys every address is one
_DAY_S = 86_400


@dataclass(frozen=True)
class Sender:
    """Who gives feedback: a salted hash, empty if anonymous, and whether they may review."""

    name: str = ""
    reviewer: bool = False


def salt(path: Path, environment: Mapping[str, str] = os.environ) -> bytes:
    """The salt of 32 bytes: of the file that the environment names, or else the project's own.

    The project's is made at the first call and readable only by its owner. Servers of one lake need the same one: by
    another, the same caller and the same customer have other names.

    Raises:
        ConfigError: The environment names a file that is not there.
        DataError: The file holds something else.
    """
    if (named := environment.get(SALT_VARIABLE)) is not None:
        if not Path(named).is_file():
            raise ConfigError(f"{SALT_VARIABLE}: expected a file with a salt, found none ({named!r})")
        return _read(Path(named))
    _make(path)
    return _read(path)


def _make(path: Path) -> None:
    """Make a salt, unless there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            give_name(part, path)  # complete or not at all, and only the first process's
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        pass


def _read(path: Path) -> bytes:
    try:
        stored = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        stored = b""
    if len(stored) != _SALT_BYTES:
        raise DataError(f"expected {_SALT_BYTES} bytes in hexadecimal digits, found something else ({path})")
    return stored


class Owners:
    """Remembers who asked what, and counts each sender's feedback of the day."""

    def __init__(self, keys: Keys | None = None, salted: bytes = b"", params: FeedbackParams | None = None) -> None:
        self._keys, self._salt, self._params = keys or Keys(), salted, params or FeedbackParams()
        self._asked = dict[str, tuple[str, str]]()  # request → who asked, and for which customer
        self._said = dict[str, int]()
        self._day, self._lock = 0, threading.Lock()

    def sender(self, caller: str) -> Sender:
        """A caller as records name it; if there are keys, `caller` is a key's hash."""
        if caller not in self._keys.hashes:
            return Sender()
        name = hmac.new(self._salt, caller.encode(), hashlib.sha256).hexdigest()[:_SHOWN]
        return Sender(name, caller in self._keys.reviewers)

    def customer(self, caller: str, user: str | None) -> str:
        """The customer that a caller asks for, as records name them: a key's `user`, or else the caller itself.

        Without a key a `user` is the same one from every address.
        """
        by = caller if not user or caller in self._keys.hashes else ""
        named = f"customer {by}\n{user or ''}"
        return hmac.new(self._salt, named.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_SHOWN]

    def asked(self, name: str, caller: str, customer: str = "") -> None:
        """Remember who made a request, and for which customer."""
        with self._lock:
            self._asked[name] = self.sender(caller).name, customer
            if len(self._asked) > _MOST_REMEMBERED:
                self._asked.pop(next(iter(self._asked)))

    def asker(self, name: str) -> str:
        """Who made a request, as records name it; empty if not remembered."""
        return self._asked.get(name, ("", ""))[0]

    def asked_for(self, name: str) -> str:
        """The customer that a request was made for; empty if not remembered."""
        return self._asked.get(name, ("", ""))[1]

    def speaks(self, trace_id: str, caller: str) -> Sender:
        """Check that a caller may give feedback on an answer, and count it unless a reviewer gives it.

        Who asked for an answer that is not remembered is checked when the feedback is used.

        Raises:
            RequestError: Somebody else asked (403), or the caller's feedback of the day is used up (429).
        """
        sender = self.sender(caller)
        asked = self._asked.get(trace_id, self._asked.get(trace_id.rpartition("-")[0]))
        if asked is not None and asked[0] != sender.name and not sender.reviewer:
            raise RequestError(403, "expected the key that asked, or a reviewer's, found another", code="not_yours")
        if not sender.reviewer and not self._takes_one(caller):
            most = self._params.most_per_day
            raise RequestError(429, f"expected at most {most:,} feedbacks of one sender a day", code="enough_said")
        return sender

    def _takes_one(self, caller: str) -> bool:
        """Count a caller's feedback; returns whether it was still allowed on this day (UTC).

        If there are too many callers, the one silent for longest is dropped.
        """
        with self._lock:
            if (today := int(time.time() // _DAY_S)) != self._day:
                self._day, self._said = today, {}
            count = self._said.pop(caller, 0)
            self._said[caller] = min(count + 1, self._params.most_per_day)
            if len(self._said) > _MOST_SENDERS:
                self._said.pop(next(iter(self._said)))
            return count < self._params.most_per_day
