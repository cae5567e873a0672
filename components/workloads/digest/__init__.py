"""The embedded workload `digest`: a simulated ticket thread, summarised in a fixed format of three sections."""

from components.workloads.digest.digests import FIELD_NAMES, Digest, generate

__all__ = ["FIELD_NAMES", "Digest", "generate"]
