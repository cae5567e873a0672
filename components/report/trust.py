"""The page's section on trust: the reward's certificate, the watch over RL, and demonstrations that look wrong."""

from collections.abc import Mapping
from typing import Any

from components.evaluation.agreement import Share
from components.evaluation.certificate import Certificate
from components.evaluation.label_audit import Audit, Suspect
from components.records import Record, RewardWatch

LABELS = {"people": "labels that people gave", "built": "answers made from references and answers of earlier rungs"}


class Trust(Record):
    """The records behind the section; None if a stage left none.

    `rl` says that RL trained a rung, `sealed_scorer` that there is one to watch it.
    """

    certificate: Certificate | None = None
    rl: bool = False
    sealed_scorer: bool = False
    watch: RewardWatch | None = None
    audit: Audit | None = None
    suspects: tuple[Suspect, ...] = ()


def view(trust: Trust | None) -> dict[str, Any] | None:
    """The template's variables."""
    if trust is None or (trust.certificate is None and trust.audit is None):
        return None
    return {
        "certificate": trust.certificate,
        "labels": LABELS[trust.certificate.source] if trust.certificate else "",
        "bars": _bars(trust.certificate) if trust.certificate else [],
        "rl": trust.rl or trust.watch is not None,
        "sealed_scorer": trust.sealed_scorer,
        "watch": trust.watch,
        "audit": trust.audit,
        "suspects": trust.suspects,
    }


def _bars(certificate: Certificate) -> list[dict[str, Any]]:
    """The rows of a picture: a label, its share with the interval, and whether low is good."""
    rows: list[tuple[str, Share | None, bool]] = [
        ("wrong answers that pass", certificate.false_positive, True),
        ("right answers refused", certificate.false_negative, True),
        ("same score when scored again", certificate.repeatable, False),
        *_named("same score with {}", certificate.indifferent),
        *_named("lower score with {} wrong", certificate.sensitive),
    ]
    return [{"name": name, "share": share, "low_is_good": low} for name, share, low in rows if share is not None]


def _named(words: str, shares: Mapping[str, Share]) -> list[tuple[str, Share | None, bool]]:
    return [(words.format(name.replace("_", " ")), share, False) for name, share in shares.items()]
