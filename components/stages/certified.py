"""Whether RL may be rewarded by the workload's scorer: it is certified, or overridden with a written reason.

The permit is a separate record, so that changed figures in the certificate do not make RL run again.
"""

import logging
from pathlib import Path

from components.errors import TrainingError
from components.evaluation.certificate import Certificate
from components.records import Record, read_record
from components.stages.run import PIPELINE, Run, digest

log = logging.getLogger(__name__)


class Permit(Record):
    """Whether RL may start, what is below the floor, and a hash of the watching sealed scorer's settings."""

    granted: bool
    reasons: tuple[str, ...]
    override: str | None
    sealed_scorer: str | None


def certificate_file(run: Run) -> Path:
    """The file of a run's certificate."""
    return run.folder / "certificate" / "certificate.json"


def permit_file(run: Run) -> Path:
    """The file of a run's permit."""
    return run.folder / "certificate" / "permit.json"


def permit(run: Run, certificate: Certificate) -> Permit:
    """The permit that follows from a certificate."""
    sealed = run.workload.sealed_scorer
    return Permit(
        granted=certificate.passed,
        reasons=certificate.reasons,
        override=certificate.override if certificate.reasons else None,
        sealed_scorer=digest(sealed) if sealed else None,
    )


def require_permit(run: Run) -> None:
    """Refuse RL with a scorer below the floor, unless it is overridden with a written reason.

    Raises:
        TrainingError: The scorer is below the floor.
    """
    permit_given = read_record(permit_file(run), Permit)
    if not permit_given.granted:
        raise TrainingError(
            f"expected a scorer above the floor before RL, found {'; '.join(permit_given.reasons)} "
            f"({certificate_file(run)}); fix the scorer, or say why RL may go on under certificate.override."
            f"{run.workload.name} in {PIPELINE}"
        )
    if permit_given.override:
        log.warning("RL goes on below the floor: %s", permit_given.override)


def verdict(certificate: Certificate) -> str:
    """The certificate's verdict in words."""
    if not certificate.reasons:
        return "above the floor"
    return (
        f"below the floor, overridden: {certificate.override}"
        if certificate.override
        else "below the floor, RL will not start"
    )
