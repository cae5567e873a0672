"""The metrics for Prometheus, in this server's own registry."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from components.serving.journal import Journal

FIRST_TOKEN_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Requests by status, seconds to answers and to first texts, tokens, sizes of batches, the version that answers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("gradus_requests", "Chat requests.", ["status"], registry=self.registry)
        self.latency = Histogram(
            "gradus_request_seconds", "From a chat request to its answer.", buckets=LATENCY_S, registry=self.registry
        )
        self.first_token = Histogram(
            "gradus_first_token_seconds", "From a streamed chat request to the first text of its answer.",
            buckets=FIRST_TOKEN_S, registry=self.registry,
        )  # fmt: skip
        self.tokens = Counter("gradus_tokens", "Tokens of answered requests.", ["kind"], registry=self.registry)
        self.batches = Histogram("gradus_batch_size", "Requests of a batch.", buckets=SIZES, registry=self.registry)
        self.corrupt = Gauge(
            "gradus_corrupt_segments", "Segments of spools that were set aside.", registry=self.registry
        )
        self.waiting = Gauge(
            "gradus_waiting_segments", "Segments of spools that are not stored yet.", registry=self.registry
        )
        self.unwritable = Gauge(
            "gradus_spool_unwritable",
            "1 where answers cannot be written down, and are refused.",
            registry=self.registry,
        )
        self.ready = Gauge("gradus_ready", "1 where /readyz says ok.", registry=self.registry)
        self.waiting_requests = Gauge(
            "gradus_waiting_requests", "Requests that wait for their turn.", registry=self.registry
        )
        self.version = Gauge("gradus_champion_version", "The version that answers, 0 for none.", registry=self.registry)

    def watch(self, journal: Journal) -> None:
        """Update the gauges of the spools."""
        self.corrupt.set(journal.corrupt)
        self.waiting.set(journal.waiting)
        self.unwritable.set(bool(journal.trouble))

    def answered(self, seconds: float, usage: Mapping[str, int]) -> None:
        """Count a request that was answered, and its tokens."""
        self.requests.labels("200").inc()
        self.latency.observe(seconds)
        self.tokens.labels("prompt").inc(usage["prompt_tokens"])
        self.tokens.labels("completion").inc(usage["completion_tokens"])

    def refused(self, status: int) -> None:
        """Count a request without an answer."""
        self.requests.labels(str(status)).inc()
