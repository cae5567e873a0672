"""What a version gave since a time, as a canary and the champion beside it are compared: failures among it."""

from monitoring.canary import Side
from monitoring.windows import Stream, labelled


def side(stream: Stream, window: tuple[float, float], *, strangers: bool = False) -> Side:
    """What a version gave in a window of time [since, until), by customer; unnamed ones are strangers to each other.

    So are all of them with `strangers`: where requests are drawn for the canary, and not customers.
    """
    aside, labels = labelled(stream, window)
    customers = {trace.id: "" if strangers else trace.customer for trace in aside}
    outcomes = stream.lake.outcomes(stream.workload, stream.version, window)
    valid = [("" if strangers else customer, valid) for customer, valid in outcomes]
    if stream.labelling.checked < 1:
        read = [(customers[name], worth) for name, worth in labels.read.items()]
        return Side(valid, read, labels.of, labels.weight, labels.silent, read=True)
    return Side(valid, [(customers[name], right) for name, right in labels.right.items()], labels.drawn)
