"""A run: a workload on a profile, and where everything of it lies.

Decides names and paths, and what a stage's record is tagged with; every other module of this package reads its
settings here.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from components.data.sources import input_columns
from components.data.versions import git, uncommitted
from components.economics import Prices, load_prices
from components.errors import ConfigError, DataError, EngineError
from components.models import model_folder
from components.params import (
    AdviceParams,
    AuditParams,
    CertificateParams,
    GateParams,
    HackingParams,
    Pipeline,
    Profile,
    RetrainingParams,
    Settings,
    SplitName,
    WatchParams,
    Workload,
    changed,
    load,
)
from components.prompts import Prompt, load_prompt
from components.records import Example, Record, read_jsonl, to_json
from components.scorers import build

PIPELINE = Path("params/pipeline.yaml")
WORKLOADS = Path("params/workloads")
PROFILES = Path("params/profiles")
PROMPTS = Path("params/prompts")
PRICES = Path("params/prices.yaml")
DATA = Path("data")
ARTIFACTS = Path("artifacts")
STATE = Path("state")


class StageRecord(Record):
    """How a stage went, and what a judge's verdicts cost it: written by the stage that ran, kept with its outputs."""

    stage: str
    seconds: float
    mlflow_run_id: str | None
    judge_usd: float = 0.0


@dataclass(frozen=True)
class Run:
    """The settings of a run. Paths are relative to the project's folder."""

    name: str
    workload: Workload
    profile: Profile
    seed: int
    gate: GateParams
    advice: AdviceParams = field(default_factory=AdviceParams)
    certificate: CertificateParams = field(default_factory=CertificateParams)
    hacking: HackingParams = field(default_factory=HackingParams)
    audit: AuditParams = field(default_factory=AuditParams)
    watch: WatchParams = field(default_factory=WatchParams)
    retraining: RetrainingParams = field(default_factory=RetrainingParams)

    @classmethod
    def load(cls, name: str) -> "Run":
        """Read the settings of a run, and its prompts, so that a mistake in any of them is told before work begins.

        Raises:
            ConfigError: There is no such run, or a file of its settings is missing or wrong.
        """
        pipeline = load(PIPELINE, Pipeline)
        if name not in pipeline.runs:
            raise ConfigError(f"expected one of the runs {', '.join(pipeline.runs)}, found {name} ({PIPELINE})")
        chosen = pipeline.runs[name]
        profile = load(PROFILES / f"{chosen.profile}.yaml", Profile)
        sft = changed(profile.sft, chosen.sft, f"runs.{name}.sft", PIPELINE)
        rl = changed(profile.rl, chosen.rl, f"runs.{name}.rl", PIPELINE)
        run = cls(
            name=name,
            workload=load(WORKLOADS / f"{chosen.workload}.yaml", Workload),
            profile=profile.model_copy(update={"sft": sft, "rl": rl}),
            seed=pipeline.seed if chosen.seed is None else chosen.seed,
            gate=changed(pipeline.gate, chosen.gate, f"runs.{name}.gate", PIPELINE),
            advice=pipeline.advice,
            certificate=pipeline.certificate,
            hacking=pipeline.hacking,
            audit=pipeline.audit,
            watch=pipeline.watch,
            retraining=pipeline.retraining,
        )
        for prompt in (*run.workload.prompts, run.workload.trained_prompt):
            run.prompt(prompt)
        run.prices.model(run.workload.incumbent)
        run.prices.machine(run.profile.machine)
        for params in filter(None, (run.workload.scorer, run.workload.sealed_scorer)):
            build(params, run.workload.output)
        return run

    @property
    def report(self) -> Path:
        """The folder of `ladder.json` and `report.html`."""
        return self.folder / "report"

    @property
    def folder(self) -> Path:
        """Where the outputs of all stages lie."""
        return ARTIFACTS / self.name

    def rung_folder(self, rung: str) -> Path:
        """Where a rung lies: its `result.json`, and its model or prompt."""
        prompts = self.folder / "prompts" / rung
        return prompts if rung in self.workload.prompts else self.folder / rung

    def work(self, stage: str) -> Path:
        """Where a stage keeps checkpoints: outside its outputs, which DVC removes before it runs."""
        return STATE / "training" / self.name / stage

    @cached_property
    def base_model(self) -> Path:
        """The folder of the base model.

        Raises:
            ConfigError: `model.path` names none that can be read.
        """
        try:
            return model_folder(self.profile.model.path)
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
        """The prompt of trained rungs, short because the schema lives in their weights."""
        return self.prompt(self.workload.trained_prompt)

    def examples(self, split: SplitName) -> list[Example]:
        """The examples of a split."""
        return read_jsonl(self.folder / "data" / f"{split}.jsonl", Example)

    def slices_of(self, examples: Sequence[Example]) -> dict[str, dict[str, str]]:
        """Example id → slice → value, of the workload's slices."""
        names = self.workload.slices
        return {one.id: {name: one.slices[name] for name in names if name in one.slices} for one in examples}

    @property
    def must_pass(self) -> list[Example]:
        """The workload's must-pass cases, as examples."""
        return [
            Example(
                id=case.name, input=case.input, demonstration=to_json(case.expected), reference=to_json(case.expected),
                group=case.name, evidence=case.evidence,
            )
            for case in self.workload.must_pass
        ]  # fmt: skip

    @property
    def data_source(self) -> Path:
        """The folder that file sources lie in."""
        return DATA / self.workload.name


def digest(*settings: Settings | str | int) -> str:
    """A hash of settings and texts."""
    texts = (one.model_dump_json() if isinstance(one, Settings) else str(one) for one in settings)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def git_commit() -> str:
    """The commit of the code, with a mark where code or settings differ from it; "unknown" outside a repository."""
    try:
        commit, changed = git(Path(), "rev-parse", "HEAD"), uncommitted(Path())
    except DataError:
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def threads() -> int:
    """The threads that a computation of this process is shared out to: OMP_NUM_THREADS, or one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() else cores
