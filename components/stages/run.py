"""A run: a workload on a profile, up a ladder, with its settings and the paths of its files.

Decides names and paths, and the tags of a stage's record; all other modules of this package read their settings here.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from components.data.report import DataReport
from components.data.sources import input_columns
from components.data.versions import git, uncommitted
from components.economics import Prices, load_prices
from components.errors import ConfigError, DataError, EngineError
from components.evaluation.sample import sample
from components.ladder import PlannedRung, plan
from components.ladder.plan import MODEL, Sources
from components.models import model_folder
from components.opening import Artifact, prompt_of
from components.params import (
    BASE,
    AdviceParams,
    AuditParams,
    CertificateParams,
    FirstLookParams,
    GateParams,
    HackingParams,
    LadderParams,
    Pipeline,
    Profile,
    RecordParams,
    RetrainingParams,
    RunParams,
    Settings,
    SplitName,
    WatchParams,
    Workload,
    changed,
    load,
    load_named,
)
from components.prompts import Prompt, load_prompt
from components.records import Example, Record, Rung, read_jsonl, read_record
from components.scorers import build
from components.stages.cases import cases_of, refuse_cases
from components.stages.named import refuse_launcher, refuse_slices
from components.tasks import attempted, open_environment

PIPELINE = Path("params/pipeline.yaml")
WORKLOADS = Path("params/workloads")
PROFILES = Path("params/profiles")
PROMPTS = Path("params/prompts")
LADDERS = Path("params/ladders")
STANDARD = "standard"
PRICES = Path("params/prices.yaml")
DATA = Path("data")
ARTIFACTS = Path("artifacts")
STATE = Path("state")


class StageRecord(Record):
    """How a stage went, and what judges' verdicts cost it. Written by the stage, kept with its outputs."""

    stage: str
    seconds: float
    mlflow_run_id: str | None
    judge_usd: float = 0.0


class Best(Record):
    """The best rung of a group on dev."""

    name: str


RESULT = "result.json"


