"""A version's results in a window, failures included, for comparing a canary with the champion."""

from monitoring.canary import Side
from monitoring.windows import Stream, labelled


def side(stream: Stream, window: tuple[float, float], *, strangers: bool = False) -> Side:
    """A version's results in a window [since, until), by customer; unnamed customers count as different.

    With `strangers` all do, for canaries that draw requests instead of customers.
    """
    aside, labels = labelled(stream, window)
    customers = {trace.id: "" if strangers else trace.customer for trace in aside}
    outcomes = stream.lake.outcomes(stream.workload, stream.version, window)
    valid = [("" if strangers else customer, valid) for customer, valid in outcomes]
    if stream.labelling.checked < 1:
        read = [(customers[name], worth) for name, worth in labels.read.items()]
        return Side(valid, read, labels.of, labels.weight, labels.silent, read=True)
    return Side(valid, [(customers[name], right) for name, right in labels.right.items()], labels.drawn)
