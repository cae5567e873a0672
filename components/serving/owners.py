"""Whose answer is whose: who asked, who may say what of it, and how often.

Decides what stands of callers on traces and feedback: never a key nor its hash, but a hash of that with a secret salt,
by which the same caller is known again and nobody is found. Without keys all callers are anonymous.
"""

import hashlib
import hmac
import os
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from components.errors import DataError
from components.params import FeedbackParams
from components.serving.access import Keys
from components.serving.refusals import RequestError

_SALT_BYTES = 32
_SHOWN = 32  # hexadecimal digits of a salted hash
_MOST_REMEMBERED = 50_000  # answers whose caller is known without a look into the lake
_MOST_SENDERS = 10_000  # whose feedbacks of a day are counted: without keys every address is one
_DAY_S = 86_400


@dataclass(frozen=True)
class Sender:
    """Who speaks: a salted hash, empty for the anonymous, and whether it may review."""

    name: str = ""
    reviewer: bool = False


def salt(path: Path) -> bytes:
    """The salt of this project, made at the first call and readable by its owner alone.

    Raises:
        DataError: The file holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # whole or not at all, and only the first one
        finally:
            part.unlink()
    except FileExistsError:
        pass
    try:
        found = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        found = b""
    if len(found) != _SALT_BYTES:
        raise DataError(f"expected {_SALT_BYTES} bytes in hexadecimal digits, found something else ({path})")
    return found


class Owners:
    """Who asked what, as far as it is remembered, and what each sender may still say today."""

    def __init__(self, keys: Keys | None = None, salted: bytes = b"", params: FeedbackParams | None = None) -> None:
        self._keys, self._salt, self._params = keys or Keys(), salted, params or FeedbackParams()
        self._asked = dict[str, tuple[str, str]]()  # request → who asked, and for which customer
        self._said = dict[str, int]()
        self._day, self._lock = 0, threading.Lock()

    def sender(self, caller: str) -> Sender:
        """A caller, who is a key's hash where keys are asked for, as records name it."""
        if caller not in self._keys.hashes:
            return Sender()
        name = hmac.new(self._salt, caller.encode(), hashlib.sha256).hexdigest()[:_SHOWN]
        return Sender(name, caller in self._keys.reviewers)

    def customer(self, caller: str, user: str | None) -> str:
        """Whom a caller asks for, as records name them: those that its requests name, or else the caller itself."""
        named = f"customer {caller}\n{user or ''}"
        return hmac.new(self._salt, named.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_SHOWN]

    def asked(self, name: str, caller: str, customer: str = "") -> None:
        """A request came in, for a customer as `customer` names them."""
        with self._lock:
            self._asked[name] = self.sender(caller).name, customer
            if len(self._asked) > _MOST_REMEMBERED:
                self._asked.pop(next(iter(self._asked)))

    def asker(self, name: str) -> str:
        """Who made a request, as records name it."""
        return self._asked.get(name, ("", ""))[0]

    def asked_for(self, name: str) -> str:
        """Which customer a request was made for."""
        return self._asked.get(name, ("", ""))[1]

    def speaks(self, trace_id: str, caller: str) -> Sender:
        """Let a caller speak of an answer. What is not remembered here is compared when it is used.

        Raises:
            RequestError: Somebody else asked (403), or it has said enough today (429).
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
        """Count a feedback of a caller, if it may still give one on this day (UTC); the longest silent is forgotten."""
        with self._lock:
            if (today := int(time.time() // _DAY_S)) != self._day:
                self._day, self._said = today, {}
            count = self._said.pop(caller, 0)
            self._said[caller] = min(count + 1, self._params.most_per_day)
            if len(self._said) > _MOST_SENDERS:
                self._said.pop(next(iter(self._said)))
            return count < self._params.most_per_day
