"""Who may ask, how often, and in which role: API keys by their SHA-256, and a token bucket for each caller.

Keys are random and long, so nobody can guess one from its plain hash; the server never stores a key.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import ConfigError
from components.params import read_text

VARIABLE = "GRADUS_API_KEYS"  # hashes, separated by commas
FILE_VARIABLE = "GRADUS_API_KEYS_FILE"  # one hash a line, then its role or its owner's name, if any
REVIEWER = "role=reviewer"  # after a hash: this key may correct any answer, and is trusted
_HASH_LENGTH = 64
_MOST_CALLERS = 10_000  # remembered at once; beyond that, the one silent for longest is dropped


def new_key() -> tuple[str, str]:
    """A new key, and the hash by which a server knows it."""
    key = f"gradus-{secrets.token_urlsafe(32)}"
    return key, key_hash(key)


def key_hash(key: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class Keys:
    """The hashes of admitted keys, and of those among them that may review; without any, everyone is admitted."""

    hashes: tuple[str, ...] = ()
    reviewers: frozenset[str] = frozenset()

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Keys":
        """The hashes of the environment and of the file that it names.

        Raises:
            ConfigError: The file is missing or not text, an entry is not a SHA-256, a role is unknown, or there is a
                place for hashes without any: nobody asks for keys in order to admit everyone.
        """
        hashes, reviewers = list[str](), set[str]()
        for source, lines in _sources(environment):
            entries = [words for line in lines if (words := line.split("#")[0].split())]
            if not entries:
                raise ConfigError(f"expected SHA-256 hashes of keys, found none ({source})")
            for digest, *words in entries:
                if len(digest) != _HASH_LENGTH or set(digest.lower()) - set("0123456789abcdef"):
                    raise ConfigError(f"expected SHA-256 hashes of keys, found something else ({source})")
                roles = {word for word in words if word.startswith("role=")}
                if strange := sorted(roles - {REVIEWER}):
                    raise ConfigError(f"expected no role but {REVIEWER}, found {strange[0]} ({source})")
                hashes.append(digest.lower())
                reviewers |= {digest.lower()} if roles else set()
        return cls(tuple(hashes), frozenset(reviewers))

    def caller(self, authorization: str | None) -> str | None:
        """The hash of the key in an `Authorization` header; None if it is not admitted.

        Compares with every hash, so that the time taken reveals nothing.
        """
        scheme, _, key = (authorization or "").partition(" ")
        asked = key_hash(key.strip())
        known = [hmac.compare_digest(asked, admitted) for admitted in self.hashes]
        return asked if any(known) and scheme.lower() == "bearer" else None


def _sources(environment: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The places that the environment names for hashes, each with its lines."""
    if (listed := environment.get(VARIABLE)) is not None:
        yield VARIABLE, listed.split(",")
    if (name := environment.get(FILE_VARIABLE)) is not None:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{FILE_VARIABLE}: expected a file of key hashes, found none at {path}")
        yield f"{FILE_VARIABLE}: {path}", read_text(path, "key hashes").splitlines()


@dataclass
class Limit:
    """At most `per_minute` requests a minute from each caller; None is no limit.

    A caller may send a minute's worth at once, and always at least one.
    """

    per_minute: float | None
    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def wait_s(self, caller: str, now: float | None = None) -> float:
        """Spend one of a caller's requests; returns 0, or the seconds until the next one is allowed."""
        if self.per_minute is None:
            return 0.0
        now = time.monotonic() if now is None else now
        most = max(1.0, self.per_minute)  # even with less than one a minute, one may be sent at once
        left, then = self._left.pop(caller, (most, now))
        left = min(most, left + (now - then) * self.per_minute / 60)
        taken = left >= 1
        self._left[caller] = (left - taken, now)
        if len(self._left) > _MOST_CALLERS:
            self._left.pop(next(iter(self._left)))
        return 0.0 if taken else (1 - left) * 60 / self.per_minute
