"""What a version gave since a time, as a canary and the champion beside it are compared: failures among it."""

from monitoring.canary import Side
from monitoring.windows import Stream, labelled


def side(stream: Stream, window: tuple[float, float]) -> Side:
    """What a version gave in a window of time [since, until), by customer; unnamed ones are strangers to each other."""
    _, labels = aside = labelled(stream, window)
    traces = stream.lake.outcomes(stream.workload, stream.version, window)
    customers = {trace.id: trace.customer for trace in aside[0]}
    return Side(
        valid=traces,
        right=[(customers[name], right) for name, right in labels.right.items()],
        drawn=labels.drawn,
    )
