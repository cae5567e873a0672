"""Whether RL may be rewarded by the workload's scorer: it is certified, or somebody answers for it in writing.

The permit is a record of its own beside the certificate, so that other figures on that do not start RL anew.
"""

import logging
from pathlib import Path

from components.errors import TrainingError
from components.evaluation.certificate import Certificate
from components.records import Record, read_record
from components.stages.run import PIPELINE, Run, digest

log = logging.getLogger(__name__)


class Permit(Record):
    """Whether RL may start, what is below the floor, and which sealed scorer will watch it (a hash of its settings)."""

    granted: bool
    reasons: tuple[str, ...]
    override: str | None
    sealed_scorer: str | None


def certificate_file(run: Run) -> Path:
    """Where the certificate of a run lies."""
    return run.folder / "certificate" / "certificate.json"


def permit_file(run: Run) -> Path:
    """Where the permit lies."""
    return run.folder / "certificate" / "permit.json"


def permit(run: Run, found: Certificate) -> Permit:
    """What a certificate permits."""
    sealed = run.workload.sealed_scorer
    return Permit(
        granted=found.passed,
        reasons=found.reasons,
        override=found.override if found.reasons else None,
        sealed_scorer=digest(sealed) if sealed else None,
    )


def require_permit(run: Run) -> None:
    """Let RL go on only with a scorer above the floor, or with somebody's reasons in writing.

    Raises:
        TrainingError: The scorer is below the floor.
    """
    found = read_record(permit_file(run), Permit)
    if not found.granted:
        raise TrainingError(
            f"expected a scorer above the floor before RL, found {'; '.join(found.reasons)} "
            f"({certificate_file(run)}); mend the scorer, or say why RL may go on under certificate.override."
            f"{run.workload.name} in {PIPELINE}"
        )
    if found.override:
        log.warning("RL goes on below the floor: %s", found.override)


def verdict(found: Certificate) -> str:
    """Whether RL may be rewarded, in words."""
    if not found.reasons:
        return "above the floor"
    return f"below the floor, overridden: {found.override}" if found.override else "below the floor, RL will not start"
