"""The errors that Gradus raises on purpose, one class for each kind of cause.

A message says what was expected, what was found and where, in one sentence that a person can act
on: ``sft.lora.rank must be ≥ 1, found 0 (params/profiles/nano.yaml)``. Each class is also the
standard type that fits it, so code that knows nothing of Gradus can catch it as well. What
another library raises is translated only where Gradus can say more than the library did.
"""

EXIT_CODE_ERROR = 2
EXIT_CODE_STOPPED = 130  # 128 and the number of SIGINT, as shells have it


class GradusError(Exception):
    """The common ancestor, for the edge of the program: it ends a command with one sentence."""


class ConfigError(GradusError, ValueError):
    """A setting is refused: an unknown key, a value out of bounds, a file that is not there.

    Raised while settings are loaded, before anything runs or is written.
    """


class DataError(GradusError, ValueError):
    """The input is not what the workload declares: a column, a label, an encoding, too few rows.

    Raised when data is read or validated, and names the file and the row or the column.
    """


class EngineError(GradusError, RuntimeError):
    """Completions cannot be made: a model that does not load, an API that refuses or stays silent.

    Raised when an engine starts or after its retries are spent. One item that failed among many is
    recorded on that item instead.
    """


class UnreachableError(EngineError):
    """An engine does not answer, and the requests are not to blame: they may be sent again later.

    Elsewhere there is no connection, no time, no credit or too much to do, or a key or a model is unknown; here memory
    does not suffice.
    """


class ScorerError(GradusError, RuntimeError):
    """A scorer cannot decide: its verifier is unreachable, or its judge gave no verdict.

    Raised instead of returning a score, because a zero would count the scorer's own failure
    against the completion.
    """


class TrainingError(GradusError, RuntimeError):
    """Training cannot start, go on or resume: a loss that is not finite, a foreign checkpoint.

    Raised before a finished model is replaced; earlier outputs stay as they were.
    """


class RegistryError(GradusError, RuntimeError):
    """The record of runs and models cannot be read or written, or a stored model does not reload.

    Raised when an alias, version or run is missing, and when a reloaded model differs from the one
    that was logged.
    """


class ServiceError(GradusError, RuntimeError):
    """A service of one machine does not come up, does not do its part, or does not go down."""
