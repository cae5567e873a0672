"""Random shares that need no memory: whoever knows a name knows whether it belongs, at every call and in every process.

Decides by a hash of the name alone, never by what was asked or how it was answered.
"""

import hashlib


def falls_in(share: float, purpose: str, name: str) -> bool:
    """Whether a name belongs to a share, in [0, 1]; purposes draw independently of each other."""
    drawn = int.from_bytes(hashlib.sha256(f"{purpose} {name}".encode()).digest()[:8])
    return drawn < share * 2**64
