"""The embedded workload `digest`: simulated ticket threads, summarised in three fixed sections."""

from components.workloads.digest.digests import FIELD_NAMES, Digest, generate

__all__ = ["FIELD_NAMES", "Digest", "generate"]
