"""What `/metrics` tells Prometheus, in a registry of this server's own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Requests by status, how long they took, tokens, sizes of batches, and the version that answers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("gradus_requests", "Chat requests.", ["status"], registry=self.registry)
        self.latency = Histogram(
            "gradus_request_seconds", "From a chat request to its answer.", buckets=LATENCY_S, registry=self.registry
        )
        self.tokens = Counter("gradus_tokens", "Tokens of answered requests.", ["kind"], registry=self.registry)
        self.batches = Histogram("gradus_batch_size", "Requests of a batch.", buckets=SIZES, registry=self.registry)
        self.version = Gauge("gradus_champion_version", "The version that answers, 0 for none.", registry=self.registry)
