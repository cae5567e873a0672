"""The embedded workload `snippets`: simulated requests for a short Python function, with unit tests."""

from components.workloads.snippets.requests import Request, generate

__all__ = ["Request", "generate"]