@dataclass(frozen=True)
class Run:
    """The settings of a run. Paths are relative to the project's folder."""

    name: str
    workload: Workload
    profile: Profile
    seed: int
    gate: GateParams
    ladder: str = STANDARD
    first_look: FirstLookParams | None = None
    rungs: tuple[PlannedRung, ...] = ()
    advice: AdviceParams = field(default_factory=AdviceParams)
    certificate: CertificateParams = field(default_factory=CertificateParams)
    hacking: HackingParams = field(default_factory=HackingParams)
    audit: AuditParams = field(default_factory=AuditParams)
    watch: WatchParams = field(default_factory=WatchParams)
    retraining: RetrainingParams = field(default_factory=RetrainingParams)
    record: RecordParams = field(default_factory=RecordParams)

    @classmethod
    def load(cls, name: str) -> "Run":
        """Read the settings of a run and its prompts, so that mistakes are reported before work begins.

        Raises:
            ConfigError: There is no such run, or a file of its settings is missing or wrong.
        """
        pipeline = load(PIPELINE, Pipeline)
        refuse_unknown(pipeline)
        workload_name, profile_name, ladder = parts(name, pipeline)
        entry = pipeline.runs.get(name, RunParams())
        workload_file, profile_file = WORKLOADS / f"{workload_name}.yaml", PROFILES / f"{profile_name}.yaml"
        workload, profile = load_named(workload_file, Workload), load_named(profile_file, Profile)
        path = LADDERS / f"{ladder}.yaml"
        climbed = load(path, LadderParams)
        run = cls(
            name=name,
            workload=workload,
            profile=profile,
            seed=pipeline.seed if entry.seed is None else entry.seed,
            gate=changed(pipeline.gate, entry.gate, f"runs.{name}.gate", PIPELINE),
            ladder=ladder,
            first_look=climbed.first_look,
            rungs=plan(Sources(
                climbed, workload, profile, entry.rungs, name,
                path, profile_file, PIPELINE,
            )),
            advice=pipeline.advice,
            certificate=pipeline.certificate,
            hacking=pipeline.hacking,
            audit=pipeline.audit,
            watch=pipeline.watch,
            retraining=pipeline.retraining,
            record=pipeline.record,
        )  # fmt: skip
        run.refuse_prompts()
        refuse_cases(workload, run.columns, workload_file)
        refuse_slices(workload, run.columns, workload_file)
        refuse_launcher(profile.launcher, profile_file)
        run.refuse_decisions()
        run.prices.model(run.workload.incumbent)
        run.prices.machine(run.profile.machine)
        for params in filter(None, (run.workload.scorer, run.workload.sealed_scorer)):
            build(params, run.workload.output, run.workload.agent)
        run.refuse_agent()
        return run

    @classmethod
    def of(cls, workload: str, profile: str, ladder: str | None = None) -> "Run":
        """The run of a workload on a profile, up the given ladder, or else the one in its settings.

        Raises:
            ConfigError: As `load`.
        """
        for name, folder in ((workload, WORKLOADS), (profile, PROFILES), (ladder, LADDERS)):
            if name is not None and not (folder / f"{name}.yaml").is_file():
                known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
                raise ConfigError(f"expected one of {known}, found {name} ({folder})")
        name = f"{workload}-{profile}"
        usual = load(PIPELINE, Pipeline).runs.get(name, RunParams()).ladder
        return cls.load(name if ladder in (None, usual) else f"{name}-{ladder}")

    def refuse_prompts(self) -> None:
        """Refuse a setting that names a prompt which is missing, or does not fit the workload's input.

        Raises:
            ConfigError: There is such a setting.
        """
        second = self.workload.serving.routing.fallback
        named = [
            *(("prompts", prompt) for prompt in self.workload.prompts),
            ("trained_prompt", self.workload.trained_prompt),
            *([("serving.routing.fallback.prompt", second.prompt)] if second else []),
            *(
                (f"rungs.{rung.name}.settings.{setting}", prompt)
                for rung in self.rungs
                for setting, prompt in rung.named_prompts.items()
            ),
        ]
        for setting, prompt in named:
            try:
                self.prompt(prompt)
            except ConfigError as error:
                raise ConfigError(f"{setting}: {error}") from error

    def refuse_decisions(self) -> None:
        """Refuse a first look at a ladder with a rewarded rung, which needs a certificate.

        Raises:
            ConfigError: A rung is rewarded.
        """
        if self.first_look and (rewarded := [rung.name for rung in self.rungs if rung.rewarded]):
            raise ConfigError(
                f"expected no rung that a reward teaches where first_look is set, found {rewarded[0]} "
                f"({LADDERS / self.ladder}.yaml)"
            )

    def refuse_agent(self) -> None:
        """Refuse an agent whose environment breaks the contract, or lacks the tool of `hand_over`.

        Raises:
            ConfigError: The environment does not open, or has no such tool.
        """
        agent = self.workload.agent
        if agent is None:
            return
        names = [tool.name for tool in open_environment(agent.environment).tools]
        if agent.hand_over is not None and agent.hand_over not in names:
            raise ConfigError(f"agent.hand_over: expected one of {', '.join(names)}, found {agent.hand_over}")

    @property
    def setting(self) -> dict[str, str]:
        """The tags that its MLflow runs can be found by."""
        names = {"workload": self.workload.name, "profile": self.profile.name, "ladder": self.ladder}
        return {**names, "seed": str(self.seed)}

    @property
    def report(self) -> Path:
        """The folder of `ladder.json` and `report.html`."""
        return self.folder / "report"

    @property
    def folder(self) -> Path:
        """The folder of all stages' outputs."""
        return ARTIFACTS / self.name

    def planned(self, rung: str) -> PlannedRung:
        """A rung of the ladder.

        Raises:
            ConfigError: The ladder has none of this name.
        """
        matching = [candidate for candidate in self.rungs if candidate.name == rung]
        if not matching:
            names = ", ".join(candidate.name for candidate in self.rungs)
            raise ConfigError(f"expected one of the rungs {names}, found {rung} ({LADDERS / self.ladder}.yaml)")
        return matching[0]

    @property
    def imitating(self) -> PlannedRung | None:
        """The first rung that trains a model on demonstrations; None if the ladder has none."""
        return next((rung for rung in self.rungs if rung.makes == MODEL and "demonstrations" in rung.needs), None)

    @property
    def groups(self) -> dict[str, tuple[PlannedRung, ...]]:
        """The rungs of each group."""
        names = dict.fromkeys(rung.group for rung in self.rungs if rung.group)
        return {name: tuple(rung for rung in self.rungs if rung.group == name) for name in names}

    def rung_folder(self, rung: str) -> Path:
        """The folder of a rung: its `result.json` and its artifact."""
        return self.folder / "rungs" / rung

    def rung(self, name: str) -> Rung:
        """A rung that was made.

        Raises:
            DataError: It was not made yet.
        """
        return read_record(self.rung_folder(name) / RESULT, Rung)

    def is_made(self, name: str) -> bool:
        """Whether a rung was made."""
        return (self.rung_folder(name) / RESULT).is_file()

    @property
    def made(self) -> dict[str, Rung]:
        """The rungs made so far, in the ladder's order."""
        return {rung.name: self.rung(rung.name) for rung in self.rungs if self.is_made(rung.name)}

    def prompt_of(self, made: Rung) -> Prompt:
        """The prompt that a rung is asked with."""
        return prompt_of(self.artifact(made), self.columns)

    def artifact(self, made: Rung) -> Artifact:
        """A rung's artifact."""
        return Artifact(made.makes, self.rung_folder(made.name) / "artifact", made.prompt)

    @property
    def base_artifact(self) -> Artifact:
        """The profile's base model, as an artifact to start from."""
        return Artifact("model", self.base_model)

    def resolved(self, name: str | None) -> str | None:
        """The rung that a name stands for: the rung itself, a group's best on dev; None for `base` and None."""
        if name in self.groups:
            return read_record(self.folder / "best" / f"{name}.json", Best).name
        return None if name == BASE else name

    def dev(self, n: int) -> list[Example]:
        """A representative sample of `n` dev examples."""
        return sample(self.examples("dev"), n, self.seed)

    @property
    def advice_folder(self) -> Path:
        """The folder of the last advice and its outcome."""
        return self.folder / "advice"

    def work(self, stage: str) -> Path:
        """The folder of a stage's checkpoints: outside its outputs, which DVC removes before it runs."""
        return STATE / "training" / self.name / stage

    @cached_property
    def base_model(self) -> Path:
        """The folder of the base model.

        Raises:
            ConfigError: `model.path` names no model that can be read.
        """
        try:
            return model_folder(self.profile.model.path, self.profile.model.chat_template_kwargs)
        except EngineError as error:
            raise ConfigError(f"model.path: {error} ({PROFILES / self.profile.name}.yaml)") from error

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The input columns that prompts may refer to."""
        return input_columns(self.workload)

    @cached_property
    def prices(self) -> Prices:
        """The price table."""
        return load_prices(PRICES)

    def prompt(self, name: str) -> Prompt:
        """One of the workload's prompts."""
        return load_prompt(PROMPTS / self.workload.name, name, self.columns)

    @property
    def trained_prompt(self) -> Prompt:
        """The prompt of trained rungs, which is short because their weights know the schema."""
        return self.prompt(self.workload.trained_prompt)

    def examples(self, split: SplitName) -> list[Example]:
        """The examples of a split."""
        return read_jsonl(self.folder / "data" / f"{split}.jsonl", Example)

    def slices_of(self, examples: Sequence[Example]) -> dict[str, dict[str, str]]:
        """Example id → slice → value, of the workload's slices."""
        names = self.workload.slices
        return {
            example.id: {name: example.slices[name] for name in names if name in example.slices} for example in examples
        }

    @property
    def trials(self) -> int:
        """How often an agent tries a task of test and sealed; 1 for other workloads."""
        agent = self.workload.agent
        return 1 if agent is None or self.first_look else agent.trials

    def asked(self, split: SplitName) -> list[Example]:
        """The examples of a split as they are evaluated: one for each trial, all trials of a task in one group."""
        return attempted(self.examples(split), self.trials)

    @property
    def must_pass(self) -> list[Example]:
        """The workload's must-pass cases, as examples."""
        return cases_of(self.workload)

    @property
    def data_version(self) -> str:
        """The version of the prepared data."""
        return read_record(self.folder / "data" / "report.json", DataReport).summary.version

    @property
    def data_source(self) -> Path:
        """The folder of the workload's source files."""
        return DATA / self.workload.name


