"""The embedded workload `snippets`: simulated requests to one short Python function each, with unit tests."""

from components.workloads.snippets.requests import Request, generate

__all__ = ["Request", "generate"]
