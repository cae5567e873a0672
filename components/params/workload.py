"""Settings of a workload (params/workloads/NAME.yaml): what goes in, what must come out, how it is scored."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from components.errors import ConfigError
from components.params.agent import AgentParams
from components.params.answers import enveloped, is_alone
from components.params.economics import EconomicsParams
from components.params.loading import Settings
from components.params.scoring import OF_TRIES, ScorerParams
from components.params.serving import ServingParams
from components.params.trust import ProbeParams
from components.params.written import JsonObject, as_json, refuse_misread_labels
from components.schema import composed, resolve_root, shape_of

ConflictingInputs = Literal["first", "none", "refuse"]
SplitName = Literal["train", "dev", "test", "sealed"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


class Columns(Settings):
    """Which columns of a file mean what."""

    input: tuple[str, ...] = Field(min_length=1, description="Columns that prompts may refer to.")
    output: dict[str, str] = Field(min_length=1, description="Field of the answer → column with the demonstration.")
    reference: dict[str, str] = Field(default={}, description="Field → column with gold, if it is another column.")
    id: str | None = None
    group: str | None = Field(default=None, description="Rows of one group stay in one split.")
    slices: tuple[str, ...] = ()


class SplitShares(Settings):
    """Shares of rows that serve evaluation; the rest is train."""

    dev: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, ge=0, lt=1)
    sealed: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_train(self) -> "SplitShares":
        if self.dev + self.test + self.sealed >= 1:
            raise ValueError(f"dev + test + sealed must stay below 1, found {self.dev + self.test + self.sealed:g}")
        return self


class Shares(SplitShares):
    """Shares of the rows that no file assigns to a split, drawn with a seed."""

    seed: int = 0


class GeneratedSource(Settings):
    """Rows that a seeded function writes."""

    kind: Literal["generated"]
    generator: str = Field(pattern=r"^[\w.]+:\w+$", description="module:function, called with (n, seed).")
    seed: int
    sizes: dict[SplitName, Annotated[int, Field(ge=1)]]


class FileSource(Settings):
    """Rows of csv or jsonl files in the folder data/<workload>/."""

    kind: Literal["csv", "jsonl"]
    files: dict[Literal["all", "train", "dev", "test", "sealed"], str] = Field(min_length=1)
    columns: Columns
    shares: Shares = Shares()
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            b"a".decode(encoding)
        except UnicodeError:  # of a known one: a byte is too little for UTF-16
            return encoding
        except (LookupError, ValueError) as error:
            raise ValueError(f"expected an encoding of text that Python knows, found {encoding!r}") from error
        return encoding


class HuggingFaceSource(Settings):
    """Rows of a dataset on the Hugging Face hub, or in a local folder saved by `datasets`."""

    kind: Literal["hugging_face"]
    dataset: str
    config: str | None = None
    revision: str | None = None
    splits: dict[Literal["all", "train", "dev", "test", "sealed"], str] = Field(min_length=1)
    columns: Columns
    shares: Shares = Shares()


Source = Annotated[GeneratedSource | FileSource | HuggingFaceSource, Field(discriminator="kind")]


class ValidationParams(Settings):
    """When data is refused."""

    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    near_duplicate_similarity: float = Field(default=0.9, gt=0, le=1, description="Jaccard, of character 5-grams.")
    max_input_characters: int = Field(default=20_000, ge=1)
    leakage: Literal["remove", "report"] = Field(
        default="remove",
        description="For rows that a source has in two splits or twice: keep them only in the stricter split, or keep "
        "a published split as it is and report how many of its rows are in others.",
    )
    rare_label_share: float = Field(default=0.002, ge=0, le=1, description="Rarer labels cause a warning.")
    conflicting_inputs: ConflictingInputs = Field(
        default="first",
        description="For rows with the same input and different answers: keep the first, keep none, or count them as "
        "refused rows, like those with the same answer.",
    )
    mend_labels: bool = Field(
        default=False, description="Labels that differ only in Unicode form, invisible characters or case are merged."
    )


class Traffic(Settings):
    """How much the workload is used."""

    calls_per_year: int = Field(ge=1, description="Today.")
    growth_per_year: float = Field(default=0.0, gt=-1, description="Share by which the calls grow in a year.")


class MustPass(Settings):
    """A case that every version must answer right, even if it gains elsewhere."""

    name: str = Field(pattern=r"^[\w-]+$")
    input: dict[str, str]
    expected: JsonObject = Field(description="The right answer; a single value as `answer`.")
    evidence: dict[str, str] = Field(default={}, description="What a verifier needs beside it, such as unit tests.")


class Workload(Settings):
    """One workload."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str
    simulated: bool = False
    source: Source
    output: dict[str, Any] = Field(
        description="JSON Schema (2020-12) of the answer: of an object, or of a single value (a label, a text, a "
        "list), which is read as the field `answer`."
    )
    prompts: tuple[str, ...] = Field(min_length=1, description="Versions under params/prompts/<name>/, in order.")
    constrained: tuple[str, ...] = Field(
        default=(),
        description="Those of `prompts` whose answers are constrained to `output` (`response_format`).",
    )
    trained_prompt: str
    agent: AgentParams | None = Field(
        default=None, description="An agent's environment and limits; None: each example is a question with an answer."
    )
    scorer: ScorerParams
    sealed_scorer: ScorerParams | None = Field(
        default=None, description="The scorer that watches RL and never rewards it."
    )
    probes: ProbeParams = ProbeParams()
    slices: tuple[str, ...] = Field(
        default=(), description="Some of source.columns.slices, or of the slices of a generator's first row."
    )
    must_pass: tuple[MustPass, ...] = Field(
        default=(), description="Cases of which a challenger must not fail any at the gate."
    )
    harvest: tuple[str, ...] = Field(
        default=(), description="Files of production's answers under data/<name>/harvest/ that joined the data."
    )
    validation: ValidationParams = ValidationParams()
    traffic: Traffic
    economics: EconomicsParams = EconomicsParams()
    dated_by: str | None = Field(
        default=None, description="Input column or slice with each example's ISO date; None: examples have no date."
    )
    serving: ServingParams = ServingParams()
    incumbent: str = Field(description="Model in params/prices.yaml that the workload is prompted on today.")

    @field_validator("output", mode="before")
    @classmethod
    def _is_an_object(cls, output: Any) -> Any:
        refuse_misread_labels(as_json(output))
        return enveloped(resolve_root(composed(output)))

    @property
    def fields(self) -> tuple[str, ...]:
        """The keys of the answer, in the schema's order."""
        return tuple(self.output["properties"])

    def max_tokens(self, of_profile: int) -> int:
        """The most tokens of an example, prompt and demonstration: an agent's own, else the profile's."""
        return self.agent.max_tokens if self.agent else of_profile

    @model_validator(mode="after")
    def _tries_are_an_agents(self) -> "Workload":
        for name in ("scorer", "sealed_scorer"):
            params: ScorerParams | None = getattr(self, name)
            if params is None:
                continue
            named = [each for each in OF_TRIES if each in params.weighted]
            if named and self.agent is None:
                raise ValueError(f"agent must have its section, because {name}.weighted names {named[0]}")
            if self.agent and params.trajectory and params.trajectory.environment != self.agent.environment:
                raise ValueError(
                    f"{name}.trajectory.environment must be agent.environment ({self.agent.environment}), "
                    f"found {params.trajectory.environment}"
                )
        if self.agent and not isinstance(self.source, GeneratedSource):
            raise ValueError(f"source.kind must be generated where tasks are an agent's, found {self.source.kind}")
        if self.agent and self.constrained:
            raise ValueError("constrained must be empty where tasks are an agent's")
        return self

    @model_validator(mode="after")
    def _is_an_object_schema(self) -> "Workload":
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(self.output)
        except SchemaError as error:
            raise ValueError(f"output must be a JSON Schema, found {error.message}") from error
        if unknown := set(self.constrained) - set(self.prompts):
            raise ValueError(f"constrained must name some of prompts, found {sorted(unknown)[0]}")
        if self.output.get("type") != "object" or not self.output.get("properties"):
            raise ValueError("output must describe an object with properties, a text, labels or a list")
        if self.constrained and is_alone(self.output):
            raise ValueError("constrained must be empty where answers are no JSON object")
        try:
            shape_of(self.output)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if self.serving.judge_share and self.scorer.judge is None:
            raise ValueError("serving.judge_share must be 0 where scorer has no section `judge`")
        if self.serving.labelling.checked < 1 and self.scorer.judge is None:
            raise ValueError("serving.labelling.checked must be 1 where scorer has no section `judge`")
        return self