def parts(name: str, pipeline: Pipeline) -> tuple[str, str, str]:
    """Split a run's name, whose parts may contain hyphens, into (workload, profile, ladder).

    Raises:
        ConfigError: No way or several ways of splitting it match existing files.
    """
    words = name.split("-")
    read = [("-".join(words[:at]), "-".join(words[at:])) for at in range(1, len(words))]
    matching = [
        (workload, rest, pipeline.runs.get(name, RunParams()).ladder)
        for workload, rest in read
        if (WORKLOADS / f"{workload}.yaml").is_file() and (PROFILES / f"{rest}.yaml").is_file()
    ] + [
        (workload, rest[: -len(path.stem) - 1], path.stem)
        for workload, rest in read
        for path in sorted(LADDERS.glob("*.yaml"))
        if (WORKLOADS / f"{workload}.yaml").is_file()
        and rest.endswith(f"-{path.stem}")
        and (PROFILES / f"{rest[: -len(path.stem) - 1]}.yaml").is_file()
    ]
    if len(matching) != 1:
        expected = f"files under {WORKLOADS} and {PROFILES} for WORKLOAD-PROFILE, or also {LADDERS} for the ladder"
        raise ConfigError(f"expected {expected}, found {'several' if matching else 'none'} for the run {name}")
    return matching[0]


def refuse_unknown(pipeline: Pipeline) -> None:
    """Refuse what the pipeline says of a run or a workload that there is none of.

    Raises:
        ConfigError: There is such an entry.
    """
    for name in pipeline.runs:
        try:
            parts(name, pipeline)
        except ConfigError as error:
            raise ConfigError(f"runs.{name}: {error} ({PIPELINE})") from error
    for name in pipeline.certificate.override:
        if not (WORKLOADS / f"{name}.yaml").is_file():
            raise ConfigError(
                f"certificate.override: expected workloads in {WORKLOADS}, found {name}, which is none ({PIPELINE})"
            )


def digest(*settings: Settings | str | int) -> str:
    """A hash of settings and texts."""
    texts = (part.model_dump_json() if isinstance(part, Settings) else str(part) for part in settings)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def git_commit() -> str:
    """The commit of the code, with "-dirty" if code or settings differ from it.

    Outside a repository the value of GRADUS_COMMIT, which is set for stages on other machines; else "unknown".
    """
    try:
        commit, changed = git(Path(), "rev-parse", "HEAD"), uncommitted(Path())
    except DataError:
        return os.environ.get("GRADUS_COMMIT", "unknown")
    return f"{commit}-dirty" if changed else commit


def threads() -> int:
    """The number of threads that this process computes with: OMP_NUM_THREADS, or one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() else cores
