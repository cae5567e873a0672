"""Settings of scorers (`scorer` and `sealed_scorer` in a workload's YAML): which ones, their weights, how they work."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.params.agent import AgentEnvironment
from components.params.loading import Address, Settings
from components.params.profile import ApiParams
from components.params.sandbox import UnitTestsParams

Imported = Annotated[str, Field(pattern=r"^[\w.]+:\w+$", description="module:name")]


class FieldMatch(Settings):
    """How one field of the answer is compared with its reference."""

    match: Literal["exact", "number", "date", "set", "text"] = "exact"
    tolerance: float = Field(default=0.0, ge=0, description="Absolute, for numbers.")
    weight: float = Field(default=1.0, gt=0)


class SqlExecutionParams(Settings):
    """How a query's results are compared with those of the reference's query on the same databases."""

    databases: Imported | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="module:function that returns SQL scripts, or files: scripts (.sql) or databases. Several with one "
        "schema and different contents expose queries that are right by luck."
    )
    field: str = Field(default="sql", description="Of the answer and the reference, with the query.")
    dialect: Literal["sqlite", "duckdb"] = "sqlite"
    order: Literal["reference", "always", "never"] = Field(
        default="reference", description="When rows must be in the same order; reference: if its query orders them."
    )
    tolerance: float = Field(default=1e-6, ge=0, description="Of numbers with a fraction, absolute and relative.")
    time_limit_s: float = Field(default=1.0, gt=0, description="Of one query on one database.")
    max_rows: int = Field(default=10_000, ge=1, description="A query that returns more is wrong.")


class JudgeParams(Settings):
    """A model that judges answers by a rubric."""

    model: str = Field(description="The API's name for it; its price is in params/prices.yaml.")
    rubric: str = Field(description="File with the criteria, relative to the project's root.")
    api: ApiParams
    scale: int = Field(default=5, ge=2, le=100, description="Marks go from 1 (value 0) to this (value 1).")
    pass_value: float = Field(default=0.75, gt=0, le=1, description="Value from which an answer passes.")
    votes: int = Field(default=1, ge=1, description="Verdicts on each answer; their mean counts.")
    temperature: float = Field(default=0.0, ge=0, description="Above 0, votes differ.")
    max_new_tokens: int = Field(default=256, ge=16)
    sees_reference: bool = Field(default=True, description="The judge is shown the reference answer.")
    cache: str | None = Field(default="state/judge", description="Folder of verdicts by content; None keeps none.")

    @model_validator(mode="after")
    def _votes_differ(self) -> "JudgeParams":
        if self.votes > 1 and self.temperature == 0:
            raise ValueError(f"temperature must be above 0 where there are several votes, found {self.votes} votes")
        return self


class TextRules(Settings):
    """Rules for a text; all given rules have the same weight."""

    min_characters: int | None = Field(default=None, ge=0)
    max_characters: int | None = Field(default=None, ge=1)
    max_words: int | None = Field(default=None, ge=1)
    max_sentences: int | None = Field(default=None, ge=1)
    sections: tuple[str, ...] = Field(default=(), description="Each begins a line, in this order.")
    required: tuple[str, ...] = Field(default=(), description="Terms that must occur, as whole words in any case.")
    forbidden: tuple[str, ...] = Field(default=(), description="Terms that must not.")
    pattern: str | None = Field(default=None, description="Regular expression that the whole text matches.")

    @model_validator(mode="after")
    def _says_something(self) -> "TextRules":
        import regex

        if not self.model_dump(exclude_defaults=True):
            raise ValueError("at least one rule must be given")
        try:
            regex.compile(self.pattern or "")
        except regex.error as error:
            raise ValueError(f"pattern must be a regular expression, found {error}") from error
        return self


class SimilarityParams(Settings):
    """How similar a free text is to its reference, by a standard measure in [0, 1]."""

    measure: Literal["chrf", "bleu", "rouge1", "rouge2", "rougeL"] = Field(
        default="chrf",
        description="chrf: character n-grams, of any language (sacrebleu). bleu: of one sentence, smoothed, for "
        "translations. rouge*: words, for summaries; its words are those of a-z and 0-9.",
    )
    field: str = Field(default="answer", description="Of the answer and the reference, with the text.")
    pass_value: float = Field(default=0.5, gt=0, le=1, description="Value from which an answer passes.")


class FormatRulesParams(Settings):
    """Rules for the whole text of a completion, and for fields of its answer."""

    text: TextRules | None = None
    fields: dict[str, TextRules] = Field(default={})

    @model_validator(mode="after")
    def _has_rules(self) -> "FormatRulesParams":
        if self.text is None and not self.fields:
            raise ValueError("text or fields must hold rules")
        return self


class HttpParams(Settings):
    """How the user's own reward server is called."""

    url: Address = Field(pattern=r"^https?://", description="The endpoint that takes batches; no login in it.")
    secret_variable: str | None = Field(
        default=None, description="Environment variable with the secret that requests are signed with; None: unsigned."
    )
    batch: int = Field(default=64, ge=1, description="Answers in one request.")
    concurrency: int = Field(default=4, ge=1, description="Requests at the same time.")
    timeout_s: float = Field(default=30.0, gt=0, description="Of one attempt.")
    max_retries: int = Field(default=3, ge=0, description="After 429, 5xx, timeouts and lost connections.")


class TrajectoryParams(Settings):
    """How an agent's tries are compared with their references: required calls, forbidden calls and their order."""

    environment: AgentEnvironment = Field(description="The agent's, in which the reference's calls are replayed.")
    forbidden: tuple[str, ...] = Field(default=(), description="Tools that must not be called.")
    before: dict[str, tuple[str, ...]] = Field(
        default={}, description="Tool → tools of which one must be called first, with the same first argument."
    )
    spare_calls: int = Field(default=2, ge=0, description="Calls beyond the reference's that are not penalised.")


OF_TRIES = ("final_state", "said", "calls", "efficiency")  # scorers of an agent's tries
SECTIONS = ("sql_execution", "similarity", "judge", "format_rules", "http")  # scorers that do not work without settings


class ScorerParams(Settings):
    """The scorers and their weights; a user's own is `module:Class`. A scorer's own section holds its settings."""

    weighted: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    gates: tuple[str, ...] = Field(
        default=(), description="Those of `weighted` that must pass before the others are called and counted."
    )
    max_failed_share: float = Field(
        default=0.02, ge=0, le=1, description="Share of answers that a scorer may fail on before a stage stops."
    )
    fields: dict[str, FieldMatch] = Field(default={})
    sql_execution: SqlExecutionParams | None = None
    similarity: SimilarityParams | None = None
    unit_tests: UnitTestsParams = UnitTestsParams()
    judge: JudgeParams | None = None
    format_rules: FormatRulesParams | None = None
    http: HttpParams | None = None
    trajectory: TrajectoryParams | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "ScorerParams":
        if unknown := [name for name in self.gates if name not in self.weighted]:
            raise ValueError(f"gates must name some of weighted ({', '.join(self.weighted)}), found {unknown[0]}")
        if self.trajectory is None and (named := [name for name in OF_TRIES if name in self.weighted]):
            raise ValueError(f"trajectory must have its section, because {named[0]} is named in weighted")
        for name in SECTIONS:
            if name in self.weighted and getattr(self, name) is None:
                raise ValueError(f"{name} must have its section, because it is named in weighted")
        return self
