"""Stateless random shares: whether a name belongs to a share is the same on every call and in every process.

Decides by a hash of the name alone, never by the content of a question or answer.
"""

import hashlib


def falls_in(share: float, purpose: str, name: str) -> bool:
    """Whether a name belongs to a share, in [0, 1]; draws for different purposes are independent."""
    return drawn(purpose, name) < share * 2**64


def drawn(purpose: str, name: str) -> int:
    """What a name draws for a purpose, uniformly from [0, 2⁶⁴)."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {name}".encode()).digest()[:8])
