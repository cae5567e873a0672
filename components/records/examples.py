"""What data hold: examples, and what people or measures say of answers to them."""

from pydantic import Field

from components.records.record import Record


class Example(Record):
    """One case of a workload.

    `input` holds the columns that prompts may refer to. `demonstration` is the completion that training imitates,
    `reference` the right one: only evaluation and the verifier read it. `evidence` is what a verifier needs beside
    it, such as unit tests: no prompt ever shows it.
    """

    id: str
    input: dict[str, str]
    demonstration: str
    reference: str
    group: str
    slices: dict[str, str] = Field(default={})
    evidence: dict[str, str] = Field(default={})


class Preference(Record):
    """Of two answers to an example the better and the worse one: a line of data/<workload>/preferences.jsonl.

    `input` is what was asked where that is no example of train, as in production.
    """

    example_id: str
    chosen: str
    rejected: str
    input: dict[str, str] = Field(default={})


class Thumb(Record):
    """Whether one answer to an example was good: a line of data/<workload>/thumbs.jsonl; `input` as of `Preference`."""

    example_id: str
    text: str
    good: bool
    input: dict[str, str] = Field(default={})


class Logged(Record):
    """An answer with its score in [0, 1]: a line of data/<workload>/logs.jsonl; `input` as of `Preference`.

    `log_probability` is the natural logarithm of the probability with which the whole answer was drawn, None where it
    was not drawn at temperature 1, or nobody knows.
    """

    example_id: str
    text: str
    score: float = Field(ge=0, le=1)
    input: dict[str, str] = Field(default={})
    log_probability: float | None = Field(default=None, le=0, allow_inf_nan=False)
